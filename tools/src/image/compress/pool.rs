//! The threads of compression, and their shared state: one pool for all layers of a run.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use flate2::Crc;

use crate::image::codec::{Codec, Compressors};
use crate::image::known_blocks::{BlockName, KnownBlocks, TakenFrom};

/// How many blocks may be in flight for each thread of the pool: one under compression, and one in
/// the queue or with the writer.
const BLOCKS_PER_THREAD: usize = 2;

/// Compression threads for the blocks of any number of layers at once.
pub struct Pool<'p> {
    jobs: Sender<Job>,
    shared: Arc<Shared>,
    /// The blocks of earlier runs.
    pub(super) known: Option<&'p KnownBlocks>,
}

/// Runs with a pool of so many threads. A known block is taken from its layer. Blocks get names
/// only with `known`, even if it is empty.
pub fn with_pool<R>(
    threads: NonZeroUsize,
    known: Option<&KnownBlocks>,
    run: impl FnOnce(&Pool<'_>) -> R,
) -> R {
    let (jobs, job) = channel();
    let job = Mutex::new(job);
    let room = threads.get() * BLOCKS_PER_THREAD + 1;
    let shared = Shared {
        room: Mutex::new(room),
        freed: Condvar::new(),
        buffers: Mutex::default(),
        is_stopped: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| work(&job, known));
        }
        // The drop at the end ends the threads.
        let pool = Pool { jobs, shared: Arc::new(shared), known };
        run(&pool)
    })
}

impl Pool<'_> {
    /// A block, once there is room for one more. `fill` gets a buffer for the bytes behind it.
    pub(super) fn block(&self, fill: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Arc<Block> {
        self.shared.take_room();
        let buffer = self.shared.buffers().pop().unwrap_or_default();
        Arc::new(Block { bytes: fill(buffer), shared: Arc::clone(&self.shared) })
    }

    /// The blocks of earlier runs.
    #[must_use]
    pub const fn known(&self) -> Option<&KnownBlocks> {
        self.known
    }

    /// Ends each compression at its next block: its result is no longer wanted.
    pub fn stop(&self) {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.shared.is_stopped.load(Ordering::Relaxed)
    }

    /// Has a block compressed.
    pub(super) fn send(
        &self,
        block: Arc<Block>,
        codec: Codec,
        reply: SyncSender<io::Result<Packed>>,
    ) -> Result<(), ()> {
        self.jobs.send(Job { block, codec, reply }).map_err(|_| ())
    }
}

/// A block to compress, and where the result goes.
struct Job {
    block: Arc<Block>,
    codec: Codec,
    reply: SyncSender<io::Result<Packed>>,
}

/// A block compressed.
pub(super) struct Packed {
    pub(super) bytes: Vec<u8>,
    pub(super) crc: Crc,
    /// Its name, where blocks are given names.
    pub(super) name: Option<BlockName>,
    /// Where its bytes were taken from.
    pub(super) taken: Option<TakenFrom>,
}

/// A block of input. It counts against the bound of the pool until it is dropped.
pub(super) struct Block {
    bytes: Vec<u8>,
    shared: Arc<Shared>,
}

impl Block {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.shared.buffers().push(std::mem::take(&mut self.bytes));
        *self.shared.room.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.shared.freed.notify_one();
    }
}

struct Shared {
    /// How many more blocks may be in flight.
    room: Mutex<usize>,
    freed: Condvar,
    /// Buffers of finished blocks: fresh memory costs more than a copy.
    buffers: Mutex<Vec<Vec<u8>>>,
    is_stopped: AtomicBool,
}

impl Shared {
    fn take_room(&self) {
        let room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.freed.wait_while(room, |room| *room == 0);
        *waited.unwrap_or_else(PoisonError::into_inner) -= 1;
    }

    fn buffers(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The loop of each thread, until the pool is gone.
fn work(jobs: &Mutex<Receiver<Job>>, known: Option<&KnownBlocks>) {
    let mut compressors = Compressors::default();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, codec, reply }) = job else { return };
        let packed = pack(&mut compressors, codec, block.bytes(), known);
        drop(block);
        // A failed writer waits for no reply; it reports its failure itself.
        let _ = reply.send(packed);
    }
}

fn pack(
    compressors: &mut Compressors,
    codec: Codec,
    block: &[u8],
    known: Option<&KnownBlocks>,
) -> io::Result<Packed> {
    let mut crc = Crc::new();
    crc.update(block);
    let Some(known) = known else {
        return Ok(Packed {
            bytes: compressors.compress(codec, block)?,
            crc,
            name: None,
            taken: None,
        });
    };
    let key = BlockName::key(codec, block);
    if let Some((bytes, name, from)) = known.take(&key) {
        return Ok(Packed { bytes, crc, name: Some(name), taken: Some(from) });
    }
    let bytes = compressors.compress(codec, block)?;
    let name = BlockName::new(key, &bytes);
    Ok(Packed { bytes, crc, name: Some(name), taken: None })
}
