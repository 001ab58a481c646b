//! Locks a released image on Azure Container Registry: its tags and all of its manifests, so that
//! nobody moves or deletes them by accident.
//!
//! `latest` stays open, because the next release moves it. The manifests of the platforms are locked
//! too: an index whose child can be deleted is not locked.

use serde::Serialize;
use wharf_oci::{Digest, Reference, RepoName, Tag};

use crate::moves::FLOATING_TAG;
use crate::registry::{LockAnswer, Registry, RegistryError};

/// An image after the wish for locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LockState {
    /// Its tags and manifests are locked.
    Locked,
    /// The registry has no locks.
    Unsupported,
}

/// Locks tags and manifests of one repository, tags first. Idempotent; an error leaves the earlier
/// ones locked.
pub async fn lock<'a>(
    registry: &Registry,
    repo: &RepoName,
    tags: impl IntoIterator<Item = &'a Tag>,
    manifests: impl IntoIterator<Item = Digest>,
) -> Result<LockState, RegistryError> {
    let pinned = tags.into_iter().filter(|tag| tag.as_str() != FLOATING_TAG);
    let tags = pinned.map(|tag| Reference::Tag(tag.clone()));
    for reference in tags.chain(manifests.into_iter().map(Reference::Digest)) {
        // A registry without locks says so at the first question.
        if registry.lock(repo, &reference).await? == LockAnswer::Unsupported {
            return Ok(LockState::Unsupported);
        }
    }
    Ok(LockState::Locked)
}

/// The words about a registry without locks.
#[must_use]
pub fn unsupported(host: &str) -> String {
    format!(
        "{host} has no locks (Azure Container Registry has): whoever may push there can still move \
         its tags"
    )
}
