//! Finds the cuts between blocks in the content of a stream, so that behind a changed place the
//! cuts are the same as before.
//!
//! A tar is made of records of 512 bytes, and files begin at one. Only the start of a record can be
//! a cut, and its first bytes decide: a file of another size moves all later bytes by whole
//! records.

/// The records of a tar.
const RECORD_BYTES: usize = 512;

/// How many bytes of a record decide whether it is the first of a block: those of a header up to
/// its checksum, so that names and sizes count.
const PROBE_BYTES: usize = 160;

/// Least size of a block, but for the last. Part of the byte contract, as all of this.
pub(super) const BLOCK_BYTES_MIN: usize = 256 * 1024;

/// Greatest size of a block.
pub(super) const BLOCK_BYTES_MAX: usize = 1024 * 1024;

/// One record of so many starts a block.
const RECORDS_PER_CUT: u64 = 768;

/// Bytes on their way into blocks.
pub(super) struct Cutter {
    filling: Vec<u8>,
    /// The next record to look at.
    next: usize,
}

impl Cutter {
    pub(super) fn new() -> Self {
        Self { filling: Vec::with_capacity(BLOCK_BYTES_MAX + RECORD_BYTES), next: BLOCK_BYTES_MIN }
    }

    /// Takes bytes, as many as there is room for; says how many.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        let room = BLOCK_BYTES_MAX + RECORD_BYTES - self.filling.len();
        let (taken, _) = bytes.split_at(room.min(bytes.len()));
        self.filling.extend_from_slice(taken);
        taken.len()
    }

    /// The length of the next block, when its end is known.
    pub(super) fn next(&mut self) -> Option<usize> {
        while let Some(probe) = self.filling.get(self.next..self.next + PROBE_BYTES) {
            if self.next >= BLOCK_BYTES_MAX || starts_block(probe) {
                return Some(self.next);
            }
            self.next += RECORD_BYTES;
        }
        None
    }

    /// How many bytes wait.
    pub(super) const fn rest(&self) -> usize {
        self.filling.len()
    }

    /// Takes a block of this length off; the bytes behind it go on in the given buffer.
    pub(super) fn cut(&mut self, length: usize, mut next: Vec<u8>) -> Vec<u8> {
        next.clear();
        next.reserve(BLOCK_BYTES_MAX + RECORD_BYTES);
        next.extend_from_slice(self.filling.get(length..).unwrap_or_default());
        self.filling.truncate(length);
        self.next = BLOCK_BYTES_MIN;
        std::mem::replace(&mut self.filling, next)
    }
}

/// Whether a record is the first of a block.
fn starts_block(probe: &[u8]) -> bool {
    let words = probe.chunks_exact(8).filter_map(|word| word.first_chunk().copied());
    let hash = words.fold(0x2545_f491_4f6c_dd1d_u64, |hash, word| {
        let mixed = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    });
    hash < u64::MAX / RECORDS_PER_CUT
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::image::compress::samples::{noise, text};

    /// The blocks of an input in pieces of this size.
    fn cut(bytes: &[u8], step: usize) -> Vec<Vec<u8>> {
        let mut cutter = Cutter::new();
        let mut blocks = Vec::new();
        for mut piece in bytes.chunks(step) {
            while !piece.is_empty() {
                piece = &piece[cutter.fill(piece)..];
                while let Some(length) = cutter.next() {
                    blocks.push(cutter.cut(length, Vec::new()));
                }
            }
        }
        let rest = cutter.rest();
        blocks.push(cutter.cut(rest, Vec::new()));
        blocks
    }

    #[test]
    fn cuts_do_not_depend_on_how_the_bytes_come() {
        let input = [noise(3_000_000), vec![0; 3_000_000], text(777)].concat();
        let blocks = cut(&input, input.len());
        assert!(blocks.concat() == input);
        let (_, all) = blocks.split_last().unwrap();
        assert!(all.iter().all(|block| (BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&block.len())));
        assert!(all.iter().any(|block| block.len() < BLOCK_BYTES_MAX), "some record starts one");
        assert!(blocks.len() >= 8 && blocks.len() < 20, "{}", blocks.len());
        for step in [1, 511, 512, 65_537] {
            assert!(cut(&input, step) == blocks, "{step}");
        }
    }

    #[test]
    fn cuts_are_the_same_again_behind_a_place_that_grew() {
        let before = noise(8 << 20);
        let (front, back) = before.split_at(3 << 20);
        let after = [front, &text(RECORD_BYTES * 7), back].concat();
        let (before, after) = (cut(&before, 1 << 16), cut(&after, 1 << 16));
        let same = after.iter().filter(|block| before.contains(block)).count();
        assert!(same + 3 >= after.len(), "{same} of {}", after.len());
    }
}
