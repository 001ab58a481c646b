//! Gzip on every core, with bytes that do not depend on how many there are.
//!
//! The input is cut into blocks of one size; each is deflated alone, primed with the 32 KiB before
//! it and ended by a sync flush, so that the blocks follow one another in one gzip member.
//! Invariant: the output is a function of the input and [`BLOCK_BYTES`] alone. Both streams are
//! hashed as they pass, and at most a fixed number of blocks is in flight.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use flate2::{Compress, Compression, Crc, FlushCompress};
use wharf_oci::{Algorithm, Digest, Digester, Hashed};

/// Size of a block. Part of the byte contract: another size gives other digests.
pub const BLOCK_BYTES: usize = 1024 * 1024;

/// How much of the previous block a block may refer to: the window of deflate.
const DICTIONARY_BYTES: usize = 32 * 1024;

/// The level that `gzip` has by default. Part of the byte contract.
const LEVEL: u32 = 6;

/// Magic, deflate, no flags, no time, no extra flags, operating system "unknown".
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// An empty last block with the fixed code: ends the deflate stream after the last sync flush.
const LAST_BLOCK: [u8; 2] = [3, 0];

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

/// Compresses what `produce` writes into `out`, on `jobs` threads.
///
/// An error of `out` (a full disk) is reported rather than the broken pipe that `produce` sees
/// because of it.
pub fn compress<E: From<io::Error>>(
    jobs: NonZeroUsize,
    out: &mut (dyn Write + Send),
    produce: impl FnOnce(&mut BlockWriter) -> Result<(), E>,
) -> Result<Compressed, E> {
    let (job_sender, job_receiver) = sync_channel(jobs.get());
    let job_receiver = Mutex::new(job_receiver);
    let (order_sender, order_receiver) = sync_channel(jobs.get() * 2);
    thread::scope(|scope| {
        for _ in 0..jobs.get() {
            scope.spawn(|| deflate_jobs(&job_receiver));
        }
        let writer = scope.spawn(move || write_in_order(&order_receiver, out));
        let mut blocks = BlockWriter::new(job_sender, order_sender);
        let produced = produce(&mut blocks);
        // Finishing drops both senders, which is what ends the threads.
        let finished = blocks.finish();
        let written = match writer.join() {
            Ok(written) => written,
            Err(panic) => std::panic::resume_unwind(panic),
        }?;
        produced?;
        let input = finished?;
        Ok(Compressed {
            diff_id: input.digest,
            uncompressed_bytes: input.size_bytes,
            digest: written.digest,
            size_bytes: written.size_bytes,
        })
    })
}

/// A block to deflate, and where the result goes.
struct Job {
    /// The block before, whose end primes this one; empty for the first.
    previous: Arc<Vec<u8>>,
    block: Arc<Vec<u8>>,
    reply: SyncSender<io::Result<Deflated>>,
}

/// A block deflated.
struct Deflated {
    bytes: Vec<u8>,
    crc: Crc,
}

/// The writing end: hashes what it is given and hands full blocks to the threads.
pub struct BlockWriter {
    jobs: SyncSender<Job>,
    /// The replies in the order of the blocks; its bound is the bound of blocks in flight.
    order: SyncSender<Receiver<io::Result<Deflated>>>,
    digester: Digester,
    previous: Arc<Vec<u8>>,
    filling: Vec<u8>,
}

impl BlockWriter {
    fn new(jobs: SyncSender<Job>, order: SyncSender<Receiver<io::Result<Deflated>>>) -> Self {
        Self {
            jobs,
            order,
            digester: Digester::new(Algorithm::Sha256),
            previous: Arc::new(Vec::new()),
            filling: Vec::with_capacity(BLOCK_BYTES),
        }
    }

    /// Sends the block that is being filled to the threads.
    fn send_block(&mut self) -> io::Result<()> {
        let full = std::mem::replace(&mut self.filling, Vec::with_capacity(BLOCK_BYTES));
        let block = Arc::new(full);
        let previous = std::mem::replace(&mut self.previous, Arc::clone(&block));
        let (reply, replied) = sync_channel(1);
        let stopped = || io::Error::new(io::ErrorKind::BrokenPipe, "the writer has stopped");
        self.order.send(replied).map_err(|_| stopped())?;
        self.jobs.send(Job { previous, block, reply }).map_err(|_| stopped())
    }

    fn finish(mut self) -> io::Result<Hashed> {
        if !self.filling.is_empty() {
            self.send_block()?;
        }
        Ok(self.digester.finish())
    }
}

impl Write for BlockWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BLOCK_BYTES - self.filling.len();
        let (taken, _) = bytes.split_at(room.min(bytes.len()));
        self.digester.update(taken);
        self.filling.extend_from_slice(taken);
        if self.filling.len() == BLOCK_BYTES {
            self.send_block()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // A block leaves when it is full and never earlier, or the bytes would depend on the
        // splits of the input.
        Ok(())
    }
}

/// What each compressing thread does until the writing end is gone.
fn deflate_jobs(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { previous, block, reply }) = job else { return };
        // Nobody waits for the reply when the writer failed; the failure is reported there.
        let _ = reply.send(deflate_block(&previous, &block));
    }
}

fn deflate_block(previous: &[u8], block: &[u8]) -> io::Result<Deflated> {
    // A compressor that is reset keeps its old window, and the hash of the last bytes of the
    // dictionary reads beyond them: which matches are found would depend on the block before.
    let mut deflate = Compress::new(Compression::new(LEVEL), false);
    let (_, dictionary) = previous.split_at(previous.len().saturating_sub(DICTIONARY_BYTES));
    if !dictionary.is_empty() {
        deflate.set_dictionary(dictionary).map_err(io::Error::other)?;
    }
    // Stored blocks cost five bytes per 16 KiB at worst; with this much room one call is enough.
    let mut bytes = Vec::with_capacity(block.len() + block.len() / 1024 + 64);
    loop {
        let consumed = usize::try_from(deflate.total_in()).map_err(io::Error::other)?;
        let rest = block.get(consumed..).unwrap_or_default();
        deflate.compress_vec(rest, &mut bytes, FlushCompress::Sync).map_err(io::Error::other)?;
        if deflate.total_in() == block.len() as u64 && bytes.len() < bytes.capacity() {
            break;
        }
        bytes.reserve(DICTIONARY_BYTES);
    }
    let mut crc = Crc::new();
    crc.update(block);
    Ok(Deflated { bytes, crc })
}

/// Writes the blocks in their order, hashing what is written.
fn write_in_order(
    order: &Receiver<Receiver<io::Result<Deflated>>>,
    out: &mut (dyn Write + Send),
) -> io::Result<Hashed> {
    let mut digester = Digester::new(Algorithm::Sha256);
    let mut put = |bytes: &[u8]| {
        digester.update(bytes);
        out.write_all(bytes)
    };
    let mut crc = Crc::new();
    put(&HEADER)?;
    for reply in order {
        let deflated =
            reply.recv().map_err(|_| io::Error::other("a compressing thread has stopped"))??;
        put(&deflated.bytes)?;
        crc.combine(&deflated.crc);
    }
    put(&LAST_BLOCK)?;
    put(&crc.sum().to_le_bytes())?;
    put(&crc.amount().to_le_bytes())?;
    out.flush()?;
    Ok(digester.finish())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::io::Read;
    use std::process::{Command, Stdio};

    use flate2::read::{GzDecoder, MultiGzDecoder};
    use proptest::prelude::*;

    use super::*;

    fn pack(jobs: usize, input: &[u8], step: usize) -> (Vec<u8>, Compressed) {
        let mut out = Vec::new();
        let compressed = compress(NonZeroUsize::new(jobs).unwrap(), &mut out, |writer| {
            input.chunks(step).try_for_each(|piece| writer.write_all(piece))
        })
        .unwrap();
        (out, compressed)
    }

    /// Text that compresses, with runs of noise that do not; different in every block.
    fn sample(len: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_u32;
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match state >> 30 {
                0 => bytes.extend_from_slice(&state.to_le_bytes()),
                _ => {
                    bytes.extend_from_slice(format!("line {} of a file\n", state % 977).as_bytes());
                }
            }
        }
        bytes.truncate(len);
        bytes
    }

    /// Noise of four letters: every place has many matches, so that a compressor which remembers
    /// the block before finds others.
    fn letters(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 62) as u8
        };
        (0..len).map(next).collect()
    }

    #[test]
    fn the_bytes_are_the_same_for_any_number_of_threads_and_any_split() {
        same_for_any_number_of_threads(&sample(BLOCK_BYTES * 5 + 4321));
        same_for_any_number_of_threads(&letters(BLOCK_BYTES * 9));
    }

    #[test]
    fn a_block_does_not_depend_on_the_blocks_that_its_thread_did_before() {
        let input = letters(BLOCK_BYTES * 4);
        let (all, _) = pack(1, &input, input.len());
        let block = |at: usize| &input[at * BLOCK_BYTES..(at + 1) * BLOCK_BYTES];
        let mut alone = HEADER.to_vec();
        for at in 0..4 {
            let previous = if at == 0 { &[] } else { block(at - 1) };
            alone.extend(deflate_block(previous, block(at)).unwrap().bytes);
        }
        assert!(all[..alone.len()] == alone);
    }

    fn same_for_any_number_of_threads(input: &[u8]) {
        let (expected, compressed) = pack(1, input, input.len());
        for (jobs, step) in [(1, 777), (2, 65_536), (3, BLOCK_BYTES + 1), (8, 1_000_003)] {
            let (bytes, other) = pack(jobs, input, step);
            assert!(bytes == expected, "{jobs} threads, pieces of {step}");
            assert_eq!(other, compressed);
        }
        let digest = Digester::digest(Algorithm::Sha256, &expected);
        assert_eq!((compressed.digest, compressed.size_bytes), (digest, expected.len() as u64));
        assert_eq!(compressed.diff_id, Digester::digest(Algorithm::Sha256, input));
        assert_eq!(compressed.uncompressed_bytes, input.len() as u64);
        let mut inflated = Vec::new();
        GzDecoder::new(expected.as_slice()).read_to_end(&mut inflated).unwrap();
        assert!(inflated == input, "it inflates back");
    }

    #[test]
    fn lengths_around_a_block_and_noise_inflate_back() {
        let mut noise = sample(BLOCK_BYTES * 2 + 1);
        let mut state = 1_u64;
        for byte in &mut noise {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
        for len in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, noise.len()] {
            let (bytes, _) = pack(2, &noise[..len], 100_000);
            let mut inflated = Vec::new();
            MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut inflated).unwrap();
            assert!(inflated == noise[..len], "{len} bytes");
        }
    }

    #[test]
    fn the_real_gzip_accepts_the_stream() {
        let (bytes, _) = pack(3, &sample(BLOCK_BYTES * 2 + 99), 50_000);
        let child = Command::new("gzip").arg("-t").stdin(Stdio::piped()).spawn();
        let Ok(mut child) = child else { return };
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn a_full_disk_is_reported_as_itself_and_nothing_hangs() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let input = sample(BLOCK_BYTES * 40);
        let error = compress::<io::Error>(NonZeroUsize::new(2).unwrap(), &mut Full(100), |w| {
            w.write_all(&input)
        })
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn an_error_of_the_producer_is_returned() {
        let mut out = Vec::new();
        let error = compress::<io::Error>(NonZeroUsize::MIN, &mut out, |writer| {
            writer.write_all(b"half")?;
            Err(io::ErrorKind::NotFound.into())
        })
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_bytes_inflate_back(
            input in proptest::collection::vec(any::<u8>(), 0..5000),
            repeat in 1_usize..600,
            jobs in 1_usize..4,
        ) {
            let input = input.repeat(repeat);
            let (bytes, _) = pack(jobs, &input, 99_991);
            let mut inflated = Vec::new();
            MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut inflated).unwrap();
            prop_assert!(inflated == input);
        }
    }
}
