//! The paths found by a walk, packed: a folder may have millions of them.

use std::collections::HashMap;

use crate::image::stamp::ShortStamp;
use crate::image::tar_write::Attribute;

/// The kind of a found path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FolderEntryKind {
    /// A folder of the input.
    Folder,
    /// A folder needed for an entry in it.
    Parent,
    File,
    /// A symbolic link.
    Symlink,
}

/// A path of the image, and its file.
#[derive(Debug)]
pub(super) struct FolderEntry {
    pub(super) size_bytes: u64,
    pub(super) stamp: Option<ShortStamp>,
    path_at: u32,
    link_at: u32,
    path_bytes: u16,
    link_bytes: u16,
    pub(super) mode: u16,
    /// The prefix to turn its path in the image into the path in the folder.
    pub(super) prefix: u16,
    pub(super) kind: FolderEntryKind,
}

impl FolderEntry {
    /// A found path without content.
    pub(super) const fn without_content(kind: FolderEntryKind, mode: u16, prefix: u16) -> Self {
        Self {
            size_bytes: 0,
            stamp: None,
            path_at: 0,
            link_at: 0,
            path_bytes: 0,
            link_bytes: 0,
            mode,
            prefix,
            kind,
        }
    }
}

/// All a walk found.
#[derive(Debug, Default)]
pub(super) struct FolderEntryList {
    text: Vec<u8>,
    list: Vec<FolderEntry>,
    /// By the place of their path, the files with more than one name, and those with capabilities.
    names: HashMap<u32, (u64, u64)>,
    attributes: HashMap<u32, Attribute>,
}

impl FolderEntryList {
    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds a path; `None` when there is no more room.
    pub(super) fn push(&mut self, found: &FolderEntry, path: &[u8], link: &[u8]) -> Option<()> {
        let path_at = u32::try_from(self.text.len()).ok()?;
        let link_at = u32::try_from(self.text.len() + path.len()).ok()?;
        let (path_bytes, link_bytes) =
            (u16::try_from(path.len()).ok()?, u16::try_from(link.len()).ok()?);
        self.text.extend_from_slice(path);
        self.text.extend_from_slice(link);
        self.list.push(FolderEntry { path_at, link_at, path_bytes, link_bytes, ..*found });
        Some(())
    }

    /// Says the last path is one of several names of a file.
    pub(super) fn last_has_names(&mut self, device: u64, inode: u64) {
        if let Some(last) = self.list.last() {
            self.names.insert(last.path_at, (device, inode));
        }
    }

    /// Gives the last path an attribute.
    pub(super) fn last_has_attribute(&mut self, attribute: Attribute) {
        if let Some(last) = self.list.last() {
            self.attributes.insert(last.path_at, attribute);
        }
    }

    /// By path; a folder of the input comes before a needed one.
    pub(super) fn sort(&mut self) {
        let text = &self.text;
        let path = |found: &FolderEntry| range(text, found.path_at, found.path_bytes);
        self.list.sort_unstable_by(|one, other| {
            path(one).cmp(path(other)).then(one.kind.cmp(&other.kind))
        });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &FolderEntry> {
        self.list.iter()
    }

    pub(super) fn path(&self, found: &FolderEntry) -> &[u8] {
        range(&self.text, found.path_at, found.path_bytes)
    }

    pub(super) fn link(&self, found: &FolderEntry) -> &[u8] {
        range(&self.text, found.link_at, found.link_bytes)
    }

    /// Device and inode of a file with several names.
    pub(super) fn names(&self, found: &FolderEntry) -> Option<(u64, u64)> {
        self.names.get(&found.path_at).copied()
    }

    pub(super) fn attribute(&self, found: &FolderEntry) -> Option<&Attribute> {
        self.attributes.get(&found.path_at)
    }
}

fn range(text: &[u8], at: u32, length: u16) -> &[u8] {
    let at = at as usize;
    text.get(at..at + usize::from(length)).unwrap_or_default()
}
