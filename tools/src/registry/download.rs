//! One blob on its way from a registry, piece by piece. A broken connection is opened again at the
//! break, while there is progress.
//!
//! Invariant: bytes are handed out in their order, at most as many as the descriptor says. The
//! reader has to prove them by their hash.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use wharf_oci::{ByteRange, ContentRange, Descriptor, Endpoint, RepoName};

use super::auth::TokenScope;
use super::error::RegistryError;
use super::retry::Budget;
use super::transport::shown;
use super::{Registry, network_error};

/// A blob, read from its start or from any sought offset.
pub struct BlobDownload {
    registry: Arc<Registry>,
    repo: RepoName,
    descriptor: Descriptor,
    open: Option<Open>,
    offset: u64,
    budget: Budget,
}

/// An answer under way.
struct Open {
    response: Response<Incoming>,
    /// Arrived bytes, not taken yet.
    ahead: Bytes,
    offset: u64,
}

impl std::fmt::Debug for BlobDownload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlobDownload({}/{} from {})", self.place(), self.descriptor.digest, self.offset)
    }
}

impl BlobDownload {
    /// A download before its first request.
    #[must_use]
    pub fn new(registry: Arc<Registry>, repo: RepoName, descriptor: Descriptor) -> Self {
        let budget = Budget::new(registry.options.policy);
        Self { registry, repo, descriptor, open: None, offset: 0, budget }
    }

    /// The descriptor of the blob.
    pub(super) const fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Where it is, for messages.
    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.registry.host(), self.repo)
    }

    /// Goes on at another offset.
    pub(super) const fn seek(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// Asks for the blob; `None` when it is not there, else the size the registry says, if it
    /// says one.
    pub async fn begin(&mut self) -> Result<Option<Option<u64>>, RegistryError> {
        let (repo, digest) = (&self.repo, &self.descriptor.digest);
        let Some(response) = self.registry.open_blob(repo, digest, 0).await? else {
            return Ok(None);
        };
        let length = response.headers().get(CONTENT_LENGTH);
        let size = length.and_then(|text| text.to_str().ok()?.parse().ok());
        self.open = Some(Open { response, ahead: Bytes::new(), offset: 0 });
        Ok(Some(size))
    }

    /// The next bytes, at most this many, at least one; none only at the end of the blob.
    pub async fn next(&mut self, at_most: usize) -> Result<Bytes, RegistryError> {
        if self.offset >= self.descriptor.size {
            return Ok(Bytes::new());
        }
        let left = usize::try_from(self.descriptor.size - self.offset).unwrap_or(usize::MAX);
        loop {
            match self.piece(at_most.min(left)).await {
                Ok(piece) => {
                    self.offset += piece.len() as u64;
                    self.budget.progressed();
                    return Ok(piece);
                }
                Err(error) => {
                    self.open = None;
                    let (endpoint, scope) = (self.endpoint(), TokenScope::pull(&self.repo));
                    let call = self.registry.new_call(Method::GET, &endpoint, &scope)?;
                    self.registry.pause(&mut self.budget, &call, error, None).await?;
                }
            }
        }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Blob { repo: self.repo.clone(), digest: self.descriptor.digest }
    }

    /// The next bytes from the open answer, or from a new one at this offset.
    async fn piece(&mut self, at_most: usize) -> Result<Bytes, RegistryError> {
        let offset = self.offset;
        let mut open = match self.open.take() {
            Some(open) if open.offset == offset => open,
            _ => self.answer(offset).await?,
        };
        let endpoint = self.endpoint();
        let uri =
            self.registry.new_call(Method::GET, &endpoint, &TokenScope::pull(&self.repo))?.uri;
        while open.ahead.is_empty() {
            let body = open.response.body_mut();
            match self.registry.transport.piece(&uri, body).await? {
                Some(piece) => open.ahead = piece,
                None => return Err(network_error(&Method::GET, &uri, "the blob ended early")),
            }
        }
        let piece = open.ahead.split_to(at_most.min(open.ahead.len()));
        open.offset += piece.len() as u64;
        self.open = Some(open);
        Ok(piece)
    }

    async fn answer(&self, offset: u64) -> Result<Open, RegistryError> {
        let digest = &self.descriptor.digest;
        let scope = TokenScope::pull(&self.repo);
        let uri = self.registry.new_call(Method::GET, &self.endpoint(), &scope)?.uri;
        let protocol =
            |reason: &str| RegistryError::Protocol { url: shown(&uri), reason: reason.to_owned() };
        let response = self.registry.open_blob(&self.repo, digest, offset).await?;
        let response = response.ok_or_else(|| RegistryError::Refused {
            method: Method::GET,
            url: shown(&uri),
            status: StatusCode::NOT_FOUND,
            message: "the blob is not there".to_owned(),
        })?;
        let mut open = Open { response, ahead: Bytes::new(), offset };
        if offset > 0 && open.response.status() == StatusCode::PARTIAL_CONTENT {
            let range: Option<ContentRange> = open
                .response
                .headers()
                .get(CONTENT_RANGE)
                .and_then(|text| text.to_str().ok()?.parse().ok());
            let wanted = ByteRange::From { first: offset }.resolve(self.descriptor.size);
            if range.map(|range| range.span.start()) != wanted.map(|span| span.start()) {
                return Err(protocol("it sent another range than was asked for"));
            }
        } else if offset > 0 {
            // The whole blob came although a part was asked for: the start is passed over.
            let mut passed = 0;
            while passed < offset {
                let body = open.response.body_mut();
                let piece = self.registry.transport.piece(&uri, body).await?;
                let mut piece = piece.ok_or_else(|| protocol("the blob is too short"))?;
                let skip = usize::try_from(offset - passed).unwrap_or(usize::MAX).min(piece.len());
                passed += skip as u64;
                piece.advance(skip);
                open.ahead = piece;
            }
        }
        Ok(open)
    }
}
