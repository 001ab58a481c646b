//! Takes the entries of a layer in the order of its tar, and makes of them the files on an engine's
//! disk after it unpacked the layer alone.

use super::content::{FileContent, Magic};
use super::entry::{
    CONTENTS_FROM, EMPTY_CONTENT, ENTRY_BYTES, File, FileKind, LayerFiles, NO_CONTENT, NO_TARGET,
    PackedEntry,
};
use super::names::{self, clean, link_target};

const WHITEOUT: &[u8] = b".wh.";
/// The prefix of names engines keep for themselves; of these only the opaque marker has a meaning.
const WHITEOUT_META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// How often the names of a layer may lead through links of its own, one after another.
const LINKS_MAX: usize = 40;

/// Most bytes of new names, for entries with a path through a link of their own layer.
const MOVED_BYTES_MAX: usize = 16 << 20;

/// How many folders may be implied by the names of a layer: a long name implies two thousand.
const IMPLIED_MAX: usize = 500_000;

/// Longest path, as the kernel counts; engines cannot make a longer one.
pub(super) const PATH_BYTES_MAX: usize = 4096;

/// Most bytes of names: places in them have 32 bits.
const NAMES_BYTES_MAX: usize = u32::MAX as usize;

/// An entry as it stands in a tar.
#[derive(Debug, Clone)]
pub struct NewFile<'a> {
    /// The path, in any spelling; `.wh.` names are whiteouts and opaque markers.
    pub path: &'a [u8],
    /// The kind of entry; a whiteout is a file with a whiteout's name.
    pub kind: FileKind,
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// Size of the content.
    pub size_bytes: u64,
    /// Target of a link.
    pub link: &'a [u8],
}

impl Default for NewFile<'_> {
    fn default() -> Self {
        let (path, link) = (b"".as_slice(), b"".as_slice());
        Self { path, kind: FileKind::File, mode: 0o644, owner: (0, 0), size_bytes: 0, link }
    }
}

impl NewFile<'_> {
    /// About how many bytes it takes in memory.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        ENTRY_BYTES + self.path.len() + self.link.len()
    }
}

/// Collects the entries of one layer.
#[derive(Debug, Default)]
pub struct LayerFilesBuilder {
    files: LayerFiles,
    moved_bytes: usize,
}

impl LayerFilesBuilder {
    /// A layer without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next entry.
    pub fn push(&mut self, new: &NewFile<'_>) {
        let path = clean(new.path);
        let is_root = path.is_empty() && new.kind != FileKind::Folder;
        let (path, kind) = match Meaning::of(&path) {
            Meaning::Itself if is_root => return,
            Meaning::Nothing => return,
            Meaning::Itself => (path.as_ref().to_vec(), new.kind),
            Meaning::Whiteout(hidden) => (hidden, FileKind::Whiteout),
            Meaning::Opaque(folder) => (folder.to_vec(), FileKind::Opaque),
        };
        let is_link = matches!(kind, FileKind::Symlink | FileKind::HardLink);
        let link = if is_link { new.link } else { &[] };
        let content = match kind {
            FileKind::HardLink => NO_TARGET,
            FileKind::File if new.size_bytes == 0 => EMPTY_CONTENT,
            _ => NO_CONTENT,
        };
        let entry = PackedEntry {
            size_bytes: if kind == FileKind::File { new.size_bytes } else { 0 },
            name_at: 0,
            path_bytes: 0,
            link_bytes: 0,
            uid: new.owner.0,
            gid: new.owner.1,
            content,
            mode: u16::try_from(new.mode & 0o7777).unwrap_or_default(),
            kind,
            is_opaque: false,
            has_whiteout: false,
        };
        if let Some(entry) = self.name(entry, &path, link) {
            self.files.entries.push(entry);
        }
    }

    /// Sets the content of the last entry.
    pub fn content(&mut self, content: FileContent) {
        let Some(entry) = self.files.entries.last_mut().filter(|at| at.kind == FileKind::File)
        else {
            return;
        };
        entry.content = match (&content.magic, &content.text) {
            (Magic::Other, None) => NO_CONTENT,
            (Magic::Empty, None) => EMPTY_CONTENT,
            _ => {
                let place = u32::try_from(self.files.contents.len()).unwrap_or(NO_CONTENT);
                self.files.contents.push(content);
                place.saturating_add(CONTENTS_FROM)
            }
        };
    }

    /// How many entries were taken.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.files.entries.len()
    }

    /// Whether no entry was taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.files.entries.is_empty()
    }

    /// An entry by its number, from 0.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<File<'_>> {
        self.files.entries.get(at).map(|entry| self.files.file(entry, entry, 0))
    }

    /// Marks the layer as incomplete.
    pub const fn mark_incomplete(&mut self) {
        self.files.is_incomplete = true;
    }

    pub(super) const fn files_mut(&mut self) -> &mut LayerFiles {
        &mut self.files
    }

    #[must_use]
    pub fn finish(mut self) -> LayerFiles {
        self.files.listed = self.files.entries.len();
        let mut sorted: Vec<u32> = (0..).take(self.files.listed).collect();
        for _ in 0..LINKS_MAX {
            self.sort(&mut sorted);
            if !self.lay_through_links(&mut sorted) {
                break;
            }
        }
        self.settle(&sorted);
        self.find_targets();
        self.files
    }

    /// Adds the names of an entry; `None` when there is no more room.
    fn name(&mut self, mut entry: PackedEntry, path: &[u8], link: &[u8]) -> Option<PackedEntry> {
        let names = &mut self.files.names;
        if names.len() + path.len() + link.len() > NAMES_BYTES_MAX {
            self.files.is_incomplete = true;
            return None;
        }
        entry.name_at = u32::try_from(names.len()).ok()?;
        entry.path_bytes = u32::try_from(path.len()).ok()?;
        entry.link_bytes = u32::try_from(link.len()).ok()?;
        names.extend_from_slice(path);
        names.extend_from_slice(link);
        Some(entry)
    }

    /// By path; entries with one path are in the order of the tar.
    fn sort(&self, sorted: &mut [u32]) {
        let files = &self.files;
        sorted.sort_by(|one, other| {
            names::compare(files.path_at(*one), files.path_at(*other)).then(one.cmp(other))
        });
    }

    /// Entries below a link of this layer lie at the link's target; entries before the link are
    /// gone with the folder it replaced. Returns whether there were any.
    fn lay_through_links(&mut self, sorted: &mut Vec<u32>) -> bool {
        let mut through = Vec::new();
        let mut link: Option<u32> = None;
        for at in sorted.iter().copied() {
            let path = self.files.path_at(at);
            if let Some(over) = link
                && names::is_below(path, self.files.path_at(over))
            {
                through.push((at, over));
                continue;
            }
            let kind = self.files.entry(at).map(|entry| entry.kind);
            let same = link.is_some_and(|over| self.files.path_at(over) == path);
            link = match kind {
                Some(FileKind::Symlink) => Some(at),
                // The marker's target is in the folder the link leads to.
                Some(FileKind::Opaque | FileKind::Whiteout) if same => link,
                _ => None,
            };
        }
        if through.is_empty() {
            return false;
        }
        let mut gone = Vec::new();
        for (at, over) in through {
            if at < over {
                gone.push(at);
            } else if !self.move_entry(at, over) {
                self.files.is_incomplete = true;
                gone.push(at);
            }
        }
        gone.sort_unstable();
        sorted.retain(|at| gone.binary_search(at).is_err());
        true
    }

    /// Gives an entry the path it has beyond a link.
    fn move_entry(&mut self, at: u32, over: u32) -> bool {
        let files = &self.files;
        let (Some(entry), Some(over)) = (files.entry(at).cloned(), files.entry(over)) else {
            return false;
        };
        let rest = files.path(&entry).get(over.path_bytes as usize..).unwrap_or_default();
        let path = [link_target(files.path(over), files.link(over)).as_slice(), rest].concat();
        let path = clean(&path).into_owned();
        let link = files.link(&entry).to_vec();
        self.moved_bytes += path.len() + link.len();
        if self.moved_bytes > MOVED_BYTES_MAX {
            return false;
        }
        let Some(moved) = self.name(entry, &path, &link) else { return false };
        if let Some(entry) = self.files.entries.get_mut(at as usize) {
            *entry = moved;
        }
        true
    }

    /// Leaves one entry for each path, and adds the implied folders.
    fn settle(&mut self, sorted: &[u32]) {
        let mut settled: Vec<u32> = Vec::with_capacity(sorted.len() + 1);
        // The folders above the present path.
        let mut above: Vec<u32> = Vec::new();
        let root = self.add_folder(0, 0);
        settled.push(root);
        above.push(root);
        let mut rest = sorted;
        while let Some(first) = rest.first().copied() {
            let path_of = |at: u32| self.files.path_at(at);
            let same = rest.iter().take_while(|at| path_of(**at) == path_of(first)).count();
            let (group, others) = rest.split_at(same);
            rest = others;
            while above.len() > 1
                && above.last().is_some_and(|last| !names::is_below(path_of(first), path_of(*last)))
            {
                above.pop();
            }
            if above.last().is_some_and(|last| self.kind(*last) != Some(FileKind::Folder)) {
                // The parent is no folder; no engine unpacks such an entry.
                continue;
            }
            if !self.add_parents(first, &mut above, &mut settled) {
                self.files.is_incomplete = true;
                continue;
            }
            let winner = self.winner(group);
            if let Some(winner) = winner {
                if self.files.path_at(winner).is_empty() {
                    // The tar has its own entry for the root.
                    settled.clear();
                    above.clear();
                }
                settled.push(winner);
                above.push(winner);
            }
        }
        self.files.sorted = settled;
    }

    /// Of the entries with one path, the last one besides a mere whiteout; it takes the opaque
    /// marker along.
    fn winner(&mut self, group: &[u32]) -> Option<u32> {
        let kind = |at: &u32| self.kind(*at);
        let is_opaque = group.iter().any(|at| kind(at) == Some(FileKind::Opaque));
        let real =
            |at: &&u32| !matches!(kind(at), Some(FileKind::Opaque | FileKind::Whiteout) | None);
        let last = group.iter().rev().find(real).copied();
        let whiteout = group.iter().find(|at| kind(at) == Some(FileKind::Whiteout)).copied();
        let winner = match (last, is_opaque) {
            (Some(last), _) => last,
            (None, false) => whiteout?,
            (None, true) => {
                let first = self.files.entry(*group.first()?)?;
                let (at, length) = (first.name_at, first.path_bytes);
                self.add_folder(at, length)
            }
        };
        if let Some(entry) = self.files.entries.get_mut(winner as usize) {
            let is_folder = entry.kind == FileKind::Folder;
            entry.is_opaque = is_folder && is_opaque;
            entry.has_whiteout = is_folder && !is_opaque && whiteout.is_some();
        }
        Some(winner)
    }

    /// Adds a path's parent folders without an entry of their own; `false` if there are too many.
    fn add_parents(&mut self, at: u32, above: &mut Vec<u32>, settled: &mut Vec<u32>) -> bool {
        let Some(entry) = self.files.entry(at) else { return false };
        let (name_at, path) = (entry.name_at, self.files.path(entry).to_vec());
        let known = above.last().map_or(0, |last| self.files.path_at(*last).len());
        let missing = path.iter().enumerate().skip(known.saturating_add(1));
        let slashes: Vec<usize> = missing.filter(|(_, c)| **c == b'/').map(|(at, _)| at).collect();
        for slash in slashes {
            let Ok(length) = u32::try_from(slash) else { return false };
            if self.files.entries.len() - self.files.listed > IMPLIED_MAX {
                return false;
            }
            let folder = self.add_folder(name_at, length);
            above.push(folder);
            settled.push(folder);
        }
        true
    }

    fn add_folder(&mut self, name_at: u32, path_bytes: u32) -> u32 {
        let place = u32::try_from(self.files.entries.len()).unwrap_or(u32::MAX);
        self.files.entries.push(PackedEntry { name_at, path_bytes, ..super::entry::ROOT.clone() });
        place
    }

    fn kind(&self, at: u32) -> Option<FileKind> {
        self.files.entry(at).map(|entry| entry.kind)
    }

    /// Finds the targets of hard links: earlier entries.
    fn find_targets(&mut self) {
        for at in 0..self.files.listed {
            let Some(entry) = self.files.entries.get(at) else { return };
            if entry.kind != FileKind::HardLink {
                continue;
            }
            let path = clean(self.files.link(entry));
            let target = self.files.find(&path).or_else(|| self.find_through_links(&path));
            let target = target.filter(|target| (*target as usize) < at);
            let target = target.and_then(|target| match self.files.entry(target)? {
                link if link.kind == FileKind::HardLink => Some(link.content),
                other if matches!(other.kind, FileKind::Folder | FileKind::Whiteout) => None,
                _ => Some(target),
            });
            if let Some(entry) = self.files.entries.get_mut(at) {
                entry.content = target.unwrap_or(NO_TARGET);
            }
        }
    }
}

impl LayerFilesBuilder {
    /// The entry at a path; the folders of the path may be links of the layer.
    fn find_through_links(&self, path: &[u8]) -> Option<u32> {
        let mut left: Vec<Vec<u8>> = names::parts(path).rev().map(<[u8]>::to_vec).collect();
        let mut at: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(part) = left.pop() {
            if !at.is_empty() {
                at.push(b'/');
            }
            at.extend_from_slice(&part);
            if at.len() > PATH_BYTES_MAX {
                return None;
            }
            let entry = self.files.entry(self.files.find(&at)?)?;
            if entry.kind == FileKind::Symlink && !left.is_empty() {
                links += 1;
                if links > LINKS_MAX {
                    return None;
                }
                let target = link_target(&at, self.files.link(entry));
                left.extend(names::parts(&target).rev().map(<[u8]>::to_vec));
                at.clear();
            }
        }
        self.files.find(&at)
    }
}

/// The meaning of a name.
enum Meaning<'a> {
    Itself,
    /// Takes this path away.
    Whiteout(Vec<u8>),
    /// Makes this folder opaque.
    Opaque(&'a [u8]),
    /// Engines pass over it.
    Nothing,
}

impl<'a> Meaning<'a> {
    fn of(path: &'a [u8]) -> Self {
        // Names with such a byte, or so long, cannot be on any disk.
        if path.contains(&0) || path.len() > PATH_BYTES_MAX {
            return Self::Nothing;
        }
        let base = names::base(path);
        let folder = names::parent(path).unwrap_or_default();
        if base == OPAQUE {
            return Self::Opaque(folder);
        }
        if base.starts_with(WHITEOUT_META) {
            return Self::Nothing;
        }
        match base.strip_prefix(WHITEOUT) {
            None => Self::Itself,
            Some(b"") => Self::Nothing,
            Some(hidden) if folder.is_empty() => Self::Whiteout(hidden.to_vec()),
            Some(hidden) => Self::Whiteout([folder, b"/", hidden].concat()),
        }
    }
}
