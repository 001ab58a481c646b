//! The stamp of a file on this disk: an equal stamp at two times means the same file with the same
//! content.

use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;

/// How old a change must be where times have parts of seconds; the coarsest tick of Linux is 10 ms.
const SETTLED: Duration = Duration::from_millis(100);
/// The same where they have none (older file systems count pairs of seconds).
const SETTLED_COARSE: Duration = Duration::from_secs(3);

/// The attributes a change of a file moves: a write moves its times. The kernel's clock for these
/// may stand still for some milliseconds (before Linux 6.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The file system.
    pub device: u64,
    pub inode: u64,
    pub mode: u32,
    pub size_bytes: u64,
    /// When its content changed: seconds since 1970, and nanoseconds.
    pub mtime: (i64, i64),
    /// The same of anything of it.
    pub ctime: (i64, i64),
}

/// A stamp in eight bytes, to be held for every file of a layer, within one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortStamp(u64);

impl Stamp {
    /// From the kernel's attributes of a file.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        let nanos = |nanos| i64::try_from(nanos).unwrap_or_default();
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            mode: stat.st_mode,
            size_bytes: u64::try_from(stat.st_size).unwrap_or_default(),
            mtime: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
            ctime: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        }
    }

    /// The same, as the standard library has it.
    #[must_use]
    pub fn of_metadata(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            mode: metadata.mode(),
            size_bytes: metadata.len(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// When anything of the file last changed, in nanoseconds since 1970.
    #[must_use]
    pub fn changed_at(&self) -> i128 {
        i128::from(self.ctime.0) * 1_000_000_000 + i128::from(self.ctime.1)
    }

    /// Whether its last change is so long before `now` that another change would get another time.
    #[must_use]
    pub fn is_settled(&self, now: SystemTime) -> bool {
        [self.mtime, self.ctime].into_iter().all(|(seconds, nanos)| {
            let wait = if nanos == 0 { SETTLED_COARSE } else { SETTLED };
            let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else {
                // Before 1970 is long ago.
                return seconds < 0;
            };
            let changed = UNIX_EPOCH.checked_add(Duration::new(seconds, nanos));
            changed.and_then(|changed| changed.checked_add(wait)).is_some_and(|from| from <= now)
        })
    }

    /// All of it, to be hashed into a larger value.
    pub fn bytes(&self) -> impl Iterator<Item = u8> {
        let times = [self.mtime.0, self.mtime.1, self.ctime.0, self.ctime.1];
        let numbers = [self.device, self.inode, u64::from(self.mode), self.size_bytes];
        let times = times.into_iter().flat_map(i64::to_le_bytes);
        numbers.into_iter().flat_map(u64::to_le_bytes).chain(times)
    }

    /// The same in eight bytes.
    #[must_use]
    pub fn short(&self) -> ShortStamp {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        ShortStamp(hasher.finish())
    }
}

impl ShortStamp {
    /// From the kernel's attributes of a file.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        Stamp::of(stat).short()
    }

    /// As bytes, to be hashed into a larger value.
    #[must_use]
    pub const fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}
