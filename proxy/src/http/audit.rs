//! Changes by clients, as lines of the audit log (`observe/audit_log.rs`).
//!
//! Invariant: a begun change of a manifest or a tag is logged once, with its result, also when its
//! client went away.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wharf_oci::{Digest, Reference, RepoName};

use crate::Error;
use crate::access::Caller;
use crate::http::route::Route;

/// A client's change. A clone is the same change: it is logged when it is done, when it failed for
/// good, or with the last clone.
#[derive(Clone)]
pub(crate) struct AuditedChange(Option<Arc<Facts>>);

struct Facts {
    kind: &'static str,
    repo: RepoName,
    reference: String,
    caller: Caller,
    client: IpAddr,
    ending: Mutex<Ending>,
}

/// The known result of a change.
enum Ending {
    /// None: the client went away.
    Unknown,
    /// The change has not succeeded so far, and may be tried again.
    Failed {
        word: &'static str,
        reason: String,
    },
    Written,
}

impl AuditedChange {
    /// Of a route that changes a manifest, a tag or a blob; empty for other routes.
    pub(crate) fn of(route: &Route, caller: &Caller, client: IpAddr) -> Self {
        let (kind, repo, reference) = match route {
            Route::PutManifest { repo, reference, tags } => {
                let tags = tags.iter().map(|tag| Reference::Tag(tag.clone()));
                let names = std::iter::once(reference.clone()).chain(tags);
                let names: Vec<_> = names.map(|name| name.to_string()).collect();
                ("push", repo, names.join(","))
            }
            Route::DeleteManifest { repo, reference } => ("delete", repo, reference.to_string()),
            Route::DeleteBlob { repo, digest } => ("delete", repo, digest.to_string()),
            _ => return Self(None),
        };
        let (repo, caller, ending) = (repo.clone(), caller.clone(), Mutex::new(Ending::Unknown));
        Self(Some(Arc::new(Facts { kind, repo, reference, caller, client, ending })))
    }

    /// The change was made, with this content.
    pub(crate) fn done(&self, digest: Option<&Digest>) {
        let Some(facts) = &self.0 else { return };
        let before = std::mem::replace(&mut *facts.ending(), Ending::Written);
        if !matches!(before, Ending::Written) {
            let digest = digest.map(ToString::to_string);
            facts.write("done", digest.as_deref(), "");
        }
    }

    /// The change failed. An error that can pass by itself may be followed by another try; without
    /// one the failure is logged with the last clone.
    pub(crate) fn failed(&self, error: &Error) {
        let Some(facts) = &self.0 else { return };
        let mut ending = facts.ending();
        if matches!(*ending, Ending::Written) {
            return;
        }
        let status = error.response().status;
        let word = if status.is_server_error() { "failed" } else { "refused" };
        if error.passes() {
            *ending = Ending::Failed { word, reason: error.to_string() };
            return;
        }
        *ending = Ending::Written;
        drop(ending);
        facts.write(word, None, &error.to_string());
    }

    /// Records the result of a change without content, and returns it.
    pub(crate) fn ended<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        match &result {
            Ok(_) => self.done(None),
            Err(error) => self.failed(error),
        }
        result
    }
}

impl Drop for Facts {
    fn drop(&mut self) {
        match std::mem::replace(&mut *self.ending(), Ending::Written) {
            Ending::Written => {}
            Ending::Unknown => self.write("abandoned", None, "the client went away"),
            Ending::Failed { word, reason } => self.write(word, None, &reason),
        }
    }
}

impl Facts {
    fn ending(&self) -> MutexGuard<'_, Ending> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, result: &str, digest: Option<&str>, reason: &str) {
        let Self { kind, repo, reference, caller, client, .. } = self;
        tracing::info!(
            target: "audit",
            audit = kind,
            %repo,
            reference,
            digest = digest.unwrap_or("-"),
            caller = caller.name(),
            %client,
            result,
            reason,
            "a change that a client asked for"
        );
    }
}
