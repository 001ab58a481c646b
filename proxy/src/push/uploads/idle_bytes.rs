//! The bytes of idle sessions: content on disk that no client is sending, and that is not evicted.
//!
//! Invariant: past the bound the longest idle session of the party with the most idle bytes is given
//! up, until the rest fits. A session in a request's hands, or just left by one, is never among them.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use wharf_client::runtime::party::Party;
use wharf_oci::UploadId;

use super::Table;
use super::suspended::ExpiredSessions;
use crate::limits::{IDLE_UPLOAD_BYTES_SHARE, UPLOAD_RECENT};

/// An idle session with content.
struct Idle {
    id: UploadId,
    owner: Party,
    bytes: u64,
    since_use: Duration,
}

/// The most bytes of idle sessions in a store of this limit; a store without one has no bound.
pub(super) fn bound(store_limit: Option<u64>) -> u64 {
    store_limit.map_or(u64::MAX, |limit| limit / IDLE_UPLOAD_BYTES_SHARE)
}

impl Table {
    /// Takes out sessions until the idle ones have at most so many bytes; returns their number too.
    pub(super) fn take_past(
        &mut self,
        most_bytes: u64,
        now: Instant,
        now_ms: u64,
    ) -> (ExpiredSessions, usize) {
        let (mut taken, mut count) = (ExpiredSessions::default(), 0);
        for id in surplus(self.idle_sessions(now, now_ms), most_bytes) {
            taken.extend(self.take_old(id));
            count += 1;
        }
        (taken, count)
    }

    fn idle_sessions(&self, now: Instant, now_ms: u64) -> Vec<Idle> {
        let open = self.open.iter().filter_map(|(&id, slot)| {
            let owner = slot.session.as_ref()?.room.as_ref()?.owner().clone();
            let since_use = now.saturating_duration_since(slot.touched);
            Some(Idle { id, owner, bytes: slot.offset, since_use })
        });
        let suspended = self.suspended.iter().map(|(&id, rest)| {
            let (owner, since_use) = (rest.owned_by().clone(), rest.idle(now_ms));
            Idle { id, owner, bytes: rest.offset, since_use }
        });
        let idle = open.chain(suspended);
        idle.filter(|idle| idle.bytes > 0 && idle.since_use >= UPLOAD_RECENT).collect()
    }
}

/// The sessions to give up, one after the other.
fn surplus(mut sessions: Vec<Idle>, most_bytes: u64) -> Vec<UploadId> {
    let mut total: u64 = sessions.iter().map(|idle| idle.bytes).sum();
    let mut of_party: HashMap<Party, u64> = HashMap::new();
    for idle in &sessions {
        *of_party.entry(idle.owner.clone()).or_default() += idle.bytes;
    }
    // The shortest idle first, so that each party's next one is found from the end.
    sessions.sort_by_key(|idle| idle.since_use);
    let mut given_up = Vec::new();
    while total > most_bytes {
        let largest = of_party.iter().max_by_key(|(_, bytes)| **bytes);
        let Some(owner) = largest.map(|(party, _)| party.clone()) else { break };
        let Some(at) = sessions.iter().rposition(|idle| idle.owner == owner) else { break };
        let Idle { id, bytes, .. } = sessions.remove(at);
        total -= bytes;
        if let Some(left) = of_party.get_mut(&owner) {
            *left -= bytes;
        }
        given_up.push(id);
    }
    given_up
}
