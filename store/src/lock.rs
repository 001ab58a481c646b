//! The one way to lock a mutex of the store.
//!
//! Invariant: a panic elsewhere leaves the locked values whole, so a poisoned mutex is locked all
//! the same.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. Its value is whole after a panic: each change follows the step able to fail.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
