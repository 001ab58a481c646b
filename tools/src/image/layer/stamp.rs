//! By what a file is known to be the one that was looked at, with the content that it had then.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rustix::fs::Stat;

/// Device, inode, size, and the times of the last change of content and of anything else, hashed.
/// What writes to a file moves its time, so an equal stamp means an equal content; the kernel's
/// clock for that may stand still for some milliseconds (before Linux 6.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(u64);

impl Stamp {
    /// Of what the kernel says of a file.
    pub(super) fn of(stat: &Stat) -> Self {
        let mut hasher = DefaultHasher::new();
        (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mode).hash(&mut hasher);
        (stat.st_mtime, stat.st_mtime_nsec).hash(&mut hasher);
        (stat.st_ctime, stat.st_ctime_nsec).hash(&mut hasher);
        Self(hasher.finish())
    }

    /// As bytes, to be hashed into something larger.
    pub(super) const fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// When anything of a file last changed, in nanoseconds since 1970.
pub(super) fn changed_at(stat: &Stat) -> i128 {
    i128::from(stat.st_ctime) * 1_000_000_000 + i128::from(stat.st_ctime_nsec)
}
