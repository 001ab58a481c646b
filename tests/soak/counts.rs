//! What happened, counted. Each act has a line; one that never happened makes the run worthless.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Images of which everything was read.
    Pulled,
    /// Parts of blobs.
    Ranges,
    /// Downloads that the client broke off.
    HungUp,
    /// Images that were pushed.
    Pushed,
    /// Manifests that were deleted.
    Deleted,
    /// Uploads that were given up in the middle.
    Abandoned,
    /// Lists of tags, of repositories, of referrers.
    Listed,
    /// Bytes of bodies that were checked.
    Bytes,
    /// Answers 429, with a time.
    Shed,
    /// Errors in or right after a time in which the upstream failed.
    Announced,
    /// Answers 507.
    Full,
    /// Times in which the upstream failed.
    Faults,
    /// Configurations that were read again.
    Reloads,
    /// Configurations that were wrong.
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

    /// What should have happened and did not. Being turned away is no duty.
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
