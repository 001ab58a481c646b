//! The bounds of sessions, and displacement at a bound: the longest idle session of the party with
//! the most makes room for a party with fewer.
//!
//! Invariant: every session counts for one party until it is over, with a name or without, open or
//! suspended. A session in a request's hands, or about to end, is never displaced.

use std::time::Duration;

use tokio::time::Instant;
use wharf_client::runtime::party::Party;
use wharf_oci::UploadId;

use super::suspended::ExpiredSessions;
use super::{Sessions, Table, Uploads};
use crate::runtime::clock::now_ms;
use crate::runtime::shares::{Share, Shares, SharesUsage};

/// Why there is no room for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSessionPermit {
    /// All are taken by parties with no more than this one, or are being written.
    Whole,
    /// This party's share is full.
    Share,
}

/// The most sessions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionBounds {
    /// Of all parties.
    pub(crate) most: usize,
    /// Of each party.
    pub(crate) share: usize,
}

/// A session to displace.
struct Idle {
    id: UploadId,
    /// The number of its party's sessions, and its idle time: the largest goes.
    rank: (usize, Duration),
}

impl Uploads {
    /// Room for one more session of this party, within the bounds; asked for before the first request
    /// to an upstream. Returns whether another session was displaced.
    pub(crate) async fn room(
        &self,
        party: Party,
        bounds: SessionBounds,
    ) -> Result<(Share, bool), NoSessionPermit> {
        let (room, idle) = self.sessions.enter(party, bounds)?;
        let Some(idle) = idle else { return Ok((room, false)) };
        let uploads = self.clone();
        // To its end when the caller goes away: a session out of the table has no other owner.
        let given_up = async move { uploads.give_up(idle).await };
        self.detached.run(given_up).await;
        Ok((room, true))
    }

    /// The numbers of sessions.
    pub(crate) fn taken(&self) -> SharesUsage {
        self.sessions.shares.usage()
    }
}

impl Sessions {
    /// Counts a session from here on; returns the sessions to give up for it.
    fn enter(
        &self,
        party: Party,
        SessionBounds { most, share }: SessionBounds,
    ) -> Result<(Share, Option<ExpiredSessions>), NoSessionPermit> {
        let mut table = self.lock();
        if *self.closing.borrow() {
            return Err(NoSessionPermit::Whole);
        }
        let has = self.shares.of(&party);
        if has >= share {
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
    /// Takes out the longest idle session of the party with the most, for a party with `has`.
    /// Sessions of unknown parties go first.
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
