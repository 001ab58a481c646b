//! A ready-made tar on its way into a layer: as it stands, or entry by entry.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use wharf_oci::{Digest, Digester};

use super::LayerError;
use super::archive::{self, ArchiveFormat, PreparedArchive};
use super::entries::{Below, LayerEntries};
use super::rewriting::{self, Wishes};
use crate::image::facts::EngineRefusal;
use crate::image::files::{FileKind, NewFile, shown};
use crate::image::tar_rules::EntryRules;
use crate::image::tar_walk::{Ending, TarEntry, TarEntryKind, Visit};
use crate::image::tar_write::TarWriter;
use crate::offer::layers::TarInput;

/// How much of a tar is read at once.
const COPY_BYTES: usize = 256 * 1024;

/// Most bytes of names and links of a tar taken as it stands.
const NAMES_BYTES_MAX: usize = 128 << 20;

/// A tar after a look at its entries.
#[derive(Debug)]
pub(super) enum PreparedTar {
    /// Its bytes are the layer.
    AsItStands {
        path: PathBuf,
        /// Of the file as it was looked at.
        digest: Digest,
    },
    /// Its entries go in.
    Anew(PreparedArchive),
}

/// Looks at every entry of a tar with the layer's own bytes.
pub(super) fn prepare_as_it_stands(
    path: &Path,
    input: &TarInput,
    below: &Below<'_>,
    entries: &mut LayerEntries<'_>,
) -> Result<PreparedTar, LayerError> {
    let mut source = archive::open(path)?;
    let mut judge = Judge {
        entries,
        rules: EntryRules::default(),
        refused: None,
        names_bytes: 0,
        has_global_header: false,
        ending: None,
    };
    let shown = archive::show_tar(path, &mut source, &mut judge, |judge| judge.refused.is_some());
    let Judge { refused, has_global_header, ending, .. } = judge;
    if let Some(Fault { entry, reason }) = refused {
        let path = path.to_owned();
        let Some(entry) = entry else { return Err(LayerError::TooMuch { path, what: reason }) };
        let advice = mended_by(&path, input, below);
        return Err(LayerError::Refused { path, entry, reason: format!("{reason}{advice}") });
    }
    shown?;
    if has_global_header {
        let message = "it has a global PAX header, which umoci refuses and other engines pass over; \
                       `into: /` writes the tar anew, without it";
        entries.note(input.path.as_str(), message.to_owned());
    }
    note_ending(ending, input, entries);
    let (digest, _) = source.finish(path)?;
    Ok(PreparedTar::AsItStands { path: path.to_owned(), digest })
}

/// Plans the entries of a tar to be written anew.
pub(super) fn prepare_anew(
    path: &Path,
    input: &TarInput,
    created: u64,
    entries: &mut LayerEntries<'_>,
) -> Result<PreparedTar, LayerError> {
    let found = archive::read(path, ArchiveFormat::Tar)?;
    let into = input.into.as_ref().map_or("/", |into| into.as_str());
    let wishes = Wishes {
        into: into.trim_start_matches('/').as_bytes(),
        owner: input.owner.map(|owner| (owner.uid, owner.gid)),
        include: &input.include,
        exclude: &input.exclude,
        is_package: false,
        created,
    };
    let planned = rewriting::plan(&found.records.entries, &wishes, entries);
    let plan = planned.map_err(|fault| archive::not_planned(path, fault))?;
    note_ending(found.records.ending, input, entries);
    for pattern in plan.unused {
        entries.note(input.path.as_str(), format!("{pattern} matches nothing"));
    }
    let (path, digest) = (path.to_owned(), found.digest);
    Ok(PreparedTar::Anew(PreparedArchive {
        path,
        form: ArchiveFormat::Tar,
        digest,
        steps: plan.steps,
    }))
}

impl PreparedTar {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::AsItStands { path, .. } => path,
            Self::Anew(archive) => &archive.path,
        }
    }

    /// Whether its bytes are the layer.
    pub(super) const fn is_as_it_stands(&self) -> bool {
        matches!(self, Self::AsItStands { .. })
    }

    /// Passes the tar on as it stands; `None` when its entries are written instead.
    pub(super) fn pass_on(&self, out: &mut dyn Write) -> Option<Result<(), LayerError>> {
        match self {
            Self::AsItStands { path, digest } => Some(pass_on(path, *digest, out)),
            Self::Anew(_) => None,
        }
    }

    /// Writes the entries.
    pub(super) fn write<W: Write + ?Sized>(
        &self,
        tar: &mut TarWriter<'_, W>,
    ) -> Result<(), LayerError> {
        match self {
            Self::AsItStands { .. } => Err(io::Error::from(io::ErrorKind::Unsupported).into()),
            Self::Anew(archive) => archive.write(tar),
        }
    }

    /// Takes everything the bytes follow from into a digest.
    pub(super) fn digest(&self, digester: &mut Digester) {
        match self {
            Self::AsItStands { digest, .. } => digester.update(digest.to_string().as_bytes()),
            Self::Anew(archive) => archive.digest(digester),
        }
    }
}

fn pass_on(path: &Path, expected: Digest, out: &mut dyn Write) -> Result<(), LayerError> {
    let read = |source| LayerError::Read { path: path.to_owned(), source };
    let mut source = archive::open(path)?;
    let mut left = source.tar_bytes_max();
    let mut tar = archive::inflate(path, &mut source)?;
    let mut buffer = vec![0_u8; COPY_BYTES];
    loop {
        let length = match tar.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read(error)),
        };
        let changed = || LayerError::Changed { path: path.to_owned() };
        left = left.checked_sub(length as u64).ok_or_else(changed)?;
        out.write_all(buffer.get(..length).unwrap_or_default())?;
    }
    drop(tar);
    let (digest, _) = source.finish(path)?;
    if digest == expected { Ok(()) } else { Err(LayerError::Changed { path: path.to_owned() }) }
}

/// Remarks on a tar with an unusual end: it may lack a part of its content.
fn note_ending(ending: Option<Ending>, input: &TarInput, entries: &mut LayerEntries<'_>) {
    let message = match ending {
        Some(Ending::Unmarked) if entries.len() > 0 => {
            "it has no end-of-archive record, so that nobody can tell whether it was cut"
        }
        Some(Ending::MoreBehind) => {
            "something stands behind its end, which no program reads; of tars that were joined by \
             `cat` only the first goes in, `tar -A` joins them"
        }
        _ => return,
    };
    entries.note(input.path.as_str(), message.to_owned());
}

/// A remedy for a tar engines refuse: this function tries it before it is named.
fn mended_by(path: &Path, input: &TarInput, below: &Below<'_>) -> &'static str {
    match prepare_anew(path, input, 0, &mut LayerEntries::new(below)) {
        Ok(_) => "; `into: /` beside `tar` writes the tar anew, entry by entry, which mends that",
        Err(_) => "",
    }
}

/// An entry engines refuse, or a limit the tar breaks.
struct Fault {
    entry: Option<String>,
    reason: String,
}

struct Judge<'e, 'b> {
    entries: &'e mut LayerEntries<'b>,
    rules: EntryRules,
    refused: Option<Fault>,
    names_bytes: usize,
    has_global_header: bool,
    ending: Option<Ending>,
}

impl Judge<'_, '_> {
    fn judge(&mut self, entry: &TarEntry<'_>) -> Result<(), Fault> {
        if let Some(verdict) = self.rules.judge(entry)
            && verdict.refusal != EngineRefusal::None
        {
            return Err(Fault { entry: Some(shown(entry.path)), reason: verdict.reason });
        }
        self.names_bytes += entry.path.len() + entry.link.len();
        if self.names_bytes > NAMES_BYTES_MAX || self.entries.len() == super::error::ENTRIES_MAX {
            let reason = format!(
                "more than {} entries, or {NAMES_BYTES_MAX} bytes of names",
                super::error::ENTRIES_MAX
            );
            return Err(Fault { entry: None, reason });
        }
        if let Some(kind) = kind_of(entry.kind) {
            self.entries.files_mut().push(&NewFile {
                path: entry.path,
                kind,
                mode: entry.mode,
                owner: entry.owner,
                size_bytes: entry.sparse_bytes.unwrap_or(entry.size_bytes),
                link: entry.link,
            });
        }
        Ok(())
    }
}

impl Visit for Judge<'_, '_> {
    fn entry(&mut self, entry: &TarEntry<'_>) -> ControlFlow<()> {
        match self.judge(entry) {
            Ok(()) => ControlFlow::Continue(()),
            Err(fault) => {
                self.refused.get_or_insert(fault);
                ControlFlow::Break(())
            }
        }
    }

    fn ended(&mut self, ending: Ending) {
        self.ending = Some(ending);
    }

    fn global_header(&mut self) {
        self.has_global_header = true;
    }
}

const fn kind_of(kind: TarEntryKind) -> Option<FileKind> {
    match kind {
        TarEntryKind::File => Some(FileKind::File),
        TarEntryKind::HardLink => Some(FileKind::HardLink),
        TarEntryKind::Symlink => Some(FileKind::Symlink),
        TarEntryKind::CharDevice => Some(FileKind::CharDevice),
        TarEntryKind::BlockDevice => Some(FileKind::BlockDevice),
        TarEntryKind::Folder => Some(FileKind::Folder),
        TarEntryKind::Fifo => Some(FileKind::Fifo),
        TarEntryKind::Unknown(_) => None,
    }
}
