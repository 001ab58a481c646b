//! How often and how long a command tries. It obeys a registry's `Retry-After`, up to a bound; without one it
//! retries after a growing, jittered pause.

use std::time::Duration;

use wharf_client::retry::jittered;

/// Bounds of patience.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How often one request is tried in all.
    pub attempts: u32,
    /// The first pause; each one after it doubles.
    pub first_pause: Duration,
    /// The longest pause of our own choice.
    pub pause_max: Duration,
    /// The longest pause a registry may ask for. Its throttling windows are one minute.
    pub asked_pause_max: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 8,
            first_pause: Duration::from_millis(250),
            pause_max: Duration::from_secs(20),
            asked_pause_max: Duration::from_mins(2),
        }
    }
}

/// The rest of a [`Policy`] for one request, or for one blob since its last progress.
#[derive(Debug)]
pub(super) struct Budget {
    policy: Policy,
    tried: u32,
}

impl Budget {
    pub(super) const fn new(policy: Policy) -> Self {
        Self { policy, tried: 0 }
    }

    /// How often was tried.
    pub(super) const fn tried(&self) -> u32 {
        self.tried
    }

    /// Counts a failure. The pause to make before the next try, or `None` when there is none.
    pub(super) fn failed(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.tried += 1;
        if self.tried >= self.policy.attempts {
            return None;
        }
        // "At once" is not a pause: the usual one applies.
        if let Some(asked) = asked.filter(|asked| !asked.is_zero()) {
            return Some(asked.min(self.policy.asked_pause_max));
        }
        let doubled =
            self.policy.first_pause.saturating_mul(1 << self.tried.saturating_sub(1).min(16));
        Some(jittered(doubled.min(self.policy.pause_max)))
    }

    /// Progress was made: the budget starts over.
    pub(super) const fn progressed(&mut self) {
        self.tried = 0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_budget_ends_believes_the_registry_and_starts_over_on_progress() {
        let mut budget = Budget::new(Policy { attempts: 3, ..Policy::default() });
        assert_eq!(budget.failed(Some(Duration::from_secs(9))), Some(Duration::from_secs(9)));
        assert_eq!(
            budget.failed(Some(Duration::from_secs(9_999))),
            Some(Policy::default().asked_pause_max)
        );
        assert_eq!(budget.failed(None), None);
        assert_eq!(budget.tried(), 3);
        budget.progressed();
        assert!(budget.failed(None).unwrap() <= Policy::default().first_pause);
        assert!(budget.failed(Some(Duration::ZERO)).unwrap() >= Policy::default().first_pause);
    }

    #[test]
    fn pauses_grow_to_their_bound() {
        let mut budget = Budget::new(Policy { attempts: 100, ..Policy::default() });
        let pauses: Vec<Duration> = (0..99).filter_map(|_| budget.failed(None)).collect();
        assert_eq!(pauses.len(), 99);
        assert!(pauses.iter().all(|pause| *pause <= Policy::default().pause_max));
        assert!(pauses.last().unwrap() >= &(Policy::default().pause_max / 2));
    }
}
