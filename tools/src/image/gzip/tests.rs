#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::io::Read;

use flate2::read::DeflateDecoder;
use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

use super::final_block::{FinalBlock, find};
use super::*;
use crate::image::compress::samples::{letters, noise, text};

fn inflate(blocks: &[&[u8]]) -> Vec<u8> {
    let stream = [&blocks.concat()[..], &LAST_BLOCK].concat();
    let mut out = Vec::new();
    let mut decoder = DeflateDecoder::new(stream.as_slice());
    decoder.read_to_end(&mut out).unwrap();
    assert_eq!(decoder.total_in(), stream.len() as u64, "there is no end before the last block");
    out
}

fn deflate(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 2 + 1000);
    let mut compress = Compress::new(Compression::new(level), false);
    compress.compress_vec(bytes, &mut out, FlushCompress::Finish).unwrap();
    out
}

#[test]
fn blocks_follow_one_another_in_one_stream() {
    let mut gzip = GzipBlocks::new();
    for blocks in [vec![text(1)], vec![text(700_000), letters(300_000), noise(90_001), text(3)]] {
        let packed: Vec<_> = blocks.iter().map(|block| gzip.compress(block).unwrap()).collect();
        let packed: Vec<&[u8]> = packed.iter().map(Vec::as_slice).collect();
        assert!(inflate(&packed) == blocks.concat());
    }
}

#[test]
fn a_block_does_not_depend_on_the_blocks_before_it() {
    let mut used = GzipBlocks::new();
    used.compress(&letters(500_000)).unwrap();
    used.compress(&text(500_000)).unwrap();
    for block in [letters(400_000), text(900), noise(70_000)] {
        assert!(used.compress(&block).unwrap() == GzipBlocks::new().compress(&block).unwrap());
    }
}

#[test]
fn noise_is_stored_and_nothing_else_is() {
    let mut gzip = GzipBlocks::new();
    let block = noise(600_000);
    assert!(is_noise(&block));
    let packed = gzip.compress(&block).unwrap();
    assert!(packed.len() < block.len() + 64);
    assert!(inflate(&[&packed]) == block);
    let repeated = noise(20_000).repeat(30);
    assert!(!is_noise(&text(600_000)) && !is_noise(&letters(600_000)) && !is_noise(&block[..9000]));
    assert!(gzip.compress(&repeated).unwrap().len() < repeated.len() / 10, "it repeats");
    let half = [noise(300_000), text(300_000)].concat();
    assert!(!is_noise(&half));
}

#[test]
fn the_last_block_is_found_in_every_kind_of_stream() {
    // Stored; the fixed code; a dynamic code; zlib's whole output for a long text.
    let fixed = [0x4b, 4, 0];
    assert_eq!(find(&fixed), Some(FinalBlock { start: 0, end: 18 }));
    let stored = [1, 3, 0, 0xfc, 0xff, b'a', b'b', b'c'];
    assert_eq!(find(&stored), Some(FinalBlock { start: 0, end: 64 }));
    for level in [0, 1, 6, 9] {
        for content in [text(800_000), letters(300_000), noise(200_000), vec![0; 1_000_000]] {
            let stream = deflate(&content, level);
            let last = find(&stream).unwrap();
            assert_eq!(last.end.div_ceil(8), stream.len());
            let mut open = stream.clone();
            open[last.start / 8] &= !(1 << (last.start % 8));
            open.resize((last.end + 3).div_ceil(8), 0);
            assert!(inflate(&[&open, &EMPTY_STORED]) == content, "level {level}");
            assert_eq!(find(&stream[..stream.len() - 1]), None, "cut");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_block_inflates_back(
        piece in proptest::collection::vec(any::<u8>(), 1..3000),
        times in 1_usize..200,
        small in proptest::collection::vec(0_u8..3, 1..5000),
    ) {
        let mut gzip = GzipBlocks::new();
        let blocks = [piece.repeat(times), small];
        let packed: Vec<_> = blocks.iter().map(|block| gzip.compress(block).unwrap()).collect();
        prop_assert!(inflate(&[&packed[0], &packed[1]]) == blocks.concat());
    }

    #[test]
    fn strange_bytes_are_read_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        at in any::<prop::sample::Index>(),
        value: u8,
    ) {
        let _ = find(&bytes);
        let mut stream = deflate(&bytes.repeat(20), 6);
        let at = at.index(stream.len());
        stream[at] = value;
        let _ = find(&stream);
    }
}
