//! Inflates zstd (RFC 8878): frames one after another, skippable frames between them, with a bound on
//! the window that a frame may ask memory for.
//!
//! Invariant: an end is reported only between frames; a stream that is cut is an error.

use std::io::{self, Read};

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// First bytes of a frame.
pub const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Largest window, which is held in memory: what the highest level of the reference program uses.
pub const WINDOW_BYTES_MAX: u64 = 128 << 20;

/// Whether a skippable frame starts with these bytes (§3.1.2).
#[must_use]
pub fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// The content of all frames of a source.
///
/// An error of the kind `Unsupported` means that the bytes may be right, but need more memory than
/// they get here.
pub struct ZstdReader<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: Read> ZstdReader<R> {
    /// A reader at the first byte of a stream.
    pub fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW_BYTES_MAX);
        Self { source, decoder, in_frame: false }
    }

    /// Reads up to the blocks of the next frame; `false` when there is none.
    fn begin(&mut self) -> io::Result<bool> {
        let mut magic = [0_u8; 4];
        let mut length = 0;
        while let Some(rest) = magic.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match self.source.read(rest) {
                Ok(0) if length == 0 => return Ok(false),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if is_skippable(&magic) {
            let mut size = [0_u8; 4];
            self.source.read_exact(&mut size)?;
            let size = u64::from(u32::from_le_bytes(size));
            let skipped = io::copy(&mut (&mut self.source).take(size), &mut io::sink())?;
            return if skipped == size {
                Ok(true)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        if magic != MAGIC {
            let reason = "there are other bytes than zstd frames";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        self.decoder.reset(magic.as_slice().chain(&mut self.source)).map_err(explain)?;
        self.in_frame = true;
        Ok(true)
    }
}

impl<R: Read> Read for ZstdReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                if !self.begin()? {
                    return Ok(0);
                }
                continue;
            }
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if self.decoder.is_finished() {
                self.in_frame = false;
                continue;
            }
            let strategy = BlockDecodingStrategy::UptoBlocks(1);
            self.decoder.decode_blocks(&mut self.source, strategy).map_err(explain)?;
        }
    }
}

fn explain(error: FrameDecoderError) -> io::Error {
    match error {
        FrameDecoderError::WindowSizeTooBig { requested, .. } => {
            let reason = format!(
                "a frame has a window of {requested} bytes; at most {WINDOW_BYTES_MAX} are inflated"
            );
            io::Error::new(io::ErrorKind::Unsupported, reason)
        }
        error => io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn frame(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn skippable(size: u8) -> Vec<u8> {
        let mut bytes = vec![0x5a, 0x2a, 0x4d, 0x18, size, 0, 0, 0];
        bytes.extend(std::iter::repeat_n(7, usize::from(size)));
        bytes
    }

    /// Inflates what comes in pieces of this size.
    fn inflate(bytes: &[u8], step: usize) -> io::Result<Vec<u8>> {
        struct Pieces<'a>(&'a [u8], usize);
        impl Read for Pieces<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let step = self.1.min(buffer.len());
                self.0.read(&mut buffer[..step])
            }
        }
        let mut out = Vec::new();
        ZstdReader::new(Pieces(bytes, step)).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn frames_follow_one_another_and_skippable_ones_are_passed_over() {
        let text = b"tar ".repeat(100_000);
        let bytes =
            [skippable(3), frame(&text), skippable(0), frame(b"end"), skippable(9)].concat();
        for step in [1, 5, 4096] {
            assert!(inflate(&bytes, step).unwrap() == [text.as_slice(), b"end"].concat());
        }
        assert_eq!(inflate(&[], 1).unwrap(), b"");
    }

    #[test]
    fn a_cut_stream_and_bytes_behind_it_are_errors() {
        let bytes = frame(&b"x".repeat(70_000));
        for cut in [2, 5, bytes.len() - 1] {
            assert!(inflate(&bytes[..cut], 64).is_err(), "{cut}");
        }
        assert!(inflate(&[bytes, b"tail".to_vec()].concat(), 64).is_err());
        assert!(inflate(&skippable(9)[..12], 64).is_err());
    }

    #[test]
    fn a_window_over_the_bound_is_not_held() {
        // Window descriptor with exponent 20: 1 GiB.
        let bytes = [MAGIC.as_slice(), &[0x00, 20 << 3], &[1, 0, 0]].concat();
        assert_eq!(inflate(&bytes, 64).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }

    proptest! {
        #[test]
        fn damaged_frames_are_read_without_panic(
            at in any::<prop::sample::Index>(),
            value: u8,
            content in proptest::collection::vec(0_u8..4, 0..5000),
        ) {
            let mut bytes = frame(&content);
            let at = at.index(bytes.len());
            bytes[at] = value;
            let _ = inflate(&bytes, 1000);
        }
    }
}
