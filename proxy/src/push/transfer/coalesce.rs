//! Uploads of the same bytes to one upstream at the same time: the first one sends, the others wait
//! for it. Equality is not known before the end, so two uploads count as equal while their first
//! segments are, with samples in between.
//!
//! Invariant: no upload counts on another one for more than its time. An upload ends without
//! sending only after the upstream took the same digest from its leader.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use wharf_client::Arrival;
use wharf_oci::{Algorithm, Digest, Digester, RepoName};
use wharf_store::limits::SEGMENT_BYTES;

use super::{Sender, Stop, TransferContent};
use crate::limits::{COALESCING_BEHIND_BYTES, COALESCING_WAIT};

/// The leading uploads of this moment. At most as many entries as uploads.
#[derive(Default)]
pub(super) struct Coalescing {
    leaders: Mutex<HashMap<Key, Arc<LeadingUpload>>>,
}

/// An upstream's identity, and the SHA-256 of the first segment.
type Key = (usize, Digest);

/// An upload that others follow.
pub(super) struct LeadingUpload {
    content: TransferContent,
    repo: RepoName,
    stage: watch::Receiver<Stage>,
}

/// The progress of a leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The upstream has this many bytes.
    Sending(u64),
    /// The upstream has the blob.
    There(Digest),
}

/// The right to lead; given up when dropped.
pub(super) struct LeadGuard {
    coalescing: Arc<Coalescing>,
    key: Key,
    leader: Arc<LeadingUpload>,
    stage: watch::Sender<Stage>,
}

/// The leader, or this upload's right to lead.
enum Claim {
    Lead(LeadGuard),
    Follow(Arc<LeadingUpload>),
}

/// The result of following a leader.
enum Followed {
    /// The upstream has the bytes, in the leader's repository.
    There,
    /// The leader's content differs, or comes too late.
    Alone,
    /// The leader was given up.
    Gone,
}

impl LeadGuard {
    /// The upstream has this many bytes.
    pub(super) fn sent(&self, bytes: u64) {
        self.stage.send_replace(Stage::Sending(bytes));
    }

    /// The upstream has the blob.
    pub(super) fn there(&self, digest: Digest) {
        self.stage.send_replace(Stage::There(digest));
    }
}

impl Drop for LeadGuard {
    fn drop(&mut self) {
        let mut leaders = self.coalescing.lock();
        if leaders.get(&self.key).is_some_and(|leader| Arc::ptr_eq(leader, &self.leader)) {
            leaders.remove(&self.key);
        }
    }
}

impl Coalescing {
    fn claim(self: &Arc<Self>, key: Key, content: &TransferContent, repo: &RepoName) -> Claim {
        let mut leaders = self.lock();
        if let Some(leader) = leaders.get(&key) {
            return Claim::Follow(Arc::clone(leader));
        }
        let (stage, told) = watch::channel(Stage::Sending(0));
        let leader = LeadingUpload { content: content.clone(), repo: repo.clone(), stage: told };
        let leader = Arc::new(leader);
        leaders.insert(key, Arc::clone(&leader));
        Claim::Lead(LeadGuard { coalescing: Arc::clone(self), key, leader, stage })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<LeadingUpload>>> {
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    /// Follows another upload of the same bytes, if there is one; `None` when this one has to send.
    pub(super) async fn join(&mut self) -> Result<Option<Arrival>, Stop> {
        if self.content.visible_bytes() == 0 {
            return Ok(None);
        }
        let first = self.content.segment(&self.transfers.blocking, 0).await?;
        let hash = move || Digester::digest(Algorithm::Sha256, &first);
        let key = (self.upstream_repo.upstream.identity(), self.transfers.blocking.run(hash).await);
        loop {
            let leader =
                match self.transfers.coalescing.claim(key, &self.content, &self.upstream_repo.repo)
                {
                    Claim::Lead(lead) => {
                        self.lead = Some(lead);
                        return Ok(None);
                    }
                    // Whether a caller may read there is not known.
                    Claim::Follow(leader)
                        if self.upstream_repo.upstream.caller_fingerprint().is_some()
                            && leader.repo != self.upstream_repo.repo =>
                    {
                        return Ok(None);
                    }
                    Claim::Follow(leader) => leader,
                };
            match self.follow(&leader).await? {
                Followed::Gone => {}
                Followed::Alone => return Ok(None),
                Followed::There if leader.repo == self.upstream_repo.repo => {
                    return Ok(Some(Arrival::Joined));
                }
                Followed::There => {
                    let digest = self.proven().await?;
                    let mounted = self.mount(&digest, &leader.repo).await;
                    return Ok(mounted.then_some(Arrival::Mounted));
                }
            }
        }
    }

    async fn follow(&mut self, leader: &LeadingUpload) -> Result<Followed, Stop> {
        let mut stage = leader.stage.clone();
        let mut at = 1;
        // While this upload itself arrives, it is compared with the leader.
        while self.content.size_bytes().is_none() {
            let offset = at * SEGMENT_BYTES as u64;
            tokio::select! {
                there = self.content.arrived(offset + 1) => {
                    let there = there?;
                    if there <= offset {
                        break;
                    }
                    if is_behind(leader, there) || !self.agrees(leader, offset).await? {
                        return Ok(Followed::Alone);
                    }
                    at = (at * 2).min(at + SAMPLE_SEGMENTS);
                }
                gone = gone(&mut stage) => if gone { return Ok(Followed::Gone) },
            }
        }
        let digest = self.proven().await?;
        loop {
            let size_bytes = self.content.visible_bytes();
            let now = *stage.borrow_and_update();
            match now {
                Stage::There(theirs) if theirs == digest => return Ok(Followed::There),
                Stage::There(_) => return Ok(Followed::Alone),
                Stage::Sending(_) => {}
            }
            let other = leader.content.size_bytes().is_some_and(|theirs| theirs != size_bytes);
            if other || is_behind(leader, size_bytes) {
                return Ok(Followed::Alone);
            }
            match tokio::time::timeout(COALESCING_WAIT, stage.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(Followed::Gone),
                Err(_) => return Ok(Followed::Alone),
            }
        }
    }

    /// Whether both have the same segment here, as far as the leader has it.
    async fn agrees(&self, leader: &LeadingUpload, offset: u64) -> Result<bool, Stop> {
        if leader.content.visible_bytes() <= offset {
            return Ok(leader.content.size_bytes().is_none());
        }
        let blocking = &self.transfers.blocking;
        let Ok(theirs) = leader.content.segment(blocking, offset).await else { return Ok(false) };
        let ours = self.content.segment(blocking, offset).await?;
        let bytes = theirs.len().min(ours.len());
        Ok(theirs.slice(..bytes) == ours.slice(..bytes))
    }
}

/// Two samples are no further apart.
const SAMPLE_SEGMENTS: u64 = 64;

/// Whether the leader's client is so much slower that waiting would take long.
fn is_behind(leader: &LeadingUpload, there_bytes: u64) -> bool {
    let behind = there_bytes.saturating_sub(leader.content.visible_bytes());
    behind > COALESCING_BEHIND_BYTES.max(there_bytes / 8)
}

/// Waits for the next stage; returns whether there will be none.
async fn gone(stage: &mut watch::Receiver<Stage>) -> bool {
    stage.changed().await.is_err() && !matches!(*stage.borrow(), Stage::There(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::blocking::BlockingPool;
    use wharf_store::{BlobStore, MemoryStore};

    fn content(store: &MemoryStore) -> TransferContent {
        let writer = store.begin().unwrap();
        TransferContent::InFlight(writer.in_flight())
    }

    #[tokio::test]
    async fn one_leads_until_it_is_done_or_gives_up() {
        let _ = BlockingPool::default();
        let store = MemoryStore::default();
        let coalescing = Arc::new(Coalescing::default());
        let (repo, first) = ("a".parse().unwrap(), Digester::digest(Algorithm::Sha256, b"first"));
        let lead = |key| coalescing.claim(key, &content(&store), &repo);
        let Claim::Lead(leads) = lead((1, first)) else { panic!("nobody leads") };
        let Claim::Follow(leader) = lead((1, first)) else { panic!("two lead") };
        // Another upstream has leaders of its own.
        assert!(matches!(lead((2, first)), Claim::Lead(_)));
        let mut stage = leader.stage.clone();
        leads.sent(5);
        assert!(!gone(&mut stage).await);
        drop(leads);
        assert!(gone(&mut stage).await);
        let Claim::Lead(leads) = lead((1, first)) else { panic!("nobody leads") };
        let mut stage = leads.leader.stage.clone();
        leads.there(first);
        drop(leads);
        assert!(!gone(&mut stage).await);
        assert!(coalescing.lock().is_empty());
    }
}
