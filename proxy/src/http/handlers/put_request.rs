//! The put of a manifest: as it is asked for, and once its body is proven.

use std::net::IpAddr;
use std::sync::Arc;

use wharf_oci::{Digest, Manifest, Reference, RepoName, Tag};

use super::request_body::WholeBody;
use crate::access::Caller;
use crate::client::Conditions;
use crate::push::change_locks::RepoLocation;
use crate::registries::Target;
use crate::runtime::memory_gauge::MemoryBudget;

/// Which manifest is put where.
pub(super) struct ManifestPut {
    pub(super) repo: RepoName,
    pub(super) reference: Reference,
    pub(super) tags: Vec<Tag>,
    /// Who asks, and from where.
    pub(super) caller: Caller,
    pub(super) client: IpAddr,
    /// What they hold in memory, and may hold.
    pub(super) budget: MemoryBudget,
}

impl ManifestPut {
    /// Every tag that it sets.
    pub(super) fn named_tags(&self) -> impl Iterator<Item = &Tag> {
        let named = match &self.reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(_) => None,
        };
        named.into_iter().chain(&self.tags)
    }
}

/// A manifest that is what it says that it is, and where it goes.
pub(super) struct ProvenManifest {
    pub(super) put: ManifestPut,
    pub(super) target: Target,
    pub(super) place: RepoLocation,
    pub(super) conditions: Conditions,
    pub(super) manifest: Arc<Manifest>,
    pub(super) digest: Digest,
    pub(super) body: WholeBody,
}
