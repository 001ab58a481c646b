//! Xz (the .xz file format 1.2): streams one after another, with optional zeros between them, and a
//! bound on the memory a stream may ask for.

use liblzma::stream::{Action, Error, Status, Stream};

use super::{Behind, Unpack, UnpackError, UnpackStep, cut};

/// First bytes of a stream.
pub(super) const MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];

/// Most memory for one stream. The highest level of the reference program, the choice of many
/// Debian packages, needs 65 MiB; twice as much leaves room for a larger dictionary.
const MEMORY_BYTES_MAX: u64 = 128 << 20;

/// Inflates all streams of a file.
#[derive(Default)]
pub struct XzUnpacker {
    /// The incomplete stream.
    stream: Option<Stream>,
    streams: u64,
    behind: Behind,
}

impl XzUnpacker {
    /// At the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn explain(&self, error: Error, is_new: bool) -> UnpackError {
        let reason = match error {
            Error::MemLimit | Error::Mem => {
                return UnpackError::TooLarge(format!(
                    "a stream needs more than the {MEMORY_BYTES_MAX} bytes of memory that it gets"
                ));
            }
            Error::Format if is_new && self.streams > 0 => "other bytes than xz stand behind it",
            Error::Format => "it does not begin as xz",
            Error::Options => "it uses a filter that is not known",
            _ => "its bytes are damaged",
        };
        UnpackError::Damaged(reason.to_owned())
    }
}

impl Unpack for XzUnpacker {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<UnpackStep, UnpackError> {
        let padding = input.iter().take_while(|byte| **byte == 0).count();
        if self.stream.is_none() && self.streams > 0 && (padding > 0 || input.is_empty()) {
            self.behind.bytes += padding as u64;
            return Ok(UnpackStep { taken: padding, written: 0 });
        }
        let is_new = self.stream.is_none();
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => Stream::new_stream_decoder(MEMORY_BYTES_MAX, 0)
                .map_err(|error| self.explain(error, true))?,
        };
        let before = (stream.total_in(), stream.total_out());
        let status = stream.process(input, output, Action::Run);
        let moved = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
        let step = UnpackStep {
            taken: moved(stream.total_in(), before.0),
            written: moved(stream.total_out(), before.1),
        };
        match status {
            Ok(Status::StreamEnd) => {
                self.streams += 1;
                self.behind = Behind::default();
            }
            // Without input, or without room, there is nothing to do.
            Ok(_) => self.stream = Some(stream),
            Err(error) => return Err(self.explain(error, is_new || before.0 < 12)),
        }
        Ok(step)
    }

    fn finish(&self) -> Result<Behind, UnpackError> {
        if self.stream.is_none() && self.streams > 0 { Ok(self.behind) } else { Err(cut()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::io::{self, Read as _};

    use liblzma::stream::{Check, Filters, LzmaOptions};
    use proptest::prelude::*;

    use super::super::UnpackReader;
    use super::*;

    fn stream(bytes: &[u8], preset: u32) -> Vec<u8> {
        let encoder = Stream::new_easy_encoder(preset, Check::Crc64).unwrap();
        let mut out = Vec::new();
        liblzma::bufread::XzEncoder::new_stream(bytes, encoder).read_to_end(&mut out).unwrap();
        out
    }

    /// Inflates pieces of this size.
    fn inflate(bytes: &[u8], step: usize) -> io::Result<Vec<u8>> {
        struct Pieces<'a>(&'a [u8], usize);
        impl io::Read for Pieces<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let step = self.1.min(buffer.len());
                self.0.read(&mut buffer[..step])
            }
        }
        let mut out = Vec::new();
        let unpacker = Box::new(XzUnpacker::new());
        UnpackReader::new(Pieces(bytes, step), unpacker).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn streams_follow_one_another_with_zeros_between_and_behind() {
        let text = b"data ".repeat(100_000);
        let bytes =
            [stream(&text, 6), vec![0; 4], stream(b"", 0), stream(b"end", 1), vec![0; 8]].concat();
        for step in [1, 5, 4096] {
            assert!(inflate(&bytes, step).unwrap() == [text.as_slice(), b"end"].concat());
        }
        assert!(inflate(&[], 1).is_err(), "no stream is no file");
        assert!(inflate(&[0; 8], 8).is_err());
    }

    #[test]
    fn a_cut_stream_and_bytes_behind_it_are_errors() {
        let bytes = stream(&(0..9000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>(), 0);
        for cut in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
            assert!(inflate(&bytes[..cut], 64).is_err(), "{cut}");
        }
        let error = inflate(&[bytes, b"a tail of text".to_vec()].concat(), 64).unwrap_err();
        assert_eq!(error.to_string(), "other bytes than xz stand behind it");
    }

    #[test]
    fn a_dictionary_over_the_bound_is_not_held() {
        let mut options = LzmaOptions::new_preset(0).unwrap();
        options.dict_size(1 << 30);
        let mut filters = Filters::new();
        filters.lzma2(&options);
        let mut bytes = stream(b"text", 0);
        // The size of the dictionary is one byte of the block's header: 2^29 and a half of it.
        let at = bytes.windows(2).position(|pair| pair == [0x21, 0x01]).unwrap() + 2;
        bytes[at] = 37;
        let header = 12..12 + (usize::from(bytes[12]) + 1) * 4;
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[header.start..header.end - 4]);
        bytes[header.end - 4..header.end].copy_from_slice(&crc.sum().to_le_bytes());
        assert_eq!(inflate(&bytes, 64).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }

    proptest! {
        #[test]
        fn a_damaged_stream_is_never_taken_for_another(
            at in any::<prop::sample::Index>(), bit in 0_u8..8, step in 1_usize..300,
        ) {
            let text: Vec<u8> = (0..500_u32).flat_map(u32::to_le_bytes).collect();
            let mut bytes = stream(&text, 0);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(inflate(&bytes, step).map_or(true, |found| found == text));
        }
    }
}
