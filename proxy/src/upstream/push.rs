//! One upload to the upstream: a session, chunks with explicit lengths, the end. Follows the
//! upstream's Locations and offsets, never its own idea of them. When what is sent again is decided
//! in `sending.rs`, how large a chunk is in `chunks.rs`.
//!
//! Invariant: an offset that the upstream names is believed only within what it was sent.

use std::sync::Arc;

use http::{Method, StatusCode, header};
use hyper::Response;
use hyper::body::Incoming;
use tokio::time::Instant;
use url::Url;
use wharf_oci::{ChunkRange, Digest, Endpoint, RepoName, Span};

use super::auth::{Access, Scope};
use super::wire::{self, Ask, Effort, Wire};
use super::{Haste, Upstream, failed, text};
use crate::Error;
use crate::body::{Body, Payload};

/// What opening an upload led to.
#[expect(clippy::large_enum_variant, reason = "it lives for one match")]
pub(crate) enum Started {
    /// The upstream took the blob from another repository: nothing to send.
    Mounted,
    /// A session is open.
    Session(Push),
}

/// An open upload session at the upstream.
pub(crate) struct Push {
    wire: Wire,
    scope: Scope,
    location: Url,
    haste: Haste,
    sent_bytes: u64,
    /// The most that it can have.
    offered_bytes: u64,
}

impl Upstream {
    /// Opens an upload, or mounts when a digest and a source are given and the upstream agrees.
    pub(crate) async fn start_upload(
        &self,
        repo: &RepoName,
        mount: Option<(&Digest, Option<&RepoName>)>,
        haste: Haste,
    ) -> Result<Started, Error> {
        let endpoint = Endpoint::Uploads { repo: repo.clone() };
        let (query, scope) = match mount {
            None => (String::new(), Scope::repo(repo, Access::Push)),
            Some((digest, None)) => (format!("?mount={digest}"), Scope::repo(repo, Access::Push)),
            Some((digest, Some(from))) => {
                (format!("?mount={digest}&from={from}"), Scope::mount(repo, from))
            }
        };
        let mut ask = Ask::new(Method::POST, self.wire.url(&format!("{endpoint}{query}")), scope);
        ask.effort = haste.into();
        let url = ask.url.clone();
        let response = self.wire.send(ask, OPENING).await?;
        if mount.is_some() && response.status() == StatusCode::CREATED {
            self.wire.collect(response, OPENING).await?;
            return Ok(Started::Mounted);
        }
        let location = next_location(&self.wire, &url, &response)?;
        self.wire.collect(response, OPENING).await?;
        let scope = Scope::repo(repo, Access::Push);
        let wire = self.wire.clone();
        Ok(Started::Session(Push { wire, scope, location, haste, sent_bytes: 0, offered_bytes: 0 }))
    }
}

const OPENING: &str = "opening an upload";
const SENDING: &str = "sending a chunk";
const ENDING: &str = "ending an upload";

impl Push {
    /// How many bytes the upstream has.
    #[must_use]
    pub(crate) const fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// Sends some of the next `there_bytes` bytes, at most `most` of them; they start at
    /// [`Push::sent_bytes`], and `body` makes them as often as they are needed. The upstream may take
    /// fewer.
    pub(crate) async fn send(
        &mut self,
        there_bytes: u64,
        most: u64,
        body: impl Fn(Span) -> Body + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let wire = self.wire.clone();
        let chunk = wire.chunks().next(there_bytes, most);
        let (first, end) = (self.sent_bytes, self.sent_bytes + chunk.bytes);
        let Some(span) = Span::new(first, end) else { return Ok(()) };
        let mut ask = Ask::new(Method::PATCH, self.location.clone(), self.scope.clone());
        ask.headers.insert(header::CONTENT_TYPE, wire::value("application/octet-stream"));
        // `start-end` without a unit: ACR refuses the form of RFC 9110.
        let range = ChunkRange { first, last: end - 1 };
        ask.headers.insert(header::CONTENT_RANGE, wire::value(&range.to_string()));
        ask.body = Payload::Made { size_bytes: chunk.bytes, make: Arc::new(move || body(span)) };
        ask.effort = Effort::Once;
        self.offered_bytes = self.offered_bytes.max(end);
        let (url, began) = (ask.url.clone(), Instant::now());
        match self.wire.send(ask, SENDING).await {
            Ok(response) => {
                chunk.taken(began.elapsed());
                self.location = next_location(&self.wire, &url, &response)?;
                let taken = offset(&response).unwrap_or(end);
                self.wire.collect(response, SENDING).await?;
                self.sent_bytes = self.believed(taken)?;
                Ok(())
            }
            Err(error) => {
                match &error {
                    Error::UpstreamRefused { status, .. }
                        if *status == StatusCode::PAYLOAD_TOO_LARGE =>
                    {
                        chunk.too_large();
                    }
                    Error::UpstreamFailed { .. } => chunk.lost(),
                    _ => {}
                }
                Err(error)
            }
        }
    }

    /// An offset of the upstream's, when it can be true.
    fn believed(&self, offset: u64) -> Result<u64, Error> {
        if offset <= self.offered_bytes {
            return Ok(offset);
        }
        let offered = self.offered_bytes;
        Err(failed(SENDING, format!("it says it has {offset} bytes of {offered} that it was sent")))
    }

    /// Asks how much the upstream has, after a chunk whose fate is unknown; `false` when it says what
    /// cannot be.
    pub(crate) async fn resync(&mut self) -> Result<bool, Error> {
        let ask = Ask::new(Method::GET, self.location.clone(), self.scope.clone());
        let url = ask.url.clone();
        let response = self.wire.send(ask, "asking for an upload").await?;
        if let Ok(location) = next_location(&self.wire, &url, &response) {
            self.location = location;
        }
        // `0-0` is how registries say both "nothing" and "one byte": a chunk at 0 is refused by one that
        // has a byte, and then the upload starts over.
        let there = offset(&response).filter(|bytes| *bytes > 1).unwrap_or(0);
        self.wire.collect(response, "asking for an upload").await?;
        self.sent_bytes = there;
        Ok(there <= self.offered_bytes)
    }

    /// Ends the upload; when it returns, the upstream has the blob.
    pub(crate) async fn finish(&self, digest: &Digest) -> Result<(), Error> {
        let mut url = self.location.clone();
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let mut ask = Ask::new(Method::PUT, url, self.scope.clone());
        ask.effort = self.haste.into();
        let response = self.wire.send(ask, ENDING).await?;
        if response.status() != StatusCode::CREATED {
            return Err(failed(ENDING, format!("{} instead of 201", response.status())));
        }
        self.wire.collect(response, ENDING).await?;
        Ok(())
    }

    /// Gives the upload up. A failure is of no consequence: the upstream expires sessions.
    pub(crate) async fn cancel(&self) {
        let mut ask = Ask::new(Method::DELETE, self.location.clone(), self.scope.clone());
        ask.effort = Effort::Once;
        if let Err(error) = self.wire.send(ask, "cancelling an upload").await {
            tracing::debug!(%error, "an upload was left to expire at the upstream");
        }
    }
}

/// Where to go on: opaque, with all of its query, relative or absolute.
fn next_location(wire: &Wire, asked: &Url, response: &Response<Incoming>) -> Result<Url, Error> {
    let location = text(response.headers(), header::LOCATION);
    let location = location.ok_or_else(|| failed(OPENING, "the answer has no Location"))?;
    wire.led_to(asked, location, OPENING)
}

/// The number of bytes that `Range: 0-last` speaks of.
fn offset(response: &Response<Incoming>) -> Option<u64> {
    let range: ChunkRange = text(response.headers(), header::RANGE)?.parse().ok()?;
    range.last.checked_add(1)
}
