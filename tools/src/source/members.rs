//! The files of a tar, without unpacking it: the place of each, and the links among the names.
//!
//! Invariant: for any tar, a bounded number of names is held, of bounded length in all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::blob::BlobFile;
use super::error::SourceError;
use crate::image::tar_walk::{TarEntry, TarEntryKind, TarWalk};

/// How many members of an archive are remembered. A layout has a few per layer and platform.
const MEMBERS_MAX: usize = 100_000;

/// How long their names may be, all together: a name may have a megabyte of its own.
const NAMES_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How many links may lead from one to the next.
const LINKS_MAX: usize = 16;

/// How much is read behind the end of a tar. Writers fill up to 10 KiB.
const PADDING_BYTES_MAX: u64 = 1024 * 1024;

/// How much is read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// A member of an archive.
#[derive(Debug, Clone)]
enum Member {
    File {
        start: u64,
        size_bytes: u64,
    },
    /// The name a link leads to.
    Link(Vec<u8>),
    Other,
}

/// The target of a name in an archive.
#[derive(Debug)]
pub(super) enum MemberLookup {
    File(BlobFile),
    /// A folder, a device, or a broken link.
    NotAFile,
    /// No member has the name.
    Nothing,
}

/// The members of an archive, and the file they are in.
#[derive(Debug)]
pub(super) struct Members {
    file: Arc<File>,
    table: MemberTable,
}

/// The places of the members. Of two members with one name the last counts, as when the tar is
/// unpacked.
#[derive(Debug, Default)]
pub(super) struct MemberTable {
    members: BTreeMap<Vec<u8>, Member>,
    names_bytes: usize,
}

impl MemberTable {
    /// Reads a tar to its end; `keep` gets every byte of it first.
    pub(super) fn read(
        location: &str,
        tar: &mut dyn Read,
        keep: &mut dyn FnMut(&[u8]) -> Result<(), SourceError>,
    ) -> Result<Self, SourceError> {
        let damaged = |fault| SourceError::Damaged { location: location.to_owned(), fault };
        let mut table = Self::default();
        let mut walk = TarWalk::new();
        let mut buffer = vec![0_u8; BUFFER_BYTES];
        loop {
            let length = match tar.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(SourceError::Read { location: location.to_owned(), source });
                }
            };
            let bytes = buffer.get(..length).unwrap_or_default();
            let mut full = false;
            walk.update(bytes, &mut |entry| {
                full = !table.add(entry);
                if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .map_err(damaged)?;
            if full {
                let what = format!(
                    "more than {MEMBERS_MAX} members, or names of more than {NAMES_BYTES_MAX} bytes"
                );
                return Err(SourceError::TooMuch { location: location.to_owned(), what });
            }
            keep(bytes)?;
            if walk.is_at_end() {
                pass_end(location, tar)?;
                break;
            }
        }
        walk.finish().map_err(damaged)?;
        Ok(table)
    }

    /// Takes note of an entry; `false` when there is no more room.
    fn add(&mut self, entry: &TarEntry<'_>) -> bool {
        let name = plain(entry.path);
        let member = match entry.kind {
            TarEntryKind::File => {
                Member::File { start: entry.content_offset, size_bytes: entry.size_bytes }
            }
            TarEntryKind::Symlink => match beside(name, entry.link) {
                Some(target) => Member::Link(target),
                None => Member::Other,
            },
            TarEntryKind::HardLink => Member::Link(plain(entry.link).to_vec()),
            _ => Member::Other,
        };
        self.names_bytes = self.names_bytes.saturating_add(name.len() + entry.link.len());
        self.members.insert(name.to_vec(), member);
        self.members.len() <= MEMBERS_MAX && self.names_bytes <= NAMES_BYTES_MAX
    }

    /// Every name, sorted by bytes.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.members.keys().map(Vec::as_slice)
    }

    /// Whether a member has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name.as_bytes())
    }

    /// Whether a file has this name.
    pub(super) fn has_file(&self, name: &str) -> bool {
        matches!(self.members.get(name.as_bytes()), Some(Member::File { .. }))
    }
}

/// Reads the padding behind the last member, and so the checksum of its compression. A megabyte of
/// zeros packs to nothing, so the padding has a bound.
fn pass_end(location: &str, tar: &mut dyn Read) -> Result<(), SourceError> {
    io::copy(&mut tar.take(PADDING_BYTES_MAX), &mut io::sink())
        .map(drop)
        .map_err(|source| SourceError::Read { location: location.to_owned(), source })
}

impl Members {
    /// The members of a tar in this file.
    pub(super) fn new(file: File, table: MemberTable) -> Self {
        Self { file: Arc::new(file), table }
    }

    /// The table of the members.
    pub(super) const fn table(&self) -> &MemberTable {
        &self.table
    }

    /// The file of a name, links not followed: a layout has none.
    pub(super) fn open(&self, name: &str) -> MemberLookup {
        self.found(self.table.members.get(plain(name.as_bytes())))
    }

    /// The file a name leads to, through links among the members.
    pub(super) fn follow(&self, name: &str) -> MemberLookup {
        let mut member = self.table.members.get(plain(name.as_bytes()));
        for _ in 0..LINKS_MAX {
            let Some(Member::Link(target)) = member else { return self.found(member) };
            match self.table.members.get(target) {
                None => return MemberLookup::NotAFile,
                next => member = next,
            }
        }
        MemberLookup::NotAFile
    }

    fn found(&self, member: Option<&Member>) -> MemberLookup {
        match member {
            None => MemberLookup::Nothing,
            Some(Member::File { start, size_bytes }) => {
                MemberLookup::File(BlobFile::new(Arc::clone(&self.file), *start, *size_bytes))
            }
            Some(Member::Link(_) | Member::Other) => MemberLookup::NotAFile,
        }
    }
}

/// A name without the leading `./` of some archives, and the `/` behind a folder.
fn plain(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"./") {
        name = rest;
    }
    name.strip_suffix(b"/").unwrap_or(name)
}

/// The name a symbolic link means, from where it stands; `None` when it leaves the archive.
fn beside(name: &[u8], link: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
    parts.pop();
    if link.starts_with(b"/") {
        return None;
    }
    for part in link.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_link_means_a_name_of_the_archive_or_nothing() {
        let target = |name: &str, link: &str| {
            beside(name.as_bytes(), link.as_bytes()).map(|name| String::from_utf8(name).unwrap())
        };
        assert_eq!(target("a/layer.tar", "../b.tar").as_deref(), Some("b.tar"));
        assert_eq!(target("a/layer.tar", "./x//y").as_deref(), Some("a/x/y"));
        assert_eq!(target("a.tar", "b.tar").as_deref(), Some("b.tar"));
        assert_eq!(target("a.tar", "../b.tar"), None);
        assert_eq!(target("a/b", "/etc/passwd"), None);
        assert_eq!(plain(b"././a/"), b"a");
    }
}
