//! Brings the bytes of a layer past all their checks: one thread reads and inflates, another hashes
//! and walks the tar. Buffers go back and forth and are used again.
//!
//! A small layer is done on one thread: the start of another takes longer than the layer.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use wharf_oci::{Algorithm, Digester, HashResult};

use super::entries::{EntryFault, LayerEntryCheck};
use super::limits::Limits;
use super::room::ReadBudget;
use crate::image::files::LayerFiles;
use crate::image::tar_walk::{TarFault, TarWalk};
use crate::image::unpack::{Behind, GzipUnpacker, Unpack, UnpackError, UnpackStep, ZstdUnpacker};

use super::packing::Packing;

/// How much is read, and inflated, at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// How many buffers lie between the two threads.
const DEPTH: usize = 8;

/// Smallest blob for a second thread.
const PIPELINE_BYTES_MIN: u64 = 1 << 20;

/// How a blob is read.
pub(super) struct StreamPlan {
    pub(super) algorithm: Algorithm,
    /// The packing of its bytes; `None` if their content cannot be read.
    pub(super) packing: Option<Packing>,
    pub(super) size_bytes: u64,
    pub(super) limits: Limits,
}

/// The findings of the read.
pub(super) struct StreamResult {
    pub(super) blob: HashResult,
    /// The tar, when all of it was inflated.
    pub(super) tar: Option<HashResult>,
    pub(super) unpacked: Result<Behind, UnpackError>,
    pub(super) tar_fault: Option<TarFault>,
    pub(super) entry_faults: Vec<EntryFault>,
    pub(super) files: LayerFiles,
}

/// Reads a blob to its end. An error means it could not be read.
pub(super) fn read(
    blob: &mut (dyn Read + Send),
    plan: &StreamPlan,
    room: &ReadBudget,
) -> io::Result<StreamResult> {
    let mut prover = Prover::new(plan, room);
    if plan.size_bytes < PIPELINE_BYTES_MIN || plan.packing.is_none() {
        let mut line = Line { prover: &mut prover, free: Vec::new() };
        let pumped = Pump::new(plan).run(blob, &mut line)?;
        return Ok(prover.finish(pumped));
    }
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(DEPTH);
        let (back, free) = channel();
        let proving = scope.spawn(move || prove(prover, &receiver, &back));
        let mut lane = Lane { sender, free, kept: Vec::new(), made: 0 };
        let pumped = Pump::new(plan).run(blob, &mut lane);
        drop(lane);
        let prover = proving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        pumped.map(|pumped| prover.finish(pumped))
    })
}

/// Bytes on their way.
struct Piece {
    bytes: Vec<u8>,
    length: usize,
    kind: PieceKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PieceKind {
    /// Of the blob.
    Blob,
    /// Of the tar in it.
    Tar,
    /// Of the blob and of the tar, being the same bytes.
    Both,
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Hashes and walks.
struct Prover<'a> {
    blob: Digester,
    tar: Digester,
    walk: Option<TarWalk>,
    tar_fault: Option<TarFault>,
    entries: LayerEntryCheck<'a>,
    /// Whether the blob is the tar, and its digest is by the tars' own algorithm.
    is_same: bool,
}

impl<'a> Prover<'a> {
    fn new(plan: &StreamPlan, room: &'a ReadBudget) -> Self {
        let is_plain = plan.packing == Some(Packing::Plain);
        Self {
            blob: Digester::new(plan.algorithm),
            tar: Digester::new(Algorithm::Sha256),
            walk: plan.packing.map(|_| TarWalk::new()),
            tar_fault: None,
            entries: LayerEntryCheck::new(room, plan.limits.hash_contents),
            is_same: is_plain && plan.algorithm == Algorithm::Sha256,
        }
    }

    fn take(&mut self, piece: &Piece) {
        let bytes = piece.bytes();
        if piece.kind != PieceKind::Tar {
            self.blob.update(bytes);
        }
        if piece.kind == PieceKind::Blob {
            return;
        }
        if !self.is_same {
            self.tar.update(bytes);
        }
        let Some(walk) = &mut self.walk else { return };
        if let Err(fault) = walk.show(bytes, &mut self.entries) {
            self.tar_fault = Some(fault);
            self.walk = None;
        }
    }

    fn finish(mut self, unpacked: Result<Behind, UnpackError>) -> StreamResult {
        let blob = self.blob.finish();
        let is_inflated = unpacked.is_ok();
        if let Some(walk) = self.walk.filter(|_| is_inflated) {
            self.tar_fault = walk.finish().err();
        }
        let tar = if self.is_same { blob } else { self.tar.finish() };
        let is_whole = is_inflated && self.tar_fault.is_none();
        let (entry_faults, files) = self.entries.finish(is_whole);
        StreamResult {
            blob,
            tar: is_inflated.then_some(tar),
            unpacked,
            tar_fault: self.tar_fault,
            entry_faults,
            files,
        }
    }
}

fn prove<'a>(
    mut prover: Prover<'a>,
    pieces: &Receiver<Piece>,
    back: &Sender<Vec<u8>>,
) -> Prover<'a> {
    for piece in pieces {
        prover.take(&piece);
        // At the end of the read, the other side may be gone already.
        let _ = back.send(piece.bytes);
    }
    prover
}

/// Where pieces go, and where buffers come from.
trait Sink {
    fn buffer(&mut self) -> Vec<u8>;
    fn put(&mut self, piece: Piece);
    /// An unused buffer.
    fn keep(&mut self, buffer: Vec<u8>);
}

/// The same thread.
struct Line<'a, 'b> {
    prover: &'a mut Prover<'b>,
    free: Vec<Vec<u8>>,
}

impl Sink for Line<'_, '_> {
    fn buffer(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_else(|| vec![0; BUFFER_BYTES])
    }

    fn put(&mut self, piece: Piece) {
        self.prover.take(&piece);
        self.free.push(piece.bytes);
    }

    fn keep(&mut self, buffer: Vec<u8>) {
        self.free.push(buffer);
    }
}

/// The way of pieces to another thread, and of free buffers back.
struct Lane {
    sender: SyncSender<Piece>,
    free: Receiver<Vec<u8>>,
    kept: Vec<Vec<u8>>,
    made: usize,
}

impl Sink for Lane {
    fn buffer(&mut self) -> Vec<u8> {
        if let Some(kept) = self.kept.pop() {
            return kept;
        }
        let free =
            if self.made < DEPTH { self.free.try_recv().ok() } else { self.free.recv().ok() };
        free.unwrap_or_else(|| {
            self.made += 1;
            vec![0; BUFFER_BYTES]
        })
    }

    fn put(&mut self, piece: Piece) {
        // It fails if the other thread panicked; the join shows the panic.
        let _ = self.sender.send(piece);
    }

    fn keep(&mut self, buffer: Vec<u8>) {
        self.kept.push(buffer);
    }
}

/// Reads and inflates.
struct Pump {
    unpacker: Result<Option<Box<dyn Unpack>>, UnpackError>,
    limits: Limits,
    is_plain: bool,
    read_bytes: u64,
    inflated_bytes: u64,
}

impl Pump {
    fn new(plan: &StreamPlan) -> Self {
        let unpacker: Result<Option<Box<dyn Unpack>>, UnpackError> = match plan.packing {
            None | Some(Packing::Plain) => Ok(None),
            Some(Packing::Gzip) => Ok(Some(Box::new(GzipUnpacker::new()))),
            Some(Packing::Zstd) => ZstdUnpacker::new().map(|at| Some(Box::new(at) as Box<_>)),
        };
        Self {
            unpacker,
            limits: plan.limits,
            is_plain: plan.packing == Some(Packing::Plain),
            read_bytes: 0,
            inflated_bytes: 0,
        }
    }

    /// Reads a blob to its end. An error means it cannot be read; faults of its bytes are in the
    /// value.
    fn run(
        mut self,
        blob: &mut dyn Read,
        sink: &mut dyn Sink,
    ) -> io::Result<Result<Behind, UnpackError>> {
        let mut output = None;
        loop {
            let mut input = sink.buffer();
            let length = match blob.read(&mut input) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    sink.keep(input);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if length == 0 {
                sink.keep(input);
                break;
            }
            let bytes = input.get(..length).unwrap_or_default();
            self.read_bytes += length as u64;
            if let Err(error) = self.inflate(bytes, &mut output, sink) {
                self.unpacker = Err(error);
            }
            let kind = if self.is_plain { PieceKind::Both } else { PieceKind::Blob };
            sink.put(Piece { bytes: input, length, kind });
        }
        if let Some(Output { bytes, filled }) = output {
            sink.put(Piece { bytes, length: filled, kind: PieceKind::Tar });
        }
        Ok(self.unpacker.and_then(|unpacker| match unpacker {
            Some(unpacker) => unpacker.finish(),
            None => Ok(Behind::default()),
        }))
    }

    fn inflate(
        &mut self,
        mut input: &[u8],
        output: &mut Option<Output>,
        sink: &mut dyn Sink,
    ) -> Result<(), UnpackError> {
        let Ok(Some(unpacker)) = &mut self.unpacker else { return Ok(()) };
        loop {
            let out = output.get_or_insert_with(|| Output { bytes: sink.buffer(), filled: 0 });
            let room = out.bytes.get_mut(out.filled..).unwrap_or_default();
            let UnpackStep { taken, written } = unpacker.step(input, room)?;
            input = input.get(taken..).unwrap_or_default();
            out.filled += written;
            self.inflated_bytes += written as u64;
            self.limits.allow(self.read_bytes, self.inflated_bytes)?;
            if out.filled < out.bytes.len() {
                if input.is_empty() {
                    return Ok(());
                }
                if taken == 0 && written == 0 {
                    return Err(UnpackError::Damaged("it does not go on".to_owned()));
                }
            } else if let Some(Output { bytes, filled }) = output.take() {
                sink.put(Piece { bytes, length: filled, kind: PieceKind::Tar });
            }
        }
    }
}

/// A partly filled buffer.
struct Output {
    bytes: Vec<u8>,
    filled: usize,
}
