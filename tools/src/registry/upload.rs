//! One blob onto a registry: look, mount, or upload in chunks. The upload survives throttling,
//! broken connections, expired tokens and lost sessions, and goes on in a session of an earlier run.
//!
//! The form is POST, PATCH with `Content-Length` and `Content-Range: start-end`, and a PUT with the
//! last chunk, so that a small blob takes two requests. After a failure of such a PUT the blob goes
//! on with an empty one: the only form no registry is known to refuse. Invariant: the registry's
//! offset decides where an upload stands; no chunk is sent a second time without a request for the
//! end of the first.

mod parts;

use bytes::Bytes;
use http::header::RANGE;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode, Uri};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use wharf_oci::{ChunkRange, Descriptor, Digest, Endpoint, RepoName};

use self::parts::Progress;
use super::auth::TokenScope;
use super::error::RegistryError;
use super::retry::Budget;
use super::source::BlobSource;
use super::transport::shown;
use super::{Call, Registry};

/// How often one blob starts over after its session was lost.
const STARTS_MAX: u32 = 4;

/// A chunk is never made smaller than this when a registry finds it too large.
const CHUNK_BYTES_MIN: u64 = 256 * 1024;

/// The largest chunk a registry may ask for with `OCI-Chunk-Min-Length`.
const CHUNK_BYTES_MAX: u64 = 64 * 1024 * 1024;

const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// How a blob came to be on the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UploadOutcome {
    /// It was there.
    Existed,
    /// It was taken from another repository of the registry.
    Mounted,
    /// Its bytes were sent.
    Sent,
}

/// An open session: where it goes on, and how far it is.
struct Session {
    location: Uri,
    offset: u64,
    chunk_bytes: u64,
    /// Whether the last chunk goes with the PUT that ends the session.
    ends_with_chunk: bool,
}

/// The result of one try of a session.
enum Ended {
    Done,
    /// The registry has lost the session; with its error.
    Lost(RegistryError),
}

/// An open session in a form to be kept, for another run to go on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptSession {
    /// Its address; the query belongs to it.
    pub location: String,
    /// How many bytes the registry had.
    pub offset_bytes: u64,
}

/// Told about an upload on its way.
pub trait UploadWatch: Sync {
    /// Where the session goes on from now.
    fn session(&self, _session: &KeptSession) {}
    /// So many bytes were sent; those of a lost chunk count too.
    fn sent(&self, _bytes: u64) {}
}

/// Nobody watches.
impl UploadWatch for () {}

/// What is known before an upload.
pub struct UploadHints<'a> {
    /// Repositories of this registry with a possible copy.
    pub mount_from: &'a [RepoName],
    /// Whether the repository may have the blob already; otherwise it is not asked.
    pub may_exist: bool,
    /// The session of an earlier run.
    pub kept: Option<&'a KeptSession>,
    pub watch: &'a dyn UploadWatch,
}

impl Registry {
    /// Puts a blob into a repository. `mount_from` are repositories of this registry with a
    /// possible copy of it.
    pub async fn upload(
        &self,
        repo: &RepoName,
        source: &mut BlobSource,
        mount_from: &[RepoName],
    ) -> Result<UploadOutcome, RegistryError> {
        let hints = UploadHints { mount_from, may_exist: true, kept: None, watch: &() };
        self.upload_with(repo, source, &hints).await
    }

    /// The same with more knowledge.
    pub async fn upload_with(
        &self,
        repo: &RepoName,
        source: &mut BlobSource,
        hints: &UploadHints<'_>,
    ) -> Result<UploadOutcome, RegistryError> {
        let scope = TokenScope::push(repo, hints.mount_from);
        let descriptor = source.descriptor().clone();
        if hints.may_exist
            && self.blob_size(repo, &descriptor.digest, &scope).await? == Some(descriptor.size)
        {
            return Ok(UploadOutcome::Existed);
        }
        let mut kept = self.reopened(hints, &descriptor, &scope).await?;
        let mut starts = 0;
        loop {
            let session = match kept.take() {
                Some(session) => Some(session),
                None => self.begin(repo, &descriptor.digest, hints.mount_from, &scope).await?,
            };
            let Some(mut session) = session else { return Ok(UploadOutcome::Mounted) };
            session.ends_with_chunk &= starts == 0;
            session.tell(&descriptor, hints.watch);
            let ended = self.run(&mut session, repo, source, &scope, hints.watch).await;
            match ended {
                Ok(Ended::Done) => return Ok(UploadOutcome::Sent),
                Ok(Ended::Lost(_)) if starts < STARTS_MAX => starts += 1,
                Ok(Ended::Lost(error)) => return Err(error),
                Err(error) => {
                    // The session would stay open for days; an error of the cancel says nothing.
                    let cancel = session_call(Method::DELETE, &session.location, &scope);
                    let _ = self.call_once(&cancel).await;
                    return Err(error);
                }
            }
        }
    }

    /// The session of an earlier run, if the registry still has it.
    async fn reopened(
        &self,
        hints: &UploadHints<'_>,
        descriptor: &Descriptor,
        scope: &TokenScope,
    ) -> Result<Option<Session>, RegistryError> {
        let location = hints.kept.and_then(|kept| kept.location.parse::<Uri>().ok());
        // A session elsewhere would get our credentials.
        let Some(location) = location.filter(|location| self.is_ours(location)) else {
            return Ok(None);
        };
        let chunk_bytes = self.options.chunk_bytes;
        let mut session = Session { location, offset: 0, chunk_bytes, ends_with_chunk: true };
        let lost = self.realign(&mut session, descriptor, scope).await?;
        Ok(lost.is_none().then_some(session))
    }

    /// Opens a session; `None` when the registry mounted the blob instead.
    async fn begin(
        &self,
        repo: &RepoName,
        digest: &Digest,
        mount_from: &[RepoName],
        scope: &TokenScope,
    ) -> Result<Option<Session>, RegistryError> {
        let endpoint = Endpoint::Uploads { repo: repo.clone() };
        let mut sources = mount_from.iter().map(Some).collect::<Vec<_>>();
        if sources.is_empty() {
            sources.push(None);
        }
        let last = sources.len() - 1;
        for (place, from) in sources.into_iter().enumerate() {
            let mut call = self.new_call(Method::POST, &endpoint, scope)?;
            if let Some(from) = from {
                let asked = format!("{}?mount={digest}&from={from}", call.uri);
                call.uri = asked.parse().map_err(|_| protocol(&call.uri, "has no mount"))?;
            }
            let response = self.call(&call).await?;
            if response.status() == StatusCode::CREATED {
                return Ok(None);
            }
            let response = self.expect(&call, response, &[StatusCode::ACCEPTED]).await?;
            let session = self.session(&call.uri, &response)?;
            if place == last {
                return Ok(Some(session));
            }
            // The mount became an upload; the next repository may still have the blob.
            let cancel = session_call(Method::DELETE, &session.location, scope);
            let _ = self.call_once(&cancel).await;
        }
        Err(protocol(&self.new_call(Method::POST, &endpoint, scope)?.uri, "opened no session"))
    }

    fn session(
        &self,
        asked: &Uri,
        response: &Response<Incoming>,
    ) -> Result<Session, RegistryError> {
        let headers = response.headers();
        let least = headers.get(CHUNK_MIN_LENGTH).and_then(|text| text.to_str().ok()?.parse().ok());
        let least: u64 = least.unwrap_or_default();
        Ok(Session {
            location: self.location(asked, headers)?,
            offset: 0,
            chunk_bytes: self.options.chunk_bytes.max(least).min(CHUNK_BYTES_MAX),
            ends_with_chunk: true,
        })
    }

    /// Sends all missing bytes and ends the upload.
    async fn run(
        &self,
        session: &mut Session,
        repo: &RepoName,
        source: &mut BlobSource,
        scope: &TokenScope,
        watch: &dyn UploadWatch,
    ) -> Result<Ended, RegistryError> {
        let descriptor = source.descriptor().clone();
        let mut budget = Budget::new(self.options.policy);
        while session.offset < descriptor.size {
            let before = session.offset;
            let progress = self.send_part(session, source, scope, watch).await?;
            let (call, error, asked) = match progress {
                Progress::Moved if session.offset > before => {
                    session.tell(&descriptor, watch);
                    budget.progressed();
                    continue;
                }
                Progress::Moved => {
                    let call = session_call(Method::PATCH, &session.location, scope);
                    let error = protocol_as_network(&call, "the upload did not move");
                    (Box::new(call), error, None)
                }
                Progress::Done => return Ok(Ended::Done),
                Progress::Again(call, error, asked) => (call, error, asked),
                Progress::Lost(error) => {
                    // The answer to the end may be lost, not the blob.
                    let size = self.blob_size(repo, &descriptor.digest, scope).await?;
                    let is_there = size == Some(descriptor.size);
                    return Ok(if is_there { Ended::Done } else { Ended::Lost(error) });
                }
            };
            self.pause(&mut budget, &call, error, asked).await?;
            if let Some(error) = self.realign(session, &descriptor, scope).await? {
                let size = self.blob_size(repo, &descriptor.digest, scope).await?;
                let is_there = size == Some(descriptor.size);
                return Ok(if is_there { Ended::Done } else { Ended::Lost(error) });
            }
        }
        self.commit(session, repo, &descriptor, scope).await
    }

    /// Takes the new place of the session from the answer to a chunk.
    fn advance(
        &self,
        session: &mut Session,
        asked: &Uri,
        response: &Response<Incoming>,
        sent_to: u64,
    ) -> Result<(), RegistryError> {
        let headers = response.headers();
        self.follow(session, asked, headers)?;
        session.offset = match offset_of(headers) {
            // Of one byte, `0-0` says it arrived.
            Some(0) if sent_to == 1 => 1,
            Some(offset) if offset > sent_to => {
                return Err(protocol(asked, "it has more bytes than were sent"));
            }
            Some(offset) => offset,
            None => sent_to,
        };
        Ok(())
    }

    fn follow(
        &self,
        session: &mut Session,
        asked: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), RegistryError> {
        if headers.contains_key(http::header::LOCATION) {
            session.location = self.location(asked, headers)?;
        }
        Ok(())
    }

    /// Asks the registry how far the session is; an error when it does not know it any more.
    async fn realign(
        &self,
        session: &mut Session,
        descriptor: &Descriptor,
        scope: &TokenScope,
    ) -> Result<Option<RegistryError>, RegistryError> {
        let call = session_call(Method::GET, &session.location, scope);
        let response = self.call(&call).await?;
        let accepted = [StatusCode::NO_CONTENT, StatusCode::OK, StatusCode::ACCEPTED];
        if !accepted.contains(&response.status()) {
            // After any such answer the session cannot go on.
            return Ok(Some(self.refusal(&call, response).await));
        }
        self.follow(session, &call.uri, response.headers())?;
        // No `Range` means nothing has arrived.
        session.offset = offset_of(response.headers()).unwrap_or_default();
        if session.offset > descriptor.size || descriptor.size == 1 {
            return Ok(Some(protocol(&call.uri, "it cannot be told how far the upload is")));
        }
        Ok(None)
    }

    /// Ends the upload. After a lost answer the client looks for the blob instead of sending again.
    async fn commit(
        &self,
        session: &Session,
        repo: &RepoName,
        descriptor: &Descriptor,
        scope: &TokenScope,
    ) -> Result<Ended, RegistryError> {
        let call = session_call(Method::PUT, &session.end(&descriptor.digest)?, scope);
        let mut budget = Budget::new(self.options.policy);
        loop {
            let (error, asked) = match self.call_once(&call).await {
                Ok(response) if response.status().is_success() => return Ok(Ended::Done),
                Ok(response) => {
                    let asked = wharf_client::retry::retry_after(response.headers());
                    (self.refusal(&call, response).await, asked)
                }
                Err(error) => (error, None),
            };
            // 400 means a digest mismatch: a byte changed on the way.
            let starts_over = matches!(
                error.status(),
                Some(
                    StatusCode::NOT_FOUND
                        | StatusCode::GONE
                        | StatusCode::RANGE_NOT_SATISFIABLE
                        | StatusCode::BAD_REQUEST
                )
            );
            if self.blob_size(repo, &descriptor.digest, scope).await? == Some(descriptor.size) {
                return Ok(Ended::Done);
            }
            if starts_over {
                return Ok(Ended::Lost(error));
            }
            self.pause(&mut budget, &call, error, asked).await?;
        }
    }
}

pub(super) fn session_call<'a>(method: Method, location: &Uri, scope: &'a TokenScope) -> Call<'a> {
    Call { method, uri: location.clone(), scope, headers: HeaderMap::new(), body: Bytes::new() }
}

impl Session {
    /// Says where it goes on. A blob of one chunk has nothing to go on with.
    fn tell(&self, descriptor: &Descriptor, watch: &dyn UploadWatch) {
        if descriptor.size > self.chunk_bytes {
            let location = self.location.to_string();
            watch.session(&KeptSession { location, offset_bytes: self.offset });
        }
    }

    /// The address that ends the session with this digest.
    fn end(&self, digest: &Digest) -> Result<Uri, RegistryError> {
        let separator = if self.location.query().is_some() { '&' } else { '?' };
        let ended = format!("{}{separator}digest={digest}", self.location);
        ended.parse().map_err(|_| protocol(&self.location, "has a bad Location"))
    }
}

/// How many bytes the registry has: `Range: 0-LAST`. Registries write `0-0` for none; of our chunks
/// only the very last may have one byte.
fn offset_of(headers: &HeaderMap) -> Option<u64> {
    let range: ChunkRange = headers.get(RANGE)?.to_str().ok()?.parse().ok()?;
    match range {
        ChunkRange { first: 0, last: 0 } => Some(0),
        ChunkRange { first: 0, last } => last.checked_add(1),
        ChunkRange { .. } => None,
    }
}

fn protocol(uri: &Uri, reason: &str) -> RegistryError {
    RegistryError::Protocol { url: shown(uri), reason: reason.to_owned() }
}

/// A fault a fresh look at the session may heal, so it counts like a broken connection.
fn protocol_as_network(call: &Call<'_>, reason: &str) -> RegistryError {
    super::network_error(&call.method, &call.uri, reason)
}
