//! Expands the content of a sparse file in a tar to an engine's file on disk: the parts at their
//! places, and zeros between them.
//!
//! Invariant: the result has exactly the stated size, or is an error; a list of parts is bounded,
//! and valid only with its parts in order.

use super::tar_walk::{SparsePart, TarEntry};

/// Most parts of a file: of one of 2 GiB with every other block a hole. Each takes 16 bytes.
pub const PARTS_MAX: usize = 262_144;

/// The padding of a map in the content.
const RECORD_BYTES: usize = 512;

/// Longest number in a map: as many digits as 2^64 has.
const DIGITS_MAX: usize = 20;

/// Why a sparse file cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SparseFault {
    /// More parts than are held.
    #[error("is a sparse file of more than {PARTS_MAX} parts")]
    TooMany,
    /// Parts with an overlap, or beyond the file.
    #[error("is a sparse file whose parts overlap or leave it")]
    Parts,
    /// A malformed list of parts.
    #[error("is a sparse file whose list of parts is malformed")]
    Map,
    /// Another number of bytes than the parts have.
    #[error("is a sparse file that has not as many bytes as its parts")]
    Content,
}

/// The next piece of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SparsePiece<'a> {
    /// These bytes.
    Data(&'a [u8]),
    /// So many zeros.
    Zeros(u64),
}

/// Makes one file.
#[derive(Debug)]
pub struct Expander {
    size_bytes: u64,
    parts: Vec<SparsePart>,
    /// Where the last part ends.
    listed_to: u64,
    /// The number of the present part, and its length so far.
    part: usize,
    filled: u64,
    /// How much of the file was made.
    made: u64,
    map: Option<Map>,
}

/// The map at the start of the content: how many parts, then offset and length of each, one number a
/// line.
#[derive(Debug, Default)]
struct Map {
    number: u64,
    digits: usize,
    /// Offsets and lengths still to come; `None` before their number is known.
    left: Option<u64>,
    offset: Option<u64>,
    read: usize,
}

impl Expander {
    /// For a sparse entry; `None` for another.
    #[must_use]
    pub fn new(entry: &TarEntry<'_>) -> Option<Self> {
        Some(Self {
            size_bytes: entry.sparse_bytes?,
            parts: Vec::new(),
            listed_to: 0,
            part: 0,
            filled: 0,
            made: 0,
            map: entry.map_in_content.then(Map::default),
        })
    }

    /// The next part.
    pub fn part(&mut self, part: SparsePart) -> Result<(), SparseFault> {
        if self.parts.len() == PARTS_MAX {
            return Err(SparseFault::TooMany);
        }
        let end = part.offset.checked_add(part.size_bytes).ok_or(SparseFault::Parts)?;
        if part.offset < self.listed_to || end > self.size_bytes {
            return Err(SparseFault::Parts);
        }
        self.listed_to = end;
        self.parts.push(part);
        Ok(())
    }

    /// The next bytes of the content; `make` is called with the file's pieces.
    pub fn content(
        &mut self,
        mut bytes: &[u8],
        make: &mut dyn FnMut(SparsePiece<'_>),
    ) -> Result<(), SparseFault> {
        while let (Some(map), Some((first, rest))) = (&mut self.map, bytes.split_first()) {
            let part = map.take(*first)?;
            let is_read = map.is_read();
            bytes = rest;
            if let Some(part) = part {
                self.part(part)?;
            }
            if is_read {
                self.map = None;
            }
        }
        while !bytes.is_empty() {
            let part = *self.parts.get(self.part).ok_or(SparseFault::Content)?;
            let left = part.size_bytes - self.filled;
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            if length == 0 {
                self.part += 1;
                self.filled = 0;
                continue;
            }
            let (data, rest) = bytes.split_at(length);
            self.fill_up(part.offset + self.filled, make);
            make(SparsePiece::Data(data));
            self.filled += length as u64;
            self.made += length as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// There is no more content.
    pub fn finish(&mut self, make: &mut dyn FnMut(SparsePiece<'_>)) -> Result<(), SparseFault> {
        if self.map.is_some() {
            return Err(SparseFault::Map);
        }
        let unfilled = self.parts.get(self.part..).unwrap_or_default();
        let missing: u64 = unfilled.iter().map(|part| part.size_bytes).sum();
        if missing != self.filled {
            return Err(SparseFault::Content);
        }
        self.fill_up(self.size_bytes, make);
        Ok(())
    }

    fn fill_up(&mut self, to: u64, make: &mut dyn FnMut(SparsePiece<'_>)) {
        if to > self.made {
            make(SparsePiece::Zeros(to - self.made));
            self.made = to;
        }
    }
}

impl Map {
    /// Takes one byte; a part when it ends one.
    fn take(&mut self, byte: u8) -> Result<Option<SparsePart>, SparseFault> {
        self.read += 1;
        if self.left == Some(0) {
            // The rest of the last record is filled with anything.
            return Ok(None);
        }
        if byte != b'\n' {
            let digit = char::from(byte).to_digit(10).ok_or(SparseFault::Map)?;
            let number = self.number.checked_mul(10).and_then(|at| at.checked_add(digit.into()));
            self.number = number.ok_or(SparseFault::Map)?;
            self.digits += 1;
            return if self.digits > DIGITS_MAX { Err(SparseFault::Map) } else { Ok(None) };
        }
        if self.digits == 0 {
            return Err(SparseFault::Map);
        }
        let number = std::mem::take(&mut self.number);
        self.digits = 0;
        let Some(left) = self.left else {
            if number > PARTS_MAX as u64 {
                return Err(SparseFault::TooMany);
            }
            self.left = Some(number * 2);
            return Ok(None);
        };
        self.left = Some(left - 1);
        match self.offset.take() {
            None => {
                self.offset = Some(number);
                Ok(None)
            }
            Some(offset) => Ok(Some(SparsePart { offset, size_bytes: number })),
        }
    }

    fn is_read(&self) -> bool {
        self.left == Some(0) && self.read.is_multiple_of(RECORD_BYTES)
    }
}

#[cfg(test)]
mod tests;
