//! The contents of a layer with archives: the layer is written once more, into a walk that hashes.

use std::io::{self, Write};
use std::ops::ControlFlow;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::texts::wanted_bytes;
use super::{ContentsError, LayerContents};
use crate::image::attest::description::FileDigests;
use crate::image::files::clean;
use crate::image::layer::PreparedLayer;
use crate::image::tar_walk::{TarEntry, TarEntryKind, TarWalk, Visit};

/// Reads the contents of a layer from its tar.
pub(super) fn read(
    layer: &PreparedLayer,
    contents: &mut LayerContents,
) -> Result<(), ContentsError> {
    let visitor = Visitor { contents, open: None };
    let mut sink = Sink { walk: TarWalk::new(), visitor };
    layer.write(&mut sink)?;
    sink.visitor.end();
    Ok(())
}

struct Sink<'a> {
    walk: TarWalk,
    visitor: Visitor<'a>,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.walk
            .show(bytes, &mut self.visitor)
            .map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Visitor<'a> {
    contents: &'a mut LayerContents,
    open: Option<Open>,
}

/// The present file of the walk.
struct Open {
    path: Vec<u8>,
    hasher: Hasher,
    text: Option<Vec<u8>>,
}

impl Visitor<'_> {
    fn end(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.contents.push(&open.path, open.hasher.finish());
        if let Some(text) = open.text {
            self.contents.texts.take(&open.path, text);
        }
    }
}

impl Visit for Visitor<'_> {
    fn entry(&mut self, entry: &TarEntry<'_>) -> ControlFlow<()> {
        self.end();
        // For a sparse file the tar holds a map and parts, not the unpacked bytes.
        if entry.kind == TarEntryKind::File && entry.sparse_bytes.is_none() {
            let path = clean(entry.path).into_owned();
            let text = (entry.size_bytes <= wanted_bytes(&path)).then(Vec::new);
            self.open = Some(Open { path, hasher: Hasher::default(), text });
        }
        ControlFlow::Continue(())
    }

    fn content(&mut self, bytes: &[u8]) {
        let Some(open) = &mut self.open else { return };
        open.hasher.update(bytes);
        if let Some(text) = &mut open.text {
            text.extend_from_slice(bytes);
        }
    }
}

/// Both digests of a file.
#[derive(Default)]
pub(super) struct Hasher {
    sha256: Sha256,
    sha1: Sha1,
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha1.update(bytes);
    }

    pub(super) fn finish(self) -> FileDigests {
        FileDigests { sha256: self.sha256.finalize().into(), sha1: self.sha1.finalize().into() }
    }
}
