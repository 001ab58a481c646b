//! The common parts of every measurement: stores in their own folders, content, clocks, rows. This
//! module measures nothing itself.

use std::collections::HashSet;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wharf_oci::{Algorithm, Digest, Digester};
use wharf_store::{BlobReader, BlobStore, Retention, RocksStore, StoreOptions};

pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * KIB;
pub(crate) const GIB: usize = 1024 * MIB;
/// The size of one piece from the proxy.
const PIECE: usize = 128 * KIB;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Full,
    Quick,
}

impl Scale {
    pub(crate) const fn pick(self, full: usize, quick: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// One line of the table.
pub(crate) struct Row {
    what: String,
    figure: String,
    target: String,
    met: &'static str,
}

impl Row {
    /// A figure without a target.
    pub(crate) fn of(what: impl Into<String>, figure: impl Into<String>) -> Self {
        let (what, figure) = (what.into(), figure.into());
        Self { what, figure, target: String::new(), met: "" }
    }

    pub(crate) fn at_least(what: impl Into<String>, figure: f64, target: f64, unit: &str) -> Self {
        Self::against(what, figure, (">=", target), unit, figure >= target)
    }

    pub(crate) fn at_most(what: impl Into<String>, figure: f64, target: f64, unit: &str) -> Self {
        Self::against(what, figure, ("<=", target), unit, figure <= target)
    }

    fn against(
        what: impl Into<String>,
        figure: f64,
        (sign, target): (&str, f64),
        unit: &str,
        met: bool,
    ) -> Self {
        let target = format!("{sign} {target} {unit}");
        let met = if met { "met" } else { "NOT met" };
        Self { what: what.into(), figure: format!("{figure:.2} {unit}"), target, met }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, figure, target, met } = self;
        write!(f, "{what:<58} {figure:>26}  {target:<12} {met}")
    }
}

pub(crate) fn header() -> String {
    let words = ["what", "figure", "target"].map(str::to_owned);
    let [what, figure, target] = words;
    Row { what, figure, target, met: "met?" }.to_string()
}

/// A store in a temporary folder.
pub(crate) struct Bed {
    pub(crate) store: RocksStore,
    pub(crate) folder: tempfile::TempDir,
}

impl Bed {
    pub(crate) fn make(options: &StoreOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = RocksStore::open_with(folder.path(), options).expect("a store");
        Self { store, folder }
    }

    /// Too little memory for a cache: reads come from the page cache or the disk.
    pub(crate) fn bare() -> StoreOptions {
        StoreOptions { hot_bytes: MIB as u64, ..StoreOptions::default() }
    }

    /// The same store with nothing in its own memory.
    pub(crate) fn reopen(self, options: &StoreOptions) -> Self {
        let Self { store, folder } = self;
        drop(store);
        let store = RocksStore::open_with(folder.path(), options).expect("a store");
        Self { store, folder }
    }
}

pub(crate) fn digest_of(content: &[u8]) -> Digest {
    Digester::digest(Algorithm::Sha256, content)
}

/// From the first byte to durable.
pub(crate) fn put(store: &RocksStore, content: &Bytes, digest: &Digest, retention: Retention) {
    let mut writer = store.begin().expect("begin");
    let mut rest = content.clone();
    while !rest.is_empty() {
        writer.append(rest.split_to(PIECE.min(rest.len()))).expect("append");
    }
    let ready = writer.verify(digest).expect("verify").expect("the digest is right");
    ready.publish(retention).expect("publish");
}

pub(crate) fn open(store: &RocksStore, digest: &Digest) -> BlobReader {
    store.open(digest).expect("open").expect("the blob is there")
}

/// Reads to the end and touches every byte; returns the number of bytes.
pub(crate) fn drain(mut reader: BlobReader) -> usize {
    let mut bytes = 0;
    while let Some(segment) = reader.next_segment().expect("read") {
        bytes += std::hint::black_box(&segment).len();
    }
    bytes
}

pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let done = work();
    (done, begin.elapsed())
}

/// The middle of several measurements of the same.
pub(crate) fn median(times: usize, mut measure: impl FnMut() -> f64) -> f64 {
    let mut figures: Vec<f64> = (0..times).map(|_| measure()).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(times / 2).copied().unwrap_or(f64::NAN)
}

#[expect(clippy::cast_precision_loss, reason = "figures are shown with three digits")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

/// Gigabytes (10⁹) in a second.
pub(crate) fn gbps(bytes: usize, time: Duration) -> f64 {
    float(bytes as u64) / 1e9 / time.as_secs_f64()
}

pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        0..MIB => format!("{} KiB", bytes / KIB),
        MIB..GIB => format!("{} MiB", bytes / MIB),
        _ => format!("{} GiB", bytes / GIB),
    }
}

/// Bytes written by this process towards the disk.
pub(crate) fn written_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// Bytes of a folder in blocks, as by `du`; files deleted during the count do not count.
pub(crate) fn disk_bytes(folder: &Path) -> u64 {
    count(folder, &mut HashSet::new())
}

/// During ingest a run briefly has two names, so each inode counts once.
fn count(folder: &Path, seen: &mut HashSet<u64>) -> u64 {
    let own = std::fs::symlink_metadata(folder).map_or(0, |metadata| metadata.blocks() * 512);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let below = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => count(&entry.path(), seen),
        Ok(metadata) if seen.insert(metadata.ino()) => metadata.blocks() * 512,
        Ok(_) | Err(_) => 0,
    });
    own + below.sum::<u64>()
}
