//! Who may have content in memory that is not on disk yet: so many writers at once, the others in
//! the order in which they asked. A client that waits is held back by its connection.
//!
//! Invariant: whoever has a place and stops while others wait loses it (`pump.rs` sees to that), so
//! a client that stands still keeps nobody out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::AbortHandle;

/// All places, and who waits for one.
pub(super) struct Places {
    free: Arc<Semaphore>,
    count: usize,
    waiting: watch::Sender<usize>,
    handed_on: AtomicU64,
}

/// Places at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlacesState {
    /// Writers that have one.
    pub taken: usize,
    /// Writers that wait for one.
    pub waiting: usize,
    /// How often one was handed on before its blob was whole.
    pub handed_on: u64,
}

/// A place; free again when it is dropped.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    /// Bytes that were taken since it was given.
    pub(super) bytes: u64,
    /// The task that looks whether its writer stands still; ends with it.
    pub(super) watch: Option<AbortHandle>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

/// One that waits, as long as it does.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        let (waiting, _) = watch::channel(0);
        let free = Arc::new(Semaphore::new(count));
        Self { free, count, waiting, handed_on: AtomicU64::new(0) }
    }

    /// A place; waits for its turn. Safe to give up in the middle.
    pub(super) async fn take(&self) -> Place {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Place { _permit: permit, bytes: 0, watch: None };
        }
        self.waiting.send_modify(|count| *count += 1);
        let waiting = Waiting(&self.waiting);
        let permit = Arc::clone(&self.free).acquire_owned().await;
        drop(waiting);
        let permit = permit.expect("the semaphore is never closed");
        Place { _permit: permit, bytes: 0, watch: None }
    }

    /// Whether somebody waits.
    pub(super) fn are_wanted(&self) -> bool {
        *self.waiting.borrow() > 0
    }

    /// Resolves when somebody waits.
    pub(super) async fn wanted(&self) {
        let mut waiting = self.waiting.subscribe();
        // The sender lives as long as `self`.
        let _ = waiting.wait_for(|count| *count > 0).await;
    }

    /// Counts a place that goes to the next one.
    pub(super) fn hand_on(&self, place: Place) {
        self.handed_on.fetch_add(1, Ordering::Relaxed);
        drop(place);
    }

    pub(super) fn state(&self) -> PlacesState {
        PlacesState {
            taken: self.count - self.free.available_permits(),
            waiting: *self.waiting.borrow(),
            handed_on: self.handed_on.load(Ordering::Relaxed),
        }
    }
}
