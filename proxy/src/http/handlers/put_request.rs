//! The put of a manifest: the client's request, and its form after the proof of the body.

use std::net::IpAddr;
use std::sync::Arc;

use wharf_oci::{Digest, Manifest, Reference, RepoName, Tag};

use super::request_body::WholeBody;
use crate::access::Caller;
use crate::client::Conditions;
use crate::push::change_locks::RepoLocation;
use crate::registries::Target;
use crate::runtime::memory_gauge::MemoryBudget;

/// A client's request to put a manifest.
pub(super) struct ManifestPut {
    pub(super) repo: RepoName,
    pub(super) reference: Reference,
    pub(super) tags: Vec<Tag>,
    pub(super) caller: Caller,
    pub(super) client: IpAddr,
    /// The caller's memory budget.
    pub(super) budget: MemoryBudget,
}

impl ManifestPut {
    /// Every tag that the put sets.
    pub(super) fn named_tags(&self) -> impl Iterator<Item = &Tag> {
        let named = match &self.reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(_) => None,
        };
        named.into_iter().chain(&self.tags)
    }
}

/// A manifest with a proven digest, and its target.
pub(super) struct ProvenManifest {
    pub(super) put: ManifestPut,
    pub(super) target: Target,
    pub(super) place: RepoLocation,
    pub(super) conditions: Conditions,
    pub(super) manifest: Arc<Manifest>,
    pub(super) digest: Digest,
    pub(super) body: WholeBody,
}
