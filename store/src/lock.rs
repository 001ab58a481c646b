//! The one way to lock a mutex of the store.
//!
//! Invariant: a panic elsewhere leaves the locked values whole, so a poisoned mutex is taken all the same.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A panic elsewhere leaves these values whole: each is changed after the step that can fail.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
