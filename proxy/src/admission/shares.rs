//! What each of several has of something: how many uploads are open for whom.
//!
//! Invariant: what is counted lives; whoever has nothing has no entry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// All shares of one kind.
#[derive(Default, Clone)]
pub(super) struct Shares(Arc<Mutex<HashMap<Box<str>, usize>>>);

/// One of somebody's; given back when it is dropped.
pub(crate) struct Share {
    shares: Shares,
    owner: Box<str>,
}

impl Shares {
    /// One more; `None` when the owner has `most`.
    pub(super) fn take(&self, owner: Box<str>, most: usize) -> Option<Share> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(owner.clone()).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Share { shares: self.clone(), owner })
    }

    /// The most that one has.
    pub(super) fn largest(&self) -> usize {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.values().copied().max().unwrap_or(0)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.shares.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_so_many_and_gets_back_what_is_over() {
        let shares = Shares::default();
        let first = shares.take("alice".into(), 1).unwrap();
        assert!(shares.take("alice".into(), 1).is_none());
        let _other = shares.take("bob".into(), 1).unwrap();
        assert_eq!(shares.largest(), 1);
        drop(first);
        assert!(!shares.0.lock().unwrap().contains_key("alice"));
        assert!(shares.take("alice".into(), 1).is_some());
    }
}
