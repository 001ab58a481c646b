//! Blocks an earlier run compressed: a block with the same proven content is not compressed again.
//!
//! Beside its layouts, a folder has `.wharf` with a record for each layer: the key of every block,
//! the place of its compressed bytes in the layer, and their checksum. Invariants: a key is a
//! cryptographic hash of the codec and the whole block; bytes are taken only with the right
//! checksum; any fault of the folder, a record or a layer only costs time. The folder may be
//! deleted.

mod record;
mod saved;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use wharf_oci::Digest;

pub use self::saved::SavedHash;
use super::codec::Codec;
use crate::temporary::Temporary;

/// The folder of the records, beside the layouts.
pub const FOLDER: &str = ".wharf";

/// How the name of a record ends, after the hash of its layer; the same while it is written.
const ENDING: &str = ".blocks";
const WRITING: &str = ".blocks.tmp";

/// Most known blocks at once, all held in memory: those of 100 GiB.
const BLOCKS_MAX: usize = 200_000;

/// Most layers with known blocks: each is an open file.
const LAYERS_MAX: usize = 256;

/// Most names read in the folder of layouts, and in the folder of the records.
const NAMES_MAX: usize = 10_000;

/// How much of a layer is copied at once.
const COPY_BYTES: usize = 256 * 1024;

/// Largest compressed block: no codec makes one much longer than it was.
const PACKED_BYTES_MAX: u32 = 2 << 20;

/// The name of a block: a hash of its codec and content, and one of its compressed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockName {
    key: BlockKey,
    checksum: [u8; 32],
}

/// A hash of a codec and of the whole content of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct BlockKey([u8; 32]);

impl BlockName {
    /// The key of a block, from its content.
    pub(super) fn key(codec: Codec, block: &[u8]) -> BlockKey {
        let mut hash = blake3::Hasher::new_derive_key(codec.name());
        BlockKey(*hash.update(block).finalize().as_bytes())
    }

    /// The name of a block with these compressed bytes.
    pub(super) fn new(key: BlockKey, packed: &[u8]) -> Self {
        Self { key, checksum: *blake3::hash(packed).as_bytes() }
    }
}

/// A block in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownBlock {
    pub name: BlockName,
    /// Where its compressed bytes start in the layer.
    pub at: u64,
    pub length: u32,
}

/// A block in a layer, and how far the hashes of the layer are behind it.
#[derive(Debug, Clone, Copy)]
pub struct TrackedBlock {
    pub block: KnownBlock,
    /// The hash of all input.
    pub input: SavedHash,
    /// The hash of all output.
    pub output: SavedHash,
}

/// A layer of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownLayer(u32);

/// Where the bytes of a block were taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TakenFrom {
    pub(super) layer: KnownLayer,
    pub(super) at: u64,
}

/// The blocks of earlier runs, by their keys.
#[derive(Debug, Default)]
pub struct KnownBlocks {
    by_key: HashMap<BlockKey, Place>,
    layers: Vec<Known>,
    taken: AtomicUsize,
}

#[derive(Debug)]
struct Place {
    checksum: [u8; 32],
    at: u64,
    length: u32,
    layer: KnownLayer,
}

/// A layer with a record.
#[derive(Debug)]
struct Known {
    file: File,
    path: PathBuf,
    record: PathBuf,
}

impl KnownBlocks {
    /// Reads the records beside these layouts. Layers stay open, so they can still be read after a
    /// replacement of their layout. An unreadable layer or record gives no blocks.
    #[must_use]
    pub fn open(layouts: &Path) -> Self {
        let mut known = Self::default();
        let layers = Layers::of(layouts);
        for (path, hex) in records(layouts) {
            if known.layers.len() == LAYERS_MAX {
                break;
            }
            let room = BLOCKS_MAX - known.by_key.len();
            if let Some((blocks, layer)) = record::read(&path, room).zip(layers.open(&hex, path)) {
                known.add(layer, &blocks);
            }
        }
        known
    }

    fn add(&mut self, known: Known, blocks: &[TrackedBlock]) {
        let layer = KnownLayer(u32::try_from(self.layers.len()).unwrap_or(u32::MAX));
        self.layers.push(known);
        for TrackedBlock { block: KnownBlock { name, at, length }, .. } in blocks {
            let place = Place { checksum: name.checksum, at: *at, length: *length, layer };
            self.by_key.entry(name.key).or_insert(place);
        }
    }

    /// The compressed bytes of a known block, if their checksum is right.
    pub(super) fn take(&self, key: &BlockKey) -> Option<(Vec<u8>, BlockName, TakenFrom)> {
        let place = self.by_key.get(key)?;
        let file = self.file(place.layer)?;
        let mut bytes = vec![0; place.length as usize];
        file.read_exact_at(&mut bytes, place.at).ok()?;
        let name = BlockName::new(*key, &bytes);
        if name.checksum != place.checksum {
            return None;
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        Some((bytes, name, TakenFrom { layer: place.layer, at: place.at }))
    }

    /// The record of a layer, if the layer begins with these bytes.
    pub(super) fn record(&self, layer: KnownLayer, start: &[u8]) -> Option<Vec<TrackedBlock>> {
        let mut found = vec![0; start.len()];
        self.file(layer)?.read_exact_at(&mut found, 0).ok()?;
        let known = self.layers.get(layer.0 as usize).filter(|_| found == start)?;
        record::read(&known.record, BLOCKS_MAX)
    }

    /// Whether a layer goes on with these bytes, and ends then.
    pub(super) fn ends_with(&self, layer: KnownLayer, at: u64, end: &[u8]) -> bool {
        let mut found = vec![0; end.len()];
        self.file(layer).is_some_and(|file| {
            file.metadata().is_ok_and(|is| is.len() == at + end.len() as u64)
                && file.read_exact_at(&mut found, at).is_ok()
                && found == end
        })
    }

    /// Copies the first bytes of a layer.
    pub(super) fn copy(
        &self,
        layer: KnownLayer,
        length: u64,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let file = self.file(layer).ok_or(io::ErrorKind::NotFound)?;
        let mut buffer = vec![0; COPY_BYTES];
        let mut at = 0;
        while at < length {
            let step = usize::try_from(length - at).map_or(COPY_BYTES, |left| left.min(COPY_BYTES));
            let bytes = buffer.get_mut(..step).unwrap_or_default();
            file.read_exact_at(bytes, at)?;
            out.write_all(bytes)?;
            at += step as u64;
        }
        Ok(())
    }

    /// Gives a layer a second name, or makes a copy of it.
    pub fn link(&self, layer: KnownLayer, to: &Path) -> io::Result<()> {
        let known = self.layers.get(layer.0 as usize).ok_or(io::ErrorKind::NotFound)?;
        let opened = known.file.metadata()?;
        if fs::hard_link(&known.path, to).is_ok() {
            let linked = fs::symlink_metadata(to)?;
            if (linked.dev(), linked.ino()) == (opened.dev(), opened.ino()) {
                return Ok(());
            }
            // Its layout was replaced meanwhile.
            fs::remove_file(to)?;
        }
        self.copy(layer, opened.len(), &mut File::create(to)?)
    }

    fn file(&self, layer: KnownLayer) -> Option<&File> {
        self.layers.get(layer.0 as usize).map(|known| &known.file)
    }

    /// How many blocks were taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// Notes the blocks of a layer for the next run.
pub fn keep(layouts: &Path, layer: &Digest, blocks: &[TrackedBlock]) -> io::Result<()> {
    let folder = layouts.join(FOLDER);
    fs::create_dir_all(&folder)?;
    if !is_folder(&folder) {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let writing = Temporary::new(folder.join(format!("{}{WRITING}", layer.hex())));
    fs::write(writing.path(), record::bytes(blocks))?;
    fs::rename(writing.path(), folder.join(format!("{}{ENDING}", layer.hex())))
}

/// Removes the records of layers no layout has any more, and the leftovers of a killed run.
pub fn tidy(layouts: &Path) {
    let layers = Layers::of(layouts);
    for (path, hex) in records(layouts) {
        if layers.find(&hex).is_none() {
            // A record too many costs a little time.
            let _ = fs::remove_file(path);
        }
    }
    for (path, name) in names(&layouts.join(FOLDER)) {
        if hex_before(&name, WRITING).is_some() {
            let _ = fs::remove_file(path);
        }
    }
}

/// The layouts to look for a layer in.
struct Layers(Vec<PathBuf>);

impl Layers {
    fn of(layouts: &Path) -> Self {
        let names = names(layouts).filter(|(_, name)| !name.starts_with('.'));
        Self(names.map(|(path, _)| path.join("blobs/sha256")).collect())
    }

    fn find(&self, hex: &str) -> Option<PathBuf> {
        let is_file =
            |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
        self.0.iter().map(|blobs| blobs.join(hex)).find(is_file)
    }

    fn open(&self, hex: &str, record: PathBuf) -> Option<Known> {
        let path = self.find(hex)?;
        Some(Known { file: File::open(&path).ok()?, path, record })
    }
}

/// The records: where each is, and the hash of its layer.
fn records(layouts: &Path) -> Vec<(PathBuf, String)> {
    let folder = layouts.join(FOLDER);
    let records =
        names(&folder).filter_map(|(path, name)| Some((path, hex_before(&name, ENDING)?)));
    let mut records: Vec<_> = if is_folder(&folder) { records.collect() } else { Vec::new() };
    records.sort_unstable();
    records
}

fn names(folder: &Path) -> impl Iterator<Item = (PathBuf, String)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(NAMES_MAX);
    entries.filter_map(|entry| Some((entry.path(), entry.file_name().into_string().ok()?)))
}

fn hex_before(name: &str, ending: &str) -> Option<String> {
    let hex = name.strip_suffix(ending)?;
    (hex.len() == 64 && hex.bytes().all(|c| c.is_ascii_hexdigit())).then(|| hex.to_owned())
}

/// Whether this is a folder of its own, and no link to another.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

#[cfg(test)]
mod tests;
