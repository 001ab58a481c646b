//! The difference of two entries of the same path, field by field, in the order of importance for
//! people.

use crate::image::files::shown;
use crate::image::tar_walk::{TarEntry, TarEntryKind};

/// An entry, with the records it is made of.
#[derive(Debug)]
pub(super) struct ComparedEntry {
    pub(super) path: Vec<u8>,
    kind: TarEntryKind,
    link: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
    mtime: i64,
    device: (u64, u64),
    pub(super) size_bytes: u64,
    record: Vec<u8>,
    extensions: Vec<(u8, Vec<u8>)>,
}

/// The fields of a header a walk does not tell, with where they stand (POSIX, ustar).
const FIELDS: [(&str, usize, usize); 8] = [
    ("name", 0, 100),
    ("size field", 124, 136),
    ("type flag", 156, 157),
    ("link name", 157, 257),
    ("magic", 257, 265),
    ("user name", 265, 297),
    ("group name", 297, 329),
    ("prefix", 345, 500),
];

impl ComparedEntry {
    pub(super) fn new(
        walked: &TarEntry<'_>,
        record: Vec<u8>,
        extensions: Vec<(u8, Vec<u8>)>,
    ) -> Self {
        Self {
            path: walked.path.to_vec(),
            kind: walked.kind,
            link: walked.link.to_vec(),
            mode: walked.mode,
            owner: walked.owner,
            mtime: walked.mtime,
            device: walked.device,
            size_bytes: walked.size_bytes,
            record,
            extensions,
        }
    }

    /// The path as it is shown: without a slash at its end.
    pub(super) fn shown(&self) -> String {
        shown(self.path.strip_suffix(b"/").unwrap_or(&self.path))
    }

    /// The new and the old value of the first different field.
    pub(super) fn differs(&self, was: &Self) -> Option<String> {
        let change = |name: &str, now: String, was: String| {
            (now != was).then(|| format!("{name} {now}, was {was}"))
        };
        change("", kind_name(self.kind), kind_name(was.kind))
            .map(|text| text.trim_start().to_owned())
            .or_else(|| change("leads to", shown(&self.link), shown(&was.link)))
            .or_else(|| change("mode", octal(self.mode), octal(was.mode)))
            .or_else(|| change("owner", owner(self.owner), owner(was.owner)))
            .or_else(|| change("size", self.size_bytes.to_string(), was.size_bytes.to_string()))
            .or_else(|| change("time", self.mtime.to_string(), was.mtime.to_string()))
            .or_else(|| change("device", numbers(self.device), numbers(was.device)))
            .or_else(|| self.attribute(was))
            .or_else(|| self.field(was))
    }

    /// The first different record of the extended headers.
    fn attribute(&self, was: &Self) -> Option<String> {
        if self.extensions == was.extensions {
            return None;
        }
        let (now, was) = (pax(&self.extensions), pax(&was.extensions));
        for (key, value) in &now {
            let name = String::from_utf8_lossy(key);
            match was.iter().find(|(other, _)| other == key) {
                None => return Some(format!("attribute {name} is not in the layout")),
                Some((_, other)) if other != value => {
                    let at = first_other(value, other);
                    return Some(format!("attribute {name} differs at byte {at}"));
                }
                Some(_) => {}
            }
        }
        let only = was.iter().find(|(key, _)| !now.iter().any(|(other, _)| other == key));
        Some(only.map_or_else(
            || "its extended header is written otherwise".to_owned(),
            |(key, _)| format!("attribute {} is only in the layout", String::from_utf8_lossy(key)),
        ))
    }

    /// The first different field of the header.
    fn field(&self, was: &Self) -> Option<String> {
        if self.record == was.record {
            return None;
        }
        let text = |record: &[u8], from: usize, to: usize| {
            let field = record.get(from..to).unwrap_or_default();
            let end = field.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            format!("`{}`", shown(field.get(..end).unwrap_or_default()))
        };
        for (name, from, to) in FIELDS {
            let (now, was) = (text(&self.record, from, to), text(&was.record, from, to));
            if now != was {
                return Some(format!("{name} {now}, was {was}"));
            }
        }
        let at = first_other(&self.record, &was.record);
        Some(format!("its header differs at byte {at}"))
    }
}

/// Where two texts differ first, from 0.
pub(super) fn first_other(one: &[u8], other: &[u8]) -> usize {
    let common = one.iter().zip(other).position(|(one, other)| one != other);
    common.unwrap_or_else(|| one.len().min(other.len()))
}

/// The records of PAX headers, and the long names of GNU tar, by their keys.
fn pax(extensions: &[(u8, Vec<u8>)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    for (flag, bytes) in extensions {
        if *flag != b'x' && *flag != b'g' {
            let key = if *flag == b'L' { b"path".to_vec() } else { b"linkpath".to_vec() };
            all.push((key, bytes.clone()));
            continue;
        }
        let mut rest = bytes.as_slice();
        while let Some((record, after)) = next_record(rest) {
            rest = after;
            let mut parts = record.splitn(2, |byte| *byte == b'=');
            let key = parts.next().unwrap_or_default().to_vec();
            all.push((key, parts.next().unwrap_or_default().to_vec()));
        }
    }
    all
}

/// `LENGTH KEY=VALUE\n`: the text between the space and the end of the line, and the bytes after
/// it.
fn next_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(bytes.get(..space)?).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?;
    Some((record.strip_suffix(b"\n").unwrap_or(record), bytes.get(length..)?))
}

fn kind_name(kind: TarEntryKind) -> String {
    match kind {
        TarEntryKind::File => "a file".to_owned(),
        TarEntryKind::HardLink => "a hard link".to_owned(),
        TarEntryKind::Symlink => "a symbolic link".to_owned(),
        TarEntryKind::CharDevice => "a character device".to_owned(),
        TarEntryKind::BlockDevice => "a block device".to_owned(),
        TarEntryKind::Folder => "a folder".to_owned(),
        TarEntryKind::Fifo => "a named pipe".to_owned(),
        TarEntryKind::Unknown(flag) => format!("of type {:?}", char::from(flag)),
    }
}

fn octal(mode: u32) -> String {
    format!("{mode:04o}")
}

fn owner((user, group): (u32, u32)) -> String {
    format!("{user}:{group}")
}

fn numbers((major, minor): (u64, u64)) -> String {
    format!("{major},{minor}")
}
