//! Zstandard (RFC 8878) made of independent blocks: one frame each, with its size in front and a
//! checksum behind. No skippable frame: some engines refuse one in front.

use std::io;

use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

/// The default level of `zstd`. Part of the byte contract.
const LEVEL: i32 = 3;

/// A frame without content: a stream has one frame at least.
pub(super) const EMPTY_FRAME: [u8; 9] = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0];

/// Compresses blocks, one after another.
pub(super) struct ZstdBlocks(Compressor<'static>);

impl ZstdBlocks {
    pub(super) fn new() -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        compressor.set_parameter(CParameter::ContentSizeFlag(true))?;
        Ok(Self(compressor))
    }

    /// The block as a frame.
    pub(super) fn compress(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        self.0.compress(block)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::image::compress::samples::{letters, noise, text};

    #[test]
    fn frames_do_not_depend_on_those_before_and_inflate_back() {
        let mut used = ZstdBlocks::new().unwrap();
        used.compress(&text(300_000)).unwrap();
        for block in [letters(200_000), noise(70_000), text(500_000), text(1)] {
            let frame = used.compress(&block).unwrap();
            assert!(frame == ZstdBlocks::new().unwrap().compress(&block).unwrap());
            assert!(zstd::decode_all(frame.as_slice()).unwrap() == block);
        }
        assert_eq!(zstd::decode_all(EMPTY_FRAME.as_slice()).unwrap(), b"");
    }
}
