//! Reads the entries of a tar while its bytes pass, with bounded memory whatever the tar says.
//!
//! Content is skipped; names, kinds and sizes are given to a visitor. GNU long names, PAX records
//! and old GNU sparse files are understood, because the path that a runtime sees is in them.
//! Invariant: a walk never holds more than one name or one PAX block, and never panics.

use std::ops::ControlFlow;

const RECORD_BYTES: usize = 512;

/// Longest name or PAX block that is looked at, the limit that Go's reader has too.
const EXTENSION_BYTES_MAX: u64 = 1024 * 1024;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkedKind {
    /// A file with content.
    File,
    /// Another name of a file before it.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A folder.
    Folder,
    /// A named pipe.
    Fifo,
    /// A type flag that has no meaning in a layer, or that engines do not know: contiguous files
    /// (`7`) and the sparse files of old GNU tar (`S`) among them.
    Unknown(u8),
}

/// One entry, borrowed from the walk.
#[derive(Debug)]
pub struct Walked<'a> {
    /// The whole path as it stands in the tar.
    pub path: &'a [u8],
    /// What it is.
    pub kind: WalkedKind,
    /// The target of a link, else empty.
    pub link: &'a [u8],
    /// Mode bits.
    pub mode: u32,
    /// Number of content bytes in the tar.
    pub size_bytes: u64,
    /// Where in the tar its content starts.
    pub content_offset: u64,
}

/// Why bytes are not a tar that can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TarFault {
    /// A record that should be a header is none.
    #[error("the record at byte {offset} is not a tar header")]
    NotAHeader {
        /// Where.
        offset: u64,
    },
    /// A number in a header or a PAX record cannot be read.
    #[error("the header at byte {offset} holds a number that cannot be read")]
    Number {
        /// Where.
        offset: u64,
    },
    /// A long name or PAX block over the limit, or malformed.
    #[error(
        "the extended header at byte {offset} is malformed or over {EXTENSION_BYTES_MAX} bytes"
    )]
    Extension {
        /// Where.
        offset: u64,
    },
    /// The bytes end within an entry.
    #[error("the tar ends within an entry, after {offset} bytes")]
    Truncated {
        /// How many bytes there were.
        offset: u64,
    },
}

/// Names that an extension entry gives to the entry after it.
#[derive(Default)]
struct Overrides {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size_bytes: Option<u64>,
}

enum State {
    Header,
    /// Bytes to skip.
    Content(u64),
    /// Bytes of an extension still to take, the padding after it, and its type flag.
    Extension {
        left: u64,
        padding: u64,
        flag: u8,
        offset: u64,
    },
    /// More records of a sparse map, then this much content.
    SparseMap(u64),
    /// After the empty record; whatever follows is not read by anyone.
    End,
}

/// A walk over a tar that arrives in pieces.
pub struct TarWalk {
    state: State,
    record: Vec<u8>,
    extension: Vec<u8>,
    overrides: Overrides,
    offset: u64,
}

impl Default for TarWalk {
    fn default() -> Self {
        Self::new()
    }
}

impl TarWalk {
    /// A walk at the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Header,
            record: Vec::with_capacity(RECORD_BYTES),
            extension: Vec::new(),
            overrides: Overrides::default(),
            offset: 0,
        }
    }

    /// Takes the next bytes; `visit` is called once for each entry whose header completes in them.
    pub fn update(
        &mut self,
        mut bytes: &[u8],
        visit: &mut dyn FnMut(&Walked<'_>) -> ControlFlow<()>,
    ) -> Result<(), TarFault> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::End => return Ok(()),
                State::Content(left) => {
                    let (skipped, rest) = take(bytes, left);
                    self.offset += skipped.len() as u64;
                    self.content(left - skipped.len() as u64);
                    rest
                }
                State::Extension { left, padding, flag, offset } => {
                    let (taken, rest) = take(bytes, left);
                    self.extension.extend_from_slice(taken);
                    self.offset += taken.len() as u64;
                    let left = left - taken.len() as u64;
                    self.state = State::Extension { left, padding, flag, offset };
                    if left == 0 {
                        self.end_extension(flag, offset)?;
                        self.content(padding);
                    }
                    rest
                }
                State::Header | State::SparseMap(_) => {
                    let missing = RECORD_BYTES - self.record.len();
                    let (taken, rest) = take(bytes, missing as u64);
                    self.record.extend_from_slice(taken);
                    self.offset += taken.len() as u64;
                    if self.record.len() == RECORD_BYTES {
                        self.end_record(visit)?;
                    }
                    rest
                }
            };
        }
        Ok(())
    }

    /// Whether the empty record at the end was seen: whatever follows is no entry.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// Says that there are no more bytes. A tar without the empty records at its end is accepted,
    /// as every reader does.
    pub fn finish(&self) -> Result<(), TarFault> {
        match self.state {
            State::End => Ok(()),
            State::Header if self.record.is_empty() => Ok(()),
            _ => Err(TarFault::Truncated { offset: self.offset }),
        }
    }

    fn content(&mut self, left: u64) {
        self.state = if left == 0 { State::Header } else { State::Content(left) };
    }

    fn end_record(
        &mut self,
        visit: &mut dyn FnMut(&Walked<'_>) -> ControlFlow<()>,
    ) -> Result<(), TarFault> {
        let record = std::mem::take(&mut self.record);
        let result = match self.state {
            State::SparseMap(content) => {
                if record.get(504) == Some(&0) {
                    self.content(content);
                }
                Ok(())
            }
            _ => self.end_header(&record, visit),
        };
        self.record = record;
        self.record.clear();
        result
    }

    fn end_header(
        &mut self,
        record: &[u8],
        visit: &mut dyn FnMut(&Walked<'_>) -> ControlFlow<()>,
    ) -> Result<(), TarFault> {
        let offset = self.offset - RECORD_BYTES as u64;
        if record.iter().all(|byte| *byte == 0) {
            self.state = State::End;
            return Ok(());
        }
        if !checksum_holds(record) {
            return Err(TarFault::NotAHeader { offset });
        }
        let number = |from, to| field_number(record, from, to).ok_or(TarFault::Number { offset });
        let mut size_bytes = number(124, 136)?;
        let flag = record.get(156).copied().unwrap_or_default();
        if matches!(flag, b'L' | b'K' | b'x' | b'g') {
            if size_bytes > EXTENSION_BYTES_MAX {
                return Err(TarFault::Extension { offset });
            }
            self.extension.clear();
            let padding = padding(size_bytes);
            self.state = State::Extension { left: size_bytes, padding, flag, offset };
            if size_bytes == 0 {
                self.state = State::Header;
            }
            return Ok(());
        }
        let overrides = std::mem::take(&mut self.overrides);
        size_bytes = overrides.size_bytes.unwrap_or(size_bytes);
        let kind = kind_of(flag);
        // Links and devices have no content; some writers leave the size of the target there.
        if !matches!(kind, WalkedKind::File | WalkedKind::Unknown(_)) {
            size_bytes = 0;
        }
        let path = overrides.path.unwrap_or_else(|| header_path(record));
        let link = overrides.link.unwrap_or_else(|| text(record, 157, 257).to_vec());
        let is_link = matches!(kind, WalkedKind::HardLink | WalkedKind::Symlink);
        let walked = Walked {
            path: &path,
            kind,
            link: if is_link { &link } else { &[] },
            mode: u32::try_from(number(100, 108)? & 0o7777).unwrap_or_default(),
            size_bytes,
            content_offset: self.offset,
        };
        let content = size_bytes.saturating_add(padding(size_bytes));
        if flag == b'S' && record.get(482).is_some_and(|more| *more != 0) {
            self.state = State::SparseMap(content);
        } else {
            self.content(content);
        }
        if visit(&walked).is_break() {
            self.state = State::End;
        }
        Ok(())
    }

    fn end_extension(&mut self, flag: u8, offset: u64) -> Result<(), TarFault> {
        let bytes = std::mem::take(&mut self.extension);
        let name = || text(&bytes, 0, bytes.len()).to_vec();
        match flag {
            b'L' => self.overrides.path = Some(name()),
            b'K' => self.overrides.link = Some(name()),
            b'x' => self.read_pax(&bytes).ok_or(TarFault::Extension { offset })?,
            // Global records set times and the like for all entries; no runtime takes paths there.
            _ => {}
        }
        self.extension = bytes;
        self.extension.clear();
        Ok(())
    }

    /// Records of the form `LENGTH KEY=VALUE\n`; `None` when they are not.
    fn read_pax(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let space = bytes.iter().position(|c| *c == b' ')?;
            let length = decimal(bytes.get(..space)?)?;
            let record = bytes.get(space + 1..usize::try_from(length).ok()?)?;
            bytes = bytes.get(usize::try_from(length).ok()?..)?;
            let record = record.strip_suffix(b"\n")?;
            let equals = record.iter().position(|c| *c == b'=')?;
            let (key, value) = (record.get(..equals)?, record.get(equals + 1..)?);
            match key {
                b"path" | b"GNU.sparse.name" => self.overrides.path = Some(value.to_vec()),
                b"linkpath" => self.overrides.link = Some(value.to_vec()),
                b"size" => self.overrides.size_bytes = Some(decimal(value)?),
                _ => {}
            }
        }
        Some(())
    }
}

const fn kind_of(flag: u8) -> WalkedKind {
    match flag {
        0 | b'0' => WalkedKind::File,
        b'1' => WalkedKind::HardLink,
        b'2' => WalkedKind::Symlink,
        b'3' => WalkedKind::CharDevice,
        b'4' => WalkedKind::BlockDevice,
        b'5' => WalkedKind::Folder,
        b'6' => WalkedKind::Fifo,
        other => WalkedKind::Unknown(other),
    }
}

fn padding(size_bytes: u64) -> u64 {
    size_bytes.checked_next_multiple_of(RECORD_BYTES as u64).map_or(0, |whole| whole - size_bytes)
}

fn take(bytes: &[u8], at_most: u64) -> (&[u8], &[u8]) {
    bytes.split_at(usize::try_from(at_most).unwrap_or(usize::MAX).min(bytes.len()))
}

/// A field up to its first NUL.
fn text(record: &[u8], from: usize, to: usize) -> &[u8] {
    record.get(from..to).unwrap_or_default().split(|c| *c == 0).next().unwrap_or_default()
}

/// Name, with the prefix that POSIX headers have before it.
fn header_path(record: &[u8]) -> Vec<u8> {
    let name = text(record, 0, 100);
    let prefix = text(record, 345, 500);
    if record.get(257..263) != Some(b"ustar\0".as_slice()) || prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

/// A number in octal text, or in base 256 when its first bit is set; negative ones are refused.
fn field_number(record: &[u8], from: usize, to: usize) -> Option<u64> {
    let field = record.get(from..to)?;
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        let start = u64::from(first & 0x7f);
        return rest
            .iter()
            .try_fold(start, |sum, byte| sum.checked_mul(256).map(|sum| sum | u64::from(*byte)));
    }
    let digits: Vec<u8> = field.iter().copied().filter(|c| !matches!(c, b' ' | 0)).collect();
    digits.iter().try_fold(0_u64, |sum, c| match c {
        b'0'..=b'7' => sum.checked_mul(8).map(|sum| sum + u64::from(c - b'0')),
        _ => None,
    })
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, c| match c {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(c - b'0')),
        _ => None,
    })
}

/// Whether the sum of a header's bytes is what it says; the sum counts its own field as spaces.
fn checksum_holds(record: &[u8]) -> bool {
    let sum: u64 = record
        .iter()
        .enumerate()
        .map(|(at, byte)| u64::from(if (148..156).contains(&at) { b' ' } else { *byte }))
        .sum();
    field_number(record, 148, 156) == Some(sum)
}

#[cfg(test)]
mod tests;
