//! Who may do what: who asks is found out before anything else of a request is looked at, and whether
//! they may before anything of the repository is. Knows no routes: what a route needs is in
//! `access/needs.rs`.
//!
//! Invariant: what is refused looks the same whether the thing is there or not.

mod caller;
mod needs;
mod passthrough;
mod permits;

use std::sync::Arc;

use http::HeaderMap;

use crate::Error;
use crate::config::AccessConfig;
use crate::upstreams::Upstreams;

pub(crate) use caller::Caller;
pub(crate) use needs::{Action, Door, Need};
use passthrough::Passthrough;

/// The rules that are in force.
pub(crate) struct Access {
    kind: Kind,
}

enum Kind {
    /// Everyone who reaches the port may do everything.
    Open,
    /// Whoever the upstream lets in.
    Passthrough(Box<Passthrough>),
}

impl Access {
    /// As it is configured.
    #[must_use]
    pub(crate) fn new(config: &AccessConfig, upstreams: &Arc<Upstreams>) -> Self {
        let kind = match config {
            AccessConfig::Open => Kind::Open,
            AccessConfig::Passthrough => {
                Kind::Passthrough(Box::new(Passthrough::new(Arc::clone(upstreams))))
            }
        };
        Self { kind }
    }

    /// Who asks, by what the request shows.
    #[expect(clippy::unused_async, reason = "other kinds ask somebody else")]
    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        match &self.kind {
            Kind::Open => Ok(Caller::anonymous()),
            Kind::Passthrough(passthrough) => passthrough.authenticate(headers),
        }
    }

    /// Whether they may do this; asked for each need of a request before the request is looked at.
    pub(crate) async fn authorize(&self, caller: &Caller, need: &Need) -> Result<(), Error> {
        match &self.kind {
            Kind::Open => Ok(()),
            Kind::Passthrough(passthrough) => passthrough.authorize(caller, need).await,
        }
    }

    /// The same for what concerns no single repository: the base, and the list of repositories.
    pub(crate) async fn admit(&self, caller: &Caller, door: Door) -> Result<(), Error> {
        match &self.kind {
            Kind::Open => Ok(()),
            Kind::Passthrough(passthrough) => passthrough.admit(caller, door).await,
        }
    }
}
