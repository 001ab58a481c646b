//! Where the bytes of an upload come from: a file, memory, or a blob of another registry. Any part
//! can be had again, because an upload may have to go back.
//!
//! Invariant: bytes of another registry are hashed in their order, and a source whose bytes are not
//! its digest says so before the upload is ended.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use tokio::task::spawn_blocking;
use wharf_oci::{ByteRange, ContentRange, Descriptor, Digester, RepoName};

use super::error::RegistryError;
use super::retry::Budget;
use super::transport::shown;
use super::{Registry, auth::Scope, network_error};

/// The bytes of one blob.
pub enum BlobSource {
    /// In a file, proven before the upload started.
    File(Box<FileSource>),
    /// On another registry.
    Remote(Box<RemoteSource>),
}

/// A part of a file.
pub struct FileSource {
    file: Arc<File>,
    start: u64,
    descriptor: Descriptor,
}

/// A blob that is downloaded while it is uploaded.
pub struct RemoteSource {
    registry: Arc<Registry>,
    repo: RepoName,
    descriptor: Descriptor,
    download: Option<Download>,
    /// Everything from the start to here was hashed.
    digester: Digester,
}

struct Download {
    response: Response<Incoming>,
    /// Bytes that arrived and were not taken.
    ahead: Bytes,
    offset: u64,
}

impl BlobSource {
    /// A blob that starts here in a file, which others may read too.
    #[must_use]
    pub fn file(file: Arc<File>, start: u64, descriptor: Descriptor) -> Self {
        Self::File(Box::new(FileSource { file, start, descriptor }))
    }

    /// A blob of another registry.
    #[must_use]
    pub fn remote(registry: Arc<Registry>, repo: RepoName, descriptor: Descriptor) -> Self {
        let digester = Digester::new(descriptor.digest.algorithm());
        let download = None;
        Self::Remote(Box::new(RemoteSource { registry, repo, descriptor, download, digester }))
    }

    /// What it is.
    pub(super) fn descriptor(&self) -> &Descriptor {
        match self {
            Self::File(source) => &source.descriptor,
            Self::Remote(source) => &source.descriptor,
        }
    }

    /// The bytes from an offset on, at most this many; fewer only at the end of the blob.
    pub(super) async fn chunk(
        &mut self,
        offset: u64,
        at_most: u64,
    ) -> Result<Bytes, RegistryError> {
        match self {
            Self::File(source) => source.chunk(offset, at_most).await,
            Self::Remote(source) => source.chunk(offset, at_most).await,
        }
    }
}

/// How many bytes a chunk at this offset has.
fn chunk_len(descriptor: &Descriptor, offset: u64, at_most: u64) -> usize {
    let left = descriptor.size.saturating_sub(offset).min(at_most);
    usize::try_from(left).unwrap_or(usize::MAX)
}

impl FileSource {
    #[expect(
        clippy::disallowed_methods,
        reason = "tokio's own files do the same; theirs have a position, which blobs of one archive \
                  would share. As many run as blobs are sent at once"
    )]
    async fn chunk(&mut self, offset: u64, at_most: u64) -> Result<Bytes, RegistryError> {
        let digest = self.descriptor.digest;
        let failed = |source: io::Error| RegistryError::Source { digest, source };
        let mut bytes = BytesMut::zeroed(chunk_len(&self.descriptor, offset, at_most));
        let (file, at) = (Arc::clone(&self.file), self.start.saturating_add(offset));
        // A disk may be slow, and other uploads go on meanwhile.
        let read = spawn_blocking(move || file.read_exact_at(&mut bytes, at).map(|()| bytes));
        let bytes = read.await.map_err(io::Error::from).and_then(|read| read).map_err(failed)?;
        Ok(bytes.freeze())
    }
}

impl RemoteSource {
    async fn chunk(&mut self, offset: u64, at_most: u64) -> Result<Bytes, RegistryError> {
        let wanted = chunk_len(&self.descriptor, offset, at_most);
        let mut bytes = BytesMut::with_capacity(wanted);
        let mut budget = Budget::new(self.registry.options.policy);
        while bytes.len() < wanted {
            let at = offset + bytes.len() as u64;
            match self.piece(at, wanted - bytes.len()).await {
                Ok(piece) => {
                    bytes.extend_from_slice(&piece);
                    budget.progressed();
                }
                Err(error) => {
                    self.download = None;
                    let url = self.url();
                    let scope = Scope::pull(&self.repo);
                    let call = self.registry.new_call(Method::GET, &url, &scope)?;
                    self.registry.pause(&mut budget, &call, error, None).await?;
                }
            }
        }
        let bytes = bytes.freeze();
        self.prove(offset, &bytes)?;
        Ok(bytes)
    }

    fn url(&self) -> wharf_oci::Endpoint {
        wharf_oci::Endpoint::Blob { repo: self.repo.clone(), digest: self.descriptor.digest }
    }

    /// The next bytes at this offset, from the open download or from one that starts there.
    async fn piece(&mut self, offset: u64, at_most: usize) -> Result<Bytes, RegistryError> {
        let mut download = match self.download.take() {
            Some(download) if download.offset == offset => download,
            _ => self.open(offset).await?,
        };
        let uri = self.registry.new_call(Method::GET, &self.url(), &Scope::pull(&self.repo))?.uri;
        while download.ahead.is_empty() {
            let body = download.response.body_mut();
            match self.registry.transport.piece(&uri, body).await? {
                Some(piece) => download.ahead = piece,
                None => return Err(network_error(&Method::GET, &uri, "the blob ended early")),
            }
        }
        let piece = download.ahead.split_to(at_most.min(download.ahead.len()));
        download.offset += piece.len() as u64;
        self.download = Some(download);
        Ok(piece)
    }

    async fn open(&self, offset: u64) -> Result<Download, RegistryError> {
        let digest = &self.descriptor.digest;
        let scope = Scope::pull(&self.repo);
        let uri = self.registry.new_call(Method::GET, &self.url(), &scope)?.uri;
        let protocol =
            |reason: &str| RegistryError::Protocol { url: shown(&uri), reason: reason.to_owned() };
        let response = self.registry.open_blob(&self.repo, digest, offset).await?;
        let response = response.ok_or_else(|| RegistryError::Refused {
            method: Method::GET,
            url: shown(&uri),
            status: StatusCode::NOT_FOUND,
            message: "the blob is not there".to_owned(),
        })?;
        let mut download = Download { response, ahead: Bytes::new(), offset };
        if offset > 0 && download.response.status() == StatusCode::PARTIAL_CONTENT {
            let range: Option<ContentRange> = download
                .response
                .headers()
                .get(http::header::CONTENT_RANGE)
                .and_then(|text| text.to_str().ok()?.parse().ok());
            let wanted = ByteRange::From { first: offset }.resolve(self.descriptor.size);
            if range.map(|range| range.span.start()) != wanted.map(|span| span.start()) {
                return Err(protocol("it sent another range than was asked for"));
            }
        } else if offset > 0 {
            // The whole blob came although a part was asked for: the start is passed over.
            let mut passed = 0;
            while passed < offset {
                let body = download.response.body_mut();
                let piece = self.registry.transport.piece(&uri, body).await?;
                let mut piece = piece.ok_or_else(|| protocol("the blob is too short"))?;
                let skip = usize::try_from(offset - passed).unwrap_or(usize::MAX).min(piece.len());
                passed += skip as u64;
                piece.advance(skip);
                download.ahead = piece;
            }
        }
        Ok(download)
    }

    /// Hashes what was not hashed yet, and compares at the end.
    fn prove(&mut self, offset: u64, bytes: &Bytes) -> Result<(), RegistryError> {
        let hashed = self.digester.size_bytes();
        let known = usize::try_from(hashed.saturating_sub(offset)).unwrap_or(usize::MAX);
        if let Some(fresh) = bytes.get(known..)
            && hashed >= offset
        {
            self.digester.update(fresh);
        }
        if self.digester.size_bytes() < self.descriptor.size {
            return Ok(());
        }
        self.digester.clone().finish().expect(&self.descriptor.digest).map_err(|mismatch| {
            RegistryError::Content {
                url: format!("{}/{}", self.registry.host(), self.repo),
                expected: self.descriptor.digest,
                reason: mismatch.to_string(),
            }
        })
    }
}
