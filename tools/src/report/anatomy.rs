//! The structure of an image, for pictures of it: its layers by size, and their content as a tree
//! of tiles.
//!
//! Invariant: however many files an image has, the tree has at most [`TILES_MAX`] tiles and names
//! cut to a length; the rest of a folder is one tile.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use wharf_oci::Digest;

use crate::image::facts::{ImageFacts, PlatformImage};
use crate::image::files::{File, FileKind, FileView};
use crate::secret_patterns::masked;
use crate::shown::visible;

/// Most tiles of a picture: more cannot be told apart.
pub const TILES_MAX: usize = 220;

/// Most tiles of one folder, before the rest.
const PARTS_MAX: usize = 24;

/// Least share of the whole a folder has to have, to be divided: one in so many.
const DIVIDED_MIN: u64 = 400;

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 120;

/// The image of one platform, taken apart.
#[derive(Debug, Clone)]
pub struct Anatomy {
    /// The plan, when an offer is at hand.
    pub plan: Option<String>,
    pub location: String,
    pub platform: String,
    /// The layers, bottom first.
    pub layers: Vec<LayerPart>,
    /// The tree of the files, when they were read.
    pub files: Option<Tile>,
}

/// A layer of it.
#[derive(Debug, Clone)]
pub struct LayerPart {
    pub digest: Digest,
    /// Bytes in a registry.
    pub stored_bytes: u64,
    /// Bytes of its tar, when it was read.
    pub uncompressed_bytes: Option<u64>,
    /// How many entries its tar has, when it was read.
    pub entries: Option<usize>,
    /// Its build step, when the history has it.
    pub created_by: Option<String>,
}

/// A file, a folder, or the rest of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Its name in its folder, fit to be shown.
    pub name: String,
    /// Bytes of all files in it.
    pub bytes: u64,
    /// The number of its files.
    pub files: usize,
    /// The layer with most of the bytes, from 0 at the bottom.
    pub layer: usize,
    /// Its parts, the largest first; none when it is not divided.
    pub parts: Vec<Tile>,
}

impl Anatomy {
    /// The images of every platform.
    #[must_use]
    pub fn of(facts: &ImageFacts, plan: Option<&str>) -> Vec<Self> {
        let of = |image: &PlatformImage| Self {
            plan: plan.map(ToOwned::to_owned),
            location: facts.location.clone(),
            platform: image.name(),
            layers: layers(image),
            files: image.files.as_deref().map(tiles),
        };
        facts.images.iter().map(of).collect()
    }

    /// Its common name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.plan.as_deref().unwrap_or(&self.location)
    }

    /// Bytes of all layers in a registry.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.stored_bytes).fold(0, u64::saturating_add)
    }
}

fn layers(image: &PlatformImage) -> Vec<LayerPart> {
    let history = image.config.iter().flat_map(|config| &config.history);
    let mut steps = history.filter(|step| !step.empty_layer);
    let files = image.files.as_deref();
    let part = |(place, layer): (usize, &crate::image::facts::LayerFacts)| LayerPart {
        digest: layer.descriptor.digest,
        stored_bytes: layer.descriptor.size,
        uncompressed_bytes: layer.uncompressed_bytes,
        entries: files.and_then(|view| view.layers().get(place)).map(|layer| layer.len()),
        created_by: steps
            .next()
            .and_then(|step| step.created_by.as_deref())
            .map(|command| cut(&masked(None, command))),
    };
    image.layers.iter().enumerate().map(part).collect()
}

/// Divides the largest folder as long as there is room for more tiles.
fn tiles(view: &FileView) -> Tile {
    let mut root = Node::whole(view);
    let least = (root.bytes / DIVIDED_MIN).max(1);
    let mut left = TILES_MAX;
    let mut largest = BinaryHeap::from([(root.bytes, Reverse(Vec::<usize>::new()))]);
    while let Some((bytes, Reverse(place))) = largest.pop() {
        if bytes < least || left < PARTS_MAX + 1 {
            break;
        }
        let Some(node) = root.at(&place) else { break };
        node.divide(view);
        left -= node.parts.len();
        for (at, part) in node.parts.iter().enumerate().filter(|(_, part)| part.is_folder) {
            let place = place.iter().copied().chain([at]).collect();
            largest.push((part.bytes, Reverse(place)));
        }
    }
    root.into_tile()
}

/// A tile while the tree grows.
struct Node {
    path: Vec<u8>,
    name: String,
    bytes: u64,
    files: usize,
    /// Bytes by layer.
    by_layer: Vec<u64>,
    is_folder: bool,
    parts: Vec<Node>,
}

impl Node {
    fn new(path: &[u8], is_folder: bool, layers: usize) -> Self {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        Self {
            path: path.to_vec(),
            name: cut(&String::from_utf8_lossy(name)),
            bytes: 0,
            files: 0,
            by_layer: vec![0; layers],
            is_folder,
            parts: Vec::new(),
        }
    }

    fn whole(view: &FileView) -> Self {
        let mut root = Self::new(b"", true, view.layers().len());
        "/".clone_into(&mut root.name);
        view.iter().for_each(|file| root.add(&file));
        root
    }

    fn add(&mut self, file: &File<'_>) {
        if file.kind() != FileKind::File {
            return;
        }
        self.bytes = self.bytes.saturating_add(file.size_bytes());
        self.files += 1;
        if let Some(bytes) = self.by_layer.get_mut(file.layer()) {
            *bytes = bytes.saturating_add(file.size_bytes());
        }
    }

    fn join(&mut self, other: &Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.files += other.files;
        for (bytes, more) in self.by_layer.iter_mut().zip(&other.by_layer) {
            *bytes = bytes.saturating_add(*more);
        }
    }

    fn at(&mut self, place: &[usize]) -> Option<&mut Self> {
        place.iter().try_fold(self, |node, at| node.parts.get_mut(*at))
    }

    /// Finds the parts. A walk gives all of a part before the next, so only the largest are held.
    fn divide(&mut self, view: &FileView) {
        let layers = self.by_layer.len();
        let mut rest = Self::new(b"", false, layers);
        let mut parts: Vec<Self> = Vec::new();
        let mut current: Option<Self> = None;
        let files = view.iter().filter(|file| below(file.path(), &self.path).is_some());
        for file in files {
            let Some(part) = below(file.path(), &self.path) else { continue };
            let length = file.path().len() - part.len() + first(part).len();
            let path = file.path().get(..length).unwrap_or_default();
            if current.as_ref().is_none_or(|current| current.path != path) {
                let is_folder = file.kind() == FileKind::Folder;
                let done = current.replace(Self::new(path, is_folder, layers));
                keep(&mut parts, done, &mut rest);
            }
            if let Some(current) = &mut current {
                current.add(&file);
            }
        }
        keep(&mut parts, current, &mut rest);
        if rest.bytes > 0 {
            rest.name = format!("{} more files", rest.files);
            parts.push(rest);
        }
        parts.sort_by_key(|part| Reverse(part.bytes));
        self.parts = parts;
    }

    fn into_tile(self) -> Tile {
        let by_layer = self.by_layer.iter().enumerate();
        let layer = by_layer.max_by_key(|(at, bytes)| (**bytes, Reverse(*at)));
        Tile {
            name: self.name,
            bytes: self.bytes,
            files: self.files,
            layer: layer.map_or(0, |(at, _)| at),
            parts: self.parts.into_iter().map(Self::into_tile).collect(),
        }
    }
}

/// Keeps a part among the largest; a smaller one goes to the rest.
fn keep(parts: &mut Vec<Node>, part: Option<Node>, rest: &mut Node) {
    let Some(part) = part.filter(|part| part.bytes > 0) else { return };
    parts.push(part);
    if parts.len() <= PARTS_MAX {
        return;
    }
    let least = parts.iter().enumerate().min_by_key(|(_, part)| part.bytes);
    if let Some((at, _)) = least {
        rest.join(&parts.swap_remove(at));
    }
}

/// The part of a path below a folder.
fn below<'a>(path: &'a [u8], folder: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(folder)?;
    let rest = if folder.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") };
    rest.filter(|rest| !rest.is_empty())
}

fn first(path: &[u8]) -> &[u8] {
    path.split(|byte| *byte == b'/').next().unwrap_or_default()
}

/// The text as it is shown, and not for ever.
fn cut(text: &str) -> String {
    let shown = visible(text);
    match shown.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => format!("{}…", shown.get(..end).unwrap_or_default()),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::sync::Arc;

    use super::*;
    use crate::image::files::{LayerFilesBuilder, NewFile};

    fn view(layers: &[&[(&str, u64)]]) -> FileView {
        let layer = |files: &&[(&str, u64)]| {
            let mut builder = LayerFilesBuilder::new();
            for (path, size_bytes) in *files {
                let path = path.as_bytes();
                builder.push(&NewFile { path, size_bytes: *size_bytes, ..NewFile::default() });
            }
            Arc::new(builder.finish())
        };
        FileView::merge(&layers.iter().map(layer).collect::<Vec<_>>())
    }

    fn count(tile: &Tile) -> usize {
        tile.parts.iter().map(count).sum::<usize>() + 1
    }

    #[test]
    fn folders_are_divided_and_say_which_layer_their_bytes_come_from() {
        let root = tiles(&view(&[
            &[("usr/lib/a.so", 600), ("usr/bin/x", 50), ("etc/a", 100)],
            &[("usr/bin/y", 200), ("etc/a", 40)],
        ]));
        assert_eq!((root.bytes, root.files, root.name.as_str()), (890, 4, "/"));
        let usr = &root.parts[0];
        assert_eq!((usr.name.as_str(), usr.bytes, usr.layer), ("usr", 850, 0));
        let bin = &usr.parts[1];
        assert_eq!((bin.name.as_str(), bin.bytes, bin.layer), ("bin", 250, 1));
        assert_eq!(bin.parts[0].name, "y");
        // A container sees the upper layer's file.
        assert_eq!((root.parts[1].bytes, root.parts[1].layer), (40, 1));
    }

    #[test]
    fn a_hundred_thousand_files_make_a_bounded_tree_that_loses_no_byte() {
        let paths: Vec<String> =
            (0..100_000).map(|at| format!("d{}/e{}/f{at}", at % 100, at % 1000)).collect();
        let files: Vec<(&str, u64)> = paths.iter().map(|path| (path.as_str(), 3)).collect();
        let root = tiles(&view(&[&files]));
        assert!(count(&root) <= TILES_MAX + 1, "{}", count(&root));
        let sum: u64 = root.parts.iter().map(|part| part.bytes).sum();
        assert_eq!((root.bytes, sum, root.files), (300_000, 300_000, 100_000));
        assert!(root.parts.iter().any(|part| part.name.ends_with(" more files")));
    }

    #[test]
    fn an_image_without_bytes_is_one_tile() {
        let root = tiles(&view(&[&[("a", 0)]]));
        assert_eq!((root.bytes, root.files, root.parts.len()), (0, 1, 0));
    }
}
