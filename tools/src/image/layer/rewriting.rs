//! Plans each entry of an archive to be written anew, entry by entry.
//!
//! Owners, modes, times, links and attributes stay as they stand in the archive, unless the offer
//! says otherwise. Invariant: a hard link is written after its target, in the same layer, and each
//! path once.

use std::collections::{HashMap, HashSet};

use super::LayerError;
use super::entries::{Folder, FolderClaim, LayerEntries};
use super::records::{ArchiveRecord, RecordKind};
use crate::image::files::{FileKind, NewFile, shown};
use crate::image::tar_write::Attribute;
use crate::offer::globs::Glob;

/// The changes to the entries on the way.
#[derive(Debug, Clone)]
pub(super) struct Wishes<'a> {
    /// The folder of the image they go into, without a leading slash; empty for the root.
    pub(super) into: &'a [u8],
    /// The owner of all entries; `None` keeps the owners.
    pub(super) owner: Option<(u32, u32)>,
    /// The patterns of entries to take, with the folders above them; without patterns all entries
    /// go in.
    pub(super) include: &'a [Glob],
    pub(super) exclude: &'a [Glob],
    /// Whether these are the files of a package: existing folders then stay as they are.
    pub(super) is_package: bool,
    /// The time of folders the archive does not list.
    pub(super) created: u64,
}

/// An entry as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// The number of the archive's entry, from 0, whose header the step follows; [`AT_END`] for a
    /// step after them all.
    pub(super) at: usize,
    pub(super) path: Box<[u8]>,
    pub(super) kind: StepKind,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) mtime: u64,
    pub(super) attributes: Box<[Attribute]>,
}

/// Behind the last entry.
pub(super) const AT_END: usize = usize::MAX;

/// The kind of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StepKind {
    /// As the archive has it; a hard link has its target as a path of the image.
    Entry(RecordKind),
    /// A file with this content.
    Text(Box<[u8]>),
}

/// The entries of an archive to be written, and the patterns without a match.
#[derive(Debug)]
pub(super) struct RewritePlan {
    pub(super) steps: Vec<Step>,
    pub(super) unused: Vec<String>,
}

/// Why an archive cannot be written anew.
#[derive(Debug)]
pub(super) enum PlanFault {
    /// One entry of it: its path, and a text to end a sentence about it.
    Entry(Vec<u8>, String),
    /// Of the layer as a whole.
    Layer(LayerError),
}

impl From<LayerError> for PlanFault {
    fn from(error: LayerError) -> Self {
        Self::Layer(error)
    }
}

/// Decides for every entry.
pub(super) fn plan(
    records: &[ArchiveRecord],
    wishes: &Wishes<'_>,
    entries: &mut LayerEntries<'_>,
) -> Result<RewritePlan, PlanFault> {
    let listed = records.iter().enumerate().filter(|(_, record)| record.kind == RecordKind::Folder);
    let mut planner = Planner {
        wishes,
        entries,
        records,
        listed: listed.map(|(at, record)| (record.path.as_ref(), at)).collect(),
        made: HashSet::new(),
        left_out: HashMap::new(),
        attributed: HashMap::new(),
        links: Vec::new(),
        removed: HashSet::new(),
        steps: Vec::new(),
        used: vec![false; wishes.include.len() + wishes.exclude.len()],
    };
    for (at, record) in records.iter().enumerate() {
        planner.take(at, record)?;
    }
    planner.late_links()?;
    let Planner { mut steps, used, .. } = planner;
    // A left-out entry may hold another file's content; its step stands at the place of the
    // content.
    steps.sort_by_key(|step| step.at);
    let include = wishes.include.iter().map(|glob| format!("`include` {glob}"));
    let exclude = wishes.exclude.iter().map(|glob| format!("`exclude` {glob}"));
    let patterns = include.chain(exclude).zip(used);
    let unused = patterns.filter(|(_, is_used)| !is_used).map(|(text, _)| text).collect();
    Ok(RewritePlan { steps, unused })
}

/// The number of a left-out entry, and the path its content went to.
type LeftOut = (usize, Option<Box<[u8]>>);

struct Planner<'p, 'e> {
    wishes: &'p Wishes<'p>,
    entries: &'p mut LayerEntries<'e>,
    records: &'p [ArchiveRecord],
    /// The folders the archive lists, by path: of several entries for one the last counts.
    listed: HashMap<&'p [u8], usize>,
    /// The made folders of the archive.
    made: HashSet<&'p [u8]>,
    /// Left-out files, by path; and the path of their content, once a link to it goes in.
    left_out: HashMap<&'p [u8], LeftOut>,
    /// The attributes of entries, by path in the image; entries without any are missing.
    attributed: HashMap<Box<[u8]>, Box<[Attribute]>>,
    /// Hard links without a target so far.
    links: Vec<usize>,
    /// Links and folders of lower layers the archive removes.
    removed: HashSet<Vec<u8>>,
    steps: Vec<Step>,
    used: Vec<bool>,
}

impl<'p> Planner<'p, '_> {
    fn take(&mut self, at: usize, record: &'p ArchiveRecord) -> Result<(), PlanFault> {
        if !self.goes_in(record) {
            if record.kind != RecordKind::Folder {
                self.left_out.insert(&record.path, (at, None));
            }
            return Ok(());
        }
        self.is_not_removed(record)?;
        match &record.kind {
            RecordKind::Folder => self.folder(at, &record.path),
            RecordKind::HardLink(target) => {
                if !self.link(at, record, target)? {
                    self.links.push(at);
                }
                Ok(())
            }
            kind => self.entry(at, record, kind.clone()),
        }
    }

    /// Refuses a link or folder removed and made anew in one layer: some engines go on in the old
    /// one, others begin anew.
    fn is_not_removed(&self, record: &ArchiveRecord) -> Result<(), PlanFault> {
        if self.removed.is_empty() {
            return Ok(());
        }
        let place = self.in_image(&record.path);
        if !prefixes(&place).any(|above| self.removed.contains(above)) {
            return Ok(());
        }
        let reason = "lies at a name that the same tar removes (`.wh.`), of which engines make \
                      different things; put the removal into a layer of its own, below";
        Err(PlanFault::Entry(record.path.to_vec(), reason.to_owned()))
    }

    /// Whether the patterns let an entry in. The root of the archive is its folder, not in it.
    fn goes_in(&mut self, record: &ArchiveRecord) -> bool {
        let Wishes { include, exclude, .. } = *self.wishes;
        if record.path.is_empty() {
            return true;
        }
        let matches = |glob: &Glob| prefixes(&record.path).any(|above| glob.matches(above));
        let (for_include, for_exclude) = self.used.split_at_mut(include.len());
        let is_any = |globs: &[Glob], used: &mut [bool]| {
            let found = globs.iter().zip(used).map(|(glob, used)| {
                let found = matches(glob);
                *used |= found;
                found
            });
            // Every pattern is matched against it, because patterns without any match are reported.
            found.fold(false, |any, found| any | found)
        };
        let is_in = is_any(include, for_include) || include.is_empty();
        let is_out = is_any(exclude, for_exclude);
        is_in && !is_out
    }

    fn in_image(&self, path: &[u8]) -> Vec<u8> {
        match (self.wishes.into, path) {
            (b"", path) => path.to_vec(),
            (into, b"") => into.to_vec(),
            (into, path) => [into, b"/", path].concat(),
        }
    }

    /// Makes a folder of the archive, after those above it. A left-out folder with entries in the
    /// layer is made all the same, as the archive lists it.
    fn folder(&mut self, at: usize, path: &'p [u8]) -> Result<(), PlanFault> {
        let prefixes = prefixes(path);
        for path in std::iter::once(b"".as_slice()).chain(prefixes) {
            if self.made.insert(path) {
                self.one_folder(at, path)?;
            }
        }
        Ok(())
    }

    fn one_folder(&mut self, at: usize, path: &[u8]) -> Result<(), PlanFault> {
        let wanted = self.in_image(path);
        let real = self.entries.resolve(&wanted)?;
        // Folders on the way to where a link leads, and above `into`.
        for above in prefixes(&real).filter(|above| *above != real.as_slice()) {
            self.needed_folder(at, above, None)?;
        }
        let listed = self.listed.get(path).and_then(|place| self.records.get(*place));
        // A link of the image may lead to another folder than the one listed here.
        let (above, name) = split(&wanted);
        let is_itself = real == join(self.entries.resolve(above)?, name);
        self.needed_folder(at, &real, listed.filter(|_| is_itself))
    }

    fn needed_folder(
        &mut self,
        at: usize,
        path: &[u8],
        listed: Option<&ArchiveRecord>,
    ) -> Result<(), PlanFault> {
        let owner = listed.map_or((0, 0), |record| record.owner);
        let owner = listed.and(self.wishes.owner).unwrap_or(owner);
        let mode = listed.map_or(0o755, |record| record.mode);
        let is_exact = listed.is_some() && !self.wishes.is_package;
        let claim = if is_exact { FolderClaim::Exact } else { FolderClaim::Needed };
        if !self.entries.add_folder(&Folder { path, mode, owner, claim })? {
            return Ok(());
        }
        let added = self.entries.get(self.entries.len().saturating_sub(1));
        let (mode, owner) = added.map_or((mode, owner), |file| (file.mode(), file.owner()));
        self.steps.push(Step {
            at,
            path: path.into(),
            kind: StepKind::Entry(RecordKind::Folder),
            mode,
            owner,
            mtime: listed.map_or(self.wishes.created, |record| record.mtime),
            attributes: listed.map(|record| record.attributes.clone()).unwrap_or_default(),
        });
        Ok(())
    }

    /// Where an entry lies in the image, the folders above it made.
    fn place(&mut self, at: usize, path: &'p [u8]) -> Result<Vec<u8>, PlanFault> {
        let (above, name) = split(path);
        self.folder(at, above)?;
        Ok(join(self.entries.resolve(&self.in_image(above))?, name))
    }

    /// Adds an entry of any kind but a folder.
    fn entry(
        &mut self,
        at: usize,
        record: &'p ArchiveRecord,
        kind: RecordKind,
    ) -> Result<(), PlanFault> {
        let place = self.place(at, &record.path)?;
        self.put(at, record, place, kind)
    }

    fn put(
        &mut self,
        at: usize,
        record: &ArchiveRecord,
        place: Vec<u8>,
        kind: RecordKind,
    ) -> Result<(), PlanFault> {
        if self.is_same_link(&place, &kind) {
            return Ok(());
        }
        let owner = self.wishes.owner.unwrap_or(record.owner);
        let (file_kind, size_bytes, link) = as_file(&kind);
        let new =
            NewFile { path: &place, kind: file_kind, mode: record.mode, owner, size_bytes, link };
        match whiteout(&place) {
            Some(hidden) if !self.wishes.is_package => {
                if self.entries.own(&hidden).is_some() {
                    let reason =
                        "is a whiteout of a name that its layer has, which no engine takes";
                    return Err(PlanFault::Entry(record.path.to_vec(), reason.to_owned()));
                }
                let lower = self.entries.at(&hidden).map(|file| file.kind());
                if let Some(FileKind::Folder | FileKind::Symlink) = lower {
                    self.removed.insert(hidden);
                }
                self.entries.files_mut().push(&new);
            }
            _ => self.entries.add(&new)?,
        }
        let mut attributes = record.attributes.clone();
        if let (RecordKind::HardLink(target), true) = (&kind, attributes.is_empty()) {
            // Engines change the owner again at each name, and the kernel then takes capabilities
            // away.
            attributes = self.attributed.get(target).cloned().unwrap_or_default();
        } else if !attributes.is_empty() {
            self.attributed.insert(place.as_slice().into(), attributes.clone());
        }
        self.steps.push(Step {
            at,
            path: place.into(),
            kind: StepKind::Entry(kind),
            mode: record.mode,
            owner,
            mtime: record.mtime,
            attributes,
        });
        Ok(())
    }

    /// Two packages may have the same symbolic link.
    fn is_same_link(&mut self, place: &[u8], kind: &RecordKind) -> bool {
        let RecordKind::Symlink(target) = kind else { return false };
        let own = self.entries.own(place).and_then(|own| self.entries.get(own));
        own.is_some_and(|own| own.kind() == FileKind::Symlink && own.link() == target.as_ref())
    }

    /// Adds a hard link when its target is there; whether it is.
    fn link(
        &mut self,
        at: usize,
        record: &'p ArchiveRecord,
        target: &[u8],
    ) -> Result<bool, PlanFault> {
        let moved = self.left_out.get(target).cloned();
        let found = match moved {
            Some((_, Some(moved))) => moved.into_vec(),
            Some((content, None)) => return self.instead(at, content, record, target),
            None => {
                let (above, name) = split(target);
                join(self.entries.resolve(&self.in_image(above))?, name)
            }
        };
        let Some(own) = self.entries.own(&found).and_then(|own| self.entries.get(own)) else {
            return Ok(false);
        };
        if own.kind() == FileKind::Folder {
            let reason = format!("is a hard link to the folder `{}`", shown(target));
            return Err(PlanFault::Entry(record.path.to_vec(), reason));
        }
        self.entry(at, record, RecordKind::HardLink(found.into()))?;
        Ok(true)
    }

    /// The target of a link stays out, so the link takes its place: the archive has the content
    /// once, at the target.
    fn instead(
        &mut self,
        at: usize,
        content: usize,
        link: &'p ArchiveRecord,
        target: &[u8],
    ) -> Result<bool, PlanFault> {
        let records = self.records;
        let Some(record) = records.get(content) else { return Ok(false) };
        if let RecordKind::HardLink(further) = &record.kind {
            // A link to a link. The way to the file leads to the front, so it ends.
            let is_before = |(further, _): &(usize, _)| *further < content;
            let leads_on = self.left_out.get(further.as_ref()).is_none_or(is_before);
            return if leads_on { self.link(at, link, further) } else { Ok(false) };
        }
        let place = self.place(content, &link.path)?;
        self.put(content, record, place.clone(), record.kind.clone())?;
        if let Some((_, moved)) = self.left_out.get_mut(target) {
            *moved = Some(place.into());
        }
        Ok(true)
    }

    /// Hard links before their target go behind everything.
    fn late_links(&mut self) -> Result<(), PlanFault> {
        let records = self.records;
        // A late link may lead to another late link, so the loop goes on while any finds its
        // target.
        loop {
            let links = std::mem::take(&mut self.links);
            let before = links.len();
            for at in links {
                let Some(record) = records.get(at) else { continue };
                let RecordKind::HardLink(target) = &record.kind else { continue };
                if !self.link(AT_END, record, target)? {
                    self.links.push(at);
                }
            }
            let record = self.links.first().and_then(|at| records.get(*at));
            match record.map(|record| (record, &record.kind)) {
                Some((record, RecordKind::HardLink(target))) if self.links.len() == before => {
                    return Err(no_target(record, target));
                }
                None => return Ok(()),
                Some(_) => {}
            }
        }
    }
}

fn no_target(link: &ArchiveRecord, target: &[u8]) -> PlanFault {
    let reason = format!("is a hard link to `{}`, which the layer does not have", shown(target));
    PlanFault::Entry(link.path.to_vec(), reason)
}

/// The path a whiteout takes away; `None` for any other name.
fn whiteout(path: &[u8]) -> Option<Vec<u8>> {
    let (above, name) = split(path);
    let hidden = name.strip_prefix(b".wh.")?;
    if above.is_empty() { Some(hidden.to_vec()) } else { Some([above, b"/", hidden].concat()) }
}

fn join(mut folder: Vec<u8>, name: &[u8]) -> Vec<u8> {
    if !folder.is_empty() {
        folder.push(b'/');
    }
    folder.extend_from_slice(name);
    folder
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => {
            (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default())
        }
        None => (b"", path),
    }
}

/// The folders above a path, the uppermost first, and the path.
pub(super) fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let ends = slashes.map(|(at, _)| at).chain((!path.is_empty()).then_some(path.len()));
    ends.filter_map(|end| path.get(..end))
}

fn as_file(kind: &RecordKind) -> (FileKind, u64, &[u8]) {
    match kind {
        RecordKind::Folder => (FileKind::Folder, 0, b""),
        RecordKind::File(size_bytes) => (FileKind::File, *size_bytes, b""),
        RecordKind::HardLink(target) => (FileKind::HardLink, 0, target),
        RecordKind::Symlink(target) => (FileKind::Symlink, 0, target),
        RecordKind::CharDevice(..) => (FileKind::CharDevice, 0, b""),
        RecordKind::BlockDevice(..) => (FileKind::BlockDevice, 0, b""),
        RecordKind::Fifo => (FileKind::Fifo, 0, b""),
    }
}
