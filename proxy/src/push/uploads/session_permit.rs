//! How many sessions there may be, and who makes room when there are so many: the longest idle session
//! of whoever has most, for somebody who has fewer.
//!
//! Invariant: every session is counted for one party until it is over, with a name or without, open or
//! at rest. One that a request writes to, or that is being ended, is never given up for somebody else.

use std::time::Duration;

use tokio::time::Instant;
use wharf_oci::UploadId;

use super::suspended::ExpiredSessions;
use super::{Sessions, Table, Uploads};
use crate::runtime::clock::now_ms;
use crate::runtime::party::Party;
use crate::runtime::shares::{Share, Shares};

/// Why there is no room for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSessionPermit {
    /// All is taken by those who have no more than this one, or is being written.
    Whole,
    /// This one has all that it gets.
    Share,
}

/// A session that makes room.
struct Idle {
    id: UploadId,
    /// How much its party has, and for how long it is idle: the largest goes.
    rank: (usize, Duration),
}

impl Uploads {
    /// Room for one more session of this party, when all may have `most` and each `most_each`; asked for
    /// before an upstream is asked for anything. Whether another session had to go for it.
    pub(crate) async fn room(
        &self,
        party: Party,
        (most, most_each): (usize, usize),
    ) -> Result<(Share, bool), NoSessionPermit> {
        let (room, idle) = self.sessions.enter(party, (most, most_each))?;
        let Some(idle) = idle else { return Ok((room, false)) };
        let uploads = self.clone();
        // To its end when the caller goes away: what was taken out of the table is nobody's.
        let given_up = async move { uploads.give_up(idle).await };
        self.detached.run(given_up).await;
        Ok((room, true))
    }

    /// How many sessions are counted, and the most of one party.
    pub(crate) fn taken(&self) -> (usize, usize) {
        let shares = &self.sessions.shares;
        (shares.total(), shares.largest())
    }
}

impl Sessions {
    /// What is counted from now on, and what is to be given up for it.
    fn enter(
        &self,
        party: Party,
        (most, most_each): (usize, usize),
    ) -> Result<(Share, Option<ExpiredSessions>), NoSessionPermit> {
        let mut table = self.lock();
        if *self.closing.borrow() {
            return Err(NoSessionPermit::Whole);
        }
        let has = self.shares.of(&party);
        if has >= most_each {
            return Err(NoSessionPermit::Share);
        }
        let mut idle = None;
        if self.shares.total() >= most {
            idle = Some(table.make_room(has, &self.shares).ok_or(NoSessionPermit::Whole)?);
        }
        Ok((self.shares.join(party), idle))
    }
}

impl Table {
    /// Takes the longest idle session of whoever has most out, for somebody who has `has`. Those of
    /// nobody known go first.
    fn make_room(&mut self, has: usize, shares: &Shares) -> Option<ExpiredSessions> {
        let (now, now_ms) = (Instant::now(), now_ms());
        let open = self.open.iter().filter_map(|(id, slot)| {
            let owner = slot.session.as_ref()?.room.as_ref()?.owner();
            Some((*id, owner, now.duration_since(slot.touched)))
        });
        let suspended =
            self.suspended.iter().map(|(id, rest)| (*id, rest.owned_by(), rest.idle(now_ms)));
        let ranked = open.chain(suspended).map(|(id, owner, idle)| {
            let count = if *owner == Party::Ourselves { usize::MAX } else { shares.of(owner) };
            Idle { id, rank: (count, idle) }
        });
        let longest = ranked.filter(|idle| idle.rank.0 > has).max_by_key(|idle| idle.rank)?;
        Some(self.take_old(longest.id))
    }
}
