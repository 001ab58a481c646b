//! The uploads that are open, each with its offset and its newest Location.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use http::header::{LOCATION, RANGE};
use http::{HeaderName, Response, StatusCode};
use tokio::sync::Mutex;

use super::refusal::{Refusal, with_header};
use super::signing::Signer;
use wharf_testkit::http::{Body, empty};

/// Uploads open at once.
const UPLOADS_MAX: usize = 4096;

const UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// One upload. The request with its lock writes it, one at a time.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Where the backing registry wants the next request.
    pub(crate) target: String,
    /// The bytes accepted by the backing registry.
    pub(crate) offset: u64,
    /// What its digest will be made by.
    pub(crate) algorithm: String,
    /// Whether the last chunk was shorter than only the last one may be.
    pub(crate) short: bool,
    /// Counts the Locations handed out; only the last one is current.
    pub(crate) generation: u64,
}

/// All open uploads.
#[derive(Debug)]
pub(crate) struct Uploads {
    signer: Signer,
    /// Counts the closing PUTs.
    pub(crate) ends: AtomicU64,
    pub(crate) open: StdMutex<HashMap<String, Arc<Mutex<Session>>>>,
}

impl Uploads {
    pub(crate) fn new(signer: Signer) -> Self {
        Self { signer, ends: AtomicU64::new(0), open: StdMutex::default() }
    }

    pub(crate) fn with<T>(
        &self,
        act: impl FnOnce(&mut HashMap<String, Arc<Mutex<Session>>>) -> T,
    ) -> T {
        act(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.with(|open| open.len())
    }

    /// Forgets one, as if it had never been; the backing registry's own session is left to it.
    pub(crate) fn forget(&self, id: &str) {
        self.with(|open| open.remove(id));
    }

    pub(crate) fn open(
        &self,
        name: &str,
        target: String,
        algorithm: String,
    ) -> Result<Session, Refusal> {
        let serial = self.signer.next_serial();
        let mut id = self.signer.sign(&format!("upload {serial}"));
        id.truncate(24);
        let (name, offset, generation) = (name.to_owned(), 0, 0);
        let full = self.with(|open| open.len() >= UPLOADS_MAX);
        if full {
            Err(Refusal::UploadsFull)
        } else {
            Ok(Session { id, name, target, offset, algorithm, short: false, generation })
        }
    }

    pub(crate) fn find(&self, id: &str) -> Result<Arc<Mutex<Session>>, Refusal> {
        self.with(|open| open.get(id).cloned()).ok_or(Refusal::UploadUnknown)
    }

    pub(crate) fn state(&self, session: &Session) -> String {
        self.signer.sign(&format!("state {} {}", session.id, session.generation))
    }

    pub(crate) fn location(&self, session: &Session) -> String {
        let Session { id, name, .. } = session;
        let state = self.state(session);
        format!("/v2/{name}/blobs/uploads/{id}?_nouploadcache=false&_state={state}")
    }

    /// The response with a fresh Location.
    pub(crate) fn progress(&self, session: &mut Session, status: StatusCode) -> Response<Body> {
        session.generation += 1;
        let mut response = Response::new(empty());
        *response.status_mut() = status;
        let response = with_header(response, LOCATION, &self.location(session));
        let response = with_header(response, RANGE, &session.range());
        with_header(response, UUID, &session.id)
    }
}

impl Session {
    /// `0-0` stands for nothing as well as for one byte: the protocol cannot tell them apart.
    pub(crate) fn range(&self) -> String {
        format!("0-{}", self.offset.saturating_sub(1))
    }
}
