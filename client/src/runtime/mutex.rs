//! `Mutex`: the lock of the standard library, which a panic does not close.

use std::sync::{self, MutexGuard, PoisonError};

/// A lock for short times, never held across an `await`.
///
/// The standard library refuses a lock after a thread panicked while it held it. This one ignores that: it
/// guards counts, queues and caches that every request shares, and one request that panicked must not turn
/// away all that come after it.
#[derive(Debug, Default)]
pub struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Not held at first.
    pub const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    /// Waits for the lock, and holds it until the guard is dropped.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_panic_under_the_lock_does_not_close_it() {
        let count = Mutex::new(1);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            *count.lock() += 1;
            let _held = count.lock();
            panic!("under the lock");
        }));
        assert!(panicked.is_err());
        assert_eq!(*count.lock(), 2);
    }
}
