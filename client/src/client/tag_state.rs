//! The current state of a name at the registry: whether a blob exists, and the manifest of a tag.
//!
//! Invariant: for a registry that does not answer HEAD, or omits the needed headers, the client
//! sends GET; its body is not read.

use http::{HeaderMap, Method, StatusCode};
use hyper::Response;
use hyper::body::Incoming;
use wharf_oci::{Digest, Reference, RepoName};

use crate::ClientError;
use crate::client::Client;
use crate::client::Urgency;
use crate::error::absent;
use crate::headers::content_digest;
use crate::headers::length;
use crate::limits::MISSED_TIME;
use crate::transport::{RegistryRequest, RetryEffort};

/// The registry's state of a tag or digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagState {
    /// No manifest.
    Absent,
    /// A manifest of this digest.
    Is(Digest),
    /// A manifest of unknown digest.
    Unsaid,
}

/// The registry's state of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobState {
    /// The registry does not have it.
    Absent,
    /// The registry has it, with this size in bytes.
    Sized(u64),
    /// The registry has it, and does not state the size.
    Unsized,
}

impl Client {
    /// The manifest currently at the registry. Unlike [`Self::manifest_digest`], for a write that
    /// depends on the answer: it waits as long as the write itself would.
    pub async fn manifest_there(
        &self,
        repo: &RepoName,
        reference: &Reference,
    ) -> Result<TagState, ClientError> {
        let mut ask = self.manifest_ask(Method::HEAD, repo, reference);
        ask.effort = RetryEffort::Long;
        match self.heads(ask, "asking for a manifest", |_| true).await {
            Ok(headers) => Ok(content_digest(&headers).map_or(TagState::Unsaid, TagState::Is)),
            Err(error) => absent::<TagState>(error).map(|there| there.unwrap_or(TagState::Absent)),
        }
    }

    /// The current digest of a tag or digest at the registry; `None` when it is missing, or the
    /// registry omits it. A brief request: its caller has a cached answer to fall back on.
    pub async fn manifest_digest(
        &self,
        repo: &RepoName,
        reference: &Reference,
    ) -> Result<Option<Digest>, ClientError> {
        let mut ask = self.manifest_ask(Method::HEAD, repo, reference);
        ask.effort = RetryEffort::Brief;
        match self.wire.follow(ask, "asking for a manifest").await {
            Ok(response) => Ok(content_digest(response.headers())),
            // The caller then fetches the manifest.
            Err(error) if answers_no_head(&error) => Ok(None),
            Err(error) => absent(error),
        }
    }

    /// Whether the registry has a blob, and its size.
    pub async fn blob_there(
        &self,
        repo: &RepoName,
        digest: &Digest,
        urgency: Urgency,
    ) -> Result<BlobState, ClientError> {
        let mut ask = self.blob_ask(Method::HEAD, repo, digest);
        ask.effort = urgency.into();
        let asked = self.missed.epoch();
        let says_size = |headers: &HeaderMap| length(headers).is_some();
        match self.heads(ask, "asking for a blob", says_size).await {
            Ok(headers) => Ok(length(&headers).map_or(BlobState::Unsized, BlobState::Sized)),
            Err(error) => {
                let there = absent(error)?;
                self.missed.insert_since(asked, (repo.clone(), *digest), MISSED_TIME);
                Ok(there.unwrap_or(BlobState::Absent))
            }
        }
    }

    /// The size of a blob; `None` when the registry does not have it, or does not state the size.
    pub async fn blob_size(
        &self,
        repo: &RepoName,
        digest: &Digest,
    ) -> Result<Option<u64>, ClientError> {
        Ok(match self.blob_there(repo, digest, Urgency::Patient).await? {
            BlobState::Sized(size_bytes) => Some(size_bytes),
            BlobState::Absent | BlobState::Unsized => None,
        })
    }

    /// The headers of a HEAD; those of a GET when HEAD has no answer, or lacks headers.
    async fn heads(
        &self,
        ask: RegistryRequest,
        operation: &'static str,
        is_enough: impl Fn(&HeaderMap) -> bool + Send,
    ) -> Result<HeaderMap, ClientError> {
        let by_get = RegistryRequest { method: Method::GET, ..ask.clone() };
        let headers = |response: Response<Incoming>| response.into_parts().0.headers;
        match self.wire.follow(ask, operation).await {
            Ok(response) if is_enough(response.headers()) => return Ok(headers(response)),
            Err(error) if !answers_no_head(&error) => return Err(error),
            Ok(_) | Err(_) => {}
        }
        self.wire.follow(by_get, operation).await.map(headers)
    }
}

/// Whether a refusal concerns the method rather than the content.
fn answers_no_head(error: &ClientError) -> bool {
    let ClientError::Refused { status, .. } = error else { return false };
    matches!(
        *status,
        StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
    )
}
