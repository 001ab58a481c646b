//! One layer at a time: hash the blob, inflate it, hash the tar, walk the tar, look at the files,
//! all in one pass. Several layers run beside one another; the memory of each is bounded for any
//! bytes.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use wharf_oci::{Descriptor, Digest};

use super::blob_fault::{explain, kind_of};
use super::limits::Limits;
use super::packing::Packing;
use super::room::ReadBudget;
use super::stream::{self, StreamPlan, StreamResult};
use crate::image::facts::{EngineRefusal, Fault, FaultKind};
use crate::image::files::LayerFiles;
use crate::image::unpack::{Behind, UnpackError};
use crate::image::zstd;
use crate::source::Source;

/// The facts of a checked layer.
#[derive(Debug, Clone)]
pub(super) struct CheckedLayer {
    /// As the manifest describes it.
    pub(super) descriptor: Descriptor,
    /// Digest of the uncompressed tar, when it could be inflated.
    pub(super) diff_id: Option<Digest>,
    /// Size of the uncompressed tar; 0 if it is unknown.
    pub(super) inflated_bytes: u64,
    /// Whether it is not in the layout, and need not be.
    pub(super) is_elsewhere: bool,
    /// The faults of the layer.
    pub(super) faults: Vec<Fault>,
    pub(super) files: Arc<LayerFiles>,
}

/// Checks each layer once, on at most `jobs` threads.
pub(super) fn check_all(
    source: &Source,
    wanted: &[Descriptor],
    jobs: NonZeroUsize,
    limits: Limits,
    room: &ReadBudget,
) -> BTreeMap<Digest, CheckedLayer> {
    let next = AtomicUsize::new(0);
    let checked = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..jobs.get().min(wanted.len()) {
            scope.spawn(|| {
                while let Some(descriptor) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let layer = check_layer(source, descriptor, limits, room);
                    let mut checked = checked.lock().unwrap_or_else(PoisonError::into_inner);
                    checked.insert(descriptor.digest, layer);
                }
            });
        }
    });
    checked.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn check_layer(
    source: &Source,
    descriptor: &Descriptor,
    limits: Limits,
    room: &ReadBudget,
) -> CheckedLayer {
    let mut layer = CheckedLayer::unread(descriptor);
    let mut blob = match source.open_blob(descriptor) {
        Ok(blob) => blob,
        Err(_) if descriptor.may_be_elsewhere() => {
            layer.is_elsewhere = true;
            return layer;
        }
        Err(error) => {
            layer.fault(kind_of(&error), explain(&error));
            return layer;
        }
    };
    if let Err(error) = layer.read(&mut blob, limits, room) {
        // An unreachable registry proves nothing about the blob.
        let kind = if source.is_remote() { FaultKind::Unproven } else { FaultKind::Missing };
        layer.fault(kind, format!("the blob cannot be read: {error}"));
    }
    layer
}

/// Reads one layer with bytes from any source: the reader goes to its end, and every fault of it is
/// among the faults. An error means it could not be read.
pub fn read_layer(
    blob: &mut (dyn Read + Send),
    descriptor: &Descriptor,
    limits: Limits,
    room: &ReadBudget,
) -> io::Result<ReadLayer> {
    let mut layer = CheckedLayer::unread(descriptor);
    layer.read(blob, limits, room)?;
    let CheckedLayer { diff_id, files, faults, .. } = layer;
    Ok(ReadLayer { diff_id, files, faults })
}

/// A layer after its read.
#[derive(Debug)]
pub struct ReadLayer {
    /// Digest of the tar; `None` when it could not be inflated.
    pub diff_id: Option<Digest>,
    pub files: Arc<LayerFiles>,
    /// The faults of the layer.
    pub faults: Vec<Fault>,
}

impl CheckedLayer {
    fn unread(descriptor: &Descriptor) -> Self {
        Self {
            descriptor: descriptor.clone(),
            diff_id: None,
            inflated_bytes: 0,
            is_elsewhere: false,
            faults: Vec::new(),
            files: Arc::new(LayerFiles::unread()),
        }
    }

    /// Whether its bytes are right as far as they were checked, and its content was not looked at.
    pub(super) fn is_unread(&self) -> bool {
        self.diff_id.is_none() && !self.is_elsewhere && self.faults.is_empty()
    }

    fn fault(&mut self, kind: FaultKind, message: String) {
        self.faults.push(Fault { digest: self.descriptor.digest, kind, path: None, message });
    }

    /// Reads the blob to its end; everything wrong becomes a fault. An error means it could not be
    /// read.
    fn read(
        &mut self,
        mut blob: &mut (dyn Read + Send),
        limits: Limits,
        room: &ReadBudget,
    ) -> io::Result<()> {
        let mut start = [0_u8; 4];
        let length = fill(&mut blob, &mut start)?;
        let start = start.get(..length).unwrap_or_default();
        let said = Packing::of_type(&self.descriptor.media_type);
        let found = Packing::of_bytes(start);
        let plan = StreamPlan {
            algorithm: self.descriptor.digest.algorithm(),
            packing: said.map(|_| found),
            size_bytes: self.descriptor.size,
            limits,
        };
        let mut blob = Cursor::new(start.to_vec()).chain(blob);
        let read = stream::read(&mut blob, &plan, room)?;
        if let Err(mismatch) = read.blob.expect(&self.descriptor.digest) {
            // Every other finding is a consequence.
            self.fault(FaultKind::Digest, mismatch.to_string());
            return Ok(());
        }
        if let Some(said) = said {
            self.compare_packing(said, found, start);
            self.keep(read, found, room);
        }
        Ok(())
    }

    fn compare_packing(&mut self, said: Packing, found: Packing, start: &[u8]) {
        if said != found {
            let message = format!(
                "its type {} says {}, its bytes are {}",
                self.descriptor.media_type,
                said.name(),
                found.name()
            );
            self.fault(FaultKind::Packing(found.refused_as(said)), message);
        }
        if found == Packing::Zstd && zstd::is_skippable(start) {
            let message = "it starts with a skippable frame, which docker and podman refuse";
            self.fault(FaultKind::Packing(EngineRefusal::Some), message.to_owned());
        }
    }

    /// Takes over the findings of a blob with the right digest.
    fn keep(&mut self, read: StreamResult, found: Packing, room: &ReadBudget) {
        match &read.unpacked {
            Ok(behind) if behind.bytes > 0 => self.behind(*behind),
            Ok(_) => {}
            Err(UnpackError::Damaged(reason)) => {
                let message = format!("it does not inflate as {}: {reason}", found.name());
                self.fault(FaultKind::Compression, message);
            }
            Err(UnpackError::TooLarge(reason)) => {
                self.fault(FaultKind::Unproven, format!("not looked into further: {reason}"));
            }
        }
        if let Some(fault) = read.tar_fault {
            self.fault(FaultKind::Tar, fault.to_string());
        }
        for entry in read.entry_faults {
            if !room.take_fault() && entry.refusal == EngineRefusal::None {
                continue;
            }
            self.faults.push(Fault {
                digest: self.descriptor.digest,
                kind: FaultKind::Entry(entry.refusal),
                path: entry.path,
                message: entry.message,
            });
        }
        if let Some(tar) = read.tar {
            self.diff_id = Some(tar.digest);
            self.inflated_bytes = tar.size_bytes;
        }
        self.files = Arc::new(read.files);
    }

    fn behind(&mut self, behind: Behind) {
        let what = if behind.has_content { "bytes" } else { "zero bytes" };
        let count = behind.bytes;
        let message = format!(
            "{count} {what} stand behind the compressed tar, which podman refuses, and docker and \
             containerd do without unpigz"
        );
        self.fault(FaultKind::Packing(EngineRefusal::Some), message);
    }
}

/// Reads until the buffer is full or the blob ends.
fn fill(blob: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match blob.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
