//! The number of callers that want a result, and the time since the last one left.
//!
//! Invariant: a subscription counts until it is dropped, in whatever way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::runtime::mutex::Mutex;

/// The subscriptions of one piece of work. A clone counts the same ones.
#[derive(Clone)]
pub struct Subscribers(Arc<State>);

struct State {
    taken: AtomicUsize,
    left: Mutex<Instant>,
}

/// One subscription; over when dropped.
pub struct Subscription(Arc<State>);

impl Default for Subscribers {
    /// No subscriptions at first.
    fn default() -> Self {
        let left = Mutex::new(Instant::now());
        Self(Arc::new(State { taken: AtomicUsize::new(0), left }))
    }
}

impl Subscribers {
    /// One more subscription.
    pub fn take(&self) -> Subscription {
        self.0.taken.fetch_add(1, Ordering::AcqRel);
        Subscription(Arc::clone(&self.0))
    }

    /// Whether there is a subscription.
    #[must_use]
    pub fn are_taken(&self) -> bool {
        self.0.taken.load(Ordering::Acquire) > 0
    }

    /// The time without subscriptions; `None` while there is one.
    #[must_use]
    pub fn empty_for(&self) -> Option<Duration> {
        if self.are_taken() {
            return None;
        }
        Some(self.0.left.lock().elapsed())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // Set before the count falls to zero: else the time would count from the departure before.
        *self.0.left.lock() = Instant::now();
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn seats_are_empty_since_the_last_one_left() {
        let (subscribers, second) = (Subscribers::default(), Duration::from_secs(1));
        tokio::time::advance(second).await;
        assert_eq!(subscribers.empty_for(), Some(second));
        let (one, two) = (subscribers.take(), subscribers.take());
        drop(one);
        assert_eq!((subscribers.are_taken(), subscribers.empty_for()), (true, None));
        tokio::time::advance(second).await;
        drop(two);
        assert_eq!(subscribers.empty_for(), Some(Duration::ZERO));
        tokio::time::advance(second).await;
        assert_eq!((subscribers.are_taken(), subscribers.empty_for()), (false, Some(second)));
    }
}
