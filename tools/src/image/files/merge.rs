//! Lays layers over one another as the overlay file system does: all entries by path, the upper
//! layer first, in one pass, whatever the number of layers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::builder::PATH_BYTES_MAX;
use super::entry::{FileKind, LayerFiles, NO_TARGET, PackedEntry};
use super::names;

/// How many replacements, and how many oddities, are named.
const NAMED_MAX: usize = 1000;

/// Most look-ups in lower layers for the targets of hard links outside their own layer.
const LOOKS_BELOW_MAX: usize = 1_000_000;

/// Where a file of a view stands: its layer, and the place of its entry there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryRef {
    pub(super) layer: u32,
    pub(super) entry: u32,
}

/// A link of a lower layer, or a folder with content, replaced by another kind in an upper layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    pub path: Box<[u8]>,
    /// The layer with the lost file, from 0 at the bottom.
    pub lower_layer: usize,
    pub lower_kind: FileKind,
    /// The layer with the replacement.
    pub upper_layer: usize,
    pub upper_kind: FileKind,
    /// Whether the upper layer has no entry for the path, only entries below it: they were written
    /// through a link of the lower layer, perhaps.
    pub is_implied: bool,
}

/// An entry of a layer over lower layers, unpacked differently by different engines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oddity {
    pub kind: OddityKind,
    pub path: Box<[u8]>,
    /// The layer, from 0 at the bottom.
    pub layer: usize,
}

/// The kinds of oddities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OddityKind {
    /// A whiteout without a target in any layer, in a folder of no other layer: its name is listed,
    /// without a file.
    Ghost,
    /// A folder whose whiteout stands in its own layer: the content of a lower layer comes back.
    Revived,
    /// A folder in the place of a link of this lower layer, by a name with a path through the link;
    /// umoci follows the link.
    ThroughLink(usize),
}

/// The merged layers.
pub(super) struct Merged {
    pub(super) nodes: Vec<EntryRef>,
    /// The targets of hard links to files of lower layers.
    pub(super) targets: BTreeMap<EntryRef, EntryRef>,
    pub(super) replacements: Vec<Replacement>,
    pub(super) oddities: Vec<Oddity>,
    /// Whether a bound was reached.
    pub(super) is_cut: bool,
}

/// A path others may lie below.
struct Above {
    at: EntryRef,
    /// The lowest visible layer below it.
    from: u32,
    /// Whether only one layer has it.
    is_single: bool,
}

pub(super) fn merge(layers: &[Arc<LayerFiles>]) -> Merged {
    let mut all: Vec<EntryRef> = Vec::with_capacity(layers.iter().map(|at| at.sorted.len()).sum());
    for (number, layer) in (0_u32..).zip(layers) {
        all.extend(layer.sorted.iter().map(|entry| EntryRef { layer: number, entry: *entry }));
    }
    let merge = Merge { layers };
    all.sort_by(|one, other| {
        names::compare(merge.path(*one), merge.path(*other)).then(other.layer.cmp(&one.layer))
    });
    merge.run(&all)
}

struct Merge<'a> {
    layers: &'a [Arc<LayerFiles>],
}

impl Merge<'_> {
    fn run(&self, all: &[EntryRef]) -> Merged {
        let mut merged = Merged {
            nodes: Vec::new(),
            targets: BTreeMap::new(),
            replacements: Vec::new(),
            oddities: Vec::new(),
            is_cut: false,
        };
        let mut looks_left = LOOKS_BELOW_MAX;
        let mut above: Vec<Above> = Vec::new();
        let mut rest = all;
        while let Some(first) = rest.first().copied() {
            let path = self.path(first);
            let same = rest.iter().take_while(|node| self.path(**node) == path).count();
            let (group, below) = rest.split_at(same);
            rest = below;
            while above.last().is_some_and(|last| !names::is_below(path, self.path(last.at))) {
                above.pop();
            }
            let from = above.last().map_or(0, |last| last.from);
            let Some(seen) = self.look(group, from) else { continue };
            self.look_for_oddities(group, from, above.last(), &mut merged);
            above.push(Above { at: first, from: seen.from, is_single: seen.is_single });
            if let Some((upper, lower)) = seen.replaced {
                self.replacement(upper, lower, from, below, &mut merged);
            }
            let Some(node) = seen.node else { continue };
            if self.is_lost_link(node) {
                // The target is in a lower layer, or nowhere.
                let target = self.entry(node).and_then(|entry| {
                    let layer = self.layers.get(node.layer as usize)?;
                    let link = names::clean(layer.link(entry)).into_owned();
                    self.find_below(node.layer, &link, &mut looks_left)
                });
                merged.is_cut |= looks_left == 0;
                let Some(target) = target else { continue };
                merged.targets.insert(node, target);
            }
            merged.nodes.push(node);
        }
        merged
    }

    /// The visible entry of one path, from its entries with the upper layer first, if nothing under
    /// the layer `from` is visible.
    fn look(&self, group: &[EntryRef], from: u32) -> Option<Seen> {
        let mut visible = group.iter().copied().filter(|node| node.layer >= from);
        let top = visible.next()?;
        match self.kind(top)? {
            FileKind::Whiteout => Some(Seen::only(None, top)),
            FileKind::Folder => Some(self.look_into(top, visible, from)),
            kind => {
                let lower = visible.next();
                let replaced = lower.filter(|lower| match self.kind(*lower) {
                    Some(FileKind::Symlink) => kind != FileKind::Symlink,
                    Some(FileKind::Folder) => true,
                    _ => false,
                });
                let replaced = replaced.map(|lower| (top, lower));
                Some(Seen { replaced, ..Seen::only(Some(top), top) })
            }
        }
    }

    /// A folder is merged with the folders below it, down to the first other kind.
    fn look_into(&self, top: EntryRef, lower: impl Iterator<Item = EntryRef>, from: u32) -> Seen {
        let mut seen = Seen { from, ..Seen::only(Some(top), top) };
        let mut last = top;
        let mut shown = top;
        let mut is_closed = self.entry(top).is_some_and(|entry| entry.is_opaque);
        if is_closed {
            seen.from = top.layer;
        }
        for node in lower {
            match self.kind(node) {
                Some(FileKind::Folder) => {
                    // An implied folder keeps the attributes of the layer below.
                    if self.is_implied(shown) {
                        shown = node;
                    }
                    if is_closed {
                        break;
                    }
                    last = node;
                    seen.is_single = false;
                    if self.entry(node).is_some_and(|entry| entry.is_opaque) {
                        is_closed = true;
                        seen.from = node.layer;
                    }
                }
                kind => {
                    if kind == Some(FileKind::Symlink) {
                        seen.replaced = Some((last, node));
                    }
                    if !is_closed {
                        seen.from = node.layer + 1;
                    }
                    break;
                }
            }
        }
        seen.node = Some(shown);
        seen
    }

    /// Notes a whiteout without a target, and a folder with its old content back.
    fn look_for_oddities(
        &self,
        group: &[EntryRef],
        from: u32,
        above: Option<&Above>,
        merged: &mut Merged,
    ) {
        let mut visible = group.iter().copied().filter(|node| node.layer >= from);
        let (Some(top), lower) = (visible.next(), visible.next()) else { return };
        let lower_kind = lower.and_then(|lower| self.kind(lower));
        let is_alone = above.is_some_and(|above| above.is_single);
        let has_whiteout = self.entry(top).is_some_and(|entry| entry.has_whiteout);
        let kind = match (self.kind(top), lower_kind) {
            (Some(FileKind::Whiteout), None) if is_alone => OddityKind::Ghost,
            (Some(FileKind::Folder), Some(FileKind::Folder)) if has_whiteout => OddityKind::Revived,
            _ => return,
        };
        self.odd(kind, top, merged);
    }

    fn odd(&self, kind: OddityKind, at: EntryRef, merged: &mut Merged) {
        if merged.oddities.len() < NAMED_MAX {
            let (path, layer) = (self.path(at).into(), at.layer as usize);
            merged.oddities.push(Oddity { kind, path, layer });
        }
    }

    /// Notes a replacement; of a folder only if it had entries.
    fn replacement(
        &self,
        upper: EntryRef,
        lower: EntryRef,
        from: u32,
        below: &[EntryRef],
        merged: &mut Merged,
    ) {
        let path = self.path(upper);
        let (Some(upper_kind), Some(lower_kind)) = (self.kind(upper), self.kind(lower)) else {
            return;
        };
        if lower_kind == FileKind::Folder {
            let within = below.iter().take_while(|node| names::is_below(self.path(**node), path));
            let mut hidden = within.filter(|node| (from..=lower.layer).contains(&node.layer));
            if !hidden.any(|node| self.kind(*node) != Some(FileKind::Whiteout)) {
                return;
            }
        }
        if lower_kind == FileKind::Symlink && self.is_implied(upper) {
            self.odd(OddityKind::ThroughLink(lower.layer as usize), upper, merged);
        }
        if merged.replacements.len() < NAMED_MAX {
            merged.replacements.push(Replacement {
                path: path.into(),
                lower_layer: lower.layer as usize,
                lower_kind,
                upper_layer: upper.layer as usize,
                upper_kind,
                is_implied: self.is_implied(upper),
            });
        }
    }

    /// The entry at a path under a layer.
    fn find_below(&self, layer: u32, path: &[u8], looks_left: &mut usize) -> Option<EntryRef> {
        if path.len() > PATH_BYTES_MAX {
            return None;
        }
        let mut from = 0;
        let mut found = None;
        let ends = path.iter().enumerate().filter(|(_, c)| **c == b'/').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            let here = path.get(..end)?;
            let mut group = Vec::new();
            for number in (from..layer).rev() {
                *looks_left = looks_left.checked_sub(1)?;
                let files = self.layers.get(number as usize)?;
                group.extend(files.find(here).map(|entry| EntryRef { layer: number, entry }));
            }
            let seen = self.look(&group, from)?;
            from = seen.from;
            found = seen.node;
        }
        let found = found?;
        match self.entry(found)? {
            link if link.kind == FileKind::HardLink && link.content != NO_TARGET => {
                Some(EntryRef { entry: link.content, ..found })
            }
            link if matches!(link.kind, FileKind::HardLink | FileKind::Folder) => None,
            _ => Some(found),
        }
    }

    fn entry(&self, node: EntryRef) -> Option<&PackedEntry> {
        self.layers.get(node.layer as usize)?.entry(node.entry)
    }

    fn kind(&self, node: EntryRef) -> Option<FileKind> {
        self.entry(node).map(|entry| entry.kind)
    }

    fn path(&self, node: EntryRef) -> &[u8] {
        let layer = self.layers.get(node.layer as usize);
        layer.map(|layer| layer.path_at(node.entry)).unwrap_or_default()
    }

    fn is_implied(&self, node: EntryRef) -> bool {
        self.layers.get(node.layer as usize).is_some_and(|layer| layer.is_implied(node.entry))
    }

    fn is_lost_link(&self, node: EntryRef) -> bool {
        self.entry(node)
            .is_some_and(|entry| entry.kind == FileKind::HardLink && entry.content == NO_TARGET)
    }
}

/// The visible entry of a path.
struct Seen {
    /// `None` when it was taken away.
    node: Option<EntryRef>,
    /// The lowest visible layer below it.
    from: u32,
    /// The upper entry and the lower one it replaced.
    replaced: Option<(EntryRef, EntryRef)>,
    /// Whether it comes of one layer alone.
    is_single: bool,
}

impl Seen {
    /// The entry of one layer, and nothing under it.
    const fn only(node: Option<EntryRef>, of: EntryRef) -> Self {
        Self { node, from: of.layer + 1, replaced: None, is_single: true }
    }
}
