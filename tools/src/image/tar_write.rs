//! Tar entries whose every byte follows from the arguments: no names of users, no clock, no inode.
//! Long names use the GNU form, which every runtime reads.

use std::io::{self, Read, Write};

use tar::{EntryType, Header};

/// What a tar is made of.
const RECORD_BYTES: usize = 512;

/// How much of a file is read at once.
const COPY_BYTES: usize = 128 * 1024;

/// What a header holds of a name; longer ones go into an entry of their own.
const NAME_BYTES_MAX: usize = 100;

/// What stands in the header of an entry.
#[derive(Debug, Clone, Copy)]
pub struct EntryHeader<'a> {
    /// Path without a leading slash; a folder's without the trailing one.
    pub path: &'a [u8],
    /// What it is.
    pub kind: EntryKind<'a>,
    /// Permission, setuid, setgid and sticky bits.
    pub mode: u32,
    /// Numeric owner: user and group.
    pub owner: (u32, u32),
    /// Seconds since 1970.
    pub mtime: u64,
}

/// The kinds of entry that a layer made from a folder has.
#[derive(Debug, Clone, Copy)]
pub enum EntryKind<'a> {
    /// A folder.
    Folder,
    /// A file of this size; its bytes follow.
    File(u64),
    /// A symbolic link to this text.
    Symlink(&'a [u8]),
}

/// Writes entries into `out`.
pub struct TarWriter<'w, W: Write> {
    out: &'w mut W,
    buffer: Vec<u8>,
}

impl<'w, W: Write> TarWriter<'w, W> {
    /// A tar that starts here.
    pub fn new(out: &'w mut W) -> Self {
        Self { out, buffer: vec![0; COPY_BYTES] }
    }

    /// Writes an entry without content.
    pub fn append(&mut self, header: &EntryHeader<'_>) -> io::Result<()> {
        self.append_header(header)
    }

    /// Writes a file. A source that has not exactly the size in the header is an error, because the
    /// entries after it would be torn.
    pub fn append_file(
        &mut self,
        header: &EntryHeader<'_>,
        source: &mut impl Read,
    ) -> io::Result<()> {
        let EntryKind::File(size_bytes) = header.kind else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the header of a file"));
        };
        self.append_header(header)?;
        let mut source = source.take(size_bytes.saturating_add(1));
        let mut left = size_bytes;
        loop {
            let read = source.read(&mut self.buffer)?;
            if read == 0 {
                break;
            }
            left = left.checked_sub(read as u64).ok_or_else(changed_size)?;
            self.out.write_all(self.buffer.get(..read).unwrap_or_default())?;
        }
        if left != 0 {
            return Err(changed_size());
        }
        self.pad(size_bytes)
    }

    /// Writes the two empty records that end a tar.
    pub fn finish(self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * RECORD_BYTES])
    }

    fn append_header(&mut self, entry: &EntryHeader<'_>) -> io::Result<()> {
        let mut path = entry.path.to_vec();
        let (kind, size_bytes, link) = match entry.kind {
            EntryKind::Folder => {
                path.push(b'/');
                (EntryType::Directory, 0, [].as_slice())
            }
            EntryKind::File(size_bytes) => (EntryType::Regular, size_bytes, [].as_slice()),
            EntryKind::Symlink(target) => (EntryType::Symlink, 0, target),
        };
        self.append_long(EntryType::GNULongName, &path)?;
        self.append_long(EntryType::GNULongLink, link)?;
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size_bytes);
        header.set_mode(entry.mode);
        header.set_uid(u64::from(entry.owner.0));
        header.set_gid(u64::from(entry.owner.1));
        header.set_mtime(entry.mtime);
        self.put(header, &path, link)
    }

    /// Writes the entry that carries a name too long for a header.
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

fn changed_size() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its size changed while it was read")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn header<'a>(path: &'a [u8], kind: EntryKind<'a>) -> EntryHeader<'a> {
        EntryHeader { path, kind, mode: 0o4755, owner: (7, 3_000_000), mtime: 12 }
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
    fn a_file_that_shrinks_or_grows_is_an_error() {
        for size in [2, 4] {
            let mut out = Vec::new();
            let mut writer = TarWriter::new(&mut out);
            let header = header(b"a", EntryKind::File(size));
            assert!(writer.append_file(&header, &mut b"abc".as_slice()).is_err());
        }
    }
}
