//! A record on disk: a line with its format, the blocks, and a checksum of both.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::saved::SAVED_BYTES;
use super::{BlockKey, BlockName, KnownBlock, PACKED_BYTES_MAX, SavedHash, TrackedBlock};

/// The first bytes. Another form gets another number.
const MAGIC: &[u8] = b"wharf blocks 1\n";

/// The size of a block's entry: key, checksum, place, length, and two unfinished hashes.
const ENTRY_BYTES: usize = 32 + 32 + 8 + 4 + 2 * SAVED_BYTES;

const CHECKSUM_BYTES: usize = 32;

/// The record of these blocks.
pub(super) fn bytes(blocks: &[TrackedBlock]) -> Vec<u8> {
    let length = MAGIC.len() + blocks.len() * ENTRY_BYTES + CHECKSUM_BYTES;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(MAGIC);
    for TrackedBlock { block: KnownBlock { name, at, length }, input, output } in blocks {
        bytes.extend_from_slice(&name.key.0);
        bytes.extend_from_slice(&name.checksum);
        bytes.extend_from_slice(&at.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(input.bytes());
        bytes.extend_from_slice(output.bytes());
    }
    let checksum = checksum(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

/// The blocks of a record, when it is whole and there is room for them.
pub(super) fn read(path: &Path, room: usize) -> Option<Vec<TrackedBlock>> {
    let bytes_max = MAGIC.len() + room * ENTRY_BYTES + CHECKSUM_BYTES;
    let file = File::open(path).ok().filter(|file| {
        file.metadata().is_ok_and(|found| found.is_file() && found.len() <= bytes_max as u64)
    })?;
    let mut bytes = Vec::new();
    file.take(bytes_max as u64).read_to_end(&mut bytes).ok()?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Option<Vec<TrackedBlock>> {
    let (content, sum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
    let entries = content.strip_prefix(MAGIC)?.chunks_exact(ENTRY_BYTES);
    if sum != checksum(content) || !entries.remainder().is_empty() {
        return None;
    }
    entries.map(entry).collect()
}

fn entry(bytes: &[u8]) -> Option<TrackedBlock> {
    let (key, rest) = bytes.split_first_chunk::<32>()?;
    let (checksum, rest) = rest.split_first_chunk::<32>()?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (input, rest) = rest.split_first_chunk::<SAVED_BYTES>()?;
    let output = SavedHash::from_bytes(*rest.first_chunk::<SAVED_BYTES>()?);
    let length = u32::from_le_bytes(*length);
    let name = BlockName { key: BlockKey(*key), checksum: *checksum };
    let block = KnownBlock { name, at: u64::from_le_bytes(*at), length };
    let tracked = TrackedBlock { block, input: SavedHash::from_bytes(*input), output };
    (length <= PACKED_BYTES_MAX).then_some(tracked)
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    blake3::derive_key("wharf blocks 1", bytes)
}
