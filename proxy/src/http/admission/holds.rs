//! Requests held before their refusal: their number, their parties, and their outcomes. When and
//! for how long is in `http/server/hold_policy.rs`.
//!
//! Invariant: every held request is counted once, by the first of its outcomes.

use std::sync::atomic::{AtomicU64, Ordering};

use wharf_client::runtime::party::Party;

use crate::http::user_agent::UserAgent;
use crate::limits::{HELD_MAX, PARTY_HELD_MAX};
use crate::runtime::shares::{Share, Shares};

/// The outcome of a held request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldOutcome {
    /// It was answered as if there had been no obstacle, or with an error that another try would
    /// not mend.
    Answered,
    /// Its time was over: 429.
    Expired,
    /// Its client went away.
    Left,
    /// The server stops.
    Drained,
    /// Too many were held already.
    Crowded,
}

/// Every word of [`HoldOutcome`], in the order of its variants.
const WORDS: [&str; 5] = ["answered", "expired", "left", "drained", "crowded"];

/// All held requests of one process.
#[derive(Default)]
pub(crate) struct Holds {
    shares: Shares,
    counts: [[AtomicU64; WORDS.len()]; UserAgent::COUNT],
}

/// One held request.
pub(crate) struct HeldRequest<'a> {
    holds: &'a Holds,
    agent: UserAgent,
    outcome: HoldOutcome,
    _share: Share,
}

impl Holds {
    /// A hold for one more request of a party; `None` when there is no room.
    pub(crate) fn begin(&self, party: Party, agent: UserAgent) -> Option<HeldRequest<'_>> {
        let share = self.shares.take_within(party, PARTY_HELD_MAX, HELD_MAX);
        let Some(share) = share else {
            self.count(agent, HoldOutcome::Crowded);
            return None;
        };
        Some(HeldRequest { holds: self, agent, outcome: HoldOutcome::Left, _share: share })
    }

    /// The number of held requests.
    pub(crate) fn held(&self) -> usize {
        self.shares.total()
    }

    /// Kind of client, outcome, and how often.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let of_agent = |(agent, counts): (&'static str, &[AtomicU64; WORDS.len()])| {
            let counts: Vec<_> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
            WORDS.into_iter().zip(counts).map(move |(word, count)| (agent, word, count))
        };
        let rows: Vec<_> = UserAgent::words().zip(&self.counts).flat_map(of_agent).collect();
        rows.into_iter()
    }

    fn count(&self, agent: UserAgent, outcome: HoldOutcome) {
        let of_agent = self.counts.get(agent as usize);
        if let Some(count) = of_agent.and_then(|counts| counts.get(outcome as usize)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl HeldRequest<'_> {
    /// Ends the hold.
    pub(crate) fn ended(mut self, outcome: HoldOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for HeldRequest<'_> {
    fn drop(&mut self) {
        self.holds.count(self.agent, self.outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_is_held_in_its_share_and_each_outcome_is_counted_once() {
        let holds = Holds::default();
        let party = |name: &str| Party::Caller(name.into());
        let held: Vec<_> =
            std::iter::from_fn(|| holds.begin(party("a"), UserAgent::Docker)).collect();
        assert_eq!((held.len(), holds.held()), (PARTY_HELD_MAX, PARTY_HELD_MAX));
        holds.begin(party("b"), UserAgent::Jib).unwrap().ended(HoldOutcome::Answered);
        drop(held);
        let rows: Vec<_> = holds.rows().filter(|(_, _, count)| *count > 0).collect();
        let most = PARTY_HELD_MAX as u64;
        let expected = [("docker", "left", most), ("docker", "crowded", 1), ("jib", "answered", 1)];
        assert_eq!((rows, holds.held()), (expected.to_vec(), 0));
    }
}
