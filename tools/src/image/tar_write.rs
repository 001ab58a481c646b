//! Tar entries with every byte from the arguments: no names of users, no clock, no inode. Long
//! names use the GNU form, known to every runtime.

use std::io::{self, Read, Write};

use tar::{EntryType, Header};
use wharf_oci::Digester;

/// The size of a tar's record.
const RECORD_BYTES: usize = 512;

/// How much of a file is read at once.
const COPY_BYTES: usize = 128 * 1024;

/// The longest name in a header; longer ones go into an entry of their own.
const NAME_BYTES_MAX: usize = 100;

/// The values of an entry's header.
#[derive(Debug, Clone, Copy)]
pub struct EntryHeader<'a> {
    /// Path without a leading slash; a folder's without the trailing one.
    pub path: &'a [u8],
    pub kind: EntryKind<'a>,
    /// Permission, setuid, setgid and sticky bits.
    pub mode: u32,
    /// Numeric owner: user and group.
    pub owner: (u32, u32),
    /// Seconds since 1970.
    pub mtime: u64,
    /// Extended attributes, in the order of the tar.
    pub attributes: &'a [Attribute],
}

/// An extended attribute of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attribute {
    /// Its name with the namespace: `security.capability`.
    pub name: Vec<u8>,
    pub value: Vec<u8>,
}

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind<'a> {
    Folder,
    /// A file of this size; its bytes follow.
    File(u64),
    /// Another name of the file at this path, earlier in the tar.
    HardLink(&'a [u8]),
    /// A symbolic link to this text.
    Symlink(&'a [u8]),
    /// A character device with these numbers.
    CharDevice(u32, u32),
    /// A block device with these numbers.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

impl EntryHeader<'_> {
    /// Takes all values of the header into a digest.
    pub(crate) fn digest(&self, digester: &mut Digester) {
        let (kind, size_bytes, link) = match self.kind {
            EntryKind::Folder => (b'd', 0, [].as_slice()),
            EntryKind::File(size_bytes) => (b'f', size_bytes, [].as_slice()),
            EntryKind::HardLink(target) => (b'h', 0, target),
            EntryKind::Symlink(target) => (b'l', 0, target),
            EntryKind::CharDevice(major, minor) => (b'c', numbers(major, minor), [].as_slice()),
            EntryKind::BlockDevice(major, minor) => (b'b', numbers(major, minor), [].as_slice()),
            EntryKind::Fifo => (b'p', 0, [].as_slice()),
        };
        let mut number = |number: u64| digester.update(&number.to_be_bytes());
        for value in [
            u64::from(kind),
            size_bytes,
            u64::from(self.mode),
            numbers(self.owner.0, self.owner.1),
            self.mtime,
            self.attributes.len() as u64,
        ] {
            number(value);
        }
        let attributes = self.attributes.iter().flat_map(|at| [&at.name[..], &at.value[..]]);
        for text in [self.path, link].into_iter().chain(attributes) {
            digester.update(&(text.len() as u64).to_be_bytes());
            digester.update(text);
        }
    }
}

fn numbers(one: u32, other: u32) -> u64 {
    u64::from(one) << 32 | u64::from(other)
}

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// It has not the size its header says.
    #[error("its size changed while it was read")]
    Size,
    /// It could not be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// The tar could not be written.
    #[error("cannot write it")]
    Write(#[source] io::Error),
}

impl From<AppendError> for io::Error {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Size => Self::new(io::ErrorKind::InvalidData, error),
            AppendError::Read(source) | AppendError::Write(source) => source,
        }
    }
}

/// Writes entries into `out`.
pub struct TarWriter<'w, W: Write + ?Sized> {
    out: &'w mut W,
    buffer: Vec<u8>,
}

impl<'w, W: Write + ?Sized> TarWriter<'w, W> {
    /// A tar from its start.
    pub fn new(out: &'w mut W) -> Self {
        Self { out, buffer: vec![0; COPY_BYTES] }
    }

    /// Writes an entry without content.
    pub fn append(&mut self, header: &EntryHeader<'_>) -> io::Result<()> {
        self.append_header(header)
    }

    /// Writes a file. A source with fewer bytes than the size in the header is an error, because
    /// the entries after it would be torn. The writer does not read behind the size: the source's
    /// reader has to find out about growth.
    pub fn append_file(
        &mut self,
        header: &EntryHeader<'_>,
        source: &mut impl Read,
    ) -> Result<(), AppendError> {
        let EntryKind::File(size_bytes) = header.kind else {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "not the header of a file");
            return Err(AppendError::Write(error));
        };
        self.append_header(header).map_err(AppendError::Write)?;
        let mut left = size_bytes;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let buffer = self.buffer.get_mut(..most).unwrap_or_default();
            let read = match source.read(buffer) {
                Ok(0) => return Err(AppendError::Size),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(AppendError::Read(error)),
            };
            left -= read as u64;
            let bytes = buffer.get(..read).unwrap_or_default();
            self.out.write_all(bytes).map_err(AppendError::Write)?;
        }
        self.pad(size_bytes).map_err(AppendError::Write)
    }

    /// Writes the header of a file with content in pieces, by [`Self::content`] and
    /// [`Self::zeros`]; [`Self::end_file`] ends it. The caller counts.
    pub fn begin_file(&mut self, header: &EntryHeader<'_>) -> io::Result<()> {
        self.append_header(header)
    }

    /// Writes a piece of a file's content.
    pub fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Writes zeros of a file's content.
    pub fn zeros(&mut self, mut count: u64) -> io::Result<()> {
        self.buffer.fill(0);
        while count > 0 {
            let length = usize::try_from(count).unwrap_or(usize::MAX).min(self.buffer.len());
            self.out.write_all(self.buffer.get(..length).unwrap_or_default())?;
            count -= length as u64;
        }
        Ok(())
    }

    /// Ends a file of this size.
    pub fn end_file(&mut self, size_bytes: u64) -> io::Result<()> {
        self.pad(size_bytes)
    }

    /// Writes the two empty records at the end of a tar.
    pub fn finish(self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * RECORD_BYTES])
    }

    fn append_header(&mut self, entry: &EntryHeader<'_>) -> io::Result<()> {
        let mut path = entry.path.to_vec();
        let none = [].as_slice();
        let (kind, size_bytes, link) = match entry.kind {
            EntryKind::Folder => {
                path.push(b'/');
                (EntryType::Directory, 0, none)
            }
            EntryKind::File(size_bytes) => (EntryType::Regular, size_bytes, none),
            EntryKind::HardLink(target) => (EntryType::Link, 0, target),
            EntryKind::Symlink(target) => (EntryType::Symlink, 0, target),
            EntryKind::CharDevice(..) => (EntryType::Char, 0, none),
            EntryKind::BlockDevice(..) => (EntryType::Block, 0, none),
            EntryKind::Fifo => (EntryType::Fifo, 0, none),
        };
        if entry.attributes.is_empty() {
            self.append_long(EntryType::GNULongName, &path)?;
            self.append_long(EntryType::GNULongLink, link)?;
        } else {
            self.append_attributes(entry, &path, link)?;
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size_bytes);
        header.set_mode(entry.mode);
        header.set_uid(u64::from(entry.owner.0));
        header.set_gid(u64::from(entry.owner.1));
        header.set_mtime(entry.mtime);
        if let EntryKind::CharDevice(major, minor) | EntryKind::BlockDevice(major, minor) =
            entry.kind
        {
            header.set_device_major(major)?;
            header.set_device_minor(minor)?;
        }
        self.put(header, &path, link)
    }

    /// Writes the entry for attributes, and long names with them: the two ways of writing long
    /// names are not mixed for one file.
    fn append_attributes(
        &mut self,
        entry: &EntryHeader<'_>,
        path: &[u8],
        link: &[u8],
    ) -> io::Result<()> {
        let mut records = Vec::new();
        for (key, name) in [(b"path".as_slice(), path), (b"linkpath", link)] {
            if name.len() > NAME_BYTES_MAX {
                put_record(&mut records, &[key], name);
            }
        }
        for Attribute { name, value } in entry.attributes {
            put_record(&mut records, &[b"SCHILY.xattr.", name], value);
        }
        let size_bytes = records.len() as u64;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::XHeader);
        header.set_size(size_bytes);
        header.set_mode(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        self.put(header, b"././@PaxHeader", b"")?;
        self.out.write_all(&records)?;
        self.pad(size_bytes)
    }

    /// Writes the entry for a name too long for a header.
    fn append_long(&mut self, kind: EntryType, name: &[u8]) -> io::Result<()> {
        if name.len() <= NAME_BYTES_MAX {
            return Ok(());
        }
        let size_bytes = name.len() as u64 + 1;
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size_bytes);
        header.set_mode(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        self.put(header, b"././@LongLink", b"")?;
        self.out.write_all(name)?;
        self.out.write_all(&[0])?;
        self.pad(size_bytes)
    }

    /// Writes one header record. Names are cut to their fields; the long entry before has the rest.
    fn put(&mut self, mut header: Header, name: &[u8], link: &[u8]) -> io::Result<()> {
        let old = header.as_old_mut();
        for (slot, byte) in old.name.iter_mut().zip(name) {
            *slot = *byte;
        }
        for (slot, byte) in old.linkname.iter_mut().zip(link) {
            *slot = *byte;
        }
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    fn pad(&mut self, size_bytes: u64) -> io::Result<()> {
        let records = size_bytes.div_ceil(RECORD_BYTES as u64) * RECORD_BYTES as u64;
        let missing = usize::try_from(records - size_bytes).unwrap_or_default();
        self.out.write_all([0; RECORD_BYTES].get(..missing).unwrap_or_default())
    }
}

/// Appends `LENGTH KEY=VALUE\n`, where the length counts its own digits too.
fn put_record(records: &mut Vec<u8>, key: &[&[u8]], value: &[u8]) {
    let key = key.concat();
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(&key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn header<'a>(path: &'a [u8], kind: EntryKind<'a>) -> EntryHeader<'a> {
        EntryHeader { path, kind, mode: 0o4755, owner: (7, 3_000_000), mtime: 12, attributes: &[] }
    }

    #[test]
    fn the_tar_crate_reads_back_names_links_and_content() {
        let long = [b'n'; 250];
        let exact = [b'e'; 100];
        let mut bytes = Vec::new();
        let mut writer = TarWriter::new(&mut bytes);
        writer.append(&header(b"etc", EntryKind::Folder)).unwrap();
        writer.append_file(&header(&long, EntryKind::File(3)), &mut b"abc".as_slice()).unwrap();
        writer.append_file(&header(&exact, EntryKind::File(0)), &mut b"".as_slice()).unwrap();
        writer.append(&header(b"a", EntryKind::Symlink(&long))).unwrap();
        writer.append(&header(b"b", EntryKind::Symlink(b"../..//x/./"))).unwrap();
        writer.finish().unwrap();
        assert_eq!(bytes.len() % 512, 0);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            assert_eq!(entry.header().mode().unwrap(), 0o4755);
            assert_eq!(entry.header().gid().unwrap(), 3_000_000);
            assert_eq!(entry.header().username_bytes(), Some(b"".as_slice()));
            let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
            seen.push((entry.path_bytes().into_owned(), link.unwrap_or_default(), content));
        }
        assert_eq!(seen.len(), 5);
        assert_eq!(seen[0].0, b"etc/");
        assert_eq!((seen[1].0.as_slice(), seen[1].2.as_slice()), (&long[..], &b"abc"[..]));
        assert_eq!(seen[2].0, exact);
        assert_eq!(seen[3].1, long);
        assert_eq!(seen[4].1, b"../..//x/./");
    }

    #[test]
    fn attributes_links_and_devices_are_read_back() {
        let long = [b'n'; 250];
        for value_bytes in [0, 1, 20, 60, 67, 68, 69, 970] {
            let attributes = [
                Attribute { name: b"security.capability".to_vec(), value: vec![7; value_bytes] },
                Attribute { name: b"user.note".to_vec(), value: b"a=b".to_vec() },
            ];
            let mut bytes = Vec::new();
            let mut writer = TarWriter::new(&mut bytes);
            let with = |header| EntryHeader { attributes: &attributes, ..header };
            writer
                .append_file(&with(header(&long, EntryKind::File(2))), &mut b"ab".as_slice())
                .unwrap();
            writer.append(&header(b"second", EntryKind::HardLink(&long))).unwrap();
            writer.append(&header(b"null", EntryKind::CharDevice(1, 3))).unwrap();
            writer.append(&header(b"pipe", EntryKind::Fifo)).unwrap();
            writer.finish().unwrap();
            let mut archive = tar::Archive::new(bytes.as_slice());
            let mut entries = archive.entries().unwrap().map(Result::unwrap);
            let mut file = entries.next().unwrap();
            assert_eq!(file.path_bytes().as_ref(), long);
            let records: Vec<_> =
                file.pax_extensions().unwrap().unwrap().map(Result::unwrap).collect();
            assert_eq!(records[0].key(), Ok("path"));
            assert_eq!(records[1].key(), Ok("SCHILY.xattr.security.capability"));
            assert_eq!(records[1].value_bytes(), vec![7; value_bytes]);
            assert_eq!(records[2].value_bytes(), b"a=b");
            let link = entries.next().unwrap();
            assert_eq!(link.link_name_bytes().unwrap().as_ref(), long);
            let device = entries.next().unwrap();
            assert_eq!(device.header().device_minor().unwrap(), Some(3));
            assert_eq!(entries.next().unwrap().header().entry_type(), EntryType::Fifo);
        }
    }

    #[test]
    fn a_source_that_ends_early_is_an_error_and_more_than_its_size_is_not_read() {
        let mut out = Vec::new();
        let mut writer = TarWriter::new(&mut out);
        let four = header(b"a", EntryKind::File(4));
        let error = writer.append_file(&four, &mut b"abc".as_slice()).unwrap_err();
        assert!(matches!(error, AppendError::Size), "{error}");
        let mut longer = b"abc".as_slice();
        writer.append_file(&header(b"a", EntryKind::File(2)), &mut longer).unwrap();
        assert_eq!(longer, b"c");
    }
}
