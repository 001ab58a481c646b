//! Manifests of the last moments, in memory: most requests to a registry are for a few tags and the
//! manifests behind them.
//!
//! Invariants: the memory agrees with the store. Each change of a repository in the store removes
//! the repository here afterwards, and a manifest that was read before the change is not taken in
//! after it. Bounded in entries and in bytes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wharf_oci::{Digest, RepoName, Tag};
use wharf_store::TagRecord;

use super::shared_manifests::ServedManifest;
use crate::limits::{RECENT_MANIFESTS_BYTES_MAX, RECENT_MANIFESTS_MAX};

/// The memory.
#[derive(Default)]
pub(super) struct ManifestMemory {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    repos: HashMap<RepoName, Known>,
    entries: usize,
    bytes: usize,
    /// Raised by every change.
    epoch: u64,
}

/// The manifests and tags of one repository.
#[derive(Default)]
struct Known {
    manifests: HashMap<Digest, ServedManifest>,
    tags: HashMap<Tag, TagRecord>,
}

/// Taken before the store is read.
#[derive(Clone, Copy)]
pub(super) struct MemoryEpoch(u64);

impl ManifestMemory {
    pub(super) fn manifest(&self, repo: &RepoName, digest: &Digest) -> Option<ServedManifest> {
        self.state().repos.get(repo)?.manifests.get(digest).cloned()
    }

    pub(super) fn tagged(&self, repo: &RepoName, tag: &Tag) -> Option<(ServedManifest, TagRecord)> {
        let state = self.state();
        let known = state.repos.get(repo)?;
        let record = *known.tags.get(tag)?;
        Some((known.manifests.get(&record.digest)?.clone(), record))
    }

    pub(super) fn before(&self) -> MemoryEpoch {
        MemoryEpoch(self.state().epoch)
    }

    /// Takes in a manifest that was read from the store since `before`.
    pub(super) fn take(
        &self,
        before: MemoryEpoch,
        repo: &RepoName,
        manifest: &ServedManifest,
        tag: Option<(&Tag, TagRecord)>,
    ) {
        let mut state = self.state();
        if state.epoch != before.0 || manifest.bytes.len() > RECENT_MANIFESTS_BYTES_MAX / 16 {
            return;
        }
        if state.entries >= RECENT_MANIFESTS_MAX || state.bytes >= RECENT_MANIFESTS_BYTES_MAX {
            // A popular manifest is back with its next request.
            *state = State { epoch: state.epoch, ..State::default() };
        }
        let known = state.repos.entry(repo.clone()).or_default();
        let added = known.manifests.insert(manifest.digest, manifest.clone()).is_none();
        let tagged =
            tag.is_some_and(|(tag, record)| known.tags.insert(tag.clone(), record).is_none());
        state.entries += usize::from(added) + usize::from(tagged);
        state.bytes += if added { manifest.bytes.len() } else { 0 };
    }

    /// Forgets a repository after a change in the store.
    pub(super) fn forget(&self, repo: &RepoName) {
        let mut state = self.state();
        state.epoch += 1;
        if let Some(known) = state.repos.remove(repo) {
            state.entries -= known.manifests.len() + known.tags.len();
            state.bytes -= known.manifests.values().map(|m| m.bytes.len()).sum::<usize>();
        }
    }

    /// A panic elsewhere cannot leave a harmful half change: counts are bounds.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_oci::{Algorithm, Digester, MediaType};

    fn manifest(content: &'static [u8]) -> ServedManifest {
        let digest = Digester::digest(Algorithm::Sha256, content);
        ServedManifest {
            digest,
            media_type: MediaType::OCI_INDEX,
            bytes: content.into(),
            is_counted: false,
        }
    }

    #[test]
    fn what_was_read_before_a_change_is_not_taken_in_after_it() {
        let (memory, repo, tag) =
            (ManifestMemory::default(), "a/b".parse().unwrap(), "v1".parse().unwrap());
        let found = manifest(b"{}");
        let record = TagRecord { digest: found.digest, checked_ms: 1 };
        memory.take(memory.before(), &repo, &found, Some((&tag, record)));
        assert!(memory.tagged(&repo, &tag).is_some());
        assert!(memory.manifest(&repo, &found.digest).is_some());
        assert!(memory.manifest(&"other".parse().unwrap(), &found.digest).is_none());
        let before = memory.before();
        memory.forget(&repo);
        memory.take(before, &repo, &found, Some((&tag, record)));
        assert!(memory.tagged(&repo, &tag).is_none());
        assert!(memory.manifest(&repo, &found.digest).is_none());
    }

    #[test]
    fn it_is_bounded() {
        let (memory, found) = (ManifestMemory::default(), manifest(b"{}"));
        for number in 0..RECENT_MANIFESTS_MAX * 2 {
            let repo = format!("r{number}").parse().unwrap();
            memory.take(memory.before(), &repo, &found, None);
        }
        assert!(memory.state().entries <= RECENT_MANIFESTS_MAX);
        let large = vec![0; RECENT_MANIFESTS_BYTES_MAX / 8];
        let large = ServedManifest { bytes: large.into(), ..found };
        memory.take(memory.before(), &"large".parse().unwrap(), &large, None);
        assert!(memory.manifest(&"large".parse().unwrap(), &large.digest).is_none());
    }
}
