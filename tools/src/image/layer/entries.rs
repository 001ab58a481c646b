//! The entries of a layer while they are collected: each path once, over all inputs, and no entry
//! to turn a link or a folder of a lower layer into another kind.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

use super::error::{EntryOrigin, LayerError};
use super::notes::Note;
use crate::image::files::{File, FileKind, FileView, LayerFiles, LayerFilesBuilder, NewFile};
use crate::image::files::{clean, shown};

/// Longest path and longest name in it, as the kernel counts.
const PATH_BYTES_MAX: usize = 4095;
const NAME_BYTES_MAX: usize = 255;

/// The engines' prefix for names of removed files of lower layers.
const WHITEOUT: &[u8] = b".wh.";

/// The layers below a layer.
#[derive(Debug, Clone, Copy)]
pub struct Below<'a> {
    /// A container's view of them.
    pub files: &'a FileView,
    /// The inputs of each layer, in a few words, bottom first; only for messages.
    pub names: &'a [String],
}

/// An input's demand on a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FolderClaim {
    /// It has to exist; an existing folder stays as it is.
    Needed,
    /// It exists, with this owner; its mode was not asked for.
    Listed,
    /// It is there, with this owner and mode.
    Exact,
}

/// A folder an input wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folder<'p> {
    pub(super) path: &'p [u8],
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) claim: FolderClaim,
}

/// Collects the entries of one layer.
pub(super) struct LayerEntries<'a> {
    lower: &'a FileView,
    /// The names of the lower layers, bottom first.
    below: &'a [String],
    files: LayerFilesBuilder,
    /// The entries by their path.
    places: HashTable<u32>,
    hasher: RandomState,
    /// The first entry of each input, and the input's name.
    inputs: Vec<(usize, String)>,
    /// A path the lower layers do not have; so they have nothing below it.
    absent: Vec<u8>,
    notes: Vec<Note>,
}

impl<'a> LayerEntries<'a> {
    pub(super) fn new(below: &Below<'a>) -> Self {
        Self {
            lower: below.files,
            below: below.names,
            files: LayerFilesBuilder::new(),
            places: HashTable::new(),
            hasher: RandomState::new(),
            inputs: Vec::new(),
            absent: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// All later entries belong to another input, `dir app`, say.
    pub(super) fn begin_input(&mut self, name: String) {
        self.inputs.push((self.files.len(), name));
    }

    /// How many entries there are.
    pub(super) const fn len(&self) -> usize {
        self.files.len()
    }

    /// An entry by its number.
    pub(super) fn get(&self, at: usize) -> Option<File<'_>> {
        self.files.get(at)
    }

    /// Notes a remark about an input.
    pub(super) fn note(&mut self, input: &str, message: String) {
        self.notes.push(Note { input: input.to_owned(), message });
    }

    /// The layer, and the remarks about it.
    pub(super) fn finish(mut self) -> (LayerFiles, Vec<Note>) {
        if self.files.is_empty() && self.notes.is_empty() {
            let names: Vec<&str> = self.inputs.iter().map(|(_, name)| name.as_str()).collect();
            let input = names.join(", ");
            self.notes.push(Note { input, message: "the layer is empty".to_owned() });
        }
        (self.files.finish(), self.notes)
    }

    /// Takes entries unchecked, for inputs with checks of their own.
    pub(super) const fn files_mut(&mut self) -> &mut LayerFilesBuilder {
        &mut self.files
    }

    /// Adds an entry of any kind but a folder.
    pub(super) fn add(&mut self, new: &NewFile<'_>) -> Result<(), LayerError> {
        check_name(new.path)?;
        if let Some(at) = self.own(new.path) {
            return Err(self.twice(new.path, at));
        }
        let lower = self.lower(new.path);
        if let Some(lower) = lower
            && (lower.kind() == FileKind::Folder
                || (lower.kind() == FileKind::Symlink && new.kind != FileKind::Symlink))
        {
            return Err(self.replaces(new.path, new.kind, lower.kind(), self.layer(lower)));
        }
        self.push(new);
        Ok(())
    }

    /// Adds a folder, if needed. Its path leads through no link ([`Self::resolve`]). Returns
    /// whether an entry was added.
    pub(super) fn add_folder(&mut self, folder: &Folder<'_>) -> Result<bool, LayerError> {
        check_name(folder.path)?;
        let Folder { path, mut mode, mut owner, claim } = *folder;
        if path.is_empty() {
            return Ok(false);
        }
        if let Some(at) = self.own(path) {
            let same = self.files.get(at).is_some_and(|own| {
                own.kind() == FileKind::Folder
                    && match claim {
                        FolderClaim::Needed => true,
                        FolderClaim::Listed => own.owner() == owner,
                        FolderClaim::Exact => own.owner() == owner && own.mode() == mode,
                    }
            });
            return if same { Ok(false) } else { Err(self.folder_differs(folder, at)) };
        }
        if let Some(lower) = self.lower(path) {
            match lower.kind() {
                FileKind::Folder if claim != FolderClaim::Exact => {
                    (mode, owner) = (lower.mode(), lower.owner());
                }
                kind @ FileKind::Symlink => {
                    return Err(self.replaces(path, FileKind::Folder, kind, self.layer(lower)));
                }
                _ => {}
            }
        }
        self.push(&NewFile { path, kind: FileKind::Folder, mode, owner, ..NewFile::default() });
        Ok(true)
    }

    /// The entry at a path, in this layer or below.
    pub(super) fn at(&mut self, path: &[u8]) -> Option<File<'_>> {
        match self.own(path) {
            Some(at) => self.files.get(at),
            None => self.lower(path),
        }
    }

    /// The place of a folder: links on the way to it, and in its place, are followed inside the
    /// image. A missing name is taken for a folder still to be made.
    pub(super) fn resolve(&mut self, path: &[u8]) -> Result<Vec<u8>, LayerError> {
        /// How many links are followed, as the kernel counts.
        const LINKS_MAX: usize = 40;
        let parts = |path: &[u8]| -> Vec<Vec<u8>> {
            path.rsplit(|byte| *byte == b'/').map(<[u8]>::to_vec).collect()
        };
        let mut left = parts(path);
        let mut at: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(part) = left.pop() {
            let above = at.len();
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    let slash = at.iter().rposition(|byte| *byte == b'/');
                    at.truncate(slash.unwrap_or_default());
                    continue;
                }
                part => {
                    if above > 0 {
                        at.push(b'/');
                    }
                    at.extend_from_slice(part);
                }
            }
            if at.len() > PATH_BYTES_MAX {
                return Err(LayerError::NameTooLong { path: shown(&at) });
            }
            let Some(found) = self.at(&at) else { continue };
            match found.kind() {
                FileKind::Folder => {}
                FileKind::Symlink => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(LayerError::LinkLoop { path: shown(path) });
                    }
                    let target = found.link().to_vec();
                    at.truncate(if target.starts_with(b"/") { 0 } else { above });
                    left.extend(parts(&target));
                }
                kind => {
                    let whose = self.whose(&at);
                    return Err(LayerError::NotAFolder {
                        path: shown(path),
                        at: shown(&at),
                        kind: kind.name(),
                        whose,
                    });
                }
            }
        }
        Ok(at)
    }

    /// The origin of a path, in words.
    pub(super) fn whose(&mut self, path: &[u8]) -> EntryOrigin {
        if let Some(at) = self.own(path) {
            return self.input_of(at);
        }
        let number = self.lower(path).map(|file| file.layer());
        number.map_or(EntryOrigin::Input(String::new()), |layer| self.layer_at(layer))
    }

    /// This layer's entry for a path.
    pub(super) fn own(&self, path: &[u8]) -> Option<usize> {
        let hash = self.hasher.hash_one(path);
        let is_it = |at: &u32| self.files.get(*at as usize).is_some_and(|own| own.path() == path);
        self.places.find(hash, is_it).map(|at| *at as usize)
    }

    fn push(&mut self, new: &NewFile<'_>) {
        let at = self.files.len();
        self.files.push(new);
        let Ok(at) = u32::try_from(at) else { return };
        let (files, hasher) = (&self.files, &self.hasher);
        let hash = |at: &u32| {
            hasher.hash_one(files.get(*at as usize).map(|file| file.path()).unwrap_or_default())
        };
        self.places.insert_unique(hasher.hash_one(new.path), at, hash);
    }

    /// The lower layers' entry at a path.
    fn lower(&mut self, path: &[u8]) -> Option<File<'a>> {
        let rest = path.strip_prefix(self.absent.as_slice());
        if !self.absent.is_empty() && rest.is_some_and(|rest| rest.starts_with(b"/")) {
            return None;
        }
        let found = self.lower.get(path);
        if found.is_none() {
            self.absent.clear();
            self.absent.extend_from_slice(path);
        }
        found
    }

    fn layer(&self, file: File<'_>) -> EntryOrigin {
        self.layer_at(file.layer())
    }

    fn layer_at(&self, layer: usize) -> EntryOrigin {
        let name = self.below.get(layer).cloned().unwrap_or_default();
        EntryOrigin::Layer { number: layer + 1, name }
    }

    fn input_of(&self, at: usize) -> EntryOrigin {
        let input = self.inputs.iter().rev().find(|(first, _)| *first <= at);
        EntryOrigin::Input(input.map(|(_, name)| name.clone()).unwrap_or_default())
    }

    fn this_input(&self) -> String {
        self.inputs.last().map(|(_, name)| name.clone()).unwrap_or_default()
    }

    fn twice(&self, path: &[u8], at: usize) -> LayerError {
        LayerError::Twice { path: shown(path), first: self.input_of(at), second: self.this_input() }
    }

    fn folder_differs(&self, folder: &Folder<'_>, at: usize) -> LayerError {
        let Some(own) = self.files.get(at).filter(|own| own.kind() == FileKind::Folder) else {
            return self.twice(folder.path, at);
        };
        let text = |mode: u32, (uid, gid): (u32, u32)| format!("{mode:04o} {uid}:{gid}");
        let mode = if folder.claim == FolderClaim::Exact { folder.mode } else { own.mode() };
        LayerError::FolderDiffers {
            path: shown(folder.path),
            first: self.input_of(at),
            first_is: text(own.mode(), own.owner()),
            second: self.this_input(),
            second_is: text(mode, folder.owner),
        }
    }

    fn replaces(
        &self,
        path: &[u8],
        kind: FileKind,
        lower_kind: FileKind,
        lower: EntryOrigin,
    ) -> LayerError {
        LayerError::Replaces {
            path: shown(path),
            kind: kind.name(),
            input: self.this_input(),
            lower_kind: lower_kind.name(),
            lower,
            advice: "exclude it or put it elsewhere",
        }
    }
}

/// Whether engines take a path, and take it as it is.
fn check_name(path: &[u8]) -> Result<(), LayerError> {
    debug_assert_eq!(clean(path).as_ref(), path);
    let mut parts = path.split(|byte| *byte == b'/');
    if path.len() > PATH_BYTES_MAX || parts.clone().any(|part| part.len() > NAME_BYTES_MAX) {
        return Err(LayerError::NameTooLong { path: shown(path) });
    }
    if parts.any(|part| part.starts_with(WHITEOUT)) {
        return Err(LayerError::Whiteout { path: shown(path) });
    }
    Ok(())
}

/// Adds an input's target folder, and the folders above it. Existing folders keep mode and owner;
/// of the missing ones only the last gets the input's.
pub(super) fn put_parents(
    entries: &mut LayerEntries<'_>,
    into: &[u8],
    mode: u32,
    owner: (u32, u32),
) -> Result<(), LayerError> {
    let claim = FolderClaim::Needed;
    for (at, _) in into.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        let path = into.get(..at).unwrap_or_default();
        entries.add_folder(&Folder { path, mode: 0o755, owner: (0, 0), claim })?;
    }
    entries.add_folder(&Folder { path: into, mode, owner, claim })?;
    Ok(())
}
