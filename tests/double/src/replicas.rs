//! A registry of several replicas: clients read from a replica with a lag.
//!
//! A freshly pushed manifest is unknown to this replica for a while, and a moved tag still names
//! its older manifest.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The most lagging references; further ones do not lag.
const LAGGING_MAX: usize = 4096;

/// The time until the replica knows a pushed manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lag {
    /// Not at all.
    #[default]
    None,
    /// To so many requests for each reference.
    Requests(u64),
    /// For this long.
    Time(Duration),
}

/// A reference as seen from a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// The manifest it names everywhere.
    Current,
    /// No manifest yet.
    Unknown,
    /// This digest, from before.
    Older(String),
}

#[derive(Debug)]
enum Left {
    Requests(u64),
    Until(Instant),
}

#[derive(Debug)]
struct Lagging {
    left: Left,
    /// The tag's older manifest.
    older: Option<String>,
}

/// References still unknown to the replica. Pushes fill it, requests and time empty it.
#[derive(Debug)]
pub(crate) struct Replicas {
    lag: Lag,
    lagging: Mutex<HashMap<(String, String), Lagging>>,
}

impl Replicas {
    pub(crate) fn new(lag: Lag) -> Self {
        Self { lag, lagging: Mutex::default() }
    }

    pub(crate) fn lags(&self) -> bool {
        self.lag != Lag::None
    }

    /// The replica knows everything.
    pub(crate) fn catch_up(&self) {
        self.with(HashMap::clear);
    }

    /// A reference was pushed; before, it named `older`.
    pub(crate) fn pushed(&self, name: &str, reference: &str, older: Option<String>) {
        let left = match self.lag {
            Lag::None => return,
            Lag::Requests(requests) => Left::Requests(requests),
            Lag::Time(time) => Left::Until(Instant::now() + time),
        };
        self.with(|lagging| {
            if lagging.len() < LAGGING_MAX {
                let key = (name.to_owned(), reference.to_owned());
                lagging.insert(key, Lagging { left, older });
            }
        });
    }

    /// The view of this reference for a request.
    pub(crate) fn view(&self, name: &str, reference: &str) -> View {
        if !self.lags() {
            return View::Current;
        }
        let key = (name.to_owned(), reference.to_owned());
        self.with(|lagging| {
            let Some(entry) = lagging.get_mut(&key) else {
                return View::Current;
            };
            let behind = match &mut entry.left {
                Left::Requests(0) => false,
                Left::Requests(left) => {
                    *left -= 1;
                    true
                }
                Left::Until(until) => Instant::now() < *until,
            };
            if !behind {
                lagging.remove(&key);
                return View::Current;
            }
            entry.older.clone().map_or(View::Unknown, View::Older)
        })
    }

    /// Nothing panics half-way through an entry, so a poisoned lock still guards whole ones.
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<(String, String), Lagging>) -> T) -> T {
        act(&mut self.lagging.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_pushed_reference_is_behind_for_its_requests() {
        let replicas = Replicas::new(Lag::Requests(1));
        replicas.pushed("a", "v1", None);
        replicas.pushed("a", "v2", Some("sha256:old".to_owned()));
        assert_eq!(replicas.view("a", "v1"), View::Unknown);
        assert_eq!(replicas.view("a", "v1"), View::Current);
        assert_eq!(replicas.view("a", "v2"), View::Older("sha256:old".to_owned()));
        assert_eq!(replicas.view("b", "v1"), View::Current);
    }

    #[test]
    fn a_lag_of_time_ends_with_it_or_when_the_replica_is_told() {
        let over = Replicas::new(Lag::Time(Duration::ZERO));
        over.pushed("a", "v1", None);
        assert_eq!(over.view("a", "v1"), View::Current);
        let replicas = Replicas::new(Lag::Time(Duration::from_hours(1)));
        replicas.pushed("a", "v1", None);
        assert_eq!(replicas.view("a", "v1"), View::Unknown);
        assert_eq!(replicas.view("a", "v1"), View::Unknown);
        replicas.catch_up();
        assert_eq!(replicas.view("a", "v1"), View::Current);
    }
}
