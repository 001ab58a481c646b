//! Who may do what: who asks is found out before anything else of a request is looked at, and whether
//! they may before anything of the repository is. Knows no routes: what a route needs is in
//! `access/needs.rs`.
//!
//! Invariant: what is refused looks the same whether the thing is there or not.

mod caller;
mod needs;

use http::HeaderMap;

use crate::Error;

pub(crate) use caller::Caller;
pub(crate) use needs::{Action, Need};

/// The rules that are in force.
pub(crate) struct Access {
    kind: Kind,
}

enum Kind {
    /// Everyone who reaches the port may do everything.
    Open,
}

impl Access {
    /// For everyone.
    #[must_use]
    pub(crate) const fn open() -> Self {
        Self { kind: Kind::Open }
    }

    /// Who asks, by what the request shows.
    pub(crate) async fn authenticate(&self, _headers: &HeaderMap) -> Result<Caller, Error> {
        match &self.kind {
            Kind::Open => Ok(Caller::anonymous()),
        }
    }

    /// Whether they may do this; asked for each need of a request before the request is looked at.
    pub(crate) async fn authorize(&self, _caller: &Caller, _need: &Need) -> Result<(), Error> {
        match &self.kind {
            Kind::Open => Ok(()),
        }
    }
}
