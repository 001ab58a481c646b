//! Manifests on their way to clients: one copy of each, however many answers send it.
//!
//! Invariant: the bytes of a digest are in memory once and counted once in all, however many
//! answers have them; each party with such an answer is charged for them, once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use wharf_oci::{Digest, MediaType};
use wharf_store::StoredManifest;

use crate::Error;
use crate::limits::SHARED_MANIFEST_BYTES;
use crate::runtime::memory_gauge::{MemoryBudget, Reservation, cover};

/// A manifest ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct ServedManifest {
    pub digest: Digest,
    /// For `Content-Type`.
    pub media_type: MediaType,
    /// The bytes exactly as pushed.
    pub bytes: Bytes,
    /// Whether the bytes count in the memory budget.
    pub is_counted: bool,
}

impl From<StoredManifest> for ServedManifest {
    fn from(stored: StoredManifest) -> Self {
        let StoredManifest { digest, media_type, bytes } = stored;
        Self { digest, media_type, bytes, is_counted: false }
    }
}

/// The manifests of all current answers.
#[derive(Default)]
pub(super) struct SharedManifests(Mutex<HashMap<Digest, Weak<Single>>>);

/// A manifest in memory.
struct Single {
    bytes: Bytes,
    /// The reservation in all.
    _hold: Reservation,
    /// Each party's use of it.
    parties: Mutex<Vec<(usize, Weak<Use>)>>,
}

/// One party's use of it, for all of its answers.
struct Use {
    _copy: Arc<Single>,
    /// The reservation of the party.
    _hold: Reservation,
}

impl SharedManifests {
    /// The manifest for one answer: counted, when it is large enough to be counted here, and with
    /// the same bytes as every other answer.
    pub(super) fn share(
        &self,
        budget: &MemoryBudget,
        manifest: ServedManifest,
    ) -> Result<ServedManifest, Error> {
        if manifest.bytes.len() < SHARED_MANIFEST_BYTES {
            return Ok(manifest);
        }
        let copy = self.copy_of(budget, &manifest)?;
        let bytes = copy.bytes.clone();
        let bytes = cover(bytes, copy.used_by(budget)?);
        Ok(ServedManifest { bytes, is_counted: true, ..manifest })
    }

    fn copy_of(
        &self,
        budget: &MemoryBudget,
        manifest: &ServedManifest,
    ) -> Result<Arc<Single>, Error> {
        let mut singles = self.lock();
        if let Some(copy) = singles.get(&manifest.digest).and_then(Weak::upgrade) {
            return Ok(copy);
        }
        // Only live manifests take room: the memory budget bounds their number.
        singles.retain(|_, copy| copy.strong_count() > 0);
        let hold = budget.take_shared(manifest.bytes.len() as u64)?;
        let parties = Mutex::default();
        let copy = Arc::new(Single { bytes: manifest.bytes.clone(), _hold: hold, parties });
        singles.insert(manifest.digest, Arc::downgrade(&copy));
        Ok(copy)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Weak<Single>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Single {
    fn used_by(self: &Arc<Self>, budget: &MemoryBudget) -> Result<Arc<Use>, Error> {
        let mut parties = self.parties.lock().unwrap_or_else(PoisonError::into_inner);
        parties.retain(|(_, used)| used.strong_count() > 0);
        let known = parties.iter().find(|(party, _)| *party == budget.identity());
        if let Some(used) = known.and_then(|(_, used)| used.upgrade()) {
            return Ok(used);
        }
        let hold = budget.take_own(self.bytes.len() as u64)?;
        let used = Arc::new(Use { _copy: Arc::clone(self), _hold: hold });
        parties.push((budget.identity(), Arc::downgrade(&used)));
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::memory_gauge::{MemoryBounds, MemoryGauge};
    use wharf_client::MemoryOwner;
    use wharf_client::runtime::party::Party;
    use wharf_oci::{Algorithm, Digester, MediaType};

    const SIZE: u64 = SHARED_MANIFEST_BYTES as u64;

    fn manifest(seed: u8) -> ServedManifest {
        let bytes = Bytes::from(vec![seed; SHARED_MANIFEST_BYTES]);
        let digest = Digester::digest(Algorithm::Sha256, &bytes);
        ServedManifest { digest, media_type: MediaType::OCI_INDEX, bytes, is_counted: false }
    }

    fn budget(held: &Arc<MemoryGauge>, last: u8) -> MemoryBudget {
        let bounds = MemoryBounds { most: 3 * SIZE, share: 2 * SIZE };
        held.budget(Party::behind([10, 0, 0, last].into()), bounds)
    }

    #[test]
    fn equal_manifests_are_one_memory_and_count_once_in_all_and_once_for_each_party() {
        let (held, shared) = (Arc::new(MemoryGauge::default()), SharedManifests::default());
        let (one, other) = (budget(&held, 1), budget(&held, 2));
        let answers: Vec<_> =
            (0..100).map(|_| shared.share(&one, manifest(1)).unwrap().bytes).collect();
        assert!(answers.iter().all(|bytes| bytes.as_ptr() == answers[0].as_ptr()));
        assert_eq!((held.bytes(), held.largest()), (SIZE, SIZE));
        let theirs = shared.share(&other, manifest(1)).unwrap();
        assert!(theirs.is_counted && theirs.bytes.as_ptr() == answers[0].as_ptr());
        assert_eq!((held.bytes(), held.largest()), (SIZE, SIZE));
        drop(answers);
        assert_eq!(held.bytes(), SIZE, "somebody else has it still");
        // The first party is charged nothing any more.
        let more = [2, 3].map(|seed| shared.share(&one, manifest(seed)).unwrap());
        assert_eq!(held.bytes(), 3 * SIZE);
        drop((theirs, more));
        assert_eq!((held.bytes(), held.largest()), (0, 0));
    }

    #[test]
    fn different_ones_find_room_in_the_share_and_in_all_or_are_refused() {
        let (held, shared) = (Arc::new(MemoryGauge::default()), SharedManifests::default());
        let share = |last, seed| shared.share(&budget(&held, last), manifest(seed));
        let _kept = (share(1, 1).unwrap(), share(1, 2).unwrap());
        assert!(matches!(share(1, 3), Err(Error::TooManyBytes(MemoryOwner::Party))));
        let _more = share(2, 3).unwrap();
        assert!(matches!(share(2, 4), Err(Error::TooManyBytes(MemoryOwner::All))));
        assert!(share(2, 1).is_ok(), "what is in memory takes no more of it");
        assert_eq!(shared.lock().len(), 3, "nothing is kept of what was refused");
    }

    #[test]
    fn a_small_one_is_left_to_its_answer() {
        let (held, shared) = (Arc::new(MemoryGauge::default()), SharedManifests::default());
        let small = ServedManifest { bytes: Bytes::from_static(b"{}"), ..manifest(1) };
        assert!(!shared.share(&budget(&held, 1), small).unwrap().is_counted);
        assert!(shared.lock().is_empty());
    }
}
