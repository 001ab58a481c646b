//! The entries of one layer: judged, laid down for the view of the files, and their content looked
//! at, while the tar passes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use wharf_oci::{Algorithm, Digester};

use super::room::ReadBudget;
use crate::image::facts::EngineRefusal;
use crate::image::files::{
    FileContent, FileKind, LayerFiles, LayerFilesBuilder, NewFile, clean, shown,
};
use crate::image::sniff::Sniffer;
use crate::image::tar_rules::{Cause, EntryRules, EntryVerdict};
use crate::image::tar_walk::{TarEntry, TarEntryKind, Visit};

/// How many entries of one layer are named for each kind of fault.
const NAMED_MAX: usize = 10;

/// A fault of an entry.
#[derive(Debug)]
pub(super) struct EntryFault {
    pub(super) path: Option<String>,
    pub(super) refusal: EngineRefusal,
    pub(super) message: String,
}

/// Takes the entries of one layer.
pub(super) struct LayerEntryCheck<'a> {
    room: &'a ReadBudget,
    rules: EntryRules,
    faults: Vec<EntryFault>,
    /// How many faults of each kind there are.
    counts: BTreeMap<(EngineRefusal, Cause), usize>,
    has_global_header: bool,
    files: LayerFilesBuilder,
    is_full: bool,
    sniffer: Sniffer,
    /// Whether contents are hashed, and the hash of the present content.
    hash_contents: bool,
    digester: Option<Digester>,
}

impl<'a> LayerEntryCheck<'a> {
    pub(super) fn new(room: &'a ReadBudget, hash_contents: bool) -> Self {
        Self {
            room,
            rules: EntryRules::default(),
            faults: Vec::new(),
            counts: BTreeMap::new(),
            has_global_header: false,
            files: LayerFilesBuilder::new(),
            is_full: false,
            sniffer: Sniffer::default(),
            hash_contents,
            digester: None,
        }
    }

    /// The faults, and the files; `is_whole` if the tar was read to its end.
    pub(super) fn finish(mut self, is_whole: bool) -> (Vec<EntryFault>, LayerFiles) {
        self.end_content();
        let more: Vec<_> = self.counts.iter().filter(|(_, count)| **count > NAMED_MAX).collect();
        for ((refusal, cause), count) in more {
            let count = count - NAMED_MAX;
            let message = format!("{count} more entries have the same fault ({})", cause.name());
            self.faults.push(EntryFault { path: None, refusal: *refusal, message });
        }
        let mut remark = |message: &str| {
            let (path, refusal) = (None, EngineRefusal::None);
            self.faults.push(EntryFault { path, refusal, message: message.to_owned() });
        };
        if self.rules.is_full() {
            remark("it has more names than are compared; the last were not");
        }
        if self.has_global_header {
            remark("it has a global PAX header, which umoci refuses; docker and podman take it");
        }
        if !is_whole {
            self.files.mark_incomplete();
        }
        (self.faults, self.files.finish())
    }

    fn fault(&mut self, path: &[u8], EntryVerdict { cause, refusal, reason }: EntryVerdict) {
        let count = self.counts.entry((refusal, cause)).or_default();
        *count += 1;
        if *count <= NAMED_MAX {
            let path = shown(path);
            let message = format!("`{path}` {reason}");
            self.faults.push(EntryFault { path: Some(path), refusal, message });
        }
    }

    fn end_content(&mut self) {
        self.end_hash();
        let Some(mut content) = self.sniffer.finish() else { return };
        let text_bytes = content.text.as_ref().map_or(0, bytes::Bytes::len);
        if !self.room.take_text(text_bytes) {
            content.text = None;
            self.files.mark_incomplete();
        }
        let held = FileContent { text: None, ..content.clone() }.held_bytes();
        if self.room.take(held) {
            self.files.content(content);
        } else {
            self.stop();
        }
    }

    fn end_hash(&mut self) {
        let Some(digester) = self.digester.take() else { return };
        let digest = digester.finish().digest;
        let Some(hash) = digest.raw().first_chunk() else { return };
        if self.room.take(hash.len()) {
            self.files.content_hash(*hash);
        } else {
            self.stop();
        }
    }

    /// There is no room for more entries.
    const fn stop(&mut self) {
        self.is_full = true;
        self.files.mark_incomplete();
    }

    fn lay(&mut self, entry: &TarEntry<'_>) {
        let Some(kind) = kind_of(entry) else { return };
        let size_bytes = entry.sparse_bytes.unwrap_or(entry.size_bytes);
        let new = NewFile {
            path: entry.path,
            kind,
            mode: entry.mode,
            owner: entry.owner,
            size_bytes,
            link: entry.link,
        };
        if !self.room.take(new.held_bytes()) {
            return self.stop();
        }
        self.files.push(&new);
        // For a sparse file the tar holds a map and parts, not the unpacked bytes.
        if kind == FileKind::File && entry.sparse_bytes.is_none() {
            self.sniffer.begin(&clean(entry.path), size_bytes);
            let is_hashed = self.hash_contents && size_bytes > 0;
            self.digester = is_hashed.then(|| Digester::new(Algorithm::Sha256));
        }
    }
}

impl Visit for LayerEntryCheck<'_> {
    fn entry(&mut self, entry: &TarEntry<'_>) -> ControlFlow<()> {
        self.end_content();
        if let Some(verdict) = self.rules.judge(entry) {
            self.fault(entry.path, verdict);
        }
        if !self.is_full {
            self.lay(entry);
        }
        ControlFlow::Continue(())
    }

    fn content(&mut self, bytes: &[u8]) {
        self.sniffer.update(bytes);
        if let Some(digester) = &mut self.digester {
            digester.update(bytes);
        }
    }

    fn global_header(&mut self) {
        self.has_global_header = true;
    }
}

/// The kind of an entry in a view; `None` for an entry no engine unpacks.
fn kind_of(entry: &TarEntry<'_>) -> Option<FileKind> {
    Some(match entry.kind {
        TarEntryKind::File => FileKind::File,
        TarEntryKind::HardLink => FileKind::HardLink,
        TarEntryKind::Symlink => FileKind::Symlink,
        // The overlay file system has no other sign for a whiteout.
        TarEntryKind::CharDevice if entry.device == (0, 0) => FileKind::Whiteout,
        TarEntryKind::CharDevice => FileKind::CharDevice,
        TarEntryKind::BlockDevice => FileKind::BlockDevice,
        TarEntryKind::Folder => FileKind::Folder,
        TarEntryKind::Fifo => FileKind::Fifo,
        TarEntryKind::Unknown(_) => return None,
    })
}
