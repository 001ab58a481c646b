//! An archive on its way into a layer, entry by entry: read once to be planned, and once more to be
//! written.
//!
//! Invariant: the written entries are the planned ones. The archive is hashed both times, and a
//! changed archive is an error.

use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use wharf_oci::{Algorithm, Digest, Digester};

use super::LayerError;
use super::records::{RecordFault, RecordKind, Records, tar_bytes_max};
use super::rewriting::{AT_END, PlanFault, Step, StepKind};
use crate::image::debian::{Control, DebPackage, DebianError};
use crate::image::files::shown;
use crate::image::sparse::{Expander, SparsePiece};
use crate::image::tar_read::{ShowError, show_all};
use crate::image::tar_walk::{SparsePart, TarEntry, Visit};
use crate::image::tar_write::{EntryHeader, EntryKind, TarWriter};
use crate::image::unpack::CompressionFormat;
use crate::input;

/// The form of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArchiveFormat {
    /// A tar, compressed or not.
    Tar,
    /// A Debian package.
    Package,
}

/// An archive with planned entries.
#[derive(Debug)]
pub(super) struct PreparedArchive {
    pub(super) path: PathBuf,
    pub(super) form: ArchiveFormat,
    /// Of the file as it was planned.
    pub(super) digest: Digest,
    pub(super) steps: Vec<Step>,
}

/// A package's own metadata: its parsed control file, the file itself, and its checksums.
pub(super) type Said = (Control, Box<[u8]>, Option<Box<[u8]>>);

/// The result of reading an archive.
pub(super) struct ArchiveListing {
    pub(super) records: Records,
    pub(super) digest: Digest,
    pub(super) size_bytes: u64,
    /// The package's own metadata.
    pub(super) package: Option<Said>,
}

/// Reads the entries of an archive.
pub(super) fn read(path: &Path, form: ArchiveFormat) -> Result<ArchiveListing, LayerError> {
    let mut source = open(path)?;
    let limit = source.tar_bytes_max();
    let (records, package) = match form {
        ArchiveFormat::Tar => {
            let mut records = Records::of_tar();
            show_tar(path, &mut source, &mut records, |records| records.fault.is_some())?;
            (records, None)
        }
        ArchiveFormat::Package => {
            let mut records = Records::of_package();
            let opened = DebPackage::open(&mut source);
            let mut package = opened.map_err(|error| not_a_package(path, error))?;
            let shown = package.show(limit, &mut records, |at| at.fault.is_some());
            shown.map_err(|error| not_a_package(path, error))?;
            let said = (package.control, package.control_text, package.md5sums);
            (records, Some(said))
        }
    };
    let records = records.finish().map_err(|fault| refused(path, fault))?;
    let (digest, size_bytes) = source.finish(path)?;
    Ok(ArchiveListing { records, digest, size_bytes, package })
}

/// An error for one entry of an archive.
pub(super) fn refused(path: &Path, fault: RecordFault) -> LayerError {
    let path = path.to_owned();
    match fault {
        RecordFault::Entry(entry, reason) => {
            LayerError::Refused { path, entry: shown(&entry), reason }
        }
        RecordFault::TooMuch(what) => LayerError::TooMuch { path, what },
    }
}

/// The same for a fault of the planning.
pub(super) fn not_planned(path: &Path, fault: PlanFault) -> LayerError {
    match fault {
        PlanFault::Entry(entry, reason) => refused(path, RecordFault::Entry(entry, reason)),
        PlanFault::Layer(error) => error,
    }
}

fn not_a_package(path: &Path, source: DebianError) -> LayerError {
    LayerError::Package { path: path.to_owned(), source }
}

impl PreparedArchive {
    /// Takes everything the bytes follow from into a digest.
    pub(super) fn digest(&self, digester: &mut Digester) {
        digester.update(self.digest.to_string().as_bytes());
        for step in &self.steps {
            step.header().digest(digester);
            digester.update(&(step.at as u64).to_be_bytes());
            if let StepKind::Text(text) = &step.kind {
                digester.update(text);
            }
        }
    }

    /// Writes the entries.
    pub(super) fn write<W: Write + ?Sized>(
        &self,
        tar: &mut TarWriter<'_, W>,
    ) -> Result<(), LayerError> {
        let mut source = open(&self.path)?;
        let limit = source.tar_bytes_max();
        let mut writer = Writer::new(self, tar);
        let is_done = |writer: &Writer<'_, '_, '_, W>| writer.error.is_some();
        let shown = match self.form {
            ArchiveFormat::Tar => show_tar(&self.path, &mut source, &mut writer, is_done),
            ArchiveFormat::Package => DebPackage::open(&mut source)
                .and_then(|mut package| package.show(limit, &mut writer, is_done))
                .map_err(|error| not_a_package(&self.path, error)),
        };
        if shown.is_ok() && writer.error.is_none() {
            writer.finish();
        }
        let error = writer.error.take();
        // An archive unreadable at the second read was replaced, most likely.
        let (digest, _) = source.finish(&self.path)?;
        match error {
            Some(LayerError::Write(error)) => Err(error.into()),
            _ if digest != self.digest => Err(LayerError::Changed { path: self.path.clone() }),
            Some(error) => Err(error),
            None => shown,
        }
    }
}

/// A file, hashed during the read.
pub(super) struct HashedFile {
    file: File,
    digester: Digester,
    /// How much was read, and how much there was when it was opened.
    size_bytes: u64,
    opened_bytes: u64,
}

/// Opens an archive.
pub(super) fn open(path: &Path) -> Result<HashedFile, LayerError> {
    let read = |source| LayerError::Read { path: path.to_owned(), source };
    let file = input::open(path).map_err(read)?;
    let opened_bytes = file.metadata().map_err(read)?.len();
    let digester = Digester::new(Algorithm::Sha256);
    Ok(HashedFile { file, digester, size_bytes: 0, opened_bytes })
}

impl HashedFile {
    /// How many bytes of tar it may hold.
    pub(super) fn tar_bytes_max(&self) -> u64 {
        tar_bytes_max(self.opened_bytes)
    }

    /// Reads the rest; the digest of the whole file, and its size.
    pub(super) fn finish(mut self, path: &Path) -> Result<(Digest, u64), LayerError> {
        let rest = io::copy(&mut self, &mut io::sink());
        rest.map_err(|source| LayerError::Read { path: path.to_owned(), source })?;
        Ok((self.digester.finish().digest, self.size_bytes))
    }
}

impl Read for HashedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.digester.update(buffer.get(..length).unwrap_or_default());
        self.size_bytes += length as u64;
        Ok(length)
    }
}

/// A reader of the tar in a file, plain or in any known compression.
pub(super) fn inflate<'a>(
    path: &Path,
    source: &'a mut HashedFile,
) -> Result<Box<dyn Read + 'a>, LayerError> {
    let read = |source| LayerError::Read { path: path.to_owned(), source };
    let mut head = Vec::new();
    (&mut *source)
        .take(CompressionFormat::HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(read)?;
    let compression = CompressionFormat::of(&head);
    compression.reader(Cursor::new(head).chain(source)).map_err(read)
}

/// Shows the entries of a tar.
pub(super) fn show_tar<V: Visit>(
    path: &Path,
    source: &mut HashedFile,
    visit: &mut V,
    is_done: impl Fn(&V) -> bool,
) -> Result<(), LayerError> {
    let limit = source.tar_bytes_max();
    let mut tar = inflate(path, source)?;
    show_all(&mut tar, limit, visit, is_done).map_err(|error| not_a_tar(path, error, limit))
}

/// An error for a tar as a whole.
fn not_a_tar(path: &Path, error: ShowError, limit: u64) -> LayerError {
    let path = path.to_owned();
    match error {
        ShowError::Read(source) => LayerError::Read { path, source },
        ShowError::Fault(fault) => LayerError::NotATar { path, fault },
        ShowError::TooLarge => LayerError::TooMuch {
            path,
            what: format!("more than {limit} bytes once it is inflated"),
        },
    }
}

/// Writes the planned entries while the archive passes.
struct Writer<'a, 't, 'w, W: Write + ?Sized> {
    archive: &'a PreparedArchive,
    tar: &'t mut TarWriter<'w, W>,
    /// The next step, and the number of the next entry.
    next: usize,
    number: usize,
    /// The size of the present file's content, and its remaining bytes.
    file: Option<(u64, u64)>,
    expander: Option<Expander>,
    error: Option<LayerError>,
}

impl<'a, 't, 'w, W: Write + ?Sized> Writer<'a, 't, 'w, W> {
    fn new(archive: &'a PreparedArchive, tar: &'t mut TarWriter<'w, W>) -> Self {
        Self { archive, tar, next: 0, number: 0, file: None, expander: None, error: None }
    }

    /// There are no more entries.
    fn finish(&mut self) {
        self.end_file();
        while self.error.is_none()
            && let Some(step) = self.archive.steps.get(self.next)
        {
            if step.at == AT_END {
                self.write(step, None);
            } else {
                self.changed();
            }
            self.next += 1;
        }
    }

    fn changed(&mut self) {
        let path = self.archive.path.clone();
        self.error.get_or_insert(LayerError::Changed { path });
    }

    fn check(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.error.get_or_insert(error.into());
        }
    }

    fn end_file(&mut self) {
        if let Some(mut expander) = self.expander.take() {
            self.pieces(|make| expander.finish(make));
        }
        match self.file.take() {
            Some((size_bytes, 0)) if self.error.is_none() => {
                let written = self.tar.end_file(size_bytes);
                self.check(written);
            }
            Some(_) => self.changed(),
            None => {}
        }
    }

    /// Writes one entry; a file's entry begins its content.
    fn write(&mut self, step: &Step, entry: Option<&TarEntry<'_>>) {
        let header = step.header();
        let written = match (&step.kind, header.kind) {
            (StepKind::Text(text), _) => {
                self.tar.append_file(&header, &mut text.as_ref()).map_err(io::Error::from)
            }
            (_, EntryKind::File(size_bytes)) => {
                let found = entry.map(|entry| entry.sparse_bytes.unwrap_or(entry.size_bytes));
                if found != Some(size_bytes) {
                    return self.changed();
                }
                self.file = Some((size_bytes, size_bytes));
                self.expander = entry.and_then(Expander::new);
                self.tar.begin_file(&header)
            }
            _ => self.tar.append(&header),
        };
        self.check(written);
    }

    fn pieces<E>(&mut self, pieces: impl FnOnce(&mut dyn FnMut(SparsePiece<'_>)) -> Result<(), E>) {
        let mut left = self.file.map_or(0, |(_, left)| left);
        let mut written = Ok(());
        let mut is_more = false;
        let tar = &mut *self.tar;
        let made = pieces(&mut |piece| {
            let length = match piece {
                SparsePiece::Data(bytes) => bytes.len() as u64,
                SparsePiece::Zeros(count) => count,
            };
            is_more |= length > left;
            if written.is_ok() && !is_more {
                left -= length;
                written = match piece {
                    SparsePiece::Data(bytes) => tar.content(bytes),
                    SparsePiece::Zeros(count) => tar.zeros(count),
                };
            }
        });
        if let Some((_, rest)) = &mut self.file {
            *rest = left;
        }
        if made.is_err() || is_more {
            self.changed();
        }
        self.check(written);
    }
}

impl<W: Write + ?Sized> Visit for Writer<'_, '_, '_, W> {
    fn entry(&mut self, entry: &TarEntry<'_>) -> ControlFlow<()> {
        self.end_file();
        while self.error.is_none()
            && let Some(step) = self.archive.steps.get(self.next).filter(|at| at.at == self.number)
        {
            if self.file.is_some() {
                // Two files with one content were never planned.
                self.changed();
            } else {
                self.write(step, Some(entry));
            }
            self.next += 1;
        }
        self.number += 1;
        if self.error.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn part(&mut self, part: SparsePart) {
        if self.expander.as_mut().is_some_and(|expander| expander.part(part).is_err()) {
            self.changed();
        }
    }

    fn content(&mut self, bytes: &[u8]) {
        if self.file.is_none() || self.error.is_some() {
            return;
        }
        match self.expander.take() {
            Some(mut expander) => {
                self.pieces(|make| expander.content(bytes, make));
                self.expander = Some(expander);
            }
            None => self.pieces(|make| {
                make(SparsePiece::Data(bytes));
                Ok::<(), ()>(())
            }),
        }
    }
}

impl Step {
    fn header(&self) -> EntryHeader<'_> {
        EntryHeader {
            path: &self.path,
            kind: match &self.kind {
                StepKind::Text(text) => EntryKind::File(text.len() as u64),
                StepKind::Entry(kind) => entry_kind(kind),
            },
            mode: self.mode,
            owner: self.owner,
            mtime: self.mtime,
            attributes: &self.attributes,
        }
    }
}

fn entry_kind(kind: &RecordKind) -> EntryKind<'_> {
    match kind {
        RecordKind::Folder => EntryKind::Folder,
        RecordKind::File(size_bytes) => EntryKind::File(*size_bytes),
        RecordKind::HardLink(target) => EntryKind::HardLink(target),
        RecordKind::Symlink(target) => EntryKind::Symlink(target),
        RecordKind::CharDevice(major, minor) => EntryKind::CharDevice(*major, *minor),
        RecordKind::BlockDevice(major, minor) => EntryKind::BlockDevice(*major, *minor),
        RecordKind::Fifo => EntryKind::Fifo,
    }
}
