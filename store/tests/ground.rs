//! What the tests of this folder stand on: seeded choices, content put and read back, the disk as
//! `du` sees it, waiting with an end. No assertion about a store is made here.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use wharf_oci::{Algorithm, Digest, Digester};
use wharf_store::{BlobReader, BlobStore, Result, Retention};

pub(crate) const MIB: usize = 1024 * 1024;
/// What a connection hands over at once.
pub(crate) const PIECE: usize = 128 * 1024;

/// Choices that are the same for the same seed (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut state = self.0;
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ (state >> 31)
    }

    /// At least `from`, below `to`.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.roll() % (to - from)
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.between(0, 100) < chance
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let last = u64::try_from(from.len()).unwrap();
        (last > 0).then(|| from[usize::try_from(self.between(0, last)).unwrap()])
    }
}

/// The size of a trial: a small one in `make test`, the whole in `make trials` (`WHARF_TRIALS=1`).
pub(crate) fn trial_size(in_test: u64, in_trials: u64) -> u64 {
    if std::env::var_os("WHARF_TRIALS").is_some() { in_trials } else { in_test }
}

/// A number from the environment, or another one.
pub(crate) fn number_from(variable: &str, otherwise: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(otherwise, |text| {
        text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}; give it a whole number"))
    })
}

pub(crate) fn digest_of(content: &[u8]) -> Digest {
    Digester::digest(Algorithm::Sha256, content)
}

/// Appends as a connection does, verifies and publishes.
pub(crate) fn publish(
    store: &dyn BlobStore,
    content: &Bytes,
    retention: Retention,
) -> Result<Digest> {
    let digest = digest_of(content);
    let mut writer = store.begin()?;
    let mut rest = content.clone();
    while !rest.is_empty() {
        writer.append(rest.split_to(PIECE.min(rest.len())))?;
    }
    writer.verify(&digest)?.expect("the digest is right").publish(retention)?;
    Ok(digest)
}

/// Reads to the end; what the bytes hash to.
pub(crate) fn hash(mut reader: BlobReader) -> Result<Digest> {
    let mut digester = Digester::new(reader.info().digest.algorithm());
    while let Some(segment) = reader.next_segment()? {
        digester.update(&segment);
    }
    Ok(digester.finish().digest)
}

/// What a published blob hashes to; `None` when it is not there.
pub(crate) fn hash_of(store: &dyn BlobStore, digest: &Digest) -> Result<Option<Digest>> {
    store.open(digest)?.map(hash).transpose()
}

/// What lies in a folder and how much each takes in blocks; hard links once.
pub(crate) fn files(folder: &Path) -> Vec<(u64, PathBuf)> {
    let mut seen = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        // A store may delete a file between the listing and the look.
        let Ok(metadata) = std::fs::symlink_metadata(&path) else {
            continue;
        };
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()));
        }
        if seen.insert((metadata.dev(), metadata.ino())) {
            files.push((metadata.blocks() * 512, path));
        }
    }
    files
}

/// Bytes of a folder, as `du` says.
pub(crate) fn disk_bytes(folder: &Path) -> u64 {
    files(folder).iter().map(|(bytes, _)| bytes).sum()
}

/// Looks again and again until it is so; after `time` the last words say what was not.
pub(crate) fn within(time: Duration, mut look: impl FnMut() -> std::result::Result<(), String>) {
    let end = Instant::now() + time;
    while let Err(words) = look() {
        assert!(Instant::now() < end, "not within {time:?}: {words}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A watch that lets an operation go on.
pub(crate) fn go_on(_: &wharf_store::Progress) -> std::ops::ControlFlow<()> {
    std::ops::ControlFlow::Continue(())
}

/// Says what a test did or could not do, where everybody sees it.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen, and tests have no log")]
pub(crate) fn say(words: &str) {
    eprintln!("\n*** {words} ***\n");
}
