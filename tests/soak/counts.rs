//! Counts of the run's events. Each act has a line, and an act without an event makes the run
//! worthless.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counted event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Images read whole.
    Pulled,
    /// Parts of blobs.
    Ranges,
    /// Downloads broken off by the client.
    HungUp,
    Pushed,
    Deleted,
    /// Uploads cancelled in the middle.
    Abandoned,
    /// Lists of tags, of repositories, of referrers.
    Listed,
    /// Bytes of checked bodies.
    Bytes,
    /// Answers 429, with a time.
    Shed,
    /// Errors during or right after the upstream's trouble.
    Announced,
    /// Responses with 507.
    Full,
    /// Periods of trouble at the upstream.
    Faults,
    /// Reloads of the configuration.
    Reloads,
    /// Reloads of a wrong configuration.
    WrongReloads,
    /// Whole scrubs by command.
    Scrubs,
    /// Evictions by command.
    Evictions,
}

const ALL: [(What, &str); 16] = [
    (What::Pulled, "images pulled"),
    (What::Ranges, "parts of blobs"),
    (What::HungUp, "downloads broken off"),
    (What::Pushed, "images pushed"),
    (What::Deleted, "manifests deleted"),
    (What::Abandoned, "uploads given up"),
    (What::Listed, "lists"),
    (What::Bytes, "bytes checked"),
    (What::Shed, "answers 429"),
    (What::Announced, "announced errors"),
    (What::Full, "answers 507"),
    (What::Faults, "times of upstream trouble"),
    (What::Reloads, "reloads"),
    (What::WrongReloads, "refused reloads"),
    (What::Scrubs, "scrubs"),
    (What::Evictions, "evictions by command"),
];

/// How often each happened.
#[derive(Default)]
pub(crate) struct Counts([AtomicU64; ALL.len()]);

impl Counts {
    pub(crate) fn add(&self, what: What, number: u64) {
        let index = ALL.iter().position(|(one, _)| *one == what);
        if let Some(counter) = index.and_then(|index| self.0.get(index)) {
            counter.fetch_add(number, Ordering::Relaxed);
        }
    }

    pub(crate) fn one(&self, what: What) {
        self.add(what, 1);
    }

    fn all(&self) -> impl Iterator<Item = (What, &'static str, u64)> {
        let counter = |(counter, (what, name)): (&AtomicU64, &(What, &'static str))| {
            (*what, *name, counter.load(Ordering::Relaxed))
        };
        self.0.iter().zip(&ALL).map(counter)
    }

    /// The acts without an event. Refusals need not happen.
    pub(crate) fn idle(&self) -> Vec<&'static str> {
        let may_be_none = [What::Shed, What::Announced, What::Full];
        let idle = self.all().filter(|(what, _, count)| *count == 0 && !may_be_none.contains(what));
        idle.map(|(_, name, _)| name).collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("soak:")?;
        for (_, name, count) in self.all() {
            write!(f, "\n  {count:>12} {name}")?;
        }
        Ok(())
    }
}
