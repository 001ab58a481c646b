//! Gzip (RFC 1952): members one after another, with proven checksums, and the bytes behind them;
//! some engines refuse such bytes.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Behind, Unpack, UnpackError, UnpackStep, cut};

/// First bytes of a member.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes of a header every member has, and of the checksum and size at its end.
const FIXED_BYTES: usize = 10;
const TRAILER_BYTES: usize = 8;

const HAS_HEADER_CRC: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;

/// The next part of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Two bytes of another member's magic, or the end.
    Magic,
    Fixed,
    ExtraLength,
    Extra(usize),
    Name,
    Comment,
    HeaderCrc,
    Body,
    Trailer,
    Behind,
}

/// Inflates all members of a stream.
pub struct GzipUnpacker {
    inflate: Decompress,
    crc: Crc,
    header_crc: Crc,
    state: State,
    /// The bytes of an incomplete field.
    field: Vec<u8>,
    flags: u8,
    members: u64,
    behind: Behind,
}

impl Default for GzipUnpacker {
    fn default() -> Self {
        Self::new()
    }
}

impl GzipUnpacker {
    /// At the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inflate: Decompress::new(false),
            crc: Crc::new(),
            header_crc: Crc::new(),
            state: State::Magic,
            field: Vec::with_capacity(FIXED_BYTES),
            flags: 0,
            members: 0,
            behind: Behind::default(),
        }
    }

    /// Fills the field up to so many bytes; how many were taken, and whether it is full.
    fn fill(&mut self, input: &[u8], length: usize) -> (usize, bool) {
        let missing = length.saturating_sub(self.field.len()).min(input.len());
        self.field.extend_from_slice(input.get(..missing).unwrap_or_default());
        (missing, self.field.len() >= length)
    }

    /// Goes to the next part of the header this one has.
    fn after(&mut self, state: State) {
        self.field.clear();
        let has = |flag| self.flags & flag != 0;
        self.state = match state {
            State::Fixed if has(HAS_EXTRA) => State::ExtraLength,
            State::Fixed | State::Extra(_) if has(HAS_NAME) => State::Name,
            State::Fixed | State::Extra(_) | State::Name if has(HAS_COMMENT) => State::Comment,
            State::HeaderCrc => State::Body,
            _ if has(HAS_HEADER_CRC) => State::HeaderCrc,
            _ => State::Body,
        };
        if self.state == State::Body {
            self.inflate.reset(false);
            self.crc.reset();
        }
    }

    /// Takes the bytes of a header's next part.
    fn header(&mut self, input: &[u8]) -> Result<usize, UnpackError> {
        match self.state {
            State::Magic => self.magic(input),
            State::Fixed => self.fixed(input),
            State::ExtraLength | State::HeaderCrc => self.short(input),
            State::Extra(left) => {
                let taken = left.min(input.len());
                self.header_crc.update(input.get(..taken).unwrap_or_default());
                self.state = State::Extra(left - taken);
                if taken == left {
                    self.after(self.state);
                }
                Ok(taken)
            }
            _ => {
                let end = input.iter().position(|byte| *byte == 0);
                let taken = end.map_or(input.len(), |end| end + 1);
                self.header_crc.update(input.get(..taken).unwrap_or_default());
                if end.is_some() {
                    self.after(self.state);
                }
                Ok(taken)
            }
        }
    }

    /// Begins another member, or notes the bytes behind the last one.
    fn magic(&mut self, input: &[u8]) -> Result<usize, UnpackError> {
        let (taken, is_full) = self.fill(input, MAGIC.len());
        if is_full && self.field == MAGIC {
            self.header_crc.reset();
            self.state = State::Fixed;
        } else if is_full && self.members == 0 {
            return Err(damaged("it does not begin as gzip"));
        } else if is_full {
            let field = std::mem::take(&mut self.field);
            self.note(&field);
            self.state = State::Behind;
        }
        Ok(taken)
    }

    fn fixed(&mut self, input: &[u8]) -> Result<usize, UnpackError> {
        let (taken, is_full) = self.fill(input, FIXED_BYTES);
        if is_full {
            self.header_crc.update(&self.field);
            self.flags = self.field.get(3).copied().unwrap_or_default();
            if self.field.get(2) != Some(&8) {
                return Err(damaged("it is not compressed by deflate"));
            }
            self.after(State::Fixed);
        }
        Ok(taken)
    }

    /// A number of two bytes: the length of the extra field, or the checksum of the header.
    fn short(&mut self, input: &[u8]) -> Result<usize, UnpackError> {
        let (taken, is_full) = self.fill(input, 2);
        if !is_full {
            return Ok(taken);
        }
        let number = self.field.iter().rev().fold(0, |sum, at| sum * 256 + u32::from(*at));
        if self.state == State::HeaderCrc {
            if number != self.header_crc.sum() & 0xffff {
                return Err(damaged("the checksum of a header is wrong"));
            }
            self.after(State::HeaderCrc);
            return Ok(taken);
        }
        self.header_crc.update(&self.field);
        self.field.clear();
        self.state = State::Extra(usize::try_from(number).unwrap_or_default());
        if number == 0 {
            self.after(State::Extra(0));
        }
        Ok(taken)
    }

    fn body(&mut self, input: &[u8], output: &mut [u8]) -> Result<UnpackStep, UnpackError> {
        let before = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(input, output, FlushDecompress::None);
        let status = status.map_err(|error| UnpackError::Damaged(error.to_string()))?;
        let moved = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
        let step = UnpackStep {
            taken: moved(self.inflate.total_in(), before.0),
            written: moved(self.inflate.total_out(), before.1),
        };
        self.crc.update(output.get(..step.written).unwrap_or_default());
        if status == Status::StreamEnd {
            self.field.clear();
            self.state = State::Trailer;
        }
        Ok(step)
    }

    fn trailer(&mut self, input: &[u8]) -> Result<usize, UnpackError> {
        let (taken, is_full) = self.fill(input, TRAILER_BYTES);
        if !is_full {
            return Ok(taken);
        }
        let (sum, size) = self.field.split_at(TRAILER_BYTES / 2);
        let number =
            |bytes: &[u8]| bytes.iter().rev().fold(0_u32, |at, byte| (at << 8) | u32::from(*byte));
        if number(sum) != self.crc.sum() || number(size) != self.crc.amount() {
            return Err(damaged("a checksum is wrong"));
        }
        self.field.clear();
        self.members += 1;
        self.state = State::Magic;
        Ok(taken)
    }

    fn note(&mut self, bytes: &[u8]) {
        self.behind.bytes += bytes.len() as u64;
        self.behind.has_content |= bytes.iter().any(|byte| *byte != 0);
    }
}

impl Unpack for GzipUnpacker {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<UnpackStep, UnpackError> {
        let taken = match self.state {
            State::Body => return self.body(input, output),
            State::Trailer => self.trailer(input)?,
            State::Behind => {
                self.note(input);
                input.len()
            }
            _ => self.header(input)?,
        };
        Ok(UnpackStep { taken, written: 0 })
    }

    fn finish(&self) -> Result<Behind, UnpackError> {
        match self.state {
            State::Behind => Ok(self.behind),
            State::Magic if self.members > 0 => Ok(Behind {
                bytes: self.field.len() as u64,
                has_content: self.field.iter().any(|byte| *byte != 0),
            }),
            _ => Err(cut()),
        }
    }
}

fn damaged(reason: &str) -> UnpackError {
    UnpackError::Damaged(reason.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::io::Write as _;

    use flate2::{Compression, GzBuilder};
    use proptest::prelude::*;

    use super::*;

    fn member(bytes: &[u8]) -> Vec<u8> {
        let mut out = GzBuilder::new().write(Vec::new(), Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    /// Inflates pieces of this size into a buffer of size `room`.
    fn unpack(bytes: &[u8], step: usize, room: usize) -> Result<(Vec<u8>, Behind), UnpackError> {
        let mut unpacker = GzipUnpacker::new();
        let (mut all, mut output) = (Vec::new(), vec![0; room]);
        for piece in bytes.chunks(step) {
            let mut rest = piece;
            loop {
                let UnpackStep { taken, written } = unpacker.step(rest, &mut output)?;
                rest = &rest[taken..];
                all.extend_from_slice(&output[..written]);
                if rest.is_empty() && written < room {
                    break;
                }
            }
        }
        unpacker.finish().map(|behind| (all, behind))
    }

    #[test]
    fn members_follow_one_another_with_every_part_that_a_header_may_have() {
        let mut full = GzBuilder::new()
            .filename("name")
            .comment("comment")
            .extra(vec![7; 300])
            .write(Vec::new(), Compression::best());
        full.write_all(&b"text ".repeat(10_000)).unwrap();
        let bytes = [full.finish().unwrap(), member(b""), member(b"end")].concat();
        let expected = [b"text ".repeat(10_000).as_slice(), b"end"].concat();
        for (step, room) in [(1, 4096), (3, 7), (bytes.len(), 1 << 20)] {
            assert!(unpack(&bytes, step, room).unwrap() == (expected.clone(), Behind::default()));
        }
    }

    #[test]
    fn what_stands_behind_the_last_member_is_counted() {
        for (tail, has_content) in
            [(vec![0; 1], false), (vec![0; 1000], false), (b"tail".to_vec(), true)]
        {
            let bytes = [member(b"x"), tail.clone()].concat();
            let (text, behind) = unpack(&bytes, 5, 64).unwrap();
            let bytes = tail.len() as u64;
            assert_eq!((text.as_slice(), behind), (b"x".as_slice(), Behind { bytes, has_content }));
        }
    }

    #[test]
    fn a_cut_stream_a_wrong_checksum_and_no_gzip_are_errors() {
        let bytes = member(&b"abc".repeat(999));
        for cut in 0..bytes.len() {
            assert!(unpack(&bytes[..cut], 4096, 64).is_err(), "{cut}");
        }
        let mut wrong = bytes.clone();
        let crc = bytes.len() - 8;
        wrong[crc] ^= 1;
        assert!(unpack(&wrong, 4096, 64).is_err());
        assert!(unpack(b"PK\x03\x04", 4096, 64).is_err());
        let crc = [&[0x1f, 0x8b, 8, 2, 0, 0, 0, 0, 0, 0, 1, 2][..], &bytes[10..]].concat();
        assert!(unpack(&crc, 4096, 64).is_err());
    }

    proptest! {
        #[test]
        fn every_flipped_bit_of_the_content_is_found(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let bytes = member(&(0..2000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
            let good = unpack(&bytes, 100, 100).unwrap();
            let mut wrong = bytes.clone();
            // Bytes 4 to 9 hold a time and the name of a system, without an effect on the content.
            let at = at.index(bytes.len());
            prop_assume!(!(4..10).contains(&at));
            wrong[at] ^= 1_u8 << bit;
            prop_assert!(unpack(&wrong, 100, 100).map_or(true, |found| found != good || at == 3));
        }
    }
}
