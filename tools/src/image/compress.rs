//! Layers compressed on every core, with bytes that do not depend on how many there are.
//!
//! What is written is cut into blocks, which a pool of threads compresses; each layer has a thread
//! of its own that puts its blocks in order and hashes them, and one that hashes what went in.
//! A layer that begins as a known one does is not written before it differs.
//! Invariants: the output is a function of the input and the codec alone; a fixed number of blocks
//! is in flight, for all layers together.

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

/// What went in and what came out.
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

/// Where a compressed layer goes, and who is told of it.
pub struct Sink<'s> {
    /// Takes the compressed bytes.
    pub out: &'s mut (dyn Write + Send),
    /// Takes the bytes that went in, once they are compressed.
    pub input: Option<&'s mut (dyn Write + Send)>,
    /// Takes what the next run has to know of the layer.
    pub track: Option<&'s mut Track>,
    /// Is told how many more bytes went in.
    pub progress: &'s (dyn Fn(u64) + Sync),
}

/// What the next run has to know of a layer.
#[derive(Debug, Default)]
pub struct Track {
    pub blocks: Vec<TrackedBlock>,
    /// The layer of an earlier run that is the same to the last byte: then nothing was written.
    pub same_as: Option<KnownLayer>,
}

impl<'s> Sink<'s> {
    /// A sink of compressed bytes alone.
    pub fn new(out: &'s mut (dyn Write + Send)) -> Self {
        Self { out, input: None, track: None, progress: &|_| {} }
    }
}

/// Compresses what `produce` writes into `out` as gzip, on `jobs` threads.
pub fn compress<E: From<io::Error>>(
    jobs: NonZeroUsize,
    out: &mut (dyn Write + Send),
    produce: impl FnOnce(&mut BlockWriter<'_>) -> Result<(), E>,
) -> Result<Compressed, E> {
    with_pool(jobs, None, |pool| pool.compress(Codec::Gzip, Sink::new(out), produce))
}

impl Pool<'_> {
    /// Compresses what `produce` writes.
    ///
    /// An error of the sink (a full disk) is reported rather than the broken pipe that `produce`
    /// sees because of it.
    pub fn compress<E: From<io::Error>>(
        &self,
        codec: Codec,
        sink: Sink<'_>,
        produce: impl FnOnce(&mut BlockWriter<'_>) -> Result<(), E>,
    ) -> Result<Compressed, E> {
        let (order, ordered) = channel();
        let (hash, hashing) = channel();
        let Sink { out, input, track, progress } = sink;
        // Who wants to see the input sees all of it; who does not track blocks writes all of them.
        let known = self.known.filter(|_| input.is_none() && track.is_some());
        thread::scope(|scope| {
            let hasher = scope.spawn(move || hash_in_order(&hashing, input));
            let writer = scope.spawn(move || Writer::new(codec, known, out, hash).write(&ordered));
            let mut writing =
                BlockWriter { pool: self, codec, order, cutter: Cutter::new(), progress };
            let produced = produce(&mut writing);
            // Finishing drops the sender, which is what ends the threads.
            let finished = writing.finish();
            let (written, input) = (joined(writer.join()), joined(hasher.join()));
            // When that one fails, the writer fails because of it.
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

/// The writing end: cuts what it is given into blocks and hands them to the pool.
pub struct BlockWriter<'p> {
    pool: &'p Pool<'p>,
    codec: Codec,
    order: Sender<Ordered>,
    cutter: Cutter,
    progress: &'p (dyn Fn(u64) + Sync),
}

impl BlockWriter<'_> {
    /// Sends the first bytes of what was not sent yet as a block.
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
