//! The merge beside a model: each layer is put on a tree in memory, path by path, as the layers of
//! an overlay are.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

/// A layer's change of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    File,
    Link,
    Folder,
    Whiteout,
    Opaque,
}

/// Paths of up to three parts of three letters: most layers touch the paths of others.
fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop::sample::select(vec!["a", "b", "a-"]), 1..4)
        .prop_map(|parts| parts.join("/"))
}

fn layer() -> impl Strategy<Value = Vec<(String, Act)>> {
    let acts = vec![Act::File, Act::Link, Act::Folder, Act::Folder, Act::Whiteout, Act::Opaque];
    proptest::collection::btree_map(path(), prop::sample::select(acts), 0..8)
        .prop_map(|acts| sound(acts.into_iter().collect()))
}

/// Leaves out paths below a file of the same layer.
fn sound(acts: Vec<(String, Act)>) -> Vec<(String, Act)> {
    let closed: BTreeSet<String> = acts
        .iter()
        .filter(|(_, act)| !matches!(act, Act::Folder | Act::Opaque))
        .map(|(path, _)| path.clone())
        .collect();
    let is_below = |path: &str| path.match_indices('/').any(|(at, _)| closed.contains(&path[..at]));
    acts.into_iter().filter(|(path, _)| !is_below(path)).collect()
}

fn built(acts: &[(String, Act)]) -> Arc<LayerFiles> {
    let mut builder = LayerFilesBuilder::new();
    for (path, act) in acts {
        let (above, base) = path.rsplit_once('/').map_or(("", path.as_str()), |at| at);
        let name = match act {
            Act::Whiteout => format!("{above}/.wh.{base}"),
            Act::Opaque => format!("{path}/.wh..wh..opq"),
            _ => path.clone(),
        };
        let (kind, link) = match act {
            Act::Folder => (FileKind::Folder, b"".as_slice()),
            Act::Link => (FileKind::Symlink, b"target".as_slice()),
            _ => (FileKind::File, b"".as_slice()),
        };
        builder.push(&NewFile { path: name.as_bytes(), kind, link, ..NewFile::default() });
    }
    Arc::new(builder.finish())
}

/// Kind and layer of each path; the layer of folders is not compared.
type Tree = BTreeMap<String, (FileKind, usize)>;

fn remove_below(tree: &mut Tree, path: &str) {
    tree.retain(|known, _| !known.starts_with(&format!("{path}/")));
}

/// Puts a layer on a tree: first all it takes away, then all it brings.
fn apply(tree: &mut Tree, acts: &[(String, Act)], number: usize) {
    for (path, act) in acts {
        match act {
            Act::Whiteout | Act::File | Act::Link => {
                tree.remove(path);
                remove_below(tree, path);
            }
            Act::Opaque => remove_below(tree, path),
            Act::Folder => {}
        }
    }
    for (path, act) in acts {
        for (at, _) in path.match_indices('/') {
            tree.insert(path[..at].to_owned(), (FileKind::Folder, 0));
        }
        match act {
            Act::Whiteout => {}
            Act::Folder | Act::Opaque => drop(tree.insert(path.clone(), (FileKind::Folder, 0))),
            Act::File => drop(tree.insert(path.clone(), (FileKind::File, number))),
            Act::Link => drop(tree.insert(path.clone(), (FileKind::Symlink, number))),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn layers_are_laid_over_one_another_as_the_model_does_it(
        layers in proptest::collection::vec(layer(), 1..5),
    ) {
        let mut model = Tree::new();
        for (number, acts) in layers.iter().enumerate() {
            apply(&mut model, acts, number);
        }
        let built: Vec<_> = layers.iter().map(|acts| built(acts)).collect();
        let view = FileView::merge(&built);
        let seen: Tree = view
            .iter()
            .filter(|file| !file.path().is_empty())
            .map(|file| {
                let path = String::from_utf8(file.path().to_vec()).unwrap();
                let layer = if file.kind() == FileKind::Folder { 0 } else { file.layer() };
                (path, (file.kind(), layer))
            })
            .collect();
        prop_assert_eq!(&seen, &model);
        for path in seen.keys() {
            let children = view.children(path.as_bytes()).count();
            let below = |known: &&String| {
                known.strip_prefix(path.as_str()).and_then(|rest| rest.strip_prefix('/'))
                    .is_some_and(|rest| !rest.contains('/'))
            };
            prop_assert_eq!(children, seen.keys().filter(below).count(), "{}", path);
        }
    }

    #[test]
    fn any_names_and_links_are_laid_without_panic(
        entries in proptest::collection::vec(
            ("[ab./\\x00]{0,6}|[.]wh[.][.a]{0,9}", 0_usize..7, "[ab./]{0,6}"), 0..12,
        ),
        cut in 0_usize..12,
    ) {
        let mut layers = [LayerFilesBuilder::new(), LayerFilesBuilder::new()];
        for (number, (path, kind, link)) in entries.iter().enumerate() {
            let kind = [
                FileKind::File, FileKind::HardLink, FileKind::Folder, FileKind::Symlink,
                FileKind::CharDevice, FileKind::Whiteout, FileKind::Opaque,
            ][*kind];
            let (path, link) = (path.as_bytes(), link.as_bytes());
            let new = NewFile { path, kind, link, ..NewFile::default() };
            layers[usize::from(number >= cut)].push(&new);
        }
        let [lower, upper] = layers.map(|at| Arc::new(at.finish()));
        let view = FileView::merge(&[lower, upper]);
        let paths: Vec<&[u8]> = view.iter().map(|file| file.path()).collect();
        for path in &paths {
            prop_assert!(view.get(path).is_some());
            let _ = view.follow(path);
        }
        for path in paths.iter().filter(|path| path.contains(&b'/')) {
            let above = &path[..path.iter().rposition(|c| *c == b'/').unwrap()];
            prop_assert_eq!(view.get(above).unwrap().kind(), FileKind::Folder);
        }
    }
}
