//! One upload session at the registry: its start, chunks with explicit lengths, its end. It follows
//! the registry's Locations and offsets, never its own idea of them. The caller decides on
//! repeated sending, `chunks.rs` on the chunk size.
//!
//! Invariant: an offset named by the registry is accepted only within the bytes sent so far.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use tokio::time::Instant;
use url::Url;
use wharf_oci::{Algorithm, ChunkRange, Digest, Endpoint, RepoName, Span};

use crate::ClientError;
use crate::client::Client;
use crate::client::Urgency;
use crate::error::failed;
use crate::headers::text;
use crate::headers::value;
use crate::outbound::BoxError;
use crate::payload::Payload;
use crate::scope::{Scope, ScopeAction};
use crate::transport::{RegistryRequest, RetryEffort, Transport};

/// The result of opening an upload.
#[expect(clippy::large_enum_variant, reason = "it lives for one match")]
pub enum StartedUpload {
    /// The registry took the blob from another repository: nothing to send.
    Mounted,
    /// A session is open.
    Session(UploadSession),
}

/// An open upload session at the registry. A session that is dropped before its end is cancelled
/// there in the background.
pub struct UploadSession {
    wire: Transport,
    scope: Scope,
    location: Url,
    urgency: Urgency,
    sent_bytes: u64,
    /// The most bytes the registry can have.
    offered_bytes: u64,
    /// Whether the session has ended at the registry.
    over: bool,
}

impl Client {
    /// Opens an upload, with its digest algorithm if it is known.
    pub async fn open_upload(
        &self,
        repo: &RepoName,
        algorithm: Option<Algorithm>,
        urgency: Urgency,
    ) -> Result<UploadSession, ClientError> {
        match self.start(repo, None, algorithm, urgency).await? {
            StartedUpload::Session(push) => Ok(push),
            StartedUpload::Mounted => {
                Err(failed(OPENING, "it answered 201 to an upload without content"))
            }
        }
    }

    /// Whether a 201 to a mount of such a digest is reliable. Registries that keep everything as
    /// SHA-256 (docker-registry 2.8) answer 201 to another algorithm, and have lost the blob after
    /// that, even if they had it before.
    #[must_use]
    pub fn mounts(digest: &Digest) -> bool {
        digest.algorithm() == Algorithm::Sha256
    }

    /// Mounts a blob when the registry agrees, else opens an upload of it. Only for digests
    /// accepted by [`mounts`](Self::mounts).
    pub async fn mount(
        &self,
        repo: &RepoName,
        digest: &Digest,
        from: &RepoName,
        urgency: Urgency,
    ) -> Result<StartedUpload, ClientError> {
        self.start(repo, Some((digest, from)), Some(digest.algorithm()), urgency).await
    }

    /// The registry's minimum size of a chunk before the last one.
    pub fn chunk_floor(&self) -> u64 {
        self.wire.chunks().floor_bytes()
    }

    async fn start(
        &self,
        repo: &RepoName,
        mount: Option<(&Digest, &RepoName)>,
        algorithm: Option<Algorithm>,
        urgency: Urgency,
    ) -> Result<StartedUpload, ClientError> {
        let endpoint = Endpoint::Uploads { repo: repo.clone() };
        let (mut query, scope) = match mount {
            None => (String::new(), Scope::repo(repo, ScopeAction::Push)),
            Some((digest, from)) => {
                (format!("?mount={digest}&from={from}"), Scope::mount(repo, from))
            }
        };
        // Registries with one algorithm do not get its name.
        if let Some(algorithm) = algorithm.filter(|algorithm| *algorithm != Algorithm::Sha256) {
            let separator = if query.is_empty() { '?' } else { '&' };
            query = format!("{query}{separator}digest-algorithm={algorithm}");
        }
        let mut ask =
            RegistryRequest::new(Method::POST, self.wire.url(&format!("{endpoint}{query}")), scope);
        ask.effort = urgency.into();
        let (wire, scope) = (self.wire.clone(), Scope::repo(repo, ScopeAction::Push));
        // Runs to its end when the caller goes away: a session opened then cancels itself.
        let work = tokio::spawn(open(wire, ask, scope, mount.is_some(), urgency));
        match work.await {
            Ok(started) => started,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

async fn open(
    wire: Transport,
    ask: RegistryRequest,
    scope: Scope,
    mounts: bool,
    urgency: Urgency,
) -> Result<StartedUpload, ClientError> {
    let url = ask.url.clone();
    let response = wire.send(ask, OPENING).await?;
    if mounts && response.status() == StatusCode::CREATED {
        wire.drain(response, OPENING).await?;
        return Ok(StartedUpload::Mounted);
    }
    let location = next_location(&wire, &url, &response)?;
    wire.chunks().announced(chunk_floor(&response));
    wire.drain(response, OPENING).await?;
    let (sent_bytes, offered_bytes, over) = (0, 0, false);
    let push = UploadSession { wire, scope, location, urgency, sent_bytes, offered_bytes, over };
    Ok(StartedUpload::Session(push))
}

const OPENING: &str = "opening an upload";
const SENDING: &str = "sending a chunk";
const ENDING: &str = "ending an upload";
const CANCELLING: &str = "cancelling an upload";

impl UploadSession {
    /// The number of bytes that the registry has.
    #[must_use]
    pub const fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// Sends some of the next `there_bytes` bytes, at most `most` of them, from
    /// [`UploadSession::sent_bytes`] on; `body` produces them as often as they are needed. The
    /// registry may accept fewer.
    pub async fn send<B>(
        &mut self,
        there_bytes: u64,
        most: u64,
        body: impl Fn(Span) -> B + Send + Sync + 'static,
    ) -> Result<(), ClientError>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let wire = self.wire.clone();
        let chunk = wire.chunks().next(there_bytes, most);
        let (first, end) = (self.sent_bytes, self.sent_bytes + chunk.bytes);
        let Some(span) = Span::new(first, end) else { return Ok(()) };
        let mut ask =
            RegistryRequest::new(Method::PATCH, self.location.clone(), self.scope.clone());
        ask.headers.insert(header::CONTENT_TYPE, value("application/octet-stream"));
        // `start-end` without a unit: ACR refuses the form of RFC 9110.
        let range = ChunkRange { first, last: end - 1 };
        ask.headers.insert(header::CONTENT_RANGE, value(&range.to_string()));
        let make = Arc::new(move || body(span).map_err(Into::into).boxed_unsync());
        ask.body = Payload::Made { size_bytes: chunk.bytes, make };
        ask.effort = RetryEffort::Once;
        self.offered_bytes = self.offered_bytes.max(end);
        let (url, began) = (ask.url.clone(), Instant::now());
        match self.wire.send(ask, SENDING).await {
            Ok(response) => {
                chunk.taken(began.elapsed());
                self.location = next_location(&self.wire, &url, &response)?;
                let taken = taken(text(response.headers(), header::RANGE), end);
                self.wire.drain(response, SENDING).await?;
                self.sent_bytes = self.believed(taken)?;
                Ok(())
            }
            Err(error) => {
                match &error {
                    ClientError::Refused { status, .. }
                        if *status == StatusCode::PAYLOAD_TOO_LARGE =>
                    {
                        chunk.too_large();
                    }
                    ClientError::Failed { .. } => chunk.lost(),
                    _ => {}
                }
                Err(error)
            }
        }
    }

    /// The registry's offset, provided that it is possible.
    fn believed(&self, offset: u64) -> Result<u64, ClientError> {
        if offset <= self.offered_bytes {
            return Ok(offset);
        }
        let offered = self.offered_bytes;
        Err(failed(SENDING, format!("it says it has {offset} bytes of {offered} that it was sent")))
    }

    /// Asks for the registry's offset, after a chunk with an unknown result; `false` when the
    /// offset is impossible.
    pub async fn resync(&mut self) -> Result<bool, ClientError> {
        let ask = RegistryRequest::new(Method::GET, self.location.clone(), self.scope.clone());
        let url = ask.url.clone();
        let response = self.wire.send(ask, "asking for an upload").await?;
        if let Ok(location) = next_location(&self.wire, &url, &response) {
            self.location = location;
        }
        // `0-0` stands at registries for both "nothing" and "one byte": a registry that has a byte
        // refuses a chunk at 0, and then the upload starts over.
        let there = offset(&response).filter(|bytes| *bytes > 1).unwrap_or(0);
        self.wire.drain(response, "asking for an upload").await?;
        self.sent_bytes = there;
        Ok(there <= self.offered_bytes)
    }

    /// Completes the upload; when it returns, the registry has the blob.
    pub async fn finish(&mut self, digest: &Digest) -> Result<(), ClientError> {
        let mut url = self.location.clone();
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let mut ask = RegistryRequest::new(Method::PUT, url, self.scope.clone());
        ask.effort = self.urgency.into();
        let response = self.wire.send(ask, ENDING).await?;
        if response.status() != StatusCode::CREATED {
            return Err(failed(ENDING, format!("{} instead of 201", response.status())));
        }
        self.over = true;
        self.wire.drain(response, ENDING).await?;
        Ok(())
    }

    /// Drops a session that the registry no longer knows, or has completed.
    pub fn forget(mut self) {
        self.over = true;
    }

    /// Cancels the upload. A failure has no consequence: the registry expires sessions.
    pub async fn cancel(mut self) {
        self.over = true;
        self.farewell().await;
    }

    fn farewell(&self) -> impl Future<Output = ()> + Send + use<> {
        let (wire, scope, location) =
            (self.wire.clone(), self.scope.clone(), self.location.clone());
        async move {
            if let Err(error) = give_up(&wire, &scope, location).await {
                tracing::debug!(%error, "an upload was left to expire at the upstream");
            }
        }
    }
}

impl Drop for UploadSession {
    fn drop(&mut self) {
        if !self.over {
            self.wire.cancellations().say(self.farewell());
        }
    }
}

/// Cancels an upload. After a broken last chunk, this Location may be outdated: then its status
/// request gives the current one.
async fn give_up(wire: &Transport, scope: &Scope, location: Url) -> Result<(), ClientError> {
    let ask = |method: Method, url: &Url| {
        let ask = RegistryRequest::new(method, url.clone(), scope.clone());
        RegistryRequest { effort: RetryEffort::Once, ..ask }
    };
    match wire.send(ask(Method::DELETE, &location), CANCELLING).await {
        Err(ClientError::Refused { status, .. }) if status.is_client_error() => {}
        answered => return answered.map(|_| ()),
    }
    let response = wire.send(ask(Method::GET, &location), CANCELLING).await?;
    let location = next_location(wire, &location, &response)?;
    wire.drain(response, CANCELLING).await?;
    wire.send(ask(Method::DELETE, &location), CANCELLING).await.map(|_| ())
}

/// The next Location of the session: opaque, with all of its query, relative or absolute.
fn next_location(
    wire: &Transport,
    asked: &Url,
    response: &Response<Incoming>,
) -> Result<Url, ClientError> {
    let location = text(response.headers(), header::LOCATION);
    let location = location.ok_or_else(|| failed(OPENING, "the answer has no Location"))?;
    wire.led_to(asked, location, OPENING)
}

/// The announced minimum size of a chunk (`OCI-Chunk-Min-Length`); 0 without one.
fn chunk_floor(response: &Response<Incoming>) -> u64 {
    let said = response.headers().get("oci-chunk-min-length");
    said.and_then(|value| value.to_str().ok()?.trim().parse().ok()).unwrap_or(0)
}

/// The number of bytes that a registry has after a chunk up to `end`, from the `Range` of its answer; all of
/// them without one. Registries write `0-0` for none, and after a chunk of one byte for that byte.
fn taken(range: Option<&str>, end: u64) -> u64 {
    let said = range.and_then(|text| text.parse().ok()).and_then(count);
    said.filter(|bytes| *bytes > 1 || end == 1).unwrap_or(if said.is_some() { 0 } else { end })
}

/// The number of bytes in `Range: 0-last`.
fn count(range: ChunkRange) -> Option<u64> {
    range.last.checked_add(1)
}

/// The same, of an answer.
fn offset(response: &Response<Incoming>) -> Option<u64> {
    text(response.headers(), header::RANGE)?.parse().ok().and_then(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_took_nothing_of_a_chunk_is_not_taken_to_have_one_byte() {
        for (range, end, bytes) in [
            (Some("0-0"), 8_000, 0),
            (Some("0-0"), 1, 1),
            (Some("0-1"), 8_000, 2),
            (Some("0-7999"), 8_000, 8_000),
            (None, 8_000, 8_000),
            (Some("bytes=0-5"), 8_000, 6),
            (Some("nothing"), 8_000, 8_000),
        ] {
            assert_eq!(taken(range, end), bytes, "{range:?} {end}");
        }
    }
}
