//! One upload to the upstream: a session, chunks with explicit lengths, the end. Follows the
//! upstream's Locations and offsets, never its own idea of them.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use hyper::Response;
use hyper::body::Incoming;
use url::Url;
use wharf_oci::{ChunkRange, Digest, Endpoint, RepoName};

use super::auth::{Access, Scope};
use super::wire::{self, Ask, Effort, Wire};
use super::{Upstream, failed, text};
use crate::Error;

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
    sent_bytes: u64,
}

impl Upstream {
    /// Opens an upload, or mounts when a digest and a source are given and the upstream agrees.
    pub(crate) async fn start_upload(
        &self,
        repo: &RepoName,
        mount: Option<(&Digest, Option<&RepoName>)>,
    ) -> Result<Started, Error> {
        let endpoint = Endpoint::Uploads { repo: repo.clone() };
        let (query, scope) = match mount {
            None => (String::new(), Scope::repo(repo, Access::Push)),
            Some((digest, None)) => (format!("?mount={digest}"), Scope::repo(repo, Access::Push)),
            Some((digest, Some(from))) => {
                (format!("?mount={digest}&from={from}"), Scope::mount(repo, from))
            }
        };
        let ask =
            Ask::new(Method::POST, self.wire.url(&format!("{endpoint}{query}")), scope.clone());
        let url = ask.url.clone();
        let response = self.wire.send(ask, OPENING).await?;
        if mount.is_some() && response.status() == StatusCode::CREATED {
            self.wire.collect(response, OPENING).await?;
            return Ok(Started::Mounted);
        }
        let location = next_location(&url, &response)?;
        self.wire.collect(response, OPENING).await?;
        let scope = Scope::repo(repo, Access::Push);
        Ok(Started::Session(Push { wire: self.wire.clone(), scope, location, sent_bytes: 0 }))
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

    /// Sends the next bytes, which start at [`Push::sent_bytes`]. The upstream may take fewer.
    pub(crate) async fn send(&mut self, parts: Vec<Bytes>) -> Result<(), Error> {
        let length: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let Some(last) = (self.sent_bytes + length).checked_sub(1).filter(|_| length > 0) else {
            return Ok(());
        };
        let range = ChunkRange { first: self.sent_bytes, last };
        let mut ask = Ask::new(Method::PATCH, self.location.clone(), self.scope.clone());
        ask.headers.insert(header::CONTENT_TYPE, wire::value("application/octet-stream"));
        // `start-end` without a unit: ACR refuses the form of RFC 9110.
        ask.headers.insert(header::CONTENT_RANGE, wire::value(&range.to_string()));
        ask.body = parts;
        ask.effort = Effort::Once;
        let url = ask.url.clone();
        let response = self.wire.send(ask, SENDING).await?;
        self.location = next_location(&url, &response)?;
        self.sent_bytes = offset(&response).unwrap_or(last + 1);
        self.wire.collect(response, SENDING).await?;
        Ok(())
    }

    /// Asks how much the upstream has, after a chunk whose fate is unknown.
    pub(crate) async fn resync(&mut self) -> Result<(), Error> {
        let ask = Ask::new(Method::GET, self.location.clone(), self.scope.clone());
        let url = ask.url.clone();
        let response = self.wire.send(ask, "asking for an upload").await?;
        if let Ok(location) = next_location(&url, &response) {
            self.location = location;
        }
        // `0-0` is how registries say both "nothing" and "one byte"; starting over is right for both.
        self.sent_bytes = offset(&response).filter(|bytes| *bytes > 1).unwrap_or(0);
        self.wire.collect(response, "asking for an upload").await?;
        Ok(())
    }

    /// Ends the upload; when it returns, the upstream has the blob.
    pub(crate) async fn finish(&self, digest: &Digest) -> Result<(), Error> {
        let mut url = self.location.clone();
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let ask = Ask::new(Method::PUT, url, self.scope.clone());
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
fn next_location(asked: &Url, response: &Response<Incoming>) -> Result<Url, Error> {
    let location = text(response.headers(), header::LOCATION);
    let location = location.ok_or_else(|| failed(OPENING, "the answer has no Location"))?;
    asked.join(location).map_err(|_| failed(OPENING, "the Location is not an address"))
}

/// The number of bytes that `Range: 0-last` speaks of.
fn offset(response: &Response<Incoming>) -> Option<u64> {
    let range: ChunkRange = text(response.headers(), header::RANGE)?.parse().ok()?;
    range.last.checked_add(1)
}
