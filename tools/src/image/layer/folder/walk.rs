//! Walks a folder: names and attributes of the entries to take, and the path of each in the image.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Stat, readlinkat, statat};

use super::found::{FolderEntry, FolderEntryKind, FolderEntryList};
use super::selection::{PathSelection, Selection, Within};
use super::told::NotedPaths;
use crate::image::files::{FileKind, shown};
use crate::image::layer::beneath::{Beneath, is_change};
use crate::image::layer::entries::LayerEntries;
use crate::image::layer::error::{ENTRIES_MAX, LayerError};
use crate::image::layer::from_disk::{Prefix, joined, mode_of};
use crate::image::layer::xattrs::{Capabilities, Xattrs};
use crate::image::stamp::{ShortStamp, Stamp};
use crate::offer::layers::{DirInput, Modes};

/// Set user, set group, sticky.
const SPECIAL_BITS: u32 = 0o7000;

/// Most links of lower layers the content of a folder goes through.
const PREFIXES_MAX: usize = 10_000;

/// A walk through one folder.
pub(super) struct Walk<'a, 'l> {
    root: Beneath,
    root_path: &'a Path,
    input: &'a DirInput,
    selection: Selection<'a>,
    entries: &'a mut LayerEntries<'l>,
    output: Option<(u64, u64)>,
    xattrs: Xattrs,
    told: NotedPaths,
    pub(super) found: FolderEntryList,
    pub(super) prefixes: Vec<Prefix>,
    /// The latest change of any found file, in nanoseconds since 1970.
    pub(super) newest_change: i128,
}

/// An entry of a folder.
struct Entry<'f> {
    folder: &'f OwnedFd,
    name: &'f [u8],
    /// Its path, relative to the folder of the input.
    source: Vec<u8>,
    stat: Stat,
}

/// A folder on the way.
struct Place {
    /// Relative to the folder of the input.
    source: Vec<u8>,
    prefix: u16,
    within: Within,
    /// Folders above it; each goes in with any entry in it.
    waiting: Vec<(Vec<u8>, u16, u16)>,
}

impl<'a, 'l> Walk<'a, 'l> {
    pub(super) fn new(
        root: Beneath,
        root_path: &'a Path,
        input: &'a DirInput,
        selection: Selection<'a>,
        entries: &'a mut LayerEntries<'l>,
        output: Option<(u64, u64)>,
    ) -> Self {
        Self {
            root,
            root_path,
            input,
            selection,
            entries,
            output,
            xattrs: Xattrs::new(),
            told: NotedPaths::default(),
            found: FolderEntryList::default(),
            prefixes: Vec::new(),
            newest_change: i128::MIN,
        }
    }

    /// Walks all of it. `into` is where it goes, without links.
    pub(super) fn run(&mut self, into: &[u8]) -> Result<(), LayerError> {
        self.prefixes.push(Prefix { source: Vec::new(), image: into.to_vec() });
        let within = self.selection.start();
        let mut left = vec![Place { source: Vec::new(), prefix: 0, within, waiting: Vec::new() }];
        while let Some(mut place) = left.pop() {
            let folders = self.folder(&mut place)?;
            left.extend(folders.into_iter().rev());
        }
        Ok(())
    }

    /// Looks at the entries of a folder, and returns its folders still to be walked.
    fn folder(&mut self, place: &mut Place) -> Result<Vec<Place>, LayerError> {
        let opened = self.root.folder(&place.source);
        let folder = opened.map_err(|error| self.failed(&place.source, error))?;
        let names = read_names(&folder).map_err(|error| self.failed(&place.source, error))?;
        self.told.of_names(&place.source, &names);
        let mut folders = Vec::new();
        for name in &names {
            let source = joined(&place.source, name);
            let stat = statat(&folder, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| self.failed(&source, error.into()))?;
            let entry = Entry { folder: &folder, name, source, stat };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                folders.extend(self.subfolder(place, entry)?);
            } else if let PathSelection::In(_) =
                self.selection.judge(&entry.source, false, &place.within)
            {
                self.open_waiting(place)?;
                self.file(place, &entry)?;
            }
        }
        Ok(folders)
    }

    fn subfolder(
        &mut self,
        place: &mut Place,
        entry: Entry<'_>,
    ) -> Result<Option<Place>, LayerError> {
        if self.output == Some((entry.stat.st_dev, entry.stat.st_ino)) {
            return Ok(None);
        }
        let (within, goes_in) = match self.selection.judge(&entry.source, true, &place.within) {
            PathSelection::Out => return Ok(None),
            PathSelection::In(within) => (within, true),
            PathSelection::Perhaps(within) => (within, false),
        };
        let mode = self.mode(&entry);
        self.xattrs(&entry)?;
        let source = entry.source;
        let mut waiting = Vec::new();
        if goes_in {
            self.open_waiting(place)?;
        } else {
            waiting.clone_from(&place.waiting);
        }
        let image = self.image_path(place.prefix, &source);
        let image = self.through_links(image)?;
        let mut prefix = place.prefix;
        if image != self.image_path(prefix, &source) {
            prefix = self.new_prefix(&source, image)?;
        } else if goes_in {
            let found = FolderEntry::without_content(FolderEntryKind::Folder, mode, prefix);
            self.push(&found, &source, &image, b"")?;
        } else {
            waiting.push((source.clone(), mode, prefix));
        }
        Ok(Some(Place { source, prefix, within, waiting }))
    }

    /// The folders above an entry of the layer go in too.
    fn open_waiting(&mut self, place: &mut Place) -> Result<(), LayerError> {
        for (source, mode, prefix) in std::mem::take(&mut place.waiting) {
            let image = self.image_path(prefix, &source);
            let found = FolderEntry::without_content(FolderEntryKind::Folder, mode, prefix);
            self.push(&found, &source, &image, b"")?;
        }
        Ok(())
    }

    fn file(&mut self, place: &Place, entry: &Entry<'_>) -> Result<(), LayerError> {
        let Entry { source, stat, .. } = entry;
        let image = self.image_path(place.prefix, source);
        self.newest_change = self.newest_change.max(Stamp::of(stat).changed_at());
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = readlinkat(entry.folder, entry.name, Vec::new());
                let target = target.map_err(|error| self.failed(source, error.into()))?;
                // The mode of a link means nothing and differs between systems.
                let found =
                    FolderEntry::without_content(FolderEntryKind::Symlink, 0o777, place.prefix);
                self.push(&found, source, &image, target.as_bytes())
            }
            FileType::RegularFile => {
                let capabilities = self.xattrs(entry)?;
                let mut found = FolderEntry::without_content(
                    FolderEntryKind::File,
                    self.mode(entry),
                    place.prefix,
                );
                found.size_bytes = u64::try_from(stat.st_size).unwrap_or_default();
                found.stamp = Some(ShortStamp::of(stat));
                self.push(&found, source, &image, b"")?;
                if stat.st_nlink > 1 {
                    self.found.last_has_names(stat.st_dev, stat.st_ino);
                }
                self.capabilities(source, capabilities)
            }
            _ => Err(LayerError::Special { path: self.path(source) }),
        }
    }

    fn xattrs(&mut self, entry: &Entry<'_>) -> Result<Option<Capabilities>, LayerError> {
        let found = self.xattrs.of_entry(entry.folder, entry.name, &entry.source);
        found.map_err(|error| self.failed(&entry.source, error))
    }

    fn capabilities(
        &mut self,
        source: &[u8],
        found: Option<Capabilities>,
    ) -> Result<(), LayerError> {
        match found {
            None => {}
            Some(Capabilities::Everywhere(attribute)) => self.found.last_has_attribute(attribute),
            Some(Capabilities::OfNamespace(attribute, _)) => {
                self.told.of_namespace.add(source);
                self.found.last_has_attribute(attribute);
            }
            Some(Capabilities::Unknown) => {
                return Err(LayerError::Capabilities { path: self.path(source) });
            }
        }
        Ok(())
    }

    /// Where a folder goes, when a link is at its place in the image.
    fn through_links(&mut self, image: Vec<u8>) -> Result<Vec<u8>, LayerError> {
        let is_link = self.entries.at(&image).is_some_and(|at| at.kind() == FileKind::Symlink);
        if !is_link {
            return Ok(image);
        }
        let real = self.entries.resolve(&image)?;
        self.told.through_links.add_text(|| format!("`{}` to `{}`", shown(&image), shown(&real)));
        Ok(real)
    }

    /// The place of a prefix for the entries of a folder; the folders above it are needed.
    fn new_prefix(&mut self, source: &[u8], image: Vec<u8>) -> Result<u16, LayerError> {
        let ends = image.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for end in ends.chain([image.len()]).filter(|end| *end > 0) {
            let found = FolderEntry::without_content(FolderEntryKind::Parent, 0o755, 0);
            self.push(&found, source, image.get(..end).unwrap_or_default(), b"")?;
        }
        let place = u16::try_from(self.prefixes.len()).ok();
        let place = place.filter(|place| usize::from(*place) < PREFIXES_MAX);
        let too_many = || LayerError::TooMany { path: self.path(source) };
        let place = place.ok_or_else(too_many)?;
        self.prefixes.push(Prefix { source: source.to_vec(), image });
        Ok(place)
    }

    fn push(
        &mut self,
        found: &FolderEntry,
        source: &[u8],
        image: &[u8],
        link: &[u8],
    ) -> Result<(), LayerError> {
        let too_many = || LayerError::TooMany { path: self.root_path.to_owned() };
        if self.found.len() >= ENTRIES_MAX {
            return Err(too_many());
        }
        if image.len() > usize::from(u16::MAX) {
            return Err(LayerError::NameTooLong { path: shown(source) });
        }
        self.found.push(found, image, link).ok_or_else(too_many)
    }

    fn image_path(&self, prefix: u16, source: &[u8]) -> Vec<u8> {
        let Some(prefix) = self.prefixes.get(usize::from(prefix)) else { return Vec::new() };
        let rest = source.get(prefix.source.len()..).unwrap_or_default();
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        joined(&prefix.image, rest)
    }

    fn mode(&mut self, entry: &Entry<'_>) -> u16 {
        if self.input.modes == Modes::Normal && entry.stat.st_mode & SPECIAL_BITS != 0 {
            self.told.special_bits.add(&entry.source);
        }
        mode_of(&entry.stat, self.input.modes)
    }

    fn path(&self, source: &[u8]) -> PathBuf {
        self.root_path.join(OsStr::from_bytes(source))
    }

    fn failed(&self, source: &[u8], error: io::Error) -> LayerError {
        let path = self.path(source);
        if is_change(&error) {
            LayerError::Changed { path }
        } else {
            LayerError::Read { path, source: error }
        }
    }

    /// Notes the remarks for a person.
    pub(super) fn tell(&mut self) {
        let mut messages = self.told.messages();
        messages.extend(self.xattrs.left_out.iter().map(|(attribute, (count, first))| {
            let (attribute, first) = (shown(attribute), shown(first));
            format!(
                "the extended attribute `{attribute}` stays out ({count} paths, first `{first}`)"
            )
        }));
        messages.extend(self.selection.unused().map(|(key, glob)| {
            format!("`{}` of `{key}` matches nothing that is not excluded already", glob.as_str())
        }));
        if self.found.len() == 0 {
            messages.push("nothing of it goes in".to_owned());
        }
        for message in messages {
            self.entries.note(self.input.path.as_str(), message);
        }
    }
}

/// The names in a folder, sorted.
fn read_names(folder: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder.as_fd())? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
            if names.len() > ENTRIES_MAX {
                return Err(io::Error::other("it has more entries than a layer may have"));
            }
        }
    }
    names.sort_unstable();
    Ok(names)
}
