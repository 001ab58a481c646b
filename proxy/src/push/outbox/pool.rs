//! The bounds of the outbox, in number and in bytes, and each party's share: a quarter of the room
//! left by an earlier process, or more while half of all stays free. So two parties never have more
//! than three quarters, and a third finds room, whatever was there before.
//!
//! Invariant: a pending or reserved blob counts for one party; blobs of an earlier process count
//! for [`Party::Ourselves`], which has no share.

use std::collections::HashMap;

use wharf_client::runtime::party::Party;

use crate::Error;
use crate::bound::Bound;
use crate::limits::SHARES;

/// A number of blobs, and their bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) blobs: usize,
    pub(super) bytes: u64,
}

/// The room taken.
pub(super) struct OutboxPool {
    most: Amount,
    all: Amount,
    parties: HashMap<Party, Amount>,
}

/// Why a blob finds no room.
#[derive(Debug)]
pub(super) struct OutboxFull {
    /// Whether only this party's share is full.
    pub(super) is_share: bool,
    pub(super) error: Error,
}

impl Amount {
    const fn part(self, parts: usize) -> Self {
        Self { blobs: self.blobs / parts, bytes: self.bytes / parts as u64 }
    }

    const fn and(self, other: Self) -> Self {
        let blobs = self.blobs.saturating_add(other.blobs);
        Self { blobs, bytes: self.bytes.saturating_add(other.bytes) }
    }

    const fn without(self, other: Self) -> Self {
        let blobs = self.blobs.saturating_sub(other.blobs);
        Self { blobs, bytes: self.bytes.saturating_sub(other.bytes) }
    }

    const fn fits(self, most: Self) -> bool {
        self.blobs <= most.blobs && self.bytes <= most.bytes
    }
}

impl OutboxPool {
    pub(super) fn new(most: Amount) -> Self {
        Self { most, all: Amount::default(), parties: HashMap::new() }
    }

    /// An error when a blob of this size is one too many for this party.
    pub(super) fn room(&self, party: &Party, bytes: u64) -> Result<(), OutboxFull> {
        let more = Amount { blobs: 1, bytes };
        let (all, theirs) = (self.all.and(more), self.of(party).and(more));
        if !all.fits(self.most) {
            return Err(full(all.blobs > self.most.blobs, self.most.bytes, false));
        }
        if *party == Party::Ourselves || all.fits(self.most.part(2)) {
            return Ok(());
        }
        let share = self.most.without(self.of(&Party::Ourselves)).part(SHARES);
        if theirs.fits(share) {
            return Ok(());
        }
        Err(full(theirs.blobs > share.blobs, share.bytes, true))
    }

    /// Adds one blob, whether or not there is room.
    pub(super) fn take(&mut self, party: &Party, bytes: u64) {
        let one = Amount { blobs: 1, bytes };
        self.all = self.all.and(one);
        let theirs = self.parties.entry(party.clone()).or_default();
        *theirs = theirs.and(one);
    }

    /// Removes one blob.
    pub(super) fn give_back(&mut self, party: &Party, bytes: u64) {
        let one = Amount { blobs: 1, bytes };
        self.all = self.all.without(one);
        if let Some(theirs) = self.parties.get_mut(party) {
            *theirs = theirs.without(one);
            if theirs.blobs == 0 {
                self.parties.remove(party);
            }
        }
    }

    /// The room taken by one party.
    pub(super) fn of(&self, party: &Party) -> Amount {
        self.parties.get(party).copied().unwrap_or_default()
    }

    /// The most blobs of one party.
    pub(super) fn largest(&self) -> usize {
        let known = self.parties.iter().filter(|(party, _)| **party != Party::Ourselves);
        known.map(|(_, theirs)| theirs.blobs).max().unwrap_or(0)
    }
}

fn full(by_number: bool, limit_bytes: u64, is_share: bool) -> OutboxFull {
    let error = match (by_number, is_share) {
        (true, false) => Error::TooMany(Bound::PendingBlobs),
        (true, true) => Error::TooMany(Bound::PartyPendingBlobs),
        (false, false) => Error::PendingFull { limit_bytes, whose: "of all" },
        (false, true) => Error::PendingFull { limit_bytes, whose: "of one party" },
    };
    OutboxFull { is_share, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(last: u8) -> Party {
        Party::behind([127, 0, 0, last].into())
    }

    fn pool() -> OutboxPool {
        OutboxPool::new(Amount { blobs: 100, bytes: 1_000 })
    }

    /// Takes all the room of a party, in blobs of this size.
    fn flood(pool: &mut OutboxPool, party: &Party, bytes: u64) -> OutboxFull {
        loop {
            match pool.room(party, bytes) {
                Ok(()) => pool.take(party, bytes),
                Err(full) => return full,
            }
        }
    }

    #[test]
    fn one_has_half_two_have_three_quarters_and_a_third_has_room() {
        for bytes in [0, 10, 100] {
            let (mut pool, [two, three, third]) = (pool(), [party(2), party(3), party(4)]);
            assert!(flood(&mut pool, &two, bytes).is_share);
            assert!(flood(&mut pool, &three, bytes).is_share);
            assert!(pool.of(&two).fits(pool.most.part(2)));
            assert!(pool.of(&three).fits(pool.most.part(4)), "{bytes} {:?}", pool.of(&three));
            assert!(pool.room(&third, 100).is_ok(), "{bytes}");
        }
    }

    #[test]
    fn whatever_an_earlier_process_left_there_is_room_for_who_comes() {
        for (bytes, blobs) in [(0, 75), (10, 75), (30, 25)] {
            let mut pool = pool();
            for _ in 0..blobs {
                pool.take(&Party::Ourselves, bytes);
            }
            for last in 2..5 {
                flood(&mut pool, &party(last), bytes);
            }
            assert!(pool.room(&party(5), bytes).is_ok(), "{bytes} {:?}", pool.all);
        }
    }

    #[test]
    fn what_is_too_much_is_said_in_its_words() {
        let mut pool = pool();
        let large = flood(&mut pool, &party(2), 300);
        assert!(matches!(large.error, Error::PendingFull { limit_bytes: 250, .. }));
        let many = flood(&mut pool, &party(2), 0);
        assert!(many.is_share && matches!(many.error, Error::TooMany(_)));
        // This program itself has no share.
        let nobodys = flood(&mut pool, &Party::Ourselves, 100);
        assert!(!nobodys.is_share, "{nobodys:?}");
        assert!(matches!(nobodys.error, Error::PendingFull { limit_bytes: 1_000, .. }));
        assert!(!flood(&mut pool, &party(3), 200).is_share);
        assert_eq!(pool.largest(), pool.of(&party(2)).blobs);
    }

    #[test]
    fn what_goes_makes_room_and_leaves_nothing_behind() {
        let (mut pool, one) = (pool(), party(2));
        pool.take(&one, 500);
        assert!(pool.room(&one, 1).is_err());
        pool.give_back(&one, 500);
        assert!(pool.room(&one, 500).is_ok());
        assert!(pool.parties.is_empty());
        assert_eq!(pool.all, Amount::default());
    }
}
