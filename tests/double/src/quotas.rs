//! How many requests ACR takes in a minute: one bucket per class for the registry and one for each
//! identity, as the tables of its tiers say.
//!
//! A bucket is filled once per period, so `Retry-After` counts down to the next refill. A refused
//! request costs nothing. All anonymous callers are one identity, and so are all logins of one
//! user.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use super::kind::Kind;

/// Buckets kept at once; identities beyond share one.
const BUCKETS_MAX: usize = 4096;
const MANY: &str = "\u{0}everybody else";

/// The limit of one class of requests in a period. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// For all callers together.
    pub registry: Option<u64>,
    /// For each caller.
    pub identity: Option<u64>,
}

impl Quota {
    fn of(registry: u64, identity: u64) -> Self {
        Self { registry: Some(registry), identity: Some(identity) }
    }
}

/// The quotas of all classes. The default has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// GET, HEAD and OPTIONS.
    pub reads: Quota,
    /// POST, PATCH and PUT; so each chunk is one.
    pub writes: Quota,
    /// DELETE.
    pub deletes: Quota,
    /// Referrers lists; they cost a read too.
    pub referrers: Quota,
    /// The token endpoints; their callers have no identity yet.
    pub oauth: Quota,
    /// How often buckets are filled.
    pub period: Duration,
}

impl Default for Quotas {
    fn default() -> Self {
        let none = Quota::default();
        let period = Duration::from_mins(1);
        Self { reads: none, writes: none, deletes: none, referrers: none, oauth: none, period }
    }
}

impl Quotas {
    /// ACR's Basic and Standard tiers.
    pub fn basic() -> Self {
        Self {
            reads: Quota::of(10_000, 5_000),
            writes: Quota::of(2_000, 1_000),
            deletes: Quota::of(1_000, 500),
            referrers: Quota::of(500, 250),
            oauth: Quota { registry: Some(10_000), identity: None },
            ..Self::default()
        }
    }

    /// ACR's Premium tier.
    pub fn premium() -> Self {
        Self {
            reads: Quota::of(20_000, 10_000),
            writes: Quota::of(4_000, 2_000),
            deletes: Quota::of(4_000, 2_000),
            referrers: Quota::of(2_000, 1_000),
            oauth: Quota { registry: Some(20_000), identity: None },
            ..Self::default()
        }
    }

    fn of(&self, class: Class) -> Quota {
        match class {
            Class::Read => self.reads,
            Class::Write => self.writes,
            Class::Delete => self.deletes,
            Class::Referrers => self.referrers,
            Class::OAuth => self.oauth,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Class {
    Read,
    Write,
    Delete,
    Referrers,
    OAuth,
}

/// The classes of a request's cost.
fn classes(kind: Kind, method: &Method) -> &'static [Class] {
    match (kind, method.as_str()) {
        (Kind::Token | Kind::Exchange, _) => &[Class::OAuth],
        (Kind::Referrers, _) => &[Class::Read, Class::Referrers],
        (_, "DELETE") => &[Class::Delete],
        (_, "POST" | "PATCH" | "PUT") => &[Class::Write],
        _ => &[Class::Read],
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u64,
    filled: Instant,
}

/// A class and the bucket's identity; without an identity the bucket is the registry's own.
type Key = (Class, Option<String>);

/// The buckets. Emptied by requests, filled by time or by a test.
#[derive(Debug)]
pub(crate) struct Meters {
    quotas: Quotas,
    buckets: Mutex<HashMap<Key, Bucket>>,
}

impl Meters {
    pub(crate) fn new(quotas: Quotas) -> Self {
        Self { quotas, buckets: Mutex::default() }
    }

    /// Fills every bucket.
    pub(crate) fn refill(&self) {
        self.with(HashMap::clear);
    }

    /// Takes one request from every bucket of its classes, or returns the seconds until the refill.
    pub(crate) fn take(&self, kind: Kind, method: &Method, identity: &str) -> Result<(), u64> {
        if self.quotas == Quotas::default() {
            return Ok(());
        }
        let (now, period) = (Instant::now(), self.quotas.period);
        self.with(|buckets| {
            buckets.retain(|_, bucket| now < bucket.filled + period);
            let many = buckets.len() >= BUCKETS_MAX;
            let identity = if many { MANY } else { identity };
            let mut wait = None;
            let mut costs = Vec::new();
            for class in classes(kind, method) {
                let quota = self.quotas.of(*class);
                for (limit, whose) in
                    [(quota.registry, None), (quota.identity, Some(identity.to_owned()))]
                {
                    let Some(limit) = limit else { continue };
                    let key = (*class, whose);
                    let bucket = buckets.get(&key).copied();
                    let bucket = bucket.unwrap_or(Bucket { left: limit, filled: now });
                    if bucket.left == 0 {
                        wait = wait.max(Some(bucket.filled + period - now));
                    }
                    costs.push((key, bucket));
                }
            }
            if let Some(wait) = wait {
                return Err(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
            }
            for (key, bucket) in costs {
                buckets.insert(key, Bucket { left: bucket.left - 1, ..bucket });
            }
            Ok(())
        })
    }

    /// Nothing panics half-way through a request's costs, so a poisoned lock guards whole buckets.
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Key, Bucket>) -> T) -> T {
        act(&mut self.buckets.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn two_reads() -> Quotas {
        let reads = Quota { registry: Some(3), identity: Some(2) };
        Quotas { reads, ..Quotas::default() }
    }

    #[test]
    fn an_identity_and_the_registry_each_have_their_bucket() {
        let meters = Meters::new(two_reads());
        let read = |who| meters.take(Kind::BlobGet, &Method::GET, who).is_ok();
        assert_eq!([read("a"), read("a"), read("a")], [true, true, false]);
        assert_eq!([read("b"), read("b")], [true, false], "the registry's bucket is empty");
        assert!(meters.take(Kind::UploadPost, &Method::POST, "a").is_ok());
        meters.refill();
        assert!(read("b"));
    }

    #[test]
    fn the_wait_ends_with_the_period() {
        let meters = Meters::new(two_reads());
        let read = || meters.take(Kind::ManifestHead, &Method::HEAD, "");
        assert_eq!([read(), read()], [Ok(()), Ok(())]);
        let wait = read().unwrap_err();
        assert!((1..=60).contains(&wait), "{wait}");
        let brief = Meters::new(Quotas { period: Duration::ZERO, ..two_reads() });
        assert!((0..9).all(|_| brief.take(Kind::BlobGet, &Method::GET, "").is_ok()));
    }

    #[test]
    fn a_list_of_referrers_is_a_read_too() {
        let referrers = Quota { registry: Some(1), identity: None };
        let meters = Meters::new(Quotas { referrers, ..two_reads() });
        let list = || meters.take(Kind::Referrers, &Method::GET, "a").is_ok();
        assert_eq!([list(), list()], [true, false]);
        let read = || meters.take(Kind::BlobGet, &Method::GET, "a").is_ok();
        assert_eq!([read(), read()], [true, false], "the refused list cost no read");
    }

    #[test]
    fn identities_are_bounded() {
        let meters = Meters::new(Quotas { reads: Quota::of(u64::MAX, 1), ..Quotas::default() });
        for number in 0..2 * BUCKETS_MAX {
            let _ = meters.take(Kind::BlobGet, &Method::GET, &number.to_string());
        }
        assert!(meters.buckets.lock().unwrap().len() <= BUCKETS_MAX + 1);
    }
}
