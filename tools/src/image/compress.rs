//! Layers compressed on every core, with bytes that do not depend on how many there are.
//!
//! What is written is cut into blocks, which a pool of threads compresses; each layer has a thread
//! of its own that puts its blocks in order and hashes them, and one that hashes what went in.
//! Invariants: the output is a function of the input and the codec alone; a fixed number of blocks
//! is in flight, for all layers together.

mod blocks;
mod pool;
#[cfg(test)]
pub(crate) mod samples;

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, mpsc};
use std::thread;

use flate2::Crc;
use wharf_oci::{Algorithm, Digest, Digester, Hashed};

use self::blocks::Cutter;
use self::pool::{Block, Packed};
pub use self::pool::{Pool, with_pool};
use super::codec::Codec;
use super::known_blocks::KnownBlock;

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
    /// Takes the bytes that went in, once they are compressed or on their way.
    pub input: Option<&'s mut (dyn Write + Send)>,
    /// Takes what the next run has to know of each block.
    pub blocks: Option<&'s mut Vec<KnownBlock>>,
    /// Is told how many more bytes went in.
    pub progress: &'s (dyn Fn(u64) + Sync),
}

impl<'s> Sink<'s> {
    /// A sink of compressed bytes alone.
    pub fn new(out: &'s mut (dyn Write + Send)) -> Self {
        Self { out, input: None, blocks: None, progress: &|_| {} }
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

impl Pool {
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
        let (hash, hashed) = channel();
        let Sink { out, input, blocks, progress } = sink;
        thread::scope(|scope| {
            let hasher = scope.spawn(move || hash_in_order(&hashed, input));
            let writer = scope.spawn(move || write_in_order(codec, &ordered, out, blocks));
            let mut writing =
                BlockWriter { pool: self, codec, order, hash, cutter: Cutter::new(), progress };
            let produced = produce(&mut writing);
            // Finishing drops both senders, which is what ends the threads.
            let finished = writing.finish();
            let written = joined(writer.join())?;
            let input = joined(hasher.join())?;
            produced?;
            finished?;
            Ok(Compressed {
                diff_id: input.digest,
                uncompressed_bytes: input.size_bytes,
                digest: written.digest,
                size_bytes: written.size_bytes,
            })
        })
    }
}

fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A block on its way through the pool.
struct Ordered {
    /// Held until the block is written, because it counts as long as it is held.
    block: Arc<Block>,
    reply: Receiver<io::Result<Packed>>,
}

/// The writing end: cuts what it is given into blocks and hands them to the pool.
pub struct BlockWriter<'p> {
    pool: &'p Pool,
    codec: Codec,
    order: Sender<Ordered>,
    hash: Sender<Arc<Block>>,
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
        // What is ordered is compressed for sure: who hashes may have stopped before.
        self.hash.send(Arc::clone(&block)).map_err(|_| stopped())?;
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

/// Hashes the blocks in their order, and passes them on.
fn hash_in_order(
    blocks: &Receiver<Arc<Block>>,
    mut input: Option<&mut (dyn Write + Send)>,
) -> io::Result<Hashed> {
    let mut digester = Digester::new(Algorithm::Sha256);
    for block in blocks {
        digester.update(block.bytes());
        if let Some(input) = &mut input {
            input.write_all(block.bytes())?;
        }
    }
    Ok(digester.finish())
}

/// Writes the blocks in their order, hashing what is written.
fn write_in_order(
    codec: Codec,
    order: &Receiver<Ordered>,
    out: &mut (dyn Write + Send),
    mut known: Option<&mut Vec<KnownBlock>>,
) -> io::Result<Hashed> {
    let mut digester = Digester::new(Algorithm::Sha256);
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        digester.update(bytes);
        at += bytes.len() as u64;
        out.write_all(bytes).map(|()| at)
    };
    let (mut crc, mut blocks) = (Crc::new(), 0);
    let mut end = put(codec.header())?;
    for Ordered { block, reply } in order {
        let packed =
            reply.recv().map_err(|_| io::Error::other("a compressing thread has stopped"))??;
        if let (Some(known), Some(name)) = (&mut known, packed.name) {
            let length = u32::try_from(packed.bytes.len()).map_err(io::Error::other)?;
            known.push(KnownBlock { name, at: end, length });
        }
        end = put(&packed.bytes)?;
        crc.combine(&packed.crc);
        blocks += 1;
        drop(block);
    }
    put(&codec.trailer(blocks, &crc))?;
    out.flush()?;
    Ok(digester.finish())
}

#[cfg(test)]
mod tests;
