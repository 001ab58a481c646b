//! Change locks: a change of a tag holds the tag's lock alone, and a manifest or a blob is not
//! deleted while it is pushed. So a decision before a change still holds when the change is made,
//! and the store keeps the upstream's latest state.
//!
//! Invariants: locks are taken in one order, so changes cannot deadlock; a tag has one lock under
//! all names of its repository here. Bounded in number and in waiting, and no party has all: for
//! exclusive locks, one change of each party stands in the queue, so that it goes in rounds between
//! parties. A change waiting for an exclusive lock holds up the shared ones for a short time only,
//! then lets them pass and queues again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::time::timeout;
use wharf_client::runtime::party::Party;
use wharf_oci::{Digest, RepoName, Tag};

use crate::Error;
use crate::bound::Bound;
use crate::limits::{
    CHANGE_LOCK_QUEUE_MAX, CHANGE_LOCK_WAIT_MAX, CHANGE_LOCKS_MAX, PARTY_CHANGE_LOCKS_MAX,
};
use crate::registries::Target;
use crate::runtime::shares::{Share, Shares};

/// A repository at its registry: the registry, and the name there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RepoLocation {
    /// The address of the upstream; empty for a repository that lives here.
    registry: String,
    /// The name there.
    pub(crate) repo: RepoName,
}

impl RepoLocation {
    /// The location of the repository called `repo` here.
    pub(crate) fn of(target: &Target, repo: &RepoName) -> Self {
        match target {
            Target::Local(_) => Self { registry: String::new(), repo: repo.clone() },
            Target::Upstream(upstream_repo) => Self {
                registry: upstream_repo.upstream.address().to_owned(),
                repo: upstream_repo.repo.clone(),
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum LockScope {
    /// A repository's content, where some tags are write-once.
    Content,
    Tag(Tag),
    Manifest(Digest),
    Blob(Digest),
}

/// Without a location for a lock common to all repositories. With a party, the key is the party's
/// own door: changes not yet in the queue wait behind it.
type Key = (Option<RepoLocation>, LockScope, Option<Party>);
type Open = Arc<Mutex<HashMap<Key, Arc<RwLock<()>>>>>;

/// All locks, held or waited for.
#[derive(Default)]
pub(crate) struct ChangeLocks {
    open: Open,
    shares: Shares,
}

/// The locks that a change needs.
pub(crate) struct LockSet {
    place: Option<RepoLocation>,
    /// Whether each lock is exclusive.
    keys: BTreeMap<LockScope, bool>,
}

impl LockSet {
    /// To put this manifest under these tags. Many requests may put the same manifest at once.
    pub(crate) fn to_put<'a>(
        place: &RepoLocation,
        digest: Digest,
        tags: impl Iterator<Item = &'a Tag>,
    ) -> Self {
        let tags = tags.map(|tag| (LockScope::Tag(tag.clone()), true));
        let keys = tags.chain([(LockScope::Manifest(digest), false)]).collect();
        Self { place: Some(place.clone()), keys }
    }

    /// The same, with every lock exclusive: no other request puts the same manifest meanwhile.
    pub(crate) fn alone(mut self) -> Self {
        self.keys.values_mut().for_each(|alone| *alone = true);
        self
    }

    /// To delete a tag.
    pub(crate) fn to_untag(place: &RepoLocation, tag: &Tag) -> Self {
        Self { place: Some(place.clone()), keys: [(LockScope::Tag(tag.clone()), true)].into() }
    }

    /// To link a blob to this repository. Many requests may do so at once.
    pub(crate) fn to_link(target: &Target, repo: &RepoName, digest: Digest) -> Self {
        Self::about_blob(target, repo, digest, false)
    }

    /// To unlink a blob from a repository.
    pub(crate) fn to_unlink(target: &Target, repo: &RepoName, digest: Digest) -> Self {
        Self::about_blob(target, repo, digest, true)
    }

    /// Without an upstream, the bytes go with the last repository linked to them, so every other
    /// repository shares the lock.
    fn about_blob(target: &Target, repo: &RepoName, digest: Digest, alone: bool) -> Self {
        let place = match target {
            Target::Local(_) => None,
            Target::Upstream(_) => Some(RepoLocation::of(target, repo)),
        };
        Self { place, keys: [(LockScope::Blob(digest), alone)].into() }
    }

    /// To put content that a write-once tag will keep: no content of the repository is deleted
    /// meanwhile. Like [`Self::to_delete`], taken before every other lock of the change.
    pub(crate) fn to_keep(place: &RepoLocation) -> Self {
        Self { place: Some(place.clone()), keys: [(LockScope::Content, false)].into() }
    }

    /// To delete content that a write-once tag may keep.
    pub(crate) fn to_delete(place: &RepoLocation) -> Self {
        Self { place: Some(place.clone()), keys: [(LockScope::Content, true)].into() }
    }

    /// To delete a manifest.
    pub(crate) fn to_remove(place: &RepoLocation, digest: Digest) -> Self {
        Self { place: Some(place.clone()), keys: [(LockScope::Manifest(digest), true)].into() }
    }
}

/// The locks of a change; released when dropped.
#[cfg_attr(test, derive(Default))]
pub(crate) struct ChangeGuard {
    _held: Vec<Held>,
}

/// Fields are dropped in this order: the lock first, then the right to it.
struct Held {
    _lock: Lock,
    _claim: Claim,
    _share: Share,
}

enum Lock {
    Shared { _guard: OwnedRwLockReadGuard<()> },
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

/// Keeps a lock in the list while a change holds it or waits for it.
struct Claim {
    open: Open,
    key: Key,
    lock: Option<Arc<RwLock<()>>>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        // Locks are cloned under this mutex only, so no other change takes it up between these
        // lines.
        self.lock = None;
        if open.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            open.remove(&self.key);
        }
    }
}

impl ChangeLocks {
    /// Waits for the locks of a change by this party.
    pub(crate) async fn take(&self, party: &Party, wanted: LockSet) -> Result<ChangeGuard, Error> {
        let waiting = async {
            let mut held = Vec::new();
            for (what, alone) in wanted.keys {
                held.push(self.hold(party, wanted.place.clone(), what, alone).await?);
            }
            Ok(ChangeGuard { _held: held })
        };
        timeout(CHANGE_LOCK_WAIT_MAX, waiting)
            .await
            .unwrap_or(Err(Error::TooMany(Bound::ChangesOfOne)))
    }

    /// The number of locks held or waited for.
    pub(crate) fn count(&self) -> usize {
        self.shares.total()
    }

    /// The most locks of one party.
    pub(crate) fn largest(&self) -> usize {
        self.shares.largest()
    }

    async fn hold(
        &self,
        party: &Party,
        place: Option<RepoLocation>,
        what: LockScope,
        alone: bool,
    ) -> Result<Held, Error> {
        let share = self.share(party)?;
        let (claim, lock) = self.claim((place.clone(), what.clone(), None));
        // A tag's lock is never shared: its queue keeps its order.
        let is_shared = !matches!(what, LockScope::Tag(_));
        let lock = if alone {
            let (_at_door, door) = self.claim((place, what, Some(party.clone())));
            let _through = door.write_owned().await;
            let guard = if is_shared { take_alone(&lock).await } else { lock.write_owned().await };
            Lock::Alone { _guard: guard }
        } else {
            Lock::Shared { _guard: lock.read_owned().await }
        };
        Ok(Held { _lock: lock, _claim: claim, _share: share })
    }

    fn share(&self, party: &Party) -> Result<Share, Error> {
        if self.shares.total() >= CHANGE_LOCKS_MAX {
            return Err(Error::TooMany(Bound::Changes));
        }
        let share = self.shares.take(party.clone(), PARTY_CHANGE_LOCKS_MAX);
        share.ok_or(Error::TooMany(Bound::PartyChanges))
    }

    fn claim(&self, key: Key) -> (Claim, Arc<RwLock<()>>) {
        let mut open = lock(&self.open);
        let lock = Arc::clone(open.entry(key.clone()).or_default());
        let claim = Claim { open: Arc::clone(&self.open), key, lock: Some(Arc::clone(&lock)) };
        (claim, lock)
    }
}

/// An exclusive lock. A shared holder may keep the lock for long, while an upstream takes its time;
/// all requests behind would wait for it.
async fn take_alone(lock: &Arc<RwLock<()>>) -> OwnedRwLockWriteGuard<()> {
    loop {
        // Leaving the queue lets the requests right behind go first, before this one queues again.
        if let Ok(guard) = timeout(CHANGE_LOCK_QUEUE_MAX, Arc::clone(lock).write_owned()).await {
            return guard;
        }
    }
}

/// A panic elsewhere leaves the list as it was before or after one whole change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use wharf_oci::{Algorithm, Digester};

    fn alice() -> Party {
        Party::Caller("alice".into())
    }

    fn place() -> RepoLocation {
        RepoLocation { registry: String::new(), repo: "a/b".parse().unwrap() }
    }

    fn digest(content: &[u8]) -> Digest {
        Digester::digest(Algorithm::Sha256, content)
    }

    fn put(content: &[u8], tags: &[&str]) -> LockSet {
        let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        LockSet::to_put(&place(), digest(content), tags.iter())
    }

    #[tokio::test]
    async fn one_changes_a_tag_at_a_time_and_nothing_is_left_over() {
        let turns = Arc::new(ChangeLocks::default());
        let inside = Arc::new(AtomicUsize::new(0));
        let changes: Vec<_> = (0..40_u8)
            .map(|number| {
                let (turns, inside) = (Arc::clone(&turns), Arc::clone(&inside));
                // Each change takes both tags, in either order.
                let tags = if number % 2 == 0 { ["a", "b"] } else { ["b", "a"] };
                tokio::spawn(async move {
                    let _turn = turns.take(&alice(), put(&[number], &tags)).await.unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        for change in changes {
            change.await.unwrap();
        }
        assert!(lock(&turns.open).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_manifest_is_put_by_many_and_deleted_by_one_and_waiting_has_an_end() {
        let turns = ChangeLocks::default();
        let first = turns.take(&alice(), put(b"m", &["a"])).await.unwrap();
        let second = turns.take(&alice(), put(b"m", &["b"])).await.unwrap();
        let removal = LockSet::to_remove(&place(), digest(b"m"));
        assert!(matches!(turns.take(&alice(), removal).await, Err(Error::TooMany(_))));
        drop((first, second));
        let removal =
            turns.take(&alice(), LockSet::to_remove(&place(), digest(b"m"))).await.unwrap();
        assert!(matches!(turns.take(&alice(), put(b"m", &[])).await, Err(Error::TooMany(_))));
        // Another manifest, and a tag, have other locks.
        turns.take(&alice(), put(b"n", &["a"])).await.unwrap();
        turns.take(&alice(), LockSet::to_untag(&place(), &"a".parse().unwrap())).await.unwrap();
        drop(removal);
        assert!(lock(&turns.open).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_blob_is_linked_by_many_and_unlinked_by_one() {
        let turns = ChangeLocks::default();
        // Without an upstream, the lock covers every repository.
        let link = || LockSet::to_link(&Target::local(), &"a/b".parse().unwrap(), digest(b"b"));
        let unlink = || LockSet::to_unlink(&Target::local(), &"c/d".parse().unwrap(), digest(b"b"));
        let pushes = (
            turns.take(&alice(), link()).await.unwrap(),
            turns.take(&alice(), link()).await.unwrap(),
        );
        assert!(matches!(turns.take(&alice(), unlink()).await, Err(Error::TooMany(_))));
        drop(pushes);
        let removal = turns.take(&alice(), unlink()).await.unwrap();
        assert!(matches!(turns.take(&alice(), link()).await, Err(Error::TooMany(_))));
        drop(removal);
        assert!(lock(&turns.open).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn many_put_what_is_kept_and_nothing_is_deleted_meanwhile() {
        let turns = ChangeLocks::default();
        let puts = (
            turns.take(&alice(), LockSet::to_keep(&place())).await.unwrap(),
            turns.take(&alice(), LockSet::to_keep(&place())).await.unwrap(),
        );
        let delete = || LockSet::to_delete(&place());
        assert!(matches!(turns.take(&alice(), delete()).await, Err(Error::TooMany(_))));
        drop(puts);
        let deletion = turns.take(&alice(), delete()).await.unwrap();
        let put = turns.take(&alice(), LockSet::to_keep(&place())).await;
        assert!(matches!(put, Err(Error::TooMany(_))));
        // The manifests and blobs themselves have other locks.
        turns.take(&alice(), LockSet::to_remove(&place(), digest(b"m"))).await.unwrap();
        drop(deletion);
        assert!(lock(&turns.open).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_that_waits_lets_puts_of_others_before_and_comes_when_they_are_over() {
        let turns = Arc::new(ChangeLocks::default());
        let [mallory, oscar, alice] =
            ["mallory", "oscar", "alice"].map(|n| Party::Caller(n.into()));
        // Hangs at the upstream.
        let hanging = turns.take(&mallory, put(b"m", &[])).await.unwrap();
        let mut deletions = Vec::new();
        for party in [&mallory, &oscar, &mallory, &oscar] {
            let (turns, party) = (Arc::clone(&turns), party.clone());
            deletions.push(tokio::spawn(async move {
                turns.take(&party, LockSet::to_remove(&place(), digest(b"m"))).await.map(drop)
            }));
            tokio::task::yield_now().await;
        }
        let bound = CHANGE_LOCK_QUEUE_MAX + std::time::Duration::from_secs(1);
        let mut puts = Vec::new();
        for _ in 0..3 {
            let put = timeout(bound, turns.take(&alice, put(b"m", &[]))).await;
            puts.push(put.expect("it is not held up by who waits").unwrap());
        }
        drop((hanging, puts));
        for deletion in deletions {
            deletion.await.unwrap().unwrap();
        }
        assert!(lock(&turns.open).is_empty());
    }

    /// Takes all the locks that this party gets.
    async fn flood(turns: &ChangeLocks, party: &Party) -> Vec<ChangeGuard> {
        let mut held = Vec::new();
        loop {
            let tag = format!("{party}-{}", held.len()).replace(':', "-");
            match turns.take(party, put(tag.as_bytes(), &[&tag])).await {
                Ok(turn) => held.push(turn),
                Err(error) => {
                    assert!(matches!(error, Error::TooMany(_)));
                    return held;
                }
            }
        }
    }

    #[tokio::test]
    async fn each_party_has_its_share_and_a_third_always_gets_in() {
        let turns = ChangeLocks::default();
        let [two, three, third] = [2, 3, 4].map(|n| Party::behind([127, 0, 0, n].into()));
        let mut hostile = vec![flood(&turns, &two).await, flood(&turns, &three).await];
        assert_eq!(hostile[0].len(), PARTY_CHANGE_LOCKS_MAX / 2, "each has a tag and a manifest");
        let theirs = turns.take(&third, put(b"one more", &["x"])).await;
        assert!(theirs.is_ok());
        assert_eq!(turns.count(), PARTY_CHANGE_LOCKS_MAX * 2 + 2);
        hostile[0].pop();
        assert!(turns.take(&two, put(b"one more", &["y"])).await.is_ok());
        drop((hostile, theirs));
        assert_eq!((turns.count(), lock(&turns.open).len()), (0, 0));
    }

    #[tokio::test]
    async fn past_the_bound_of_all_a_change_is_turned_away() {
        let turns = ChangeLocks::default();
        let parties: Vec<_> = (0..4).map(|n| Party::behind([127, 0, 0, n].into())).collect();
        let mut held = Vec::new();
        for party in &parties {
            held.push(flood(&turns, party).await);
        }
        let refused = turns.take(&alice(), put(b"one more", &["x"])).await.err();
        assert!(matches!(refused, Some(Error::TooMany(Bound::Changes))));
        held.pop();
        assert!(turns.take(&alice(), put(b"one more", &["x"])).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_want_one_tag_get_it_in_rounds_between_parties() {
        let turns = Arc::new(ChangeLocks::default());
        let [two, three, third] = [2, 3, 4].map(|n| Party::behind([127, 0, 0, n].into()));
        let order = Arc::new(Mutex::new(Vec::new()));
        let first = turns.take(&two, put(b"0", &["latest"])).await.unwrap();
        let mut tasks = Vec::new();
        for party in [&two, &three].repeat(20).into_iter().chain([&third]) {
            let (turns, order, party) = (Arc::clone(&turns), Arc::clone(&order), party.clone());
            tasks.push(tokio::spawn(async move {
                let _turn = turns.take(&party, put(b"1", &["latest"])).await.unwrap();
                order.lock().unwrap().push(party);
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }));
            tokio::task::yield_now().await;
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        let order = order.lock().unwrap();
        let place = order.iter().position(|party| *party == third).unwrap();
        assert!(place <= 2, "it waited for {place} turns of others");
        assert_eq!(order.len(), 41);
    }
}
