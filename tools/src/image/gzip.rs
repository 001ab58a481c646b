//! Gzip (RFC 1952) made of independent blocks: one member, and each block ends at a whole byte.
//!
//! libdeflate compresses a buffer at a time into a whole deflate stream. This module clears the
//! final bit of its last block, and an empty stored block brings the next one to a whole byte, as a
//! sync flush does. Invariant: the bytes of a block follow from its content alone.

mod final_block;

use std::io;

use flate2::Crc;
use libdeflater::{CompressionLvl, Compressor};

/// The level. Its output is smaller than that of `gzip -6`. Part of the byte contract.
const LEVEL: i32 = 5;

/// Magic, deflate, no flags, no time, no extra flags, operating system "unknown".
pub(super) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// An empty last block with the fixed code: ends the deflate stream.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// The length of an empty stored block, twice, behind its three first bits.
const EMPTY_STORED: [u8; 4] = [0, 0, 0xff, 0xff];

/// Most bytes of a stored block.
const STORED_BYTES_MAX: usize = u16::MAX as usize;

/// How much is looked at of a block, and how often, to see whether it is noise.
const SAMPLE_BYTES: usize = 4096;
const SAMPLES: usize = 8;

/// By chance, each of 256 counts of a sample is 16 with a variance of 16, and their squares sum up
/// to 256 * (16 * 16 + 16), give or take a percent; here is a sixteenth more. Texts and programs
/// have many times that.
const EVEN_SQUARES_MAX: u32 = 256 * (16 * 16 + 16) / 16 * 17;

/// One word of 2^7 is looked at, for whether it comes again.
const WORD_BITS: u32 = 7;
const WORD_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Compresses blocks, one after another.
pub(super) struct GzipBlocks {
    compressor: Compressor,
    buffer: Vec<u8>,
}

impl GzipBlocks {
    pub(super) fn new() -> Self {
        let level = CompressionLvl::new(LEVEL).unwrap_or_default();
        Self { compressor: Compressor::new(level), buffer: Vec::new() }
    }

    /// The block as deflate blocks, none of them the last one, up to a whole byte.
    pub(super) fn compress(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        if is_noise(block) {
            return Ok(stored(block));
        }
        self.buffer.resize(self.compressor.deflate_compress_bound(block.len()), 0);
        let length = self
            .compressor
            .deflate_compress(block, &mut self.buffer)
            .map_err(|error| io::Error::other(error.to_string()))?;
        let stream = self.buffer.get(..length).unwrap_or_default();
        let last = final_block::find(stream)
            .ok_or_else(|| io::Error::other("the compressor made no deflate stream"))?;
        let mut bytes = Vec::with_capacity(length + 1 + EMPTY_STORED.len());
        bytes.extend_from_slice(stream);
        if let Some(byte) = bytes.get_mut(last.start / 8) {
            *byte &= !(1 << (last.start % 8));
        }
        // The three zero bits of a stored block's start, and zeros up to a whole byte; the
        // compressor fills its last byte with zeros, too.
        bytes.resize((last.end + 3).div_ceil(8), 0);
        bytes.extend_from_slice(&EMPTY_STORED);
        Ok(bytes)
    }
}

/// The trailer behind the last block.
pub(super) fn trailer(crc: &Crc) -> [u8; 10] {
    let mut bytes = [0; 10];
    let parts = [&LAST_BLOCK[..], &crc.sum().to_le_bytes(), &crc.amount().to_le_bytes()];
    for (slot, byte) in bytes.iter_mut().zip(parts.concat()) {
        *slot = byte;
    }
    bytes
}

/// Whether no code is likely to shorten a block: in places all over it, every byte comes as often
/// as by chance, and no word comes again. Compressed data is like that.
fn is_noise(block: &[u8]) -> bool {
    let step = block.len() / SAMPLES;
    step >= SAMPLE_BYTES && block.chunks_exact(step).all(is_even) && !repeats(block)
}

/// Whether every byte comes about as often at the start of this part.
fn is_even(part: &[u8]) -> bool {
    let mut counts = [0_u32; 256];
    for byte in part.iter().take(SAMPLE_BYTES) {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let squares: u32 = counts.iter().map(|count| count * count).sum();
    squares < EVEN_SQUARES_MAX
}

/// Whether words of this block come again in it. The hash of a word decides whether it is looked
/// at, so equal words are looked at everywhere.
fn repeats(block: &[u8]) -> bool {
    let mut words: Vec<u64> = block
        .windows(8)
        .filter_map(|window| window.first_chunk().map(|word| u64::from_le_bytes(*word)))
        .filter(|word| word.wrapping_mul(WORD_FACTOR) >> (64 - WORD_BITS) == 0)
        .collect();
    let all = words.len();
    words.sort_unstable();
    words.dedup();
    all - words.len() > all / 64
}

fn stored(block: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(block.len() + block.len() / 1024 + 16);
    for part in block.chunks(STORED_BYTES_MAX) {
        let [low, high] = u16::try_from(part.len()).unwrap_or(u16::MAX).to_le_bytes();
        bytes.extend_from_slice(&[0, low, high, !low, !high]);
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests;
