//! What is written down for later readers: who pushed, deleted, logged in, was allowed what, and which
//! configuration counts. Such a line is an event with a field `audit`, which says what was done;
//! whoever writes one gives it the target `audit`. Where the lines go is in `audit/file.rs`, and
//! what an event becomes in `audit/lines.rs`.
//!
//! Invariant: a change of a manifest or a tag that was begun is written down once, with what came of
//! it, also when its client went away.

mod file;
mod lines;

use std::net::IpAddr;

use wharf_oci::{Reference, RepoName};

use crate::Error;
use crate::access::Caller;
use crate::response::{Answer, DOCKER_CONTENT_DIGEST};
use crate::route::Route;

pub(crate) use file::{close, lost, open};
pub(crate) use lines::{AuditLines, Elsewhere};

/// A change that a client asks for; written down when it is ended, or dropped without that.
pub(crate) struct Act(Option<Facts>);

struct Facts {
    kind: &'static str,
    repo: RepoName,
    reference: String,
    caller: Caller,
    client: IpAddr,
}

impl Act {
    /// Of a route that changes what a manifest, a tag or a blob is; of others it is nothing.
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
        let (repo, caller) = (repo.clone(), caller.clone());
        Self(Some(Facts { kind, repo, reference, caller, client }))
    }

    /// This came of it.
    pub(crate) fn ended(mut self, result: Result<Answer, Error>) -> Result<Answer, Error> {
        if let Some(facts) = self.0.take() {
            match &result {
                Ok(answer) => {
                    let digest = answer.headers().get(DOCKER_CONTENT_DIGEST);
                    facts.write("done", digest.and_then(|value| value.to_str().ok()), "");
                }
                Err(error) => {
                    let status = error.shown().status;
                    let word = if status.is_server_error() { "failed" } else { "refused" };
                    facts.write(word, None, &error.to_string());
                }
            }
        }
        result
    }
}

impl Drop for Act {
    fn drop(&mut self) {
        if let Some(facts) = self.0.take() {
            facts.write("abandoned", None, "the client went away");
        }
    }
}

impl Facts {
    fn write(&self, result: &str, digest: Option<&str>, reason: &str) {
        let Self { kind, repo, reference, caller, client } = self;
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

/// The configuration was read again; whether it counts, and how many keys are another.
pub(crate) fn reloaded(result: &str, changes: usize) {
    tracing::info!(target: "audit", audit = "reload", result, changes,
        "the configuration was read again");
}
