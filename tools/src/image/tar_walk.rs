//! Reads the entries of a tar while its bytes pass, with bounded memory for any tar.
//!
//! Entries and their content are given to a visitor. GNU long names, PAX records and sparse files
//! are understood as Go's reader understands them: every engine uses it, and a runtime's path of a
//! file comes from them. Invariant: a walk never holds more than one name or one PAX block, and
//! never panics.

mod header;
mod pax;

use std::ops::ControlFlow;

pub(crate) use self::header::field_number;
use self::header::{checksum_holds, header_path, signed_number, text};
use self::pax::Pax;

const RECORD_BYTES: usize = 512;

/// How many parts of a sparse file the header of an old GNU tar has room for, and a record of its
/// list.
const HEADER_PARTS: usize = 4;
const MAP_PARTS: usize = 21;

/// Longest name or PAX block, the limit of Go's reader too.
const EXTENSION_BYTES_MAX: u64 = 1024 * 1024;

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TarEntryKind {
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
    Folder,
    /// A named pipe.
    Fifo,
    /// A type flag without a meaning in a layer, or unknown to engines: contiguous files (`7`) and
    /// the sparse files of old GNU tar (`S`) among them.
    Unknown(u8),
}

/// One entry, borrowed from the walk.
#[derive(Debug)]
pub struct TarEntry<'a> {
    /// The whole path as it stands in the tar.
    pub path: &'a [u8],
    pub kind: TarEntryKind,
    /// The target of a link, else empty.
    pub link: &'a [u8],
    pub mode: u32,
    /// Numbers of user and group; a number of more than 32 bits becomes the greatest.
    pub owner: (u32, u32),
    /// When it was changed, in seconds since 1970.
    pub mtime: i64,
    /// The rest of the time, in billionths of a second.
    pub mtime_nanos: u32,
    /// Numbers of a device, else zeros.
    pub device: (u64, u64),
    /// Extended attributes: names and values.
    pub attributes: &'a [(Vec<u8>, Vec<u8>)],
    /// Size of the unpacked file, for a sparse entry. Its parts are shown after the entry
    /// ([`Visit::part`]).
    pub sparse_bytes: Option<u64>,
    /// Whether the content begins with a list of those parts instead (PAX 1.0).
    pub map_in_content: bool,
    /// Number of content bytes in the tar.
    pub size_bytes: u64,
    /// Where in the tar its content starts.
    pub content_offset: u64,
}

impl TarEntry<'_> {
    /// An attribute in the namespace `trusted`; some engines drop it.
    #[must_use]
    pub fn trusted(&self) -> Option<&[u8]> {
        let mut names = self.attributes.iter().map(|(name, _)| name.as_slice());
        names.find(|name| name.starts_with(b"trusted."))
    }
}

/// A part of a sparse file with bytes in the tar; everything between parts is zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SparsePart {
    pub offset: u64,
    pub size_bytes: u64,
}

/// A time, in seconds since 1970 and billionths of one after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Time {
    seconds: i64,
    nanos: u32,
}

/// The fault of an untrustworthy tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TarFault {
    /// A record without the form of a header.
    #[error("the record at byte {offset} is not a tar header")]
    NotAHeader { offset: u64 },
    /// A number in a header or a PAX record cannot be read.
    #[error("the header at byte {offset} holds a number that cannot be read")]
    Number { offset: u64 },
    /// A long name or PAX block over the limit, or malformed.
    #[error(
        "the extended header at byte {offset} is malformed or over {EXTENSION_BYTES_MAX} bytes"
    )]
    Extension { offset: u64 },
    /// The bytes end within an entry.
    #[error("the tar ends within an entry, after {offset} bytes")]
    Truncated {
        /// How many bytes there were.
        offset: u64,
    },
}

/// How a tar ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With the empty record of the end.
    Marked,
    /// Without it: a reader cannot tell whether the tar was cut.
    Unmarked,
    /// Bytes other than zeros stand behind the end record; no program reads them.
    MoreBehind,
}

/// The visitor of a tar.
pub trait Visit {
    /// The next entry; a break ends the walk.
    fn entry(&mut self, entry: &TarEntry<'_>) -> ControlFlow<()>;

    /// The next part of the last, sparse entry; all parts come before its content.
    fn part(&mut self, _part: SparsePart) {}

    /// The next piece of the content of the last entry, as it stands in the tar.
    fn content(&mut self, _bytes: &[u8]) {}

    /// A PAX header for all entries after it.
    fn global_header(&mut self) {}

    /// The 512 bytes of the next entry's header.
    fn record(&mut self, _record: &[u8]) {}

    /// There are no more bytes.
    fn ended(&mut self, _ending: Ending) {}

    /// The content of an extension (a long name, PAX records) before it, with its type flag.
    fn extension(&mut self, _flag: u8, _bytes: &[u8]) {}
}

/// Shows entries alone.
struct Entries<'a>(&'a mut dyn FnMut(&TarEntry<'_>) -> ControlFlow<()>);

impl Visit for Entries<'_> {
    fn entry(&mut self, entry: &TarEntry<'_>) -> ControlFlow<()> {
        (self.0)(entry)
    }
}

/// The values of extension entries for the entry after them.
#[derive(Default)]
struct Overrides {
    /// By GNU tar; these go before those of a PAX header.
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    pax: Pax,
}

enum State {
    Header,
    /// Bytes of content, and bytes to skip after them.
    Content {
        left: u64,
        padding: u64,
    },
    /// Bytes of an extension still to take, the padding after it, and its type flag.
    Extension {
        left: u64,
        padding: u64,
        flag: u8,
        offset: u64,
    },
    /// More records of a sparse map, then this much content.
    SparseMap(u64),
    /// After the empty record; no reader looks at later bytes.
    End,
}

/// A walk over a tar in pieces.
pub struct TarWalk {
    state: State,
    record: Vec<u8>,
    extension: Vec<u8>,
    overrides: Overrides,
    offset: u64,
    /// Whether anything but zeros came after the end.
    has_more: bool,
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
            has_more: false,
        }
    }

    /// Takes the next bytes; `visit` is called once for each entry with its header complete in
    /// them.
    pub fn update(
        &mut self,
        bytes: &[u8],
        visit: &mut dyn FnMut(&TarEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), TarFault> {
        self.show(bytes, &mut Entries(visit))
    }

    /// Takes the next bytes, and shows their entries.
    pub fn show(&mut self, mut bytes: &[u8], visit: &mut dyn Visit) -> Result<(), TarFault> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::End => {
                    self.has_more |= bytes.iter().any(|byte| *byte != 0);
                    return Ok(());
                }
                State::Content { left, padding } if left > 0 => {
                    let (shown, rest) = take(bytes, left);
                    visit.content(shown);
                    self.offset += shown.len() as u64;
                    self.content(left - shown.len() as u64, padding);
                    rest
                }
                State::Content { padding, .. } => {
                    let (skipped, rest) = take(bytes, padding);
                    self.offset += skipped.len() as u64;
                    self.content(0, padding - skipped.len() as u64);
                    rest
                }
                State::Extension { left, padding, flag, offset } => {
                    let (taken, rest) = take(bytes, left);
                    self.extension.extend_from_slice(taken);
                    self.offset += taken.len() as u64;
                    let left = left - taken.len() as u64;
                    self.state = State::Extension { left, padding, flag, offset };
                    if left == 0 {
                        self.end_extension(flag, offset, visit)?;
                        self.content(0, padding);
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

    /// Whether the walk saw the empty record at the end: later bytes are no entries.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// How it ended, once there are no more bytes.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        match (self.is_at_end(), self.has_more) {
            (false, _) => Ending::Unmarked,
            (true, false) => Ending::Marked,
            (true, true) => Ending::MoreBehind,
        }
    }

    /// Says there are no more bytes. A tar without the empty records at its end is accepted,
    /// as every reader does, and one without the padding of its last entry: umoci writes those.
    pub fn finish(&self) -> Result<(), TarFault> {
        match self.state {
            State::End | State::Content { left: 0, .. } => Ok(()),
            State::Header if self.record.is_empty() => Ok(()),
            _ => Err(TarFault::Truncated { offset: self.offset }),
        }
    }

    fn content(&mut self, left: u64, padding: u64) {
        self.state = if left == 0 && padding == 0 {
            State::Header
        } else {
            State::Content { left, padding }
        };
    }

    fn end_record(&mut self, visit: &mut dyn Visit) -> Result<(), TarFault> {
        let record = std::mem::take(&mut self.record);
        let result = match self.state {
            State::SparseMap(content) => {
                if record.get(504) == Some(&0) {
                    self.content(content, padding(content));
                }
                let offset = self.offset - RECORD_BYTES as u64;
                show_parts(&record, 0, MAP_PARTS, visit).ok_or(TarFault::Number { offset })
            }
            _ => self.end_header(&record, visit),
        };
        self.record = record;
        self.record.clear();
        result
    }

    fn end_header(&mut self, record: &[u8], visit: &mut dyn Visit) -> Result<(), TarFault> {
        let offset = self.offset - RECORD_BYTES as u64;
        if record.iter().all(|byte| *byte == 0) {
            self.state = State::End;
            return Ok(());
        }
        if !checksum_holds(record) {
            return Err(TarFault::NotAHeader { offset });
        }
        let wrong = TarFault::Number { offset };
        let number = |from, to| field_number(record, from, to).ok_or(wrong);
        let stated_bytes = number(124, 136)?;
        let flag = record.get(156).copied().unwrap_or_default();
        if matches!(flag, b'L' | b'K' | b'x' | b'g') {
            return self.begin_extension(flag, stated_bytes, offset, visit);
        }
        let Overrides { long_path, long_link, pax } = std::mem::take(&mut self.overrides);
        let path = long_path.or(pax.path).unwrap_or_else(|| header_path(record));
        let link = long_link.or(pax.link).unwrap_or_else(|| text(record, 157, 257).to_vec());
        let kind = kind_of(flag, &path);
        // Links and devices have no content; some writers leave the size of the target there.
        let has_content = matches!(kind, TarEntryKind::File | TarEntryKind::Unknown(_));
        let size_bytes = if has_content { pax.size_bytes.unwrap_or(stated_bytes) } else { 0 };
        let is_link = matches!(kind, TarEntryKind::HardLink | TarEntryKind::Symlink);
        let is_device = matches!(kind, TarEntryKind::CharDevice | TarEntryKind::BlockDevice);
        let id = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let seconds = signed_number(record, 136, 148).ok_or(wrong)?;
        let mtime = pax.mtime.unwrap_or(Time { seconds, nanos: 0 });
        let is_old_sparse = flag == b'S';
        let sparse_bytes = match kind {
            TarEntryKind::File => pax.sparse_bytes,
            _ if is_old_sparse => Some(number(483, 495)?),
            _ => None,
        };
        let walked = TarEntry {
            path: &path,
            kind,
            link: if is_link { &link } else { &[] },
            mode: u32::try_from(number(100, 108)? & 0o7777).unwrap_or_default(),
            owner: (
                id(pax.uid.map_or_else(|| number(108, 116), Ok)?),
                id(pax.gid.map_or_else(|| number(116, 124), Ok)?),
            ),
            mtime: mtime.seconds,
            mtime_nanos: mtime.nanos,
            device: if is_device { (number(329, 337)?, number(337, 345)?) } else { (0, 0) },
            attributes: &pax.attributes,
            sparse_bytes,
            map_in_content: pax.map_in_content && kind == TarEntryKind::File,
            size_bytes,
            content_offset: self.offset,
        };
        if is_old_sparse && record.get(482).is_some_and(|more| *more != 0) {
            self.state = State::SparseMap(size_bytes);
        } else {
            self.content(size_bytes, padding(size_bytes));
        }
        visit.record(record);
        if visit.entry(&walked).is_break() {
            self.state = State::End;
        } else if is_old_sparse {
            show_parts(record, 386, HEADER_PARTS, visit).ok_or(wrong)?;
        } else if kind == TarEntryKind::File {
            pax.parts.iter().for_each(|part| visit.part(*part));
        }
        Ok(())
    }

    fn begin_extension(
        &mut self,
        flag: u8,
        size_bytes: u64,
        offset: u64,
        visit: &mut dyn Visit,
    ) -> Result<(), TarFault> {
        if size_bytes > EXTENSION_BYTES_MAX {
            return Err(TarFault::Extension { offset });
        }
        self.extension.clear();
        let padding = padding(size_bytes);
        self.state = State::Extension { left: size_bytes, padding, flag, offset };
        if size_bytes == 0 {
            self.end_extension(flag, offset, visit)?;
            self.state = State::Header;
        }
        Ok(())
    }

    fn end_extension(
        &mut self,
        flag: u8,
        offset: u64,
        visit: &mut dyn Visit,
    ) -> Result<(), TarFault> {
        let bytes = std::mem::take(&mut self.extension);
        visit.extension(flag, &bytes);
        let name = || Some(text(&bytes, 0, bytes.len()).to_vec()).filter(|name| !name.is_empty());
        match flag {
            b'L' => self.overrides.long_path = name(),
            b'K' => self.overrides.long_link = name(),
            b'x' => {
                self.overrides.pax = Pax::parse(&bytes).ok_or(TarFault::Extension { offset })?;
            }
            // Global records set times and the like for all entries; no runtime takes paths there.
            _ => {
                Pax::parse(&bytes).ok_or(TarFault::Extension { offset })?;
                visit.global_header();
            }
        }
        self.extension = bytes;
        self.extension.clear();
        Ok(())
    }
}

/// Shows the parts of an old GNU sparse file a record lists from a place on, up to the first
/// empty one; `None` when a number cannot be read.
fn show_parts(record: &[u8], from: usize, count: usize, visit: &mut dyn Visit) -> Option<()> {
    for at in (0..count).map(|place| from + place * 24) {
        if record.get(at).is_none_or(|first| *first == 0) {
            break;
        }
        let offset = field_number(record, at, at + 12)?;
        let size_bytes = field_number(record, at + 12, at + 24)?;
        visit.part(SparsePart { offset, size_bytes });
    }
    Some(())
}

fn kind_of(flag: u8, path: &[u8]) -> TarEntryKind {
    match flag {
        // Before POSIX, folders were files with a slash at the end of the name.
        0 if path.ends_with(b"/") => TarEntryKind::Folder,
        0 | b'0' => TarEntryKind::File,
        b'1' => TarEntryKind::HardLink,
        b'2' => TarEntryKind::Symlink,
        b'3' => TarEntryKind::CharDevice,
        b'4' => TarEntryKind::BlockDevice,
        b'5' => TarEntryKind::Folder,
        b'6' => TarEntryKind::Fifo,
        other => TarEntryKind::Unknown(other),
    }
}

fn padding(size_bytes: u64) -> u64 {
    size_bytes.checked_next_multiple_of(RECORD_BYTES as u64).map_or(0, |whole| whole - size_bytes)
}

fn take(bytes: &[u8], at_most: u64) -> (&[u8], &[u8]) {
    bytes.split_at(usize::try_from(at_most).unwrap_or(usize::MAX).min(bytes.len()))
}

#[cfg(test)]
mod tests;
