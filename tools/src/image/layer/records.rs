//! The entries of an archive to be written anew, as they stand in it.
//!
//! Invariant: memory is bounded for any archive; content without a valid form (a sparse file with a
//! false map) is found here, before the layer is written.

use std::ops::ControlFlow;

use super::error::ENTRIES_MAX;
use crate::image::attest::licences::COPYRIGHT_BYTES_MAX;
use crate::image::files::clean;
use crate::image::sparse::Expander;
use crate::image::tar_walk::{Ending, SparsePart, TarEntry, TarEntryKind, Visit};
use crate::image::tar_write::Attribute;

/// Most bytes of names, links and attributes of one archive: of a million files with names of 128.
const NAMES_BYTES_MAX: usize = 128 << 20;

/// Largest layer, not compressed: the limit of `verify` for an inflated layer. A larger one counts
/// as a bomb.
pub(super) const LAYER_BYTES_MAX: u64 = 64 << 30;

/// How many times its own size an archive may inflate to, once it is over this many bytes: beyond
/// this ratio `verify` takes a layer for a bomb, too.
const RATIO_MAX: u64 = 500;
const RATIO_FROM_BYTES: u64 = 4 << 30;

/// How many bytes of tar an archive of this size may hold.
pub(super) fn tar_bytes_max(archive_bytes: u64) -> u64 {
    archive_bytes.saturating_mul(RATIO_MAX).clamp(RATIO_FROM_BYTES, LAYER_BYTES_MAX)
}

/// Longest path and longest name in it, as the kernel counts.
const PATH_BYTES_MAX: usize = 4095;
const NAME_BYTES_MAX: usize = 255;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArchiveRecord {
    /// Its path from the root of the archive, without `.`, `..` and empty parts.
    pub(super) path: Box<[u8]>,
    pub(super) kind: RecordKind,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    /// Seconds since 1970; 0 for a time before 1970, as engines read it.
    pub(super) mtime: u64,
    pub(super) attributes: Box<[Attribute]>,
}

/// The kind of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RecordKind {
    Folder,
    /// A file of this size once it is unpacked.
    File(u64),
    /// The path of its target in the archive.
    HardLink(Box<[u8]>),
    Symlink(Box<[u8]>),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
}

/// Why an entry cannot be written anew, or the archive as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RecordFault {
    /// The entry with this path; the text ends a sentence with the entry as its subject.
    Entry(Vec<u8>, String),
    /// The limit the archive breaks, in words.
    TooMuch(String),
}

/// Collects the entries of an archive.
#[derive(Default)]
pub(super) struct Records {
    pub(super) entries: Vec<ArchiveRecord>,
    pub(super) fault: Option<RecordFault>,
    pub(super) ending: Option<Ending>,
    /// The copyright file each package has, when it is looked for.
    pub(super) copyright: Option<Vec<u8>>,
    is_package: bool,
    has_copyright: bool,
    takes_copyright: bool,
    names_bytes: usize,
    content_bytes: u64,
    expander: Option<Expander>,
}

impl Records {
    /// Of a tar.
    pub(super) fn of_tar() -> Self {
        Self::default()
    }

    /// For a package: its entries have fewer kinds, and its licences are needed.
    pub(super) fn of_package() -> Self {
        Self { is_package: true, ..Self::default() }
    }

    /// There are no more entries.
    pub(super) fn finish(mut self) -> Result<Self, RecordFault> {
        self.end_content();
        self.fault.take().map_or(Ok(self), Err)
    }

    fn fail(&mut self, path: &[u8], reason: impl Into<String>) {
        self.fault.get_or_insert_with(|| RecordFault::Entry(path.to_vec(), reason.into()));
    }

    fn too_much(&mut self, what: String) {
        self.fault.get_or_insert(RecordFault::TooMuch(what));
    }

    /// Ends the content of a sparse file; missing bytes are a fault.
    fn end_content(&mut self) {
        self.takes_copyright = false;
        let Some(mut expander) = self.expander.take() else { return };
        if let Err(fault) = expander.finish(&mut |_| ()) {
            self.fail_last(&fault.to_string());
        }
    }

    fn fail_last(&mut self, reason: &str) {
        let path = self.entries.last().map(|record| record.path.to_vec()).unwrap_or_default();
        self.fail(&path, reason);
    }

    fn take(&mut self, entry: &TarEntry<'_>) -> Result<(), String> {
        check_path(entry.path)?;
        let path: Box<[u8]> = clean(entry.path).as_ref().into();
        if path.is_empty() && entry.kind != TarEntryKind::Folder {
            return Err("has the name of the root, and is no folder".to_owned());
        }
        let kind = self.kind_of(entry)?;
        if entry.owner.0 == u32::MAX || entry.owner.1 == u32::MAX {
            return Err("has an owner or a group over 4294967294".to_owned());
        }
        let attributes: Box<[Attribute]> = entry
            .attributes
            .iter()
            .map(|(name, value)| Attribute { name: name.clone(), value: value.clone() })
            .collect();
        let held = attributes.iter().map(|at| at.name.len() + at.value.len()).sum::<usize>();
        self.names_bytes += entry.path.len() + entry.link.len() + held;
        if self.names_bytes > NAMES_BYTES_MAX {
            self.too_much(format!("more than {NAMES_BYTES_MAX} bytes of names and attributes"));
        }
        if self.entries.len() == ENTRIES_MAX {
            self.too_much(format!("more than {ENTRIES_MAX} entries"));
        }
        if let RecordKind::File(size_bytes) = kind {
            self.content_bytes = self.content_bytes.saturating_add(size_bytes);
            if self.content_bytes > LAYER_BYTES_MAX {
                self.too_much(format!("more than {LAYER_BYTES_MAX} bytes of content"));
            }
            self.expander = Expander::new(entry);
        }
        if self.is_package && !self.has_copyright && is_copyright(&path) {
            let is_taken = matches!(kind, RecordKind::File(size) if size <= COPYRIGHT_BYTES_MAX)
                && self.expander.is_none();
            self.has_copyright = is_taken;
            self.takes_copyright = is_taken;
            self.copyright = is_taken.then(Vec::new);
        }
        let mtime = u64::try_from(entry.mtime).unwrap_or_default();
        let (mode, owner) = (entry.mode, entry.owner);
        self.entries.push(ArchiveRecord { path, kind, mode, owner, mtime, attributes });
        Ok(())
    }

    fn kind_of(&self, entry: &TarEntry<'_>) -> Result<RecordKind, String> {
        let device = || {
            let (major, minor) = entry.device;
            let numbers = u32::try_from(major).ok().zip(u32::try_from(minor).ok());
            numbers.ok_or_else(|| "is a device with numbers that no kernel has".to_owned())
        };
        let is_special = matches!(
            entry.kind,
            TarEntryKind::CharDevice | TarEntryKind::BlockDevice | TarEntryKind::Fifo
        );
        if self.is_package && is_special {
            return Err("is a device or a named pipe, which packages do not have".to_owned());
        }
        let unpacked = entry.sparse_bytes.unwrap_or(entry.size_bytes);
        Ok(match entry.kind {
            // Every reader of contiguous files takes them for files; old GNU tar writes sparse ones
            // as `S`.
            TarEntryKind::File | TarEntryKind::Unknown(b'7' | b'S') => RecordKind::File(unpacked),
            TarEntryKind::Folder => RecordKind::Folder,
            TarEntryKind::HardLink => {
                check_path(entry.link)
                    .map_err(|reason| format!("is a hard link to what {reason}"))?;
                RecordKind::HardLink(clean(entry.link).as_ref().into())
            }
            TarEntryKind::Symlink if entry.link.is_empty() || entry.link.contains(&0) => {
                return Err("is a symbolic link to no usable name".to_owned());
            }
            TarEntryKind::Symlink => RecordKind::Symlink(entry.link.into()),
            TarEntryKind::CharDevice => {
                device().map(|(major, minor)| RecordKind::CharDevice(major, minor))?
            }
            TarEntryKind::BlockDevice => {
                device().map(|(major, minor)| RecordKind::BlockDevice(major, minor))?
            }
            TarEntryKind::Fifo => RecordKind::Fifo,
            TarEntryKind::Unknown(flag) => {
                let flag = [flag];
                let flag = flag.escape_ascii();
                return Err(format!("has the type `{flag}`, which nobody knows"));
            }
        })
    }
}

impl Visit for Records {
    fn ended(&mut self, ending: Ending) {
        self.ending = Some(ending);
    }

    fn entry(&mut self, entry: &TarEntry<'_>) -> ControlFlow<()> {
        self.end_content();
        if self.fault.is_none()
            && let Err(reason) = self.take(entry)
        {
            self.fail(entry.path, reason);
        }
        if self.fault.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn part(&mut self, part: SparsePart) {
        if let Some(Err(fault)) = self.expander.as_mut().map(|expander| expander.part(part)) {
            self.fail_last(&fault.to_string());
        }
    }

    fn content(&mut self, bytes: &[u8]) {
        if let Some(expander) = &mut self.expander {
            if let Err(fault) = expander.content(bytes, &mut |_| ()) {
                self.fail_last(&fault.to_string());
            }
        } else if let (true, Some(text)) = (self.takes_copyright, &mut self.copyright) {
            text.extend_from_slice(bytes);
        }
    }
}

/// Whether a name lies in the root of the archive and on a disk.
fn check_path(path: &[u8]) -> Result<(), String> {
    if path.is_empty() || path.contains(&0) {
        return Err("has no usable name".to_owned());
    }
    let mut depth = 0_usize;
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                depth = depth.checked_sub(1).ok_or("leaves the root of the archive by `..`")?;
            }
            _ => depth += 1,
        }
    }
    if path.len() > PATH_BYTES_MAX
        || path.split(|byte| *byte == b'/').any(|part| part.len() > NAME_BYTES_MAX)
    {
        return Err(format!(
            "has a path over {PATH_BYTES_MAX} bytes, or a name over {NAME_BYTES_MAX} in it"
        ));
    }
    Ok(())
}

/// `usr/share/doc/PACKAGE/copyright`
fn is_copyright(path: &[u8]) -> bool {
    let name =
        path.strip_prefix(b"usr/share/doc/").and_then(|rest| rest.strip_suffix(b"/copyright"));
    name.is_some_and(|name| !name.is_empty() && !name.contains(&b'/'))
}
