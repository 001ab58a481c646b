//! A container's view of a platform.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use super::builder::PATH_BYTES_MAX;
use super::content;
use super::entry::{File, FileKind, LayerFiles, NO_TARGET, PackedEntry, ROOT};
use super::merge::{EntryRef, Merged, Oddity, Replacement, merge};
use super::names::{self, clean};

/// How many links are followed on the way to a file, as the kernel counts.
const LINKS_MAX: usize = 40;

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokenPath {
    /// Nothing is at this path.
    Missing(Vec<u8>),
    /// There are more links than are followed; this one was the last.
    Loop(Vec<u8>),
    /// A file at this path, in the place of a folder on the way.
    NotAFolder(Vec<u8>),
}

/// The files of a platform, with the layers laid over one another as docker, podman and containerd
/// lay them.
#[derive(Debug)]
pub struct FileView {
    layers: Vec<Arc<LayerFiles>>,
    nodes: Vec<EntryRef>,
    /// The targets of hard links to files of lower layers.
    targets: BTreeMap<EntryRef, EntryRef>,
    replacements: Vec<Replacement>,
    oddities: Vec<Oddity>,
    is_complete: bool,
}

impl FileView {
    /// Lays the layers over one another, the first at the bottom.
    #[must_use]
    pub fn merge(layers: &[Arc<LayerFiles>]) -> Self {
        let Merged { nodes, targets, replacements, oddities, is_cut } = merge(layers);
        let is_complete = !is_cut && layers.iter().all(|layer| layer.is_complete());
        Self { layers: layers.to_vec(), nodes, targets, replacements, oddities, is_complete }
    }

    /// The view of layers without a merge.
    #[must_use]
    pub fn unread(layers: &[Arc<LayerFiles>]) -> Self {
        Self {
            layers: layers.to_vec(),
            nodes: Vec::new(),
            targets: BTreeMap::new(),
            replacements: Vec::new(),
            oddities: Vec::new(),
            is_complete: false,
        }
    }

    /// How many bytes the view of these layers takes, besides the layers.
    #[must_use]
    pub fn held_bytes(layers: &[Arc<LayerFiles>]) -> usize {
        layers.iter().map(|layer| layer.sorted.len() * size_of::<EntryRef>()).sum()
    }

    /// The entries of each layer, the hidden ones too.
    #[must_use]
    pub fn layers(&self) -> &[Arc<LayerFiles>] {
        &self.layers
    }

    /// The file at a path from the root, with or without a leading slash. A link is not followed.
    #[must_use]
    pub fn get(&self, path: &[u8]) -> Option<File<'_>> {
        self.exactly(clean(path).as_ref())
    }

    /// The file a path leads to, with every link on the way followed inside the root.
    pub fn follow(&self, path: &[u8]) -> Result<File<'_>, BrokenPath> {
        let mut left: VecDeque<Vec<u8>> = names::parts(path).map(<[u8]>::to_vec).collect();
        let mut at: Vec<u8> = Vec::new();
        let mut file = self.root();
        let mut links = 0;
        while let Some(part) = left.pop_front() {
            if file.kind() != FileKind::Folder {
                return Err(BrokenPath::NotAFolder(at));
            }
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => at = names::parent(&at).unwrap_or_default().to_vec(),
                part => {
                    if !at.is_empty() {
                        at.push(b'/');
                    }
                    at.extend_from_slice(part);
                }
            }
            if at.len() > PATH_BYTES_MAX {
                return Err(BrokenPath::Missing(at));
            }
            file = self.exactly(&at).ok_or_else(|| BrokenPath::Missing(at.clone()))?;
            if file.kind() != FileKind::Symlink {
                continue;
            }
            links += 1;
            if links > LINKS_MAX {
                return Err(BrokenPath::Loop(at));
            }
            let from = if file.link().starts_with(b"/") { &[] } else { at.as_slice() };
            let from = names::parent(from).unwrap_or_default().to_vec();
            for part in names::parts(file.link()).map(<[u8]>::to_vec).rev() {
                left.push_front(part);
            }
            file = self.exactly(&from).ok_or_else(|| BrokenPath::Missing(from.clone()))?;
            at = from;
        }
        Ok(file)
    }

    /// Every file in the order of a walk: a folder, its entries, its next sibling. The root is
    /// among them.
    pub fn iter(&self) -> impl Iterator<Item = File<'_>> {
        self.nodes.iter().filter_map(|node| self.file(*node))
    }

    /// The direct entries of a folder.
    pub fn children(&self, path: &[u8]) -> impl Iterator<Item = File<'_>> {
        let folder = clean(path).into_owned();
        let mut next = self.place(&folder).map_or(self.nodes.len(), |place| place + 1);
        std::iter::from_fn(move || {
            let node = *self.nodes.get(next)?;
            let path = self.path(node);
            if !names::is_below(path, &folder) {
                return None;
            }
            let rest = self.nodes.get(next + 1..).unwrap_or_default();
            next += 1 + skip_below(rest, |node| names::is_below(self.path(*node), path));
            self.file(node)
        })
    }

    /// Entries of another kind in an upper layer, by path; a bounded number.
    #[must_use]
    pub fn replacements(&self) -> &[Replacement] {
        &self.replacements
    }

    /// Entries engines unpack differently; a bounded number.
    #[must_use]
    pub fn oddities(&self) -> &[Oddity] {
        &self.oddities
    }

    /// Whether every file is here: `false` when a layer could not be read, or had more files than
    /// are held.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.is_complete
    }

    fn root(&self) -> File<'_> {
        self.exactly(b"").unwrap_or(File {
            path: b"",
            link: b"",
            content: &content::OTHER,
            entry: &ROOT,
            layer: 0,
        })
    }

    fn exactly(&self, path: &[u8]) -> Option<File<'_>> {
        self.file(*self.nodes.get(self.place(path)?)?)
    }

    fn place(&self, path: &[u8]) -> Option<usize> {
        self.nodes.binary_search_by(|node| names::compare(self.path(*node), path)).ok()
    }

    fn path(&self, node: EntryRef) -> &[u8] {
        self.layer(node).map(|layer| layer.path_at(node.entry)).unwrap_or_default()
    }

    fn layer(&self, node: EntryRef) -> Option<&LayerFiles> {
        self.layers.get(node.layer as usize).map(AsRef::as_ref)
    }

    fn file(&self, node: EntryRef) -> Option<File<'_>> {
        let layer = self.layer(node)?;
        let at = layer.entry(node.entry)?;
        let (of, entry) = self.meant(node, layer, at)?;
        Some(File { path: layer.path(at), ..of.file(entry, entry, node.layer as usize) })
    }

    /// The entry a node is: of a hard link, the file it is another name of.
    fn meant<'a>(
        &'a self,
        node: EntryRef,
        layer: &'a LayerFiles,
        at: &'a PackedEntry,
    ) -> Option<(&'a LayerFiles, &'a PackedEntry)> {
        if at.kind != FileKind::HardLink {
            return Some((layer, at));
        }
        if at.content != NO_TARGET {
            return Some((layer, layer.entry(at.content)?));
        }
        let target = *self.targets.get(&node)?;
        let layer = self.layer(target)?;
        Some((layer, layer.entry(target.entry)?))
    }
}

/// How many nodes at the start of a sorted list are below; searched in doubling steps.
fn skip_below(nodes: &[EntryRef], is_below: impl Fn(&EntryRef) -> bool) -> usize {
    let mut step = 1;
    while nodes.get(step - 1).is_some_and(&is_below) {
        step *= 2;
    }
    let known = step / 2;
    let end = step.min(nodes.len());
    known + nodes.get(known..end).unwrap_or_default().partition_point(is_below)
}
