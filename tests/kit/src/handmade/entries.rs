//! The entries of a layer, and the tar made of them. The tar holds every entry exactly as the test
//! writes it, without corrections.

/// The time of every entry.
const CREATED_UNIX: u64 = 1_577_836_800;

/// The longest name in the header itself.
const NAME_BYTES_MAX: usize = 100;

/// One entry of a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, as it stands there.
    pub path: Vec<u8>,
    /// The type flag: `b'0'` for a file.
    pub flag: u8,
    /// Where a link leads.
    pub link: Vec<u8>,
    pub mode: u32,
    /// User and group.
    pub owner: (u64, u64),
    pub content: Vec<u8>,
}

impl Entry {
    /// An entry of this type, without bytes.
    pub fn new(flag: u8, path: impl AsRef<[u8]>) -> Self {
        let path = path.as_ref().to_owned();
        Self { path, flag, link: Vec::new(), mode: 0o644, owner: (0, 0), content: Vec::new() }
    }

    /// A plain file.
    pub fn file(path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        Self { content: content.as_ref().to_owned(), ..Self::new(b'0', path) }
    }

    /// A file with the execute permission for every user.
    pub fn program(path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        Self { mode: 0o755, ..Self::file(path, content) }
    }

    pub fn folder(path: impl AsRef<[u8]>) -> Self {
        Self { mode: 0o755, ..Self::new(b'5', path) }
    }

    /// A symbolic link.
    pub fn symlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self { mode: 0o777, link: target.as_ref().to_owned(), ..Self::new(b'2', path) }
    }

    /// A hard link.
    pub fn hard_link(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self { link: target.as_ref().to_owned(), ..Self::new(b'1', path) }
    }

    /// The same with another mode.
    #[must_use]
    pub fn with_mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The same with another owner.
    #[must_use]
    pub fn owned_by(mut self, user: u64, group: u64) -> Self {
        self.owner = (user, group);
        self
    }

    fn write(&self, tar: &mut Vec<u8>) {
        if self.path.len() > NAME_BYTES_MAX || self.link.len() > NAME_BYTES_MAX {
            let mut records = Vec::new();
            record(&mut records, b"path", &self.path);
            record(&mut records, b"linkpath", &self.link);
            block(tar, &Self { content: records, ..Self::new(b'x', "PaxHeaders/entry") });
        }
        block(tar, self);
    }
}

/// The tar of these entries, with its end.
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        entry.write(&mut tar);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// A PAX record: its own length, a space, the name, `=`, the value and a line break.
fn record(records: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if value.is_empty() {
        return;
    }
    let bare = name.len() + value.len() + 3;
    let mut length = bare + 1;
    while bare + length.to_string().len() != length {
        length = bare + length.to_string().len();
    }
    records.extend(length.to_string().bytes().chain([b' ']));
    records.extend(name.iter().chain(b"=").chain(value).chain(b"\n"));
}

/// A header and the bytes behind it, filled up to whole blocks.
fn block(tar: &mut Vec<u8>, entry: &Entry) {
    let mut header = tar::Header::new_ustar();
    let fields = header.as_mut_bytes();
    for (start, text) in [(0, &entry.path), (157, &entry.link)] {
        let room = fields.get_mut(start..start + NAME_BYTES_MAX).unwrap_or_default();
        for (place, byte) in room.iter_mut().zip(text) {
            *place = *byte;
        }
    }
    header.set_entry_type(tar::EntryType::new(entry.flag));
    header.set_mode(entry.mode);
    header.set_uid(entry.owner.0);
    header.set_gid(entry.owner.1);
    header.set_mtime(CREATED_UNIX);
    header.set_size(entry.content.len() as u64);
    header.set_cksum();
    tar.extend_from_slice(header.as_bytes());
    tar.extend_from_slice(&entry.content);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read as _;

    use super::*;

    #[test]
    fn another_reader_reads_what_was_written() {
        let long = "d/".repeat(60) + "file";
        let bytes = archive(&[
            Entry::folder("d"),
            Entry::file(&long, "text").owned_by(7, 8),
            Entry::symlink("l", &long),
        ]);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let link =
                entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
            seen.push((entry.path_bytes().into_owned(), text, link));
        }
        let long = long.into_bytes();
        let expected = [
            (b"d".to_vec(), String::new(), Vec::new()),
            (long.clone(), "text".to_owned(), Vec::new()),
            (b"l".to_vec(), String::new(), long),
        ];
        assert_eq!(seen, expected);
    }
}
