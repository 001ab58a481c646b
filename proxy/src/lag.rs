//! How far somebody is behind the pace that is asked of them. Only time that is spent waiting for them
//! counts; what they give or take makes up for it.
//!
//! Invariant: who keeps the pace is never behind by the window; who does nothing is, after exactly it.

use std::time::Duration;

/// The least pace of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Floor {
    /// For so long it may be slower, or stand still.
    pub window: Duration,
    /// Bytes per second, as a mean over the window; nothing is asked when it is 0.
    pub bytes_per_second: u64,
}

/// How far one transfer is behind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lag {
    floor: Floor,
    behind: Duration,
}

impl Lag {
    /// At the beginning.
    #[must_use]
    pub(crate) const fn new(floor: Floor) -> Self {
        Self { floor, behind: Duration::ZERO }
    }

    /// For how long they may be waited for from now on; `None` for as long as it takes.
    #[must_use]
    pub(crate) fn left(&self) -> Option<Duration> {
        let asked = self.floor.bytes_per_second > 0;
        asked.then(|| self.floor.window.saturating_sub(self.behind))
    }

    /// They were waited for. `false` when they are too far behind.
    #[must_use]
    pub(crate) fn waited(&mut self, time: Duration) -> bool {
        self.behind = self.behind.saturating_add(time);
        self.left().is_none_or(|left| !left.is_zero())
    }

    /// They gave or took so many bytes.
    pub(crate) fn moved(&mut self, bytes: usize) {
        if self.floor.bytes_per_second == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a pace needs no 53 bits")]
        let seconds = bytes as f64 / self.floor.bytes_per_second as f64;
        // What would be worth centuries is worth everything.
        let worth = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        self.behind = self.behind.saturating_sub(worth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const FLOOR: Floor = Floor { window: Duration::from_secs(10), bytes_per_second: 1_000 };

    #[test]
    fn who_does_nothing_is_behind_after_the_window_and_not_before() {
        let mut lag = Lag::new(FLOOR);
        assert!((0..9).all(|_| lag.waited(SECOND)));
        assert_eq!(lag.left(), Some(SECOND));
        assert!(!lag.waited(SECOND));
    }

    #[test]
    fn who_keeps_the_pace_is_never_behind_however_it_is_spread() {
        for (times, seconds) in [(1, 1), (100, 9)] {
            let mut lag = Lag::new(FLOOR);
            for _ in 0..times {
                assert!(lag.waited(SECOND * seconds));
                lag.moved(1_000 * seconds as usize);
            }
            assert_eq!(lag.left(), Some(FLOOR.window));
        }
    }

    #[test]
    fn half_the_pace_is_too_slow_after_about_twice_the_window_and_haste_saves_nothing_up() {
        let mut lag = Lag::new(FLOOR);
        lag.moved(1_000_000);
        let steps = (1..100).find(|_| {
            let good = lag.waited(SECOND);
            lag.moved(500);
            !good
        });
        assert_eq!(steps, Some(19));
    }

    #[test]
    fn without_a_pace_nobody_is_behind() {
        let mut lag = Lag::new(Floor { bytes_per_second: 0, ..FLOOR });
        assert!(lag.waited(SECOND * 1_000_000) && lag.left().is_none());
        lag.moved(5);
    }
}
