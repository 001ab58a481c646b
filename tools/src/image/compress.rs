//! Compresses layers on every core, with bytes independent of the number of cores.
//!
//! The writer cuts its input into blocks, and a pool of threads compresses them. Each layer has one
//! thread to put its blocks in order and hash them, and one thread to hash the input. A layer with
//! the same beginning as a known layer is not written before it differs. Invariants: the output is
//! a function of the input and the codec alone; a fixed number of blocks is in flight, for all
//! layers together.

mod blocks;
mod order;
mod pool;
#[cfg(test)]
pub(crate) mod samples;

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, mpsc};
use std::thread;

use wharf_oci::Digest;

use self::blocks::Cutter;
use self::order::{Ordered, Writer, hash_in_order};
pub use self::pool::{Pool, with_pool};
use super::codec::Codec;
use super::known_blocks::{KnownLayer, TrackedBlock};

/// Digests and sizes of the input and the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compressed {
    /// Digest of the input: the diffID of a layer.
    pub diff_id: Digest,
    /// Size of the input.
    pub uncompressed_bytes: u64,
    /// Digest of the output: the digest of the blob.
    pub digest: Digest,
    /// Size of the output.
    pub size_bytes: u64,
}

/// The destination of a compressed layer, and the observers of it.
pub struct Sink<'s> {
    /// Takes the compressed bytes.
    pub out: &'s mut (dyn Write + Send),
    /// Takes the input bytes, once they are compressed.
    pub input: Option<&'s mut (dyn Write + Send)>,
    /// Takes the layer's blocks for the next run.
    pub track: Option<&'s mut Track>,
    /// Is told how many more bytes went in.
    pub progress: &'s (dyn Fn(u64) + Sync),
}

/// A layer's facts for the next run.
#[derive(Debug, Default)]
pub struct Track {
    pub blocks: Vec<TrackedBlock>,
    /// The layer of an earlier run with the same bytes to the last one: then nothing was written.
    pub same_as: Option<KnownLayer>,
}

impl<'s> Sink<'s> {
    /// A sink of compressed bytes alone.
    pub fn new(out: &'s mut (dyn Write + Send)) -> Self {
        Self { out, input: None, track: None, progress: &|_| {} }
    }
}

/// Compresses the bytes of `produce` into `out` as gzip, on `jobs` threads.
pub fn compress<E: From<io::Error>>(
    jobs: NonZeroUsize,
    out: &mut (dyn Write + Send),
    produce: impl FnOnce(&mut BlockWriter<'_>) -> Result<(), E>,
) -> Result<Compressed, E> {
    with_pool(jobs, None, |pool| pool.compress(Codec::Gzip, Sink::new(out), produce))
}

impl Pool<'_> {
    /// Compresses the bytes of `produce`.
    ///
    /// An error of the sink (a full disk) is reported rather than the broken pipe `produce` sees
    /// because of it.
    pub fn compress<E: From<io::Error>>(
        &self,
        codec: Codec,
        sink: Sink<'_>,
        produce: impl FnOnce(&mut BlockWriter<'_>) -> Result<(), E>,
    ) -> Result<Compressed, E> {
        let (order, ordered) = channel();
        let (hash, hashing) = channel();
        let Sink { out, input, track, progress } = sink;
        // An observer of the input needs all of it, and a layer without a track has no blocks to
        // compare: both rule out a known layer.
        let known = self.known.filter(|_| input.is_none() && track.is_some());
        thread::scope(|scope| {
            let hasher = scope.spawn(move || hash_in_order(&hashing, input));
            let writer = scope.spawn(move || Writer::new(codec, known, out, hash).write(&ordered));
            let mut writing =
                BlockWriter { pool: self, codec, order, cutter: Cutter::new(), progress };
            let produced = produce(&mut writing);
            // Finishing drops the sender, and so ends the threads.
            let finished = writing.finish();
            let (written, input) = (joined(writer.join()), joined(hasher.join()));
            // A failed hasher makes the writer fail too, so the hasher's error goes first.
            let input = input?;
            let written = written?;
            produced?;
            finished?;
            if let Some(track) = track {
                track.blocks = written.blocks(input.states);
                track.same_as = written.same_as;
            }
            Ok(Compressed {
                diff_id: input.hashed.digest,
                uncompressed_bytes: input.hashed.size_bytes,
                digest: written.hashed.digest,
                size_bytes: written.hashed.size_bytes,
            })
        })
    }
}

fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The writing end: cuts its input into blocks and hands them to the pool.
pub struct BlockWriter<'p> {
    pool: &'p Pool<'p>,
    codec: Codec,
    order: Sender<Ordered>,
    cutter: Cutter,
    progress: &'p (dyn Fn(u64) + Sync),
}

impl BlockWriter<'_> {
    /// Sends the first unsent bytes as a block.
    fn send_block(&mut self, length: usize) -> io::Result<()> {
        if self.pool.is_stopped() {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the run has failed elsewhere"));
        }
        let block = self.pool.block(|next| self.cutter.cut(length, next));
        let (reply, replied) = mpsc::sync_channel(1);
        let stopped = || io::Error::new(io::ErrorKind::BrokenPipe, "the writer has stopped");
        let ordered = Ordered { block: Arc::clone(&block), reply: replied };
        self.order.send(ordered).map_err(|_| stopped())?;
        self.pool.send(block, self.codec, reply).map_err(|()| stopped())?;
        (self.progress)(length as u64);
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        match self.cutter.rest() {
            0 => Ok(()),
            rest => self.send_block(rest),
        }
    }
}

impl Write for BlockWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.cutter.fill(bytes);
        while let Some(length) = self.cutter.next() {
            self.send_block(length)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        // A block leaves when it is full and never earlier, or the bytes would depend on the
        // splits of the input.
        Ok(())
    }
}

#[cfg(test)]
mod tests;
