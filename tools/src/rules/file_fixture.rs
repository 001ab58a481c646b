//! The files of the images that tests of rules judge.
#![allow(clippy::zero_sized_map_values)]

use std::sync::Arc;

use crate::image::files::{
    Elf, ElfKind, FileContent, FileKind, FileView, LayerFiles, LayerFilesBuilder, Machine, Magic,
    NewFile,
};

/// An entry of a layer of the tests.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) path: String,
    pub(super) kind: FileKind,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) size_bytes: u64,
    pub(super) link: String,
    pub(super) content: Option<FileContent>,
}

/// The layers of one platform, bottom first.
pub(super) type Tree = Vec<Vec<Item>>;

pub(super) fn item(path: &str, kind: FileKind, mode: u32) -> Item {
    let (path, link) = (path.to_owned(), String::new());
    Item { path, kind, mode, owner: (0, 0), size_bytes: 0, link, content: None }
}

pub(super) fn file(path: &str, magic: Magic) -> Item {
    let content = Some(FileContent { magic, text: None });
    Item { size_bytes: 9, content, ..item(path, FileKind::File, 0o755) }
}

pub(super) fn text(path: &str, text: &str) -> Item {
    let content = Some(FileContent::of_text(text.as_bytes().to_vec()));
    Item { size_bytes: text.len() as u64, content, ..item(path, FileKind::File, 0o644) }
}

pub(super) fn folder(path: &str) -> Item {
    item(path, FileKind::Folder, 0o755)
}

pub(super) fn link(path: &str, target: &str) -> Item {
    Item { link: target.to_owned(), ..item(path, FileKind::Symlink, 0o777) }
}

pub(super) fn script(path: &str, line: &str) -> Item {
    file(path, Magic::Script(line.as_bytes().into()))
}

pub(super) fn with_mode(mode: u32, item: Item) -> Item {
    Item { mode, ..item }
}

pub(super) fn elf(path: &str, change: impl FnOnce(&mut Elf)) -> Item {
    let mut elf = Elf {
        machine: Machine::X86_64,
        is_64: true,
        big_endian: false,
        kind: ElfKind::Executable,
        interpreter: None,
        needed: Some(Vec::new()),
        runpath: Vec::new(),
    };
    change(&mut elf);
    file(path, Magic::Elf(Box::new(elf)))
}

pub(super) fn library(path: &str, needed: &[&str]) -> Item {
    elf(path, |elf| {
        elf.kind = ElfKind::Shared;
        elf.needed = Some(needed.iter().map(|name| name.as_bytes().into()).collect());
    })
}

pub(super) fn dynamic(path: &str, loader: &str, needed: &[&str]) -> Item {
    elf(path, |elf| {
        elf.interpreter = Some(loader.as_bytes().into());
        elf.needed = Some(needed.iter().map(|name| name.as_bytes().into()).collect());
    })
}

pub(super) fn layer(items: &[Item]) -> Arc<LayerFiles> {
    let mut builder = LayerFilesBuilder::new();
    for item in items {
        let Item { path, kind, mode, owner, size_bytes, link, content } = item;
        let (path, link) = (path.as_bytes(), link.as_bytes());
        builder.push(&NewFile {
            path,
            kind: *kind,
            mode: *mode,
            owner: *owner,
            size_bytes: *size_bytes,
            link,
        });
        if let Some(content) = content {
            builder.content(content.clone());
        }
    }
    Arc::new(builder.finish())
}

/// The files of an image without a finding.
pub(super) fn base(machine: Machine) -> Tree {
    vec![vec![elf("bin/server", |elf| elf.machine = machine), text("LICENSE", "MIT")]]
}

pub(super) fn view(tree: &Tree) -> Arc<FileView> {
    Arc::new(FileView::merge(&tree.iter().map(|items| layer(items)).collect::<Vec<_>>()))
}
