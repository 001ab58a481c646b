//! The state shared by the ports of one double.

use std::net::SocketAddr;
use std::sync::Arc;

use super::backing::Backing;
use super::config::Habits;
use super::counts::Recorder;
use super::faults::Faults;
use super::holds::Holds;
use super::links::Links;
use super::locks::Locks;
use super::oauth::Authority;
use super::quotas::Meters;
use super::referrers::Referring;
use super::replicas::Replicas;
use super::upload_sessions::Uploads;

/// The state of a running double.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) habits: Habits,
    pub(crate) backing: Backing,
    pub(crate) authority: Authority,
    pub(crate) links: Links,
    pub(crate) uploads: Uploads,
    pub(crate) faults: Faults,
    pub(crate) holds: Holds,
    pub(crate) locks: Locks,
    pub(crate) meters: Meters,
    pub(crate) replicas: Replicas,
    pub(crate) referring: Referring,
    /// Shared with the counting bodies.
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) storage_addr: SocketAddr,
    /// The address of the other host, the target of some redirect faults.
    pub(crate) elsewhere_addr: SocketAddr,
    /// `HOST:PORT` of the storage in links, when it is not this machine's own port.
    pub(crate) storage_public: Option<String>,
}

impl Shared {
    /// Every token and every link handed out so far is expired.
    pub(crate) fn expire_all(&self) {
        self.authority.tokens().expire_all();
        self.links.expire_all();
    }

    /// The storage's address for a client of the facade at `host`: the same name with the storage's
    /// port.
    pub(crate) fn storage_base(&self, host: &str) -> String {
        if let Some(public) = &self.storage_public {
            return public.clone();
        }
        let port = self.storage_addr.port();
        match host.parse::<http::uri::Authority>() {
            Ok(authority) => format!("{}:{port}", authority.host()),
            Err(_) => self.storage_addr.to_string(),
        }
    }
}
