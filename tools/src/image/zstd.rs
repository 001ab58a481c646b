//! The outer form of zstd (RFC 8878), and the bound on the window a frame may ask memory for.

/// First bytes of a frame.
pub const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Largest window, held in memory: the window of the reference program's highest level.
pub const WINDOW_BYTES_MAX: u64 = 1 << WINDOW_BYTES_LOG_MAX;

/// The same as a power of two.
pub const WINDOW_BYTES_LOG_MAX: u32 = 27;

/// Whether a skippable frame starts with these bytes (§3.1.2).
#[must_use]
pub fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use std::io::{self, Read};

    use super::*;
    use crate::image::unpack::CompressionFormat;

    fn frame(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    fn skippable(size: u8) -> Vec<u8> {
        let mut bytes = vec![0x5a, 0x2a, 0x4d, 0x18, size, 0, 0, 0];
        bytes.extend(std::iter::repeat_n(7, usize::from(size)));
        bytes
    }

    /// Inflates pieces of this size.
    fn inflate(bytes: &[u8], step: usize) -> io::Result<Vec<u8>> {
        struct Pieces<'a>(&'a [u8], usize);
        impl Read for Pieces<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let step = self.1.min(buffer.len());
                self.0.read(&mut buffer[..step])
            }
        }
        let mut out = Vec::new();
        CompressionFormat::Zstd.reader(Pieces(bytes, step))?.read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn frames_follow_one_another_and_skippable_ones_are_passed_over() {
        let text = b"tar ".repeat(100_000);
        let bytes =
            [skippable(3), frame(&text), skippable(0), frame(b"end"), skippable(9)].concat();
        for step in [1, 5, 4096] {
            assert!(inflate(&bytes, step).unwrap() == [text.as_slice(), b"end"].concat());
        }
        assert!(inflate(&[], 1).is_err(), "no frame is no stream");
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
