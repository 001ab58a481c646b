//! The entries of one layer, packed.

use super::content::{self, FileContent};
use super::names;

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FileKind {
    /// A file with content.
    File,
    /// Another name of a file; entries of layers only, in a view it is the file.
    HardLink,
    Folder,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// Takes the path away from the layers below; entries of layers only.
    Whiteout,
    /// Hides the lower layers' content of the folder; entries of layers only.
    Opaque,
}

impl FileKind {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::HardLink => "hard link",
            Self::Folder => "folder",
            Self::Symlink => "symbolic link",
            Self::CharDevice => "character device",
            Self::BlockDevice => "block device",
            Self::Fifo => "named pipe",
            Self::Whiteout => "whiteout",
            Self::Opaque => "opaque marker",
        }
    }
}

/// The cost of an entry in memory besides its path, its link and its content: the entry, and its
/// places in the sorted list of its layer and in a view.
pub const ENTRY_BYTES: usize = size_of::<PackedEntry>() + 4 + 8;

/// `Entry::content` of a file without known facts.
pub(super) const NO_CONTENT: u32 = 0;
/// `Entry::content` of a file without bytes.
pub(super) const EMPTY_CONTENT: u32 = 1;
/// The first place of kept contents.
pub(super) const CONTENTS_FROM: u32 = 2;
/// `Entry::content` of a hard link whose target is not before it in its layer.
pub(super) const NO_TARGET: u32 = u32::MAX;

/// An entry; its path and then its link are in the names of its layer.
#[derive(Debug, Clone)]
pub(super) struct PackedEntry {
    pub(super) size_bytes: u64,
    pub(super) name_at: u32,
    pub(super) path_bytes: u32,
    pub(super) link_bytes: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The place of its content; of a hard link, the place of the entry it is another name of.
    pub(super) content: u32,
    pub(super) mode: u16,
    pub(super) kind: FileKind,
    /// A folder, and a marker to hide the lower layers' content of it.
    pub(super) is_opaque: bool,
    /// Whether a whiteout of its name stands in its layer too.
    pub(super) has_whiteout: bool,
}

/// The root of an image without layers, or without an entry for it.
pub(super) static ROOT: PackedEntry = PackedEntry {
    size_bytes: 0,
    name_at: 0,
    path_bytes: 0,
    link_bytes: 0,
    uid: 0,
    gid: 0,
    content: NO_CONTENT,
    mode: 0o755,
    kind: FileKind::Folder,
    is_opaque: false,
    has_whiteout: false,
};

/// The entries of one layer.
#[derive(Debug, Default)]
pub struct LayerFiles {
    pub(super) names: Vec<u8>,
    /// Those of the tar, in its order, then folders it only implies.
    pub(super) entries: Vec<PackedEntry>,
    /// How many of them are in the tar.
    pub(super) listed: usize,
    /// The layer's final entries, by path: no path twice, no opaque markers.
    pub(super) sorted: Vec<u32>,
    pub(super) contents: Vec<FileContent>,
    pub(super) is_incomplete: bool,
}

impl LayerFiles {
    /// A layer its reader could not read.
    #[must_use]
    pub fn unread() -> Self {
        Self { is_incomplete: true, ..Self::default() }
    }

    /// The entries in the order of the tar. A whiteout has the path it takes away, an opaque marker
    /// the path of its folder. [`File::layer`] is 0: only images know a layer's place.
    pub fn entries(&self) -> impl Iterator<Item = File<'_>> {
        let listed = self.entries.iter().take(self.listed);
        listed.map(|entry| self.file(entry, entry, 0))
    }

    /// The entry with this number, from 0, in the order of the tar.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<File<'_>> {
        let entry = self.entries.get(at).filter(|_| at < self.listed)?;
        Some(self.file(entry, entry, 0))
    }

    /// Whether every entry of the layer is here.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        !self.is_incomplete
    }

    /// How many entries the tar has, as far as they were read.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.listed
    }

    /// Whether the tar has no entries.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.listed == 0
    }

    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let contents = self.contents.iter().map(FileContent::held_bytes).sum::<usize>();
        self.names.len() + self.entries.len() * ENTRY_BYTES + contents
    }

    pub(super) fn entry(&self, at: u32) -> Option<&PackedEntry> {
        self.entries.get(at as usize)
    }

    pub(super) fn path_at(&self, at: u32) -> &[u8] {
        self.entry(at).map(|entry| self.path(entry)).unwrap_or_default()
    }

    /// Whether an entry is a folder the tar does not list.
    pub(super) const fn is_implied(&self, at: u32) -> bool {
        at as usize >= self.listed
    }

    pub(super) fn path(&self, entry: &PackedEntry) -> &[u8] {
        let from = entry.name_at as usize;
        self.names.get(from..from + entry.path_bytes as usize).unwrap_or_default()
    }

    pub(super) fn link(&self, entry: &PackedEntry) -> &[u8] {
        let from = entry.name_at as usize + entry.path_bytes as usize;
        self.names.get(from..from + entry.link_bytes as usize).unwrap_or_default()
    }

    pub(super) fn content(&self, entry: &PackedEntry) -> &FileContent {
        match entry.content {
            _ if entry.kind != FileKind::File => &content::OTHER,
            EMPTY_CONTENT => &content::EMPTY,
            place => {
                let place = place.checked_sub(CONTENTS_FROM).map(|place| place as usize);
                place.and_then(|place| self.contents.get(place)).unwrap_or(&content::OTHER)
            }
        }
    }

    /// The file with the path of one entry and all else of another.
    pub(super) fn file<'a>(
        &'a self,
        at: &'a PackedEntry,
        entry: &'a PackedEntry,
        layer: usize,
    ) -> File<'a> {
        File {
            path: self.path(at),
            link: self.link(entry),
            content: self.content(entry),
            entry,
            layer,
        }
    }

    /// Where in `sorted` a path is.
    pub(super) fn find(&self, path: &[u8]) -> Option<u32> {
        let found = self.sorted.binary_search_by(|at| names::compare(self.path_at(*at), path));
        found.ok().and_then(|place| self.sorted.get(place)).copied()
    }
}

/// A file, borrowed from its layer.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    pub(super) path: &'a [u8],
    pub(super) link: &'a [u8],
    pub(super) content: &'a FileContent,
    pub(super) entry: &'a PackedEntry,
    pub(super) layer: usize,
}

impl<'a> File<'a> {
    /// The path, without a leading slash; the root is empty.
    #[must_use]
    pub const fn path(&self) -> &'a [u8] {
        self.path
    }

    /// The kind of its entry.
    #[must_use]
    pub const fn kind(&self) -> FileKind {
        self.entry.kind
    }

    /// Permissions, with setuid, setgid and sticky.
    #[must_use]
    pub fn mode(&self) -> u32 {
        u32::from(self.entry.mode)
    }

    /// Numbers of user and group.
    #[must_use]
    pub const fn owner(&self) -> (u32, u32) {
        (self.entry.uid, self.entry.gid)
    }

    /// Size of the content; 0 for an entry without any.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.entry.size_bytes
    }

    /// Where a link leads, as it stands in the tar; else empty.
    #[must_use]
    pub const fn link(&self) -> &'a [u8] {
        match self.entry.kind {
            FileKind::Symlink | FileKind::HardLink => self.link,
            _ => b"",
        }
    }

    /// The layer it comes from, from 0 at the bottom.
    #[must_use]
    pub const fn layer(&self) -> usize {
        self.layer
    }

    /// The known facts of its content.
    #[must_use]
    pub const fn content(&self) -> &'a FileContent {
        self.content
    }
}
