//! Responses held until a test releases them.
//!
//! A test counts the held responses, so it knows of a stall without a clock. Each wait has an end,
//! so a forgotten one does not outlive a broken test run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// The longest wait.
const HOLD_MAX: Duration = Duration::from_mins(10);

/// The held responses, and the gate before them.
#[derive(Debug)]
pub(crate) struct Holds {
    /// Counted up by each release.
    gate: watch::Sender<u64>,
    held: Arc<AtomicUsize>,
}

impl Default for Holds {
    fn default() -> Self {
        Self { gate: watch::Sender::new(0), held: Arc::default() }
    }
}

impl Holds {
    /// How many answers are held.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    /// Releases every response held now.
    pub(crate) fn release(&self) {
        self.gate.send_modify(|releases| *releases += 1);
    }

    /// Waits for the next release. The wait begins with this call, not with the first poll.
    pub(crate) fn hold(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut gate = self.gate.subscribe();
        let held = Held::begin(Arc::clone(&self.held));
        async move {
            let _held = held;
            // A dropped gate holds no response: the double is ending.
            let _ = tokio::time::timeout(HOLD_MAX, gate.changed()).await;
        }
    }
}

/// Counts one wait, for as long as it lives.
struct Held(Arc<AtomicUsize>);

impl Held {
    fn begin(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[tokio::test]
    async fn a_release_frees_all_that_are_held_and_none_that_come_later() {
        let holds = Holds::default();
        holds.release();
        let (first, second) = (holds.hold(), holds.hold());
        assert_eq!(holds.held(), 2);
        holds.release();
        tokio::join!(first, second);
        let third = holds.hold();
        assert_eq!(holds.held(), 1);
        drop(third);
        assert_eq!(holds.held(), 0);
    }
}
