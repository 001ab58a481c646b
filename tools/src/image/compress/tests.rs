#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::io::Read;
use std::process::{Command, Stdio};

use flate2::read::{GzDecoder, MultiGzDecoder};
use proptest::prelude::*;
use wharf_oci::{Algorithm, Digester};

use super::blocks::{BLOCK_BYTES_MAX, BLOCK_BYTES_MIN};
use super::samples::{letters, noise, text};
use super::*;

fn pack(codec: Codec, jobs: usize, input: &[u8], step: usize) -> (Vec<u8>, Compressed) {
    let mut out = Vec::new();
    let jobs = NonZeroUsize::new(jobs).unwrap();
    let compressed = with_pool(jobs, None, |pool| {
        pool.compress::<io::Error>(codec, Sink::new(&mut out), |writer| {
            input.chunks(step).try_for_each(|piece| writer.write_all(piece))
        })
    });
    (out, compressed.unwrap())
}

/// The inflated bytes, by a reader of one member only.
fn inflate(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match codec {
        Codec::Gzip => {
            let mut decoder = GzDecoder::new(bytes);
            decoder.read_to_end(&mut out).unwrap();
            assert!(decoder.into_inner().is_empty(), "there is one member");
        }
        Codec::Zstd => out = zstd::decode_all(bytes).unwrap(),
    }
    out
}

#[test]
fn the_bytes_are_the_same_for_any_number_of_threads_and_any_split() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        for input in [text(BLOCK_BYTES_MAX * 5 + 4321), letters(BLOCK_BYTES_MAX * 6)] {
            same_for_any_number_of_threads(codec, &input);
        }
    }
}

fn same_for_any_number_of_threads(codec: Codec, input: &[u8]) {
    let (expected, compressed) = pack(codec, 1, input, input.len());
    for (jobs, step) in [(1, 777), (2, 65_536), (3, BLOCK_BYTES_MAX + 1), (8, 1_000_003)] {
        let (bytes, other) = pack(codec, jobs, input, step);
        assert!(bytes == expected, "{codec:?}, {jobs} threads, pieces of {step}");
        assert_eq!(other, compressed);
    }
    let digest = Digester::digest(Algorithm::Sha256, &expected);
    assert_eq!((compressed.digest, compressed.size_bytes), (digest, expected.len() as u64));
    assert_eq!(compressed.diff_id, Digester::digest(Algorithm::Sha256, input));
    assert_eq!(compressed.uncompressed_bytes, input.len() as u64);
    assert!(inflate(codec, &expected) == input, "it inflates back");
}

#[test]
fn the_bytes_are_those_that_they_always_were() {
    // Other bytes for the same content are another codec: then `Codec::name` changes, too.
    let input = [text(900_000), letters(400_000), noise(600_000), vec![0; 2_000_000]].concat();
    let digest = |codec| pack(codec, 2, &input, 100_000).1.digest.hex();
    let expected = [
        "f24fd13af194bfc79d417a18040d2ccfd5e710dbcecd8d5df992852f03503ead",
        "841ea3cc07dc8792134eafa613508acf85883bc02309110a75294bdd404dae0c",
    ];
    assert_eq!([digest(Codec::Gzip), digest(Codec::Zstd)], expected);
}

#[test]
fn lengths_around_a_block_and_noise_inflate_back() {
    let noise = noise(BLOCK_BYTES_MAX * 2 + 1);
    for codec in [Codec::Gzip, Codec::Zstd] {
        for length in [0, 1, BLOCK_BYTES_MIN - 1, BLOCK_BYTES_MIN, BLOCK_BYTES_MAX, noise.len()] {
            let (bytes, _) = pack(codec, 2, &noise[..length], 100_000);
            assert!(inflate(codec, &bytes) == noise[..length], "{codec:?}, {length} bytes");
        }
    }
}

#[test]
fn the_real_programs_accept_the_streams() {
    let input = [text(BLOCK_BYTES_MAX * 2 + 99), noise(700_000), letters(1_000_000)].concat();
    for (codec, program) in [(Codec::Gzip, "gzip"), (Codec::Gzip, "pigz"), (Codec::Zstd, "zstd")] {
        for input in [&input[..], &[]] {
            let (bytes, _) = pack(codec, 3, input, 50_000);
            let child =
                Command::new(program).arg("-t").stdin(Stdio::piped()).stderr(Stdio::null()).spawn();
            // Machines differ in their programs; gzip is everywhere.
            let Ok(mut child) = child else {
                assert_ne!(program, "gzip");
                continue;
            };
            child.stdin.take().unwrap().write_all(&bytes).unwrap();
            assert!(child.wait().unwrap().success(), "{program}");
        }
    }
}

#[test]
fn what_went_in_passes_by_and_is_counted() {
    let input = text(BLOCK_BYTES_MAX * 3);
    let (mut out, mut seen, counted) =
        (Vec::new(), Vec::new(), std::sync::atomic::AtomicU64::new(0));
    let progress = |bytes| {
        counted.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    };
    let sink = Sink { out: &mut out, input: Some(&mut seen), track: None, progress: &progress };
    with_pool(NonZeroUsize::MIN, None, |pool| {
        pool.compress::<io::Error>(Codec::Gzip, sink, |writer| writer.write_all(&input))
    })
    .unwrap();
    assert!(seen == input);
    assert_eq!(counted.into_inner(), input.len() as u64);
}

#[test]
fn layers_share_a_pool_and_come_out_as_if_alone() {
    let inputs: Vec<Vec<u8>> = (1..6).map(|n| letters(BLOCK_BYTES_MAX * n)).collect();
    let alone: Vec<_> = inputs.iter().map(|input| pack(Codec::Gzip, 2, input, 9999).0).collect();
    let together: Vec<Vec<u8>> = with_pool(NonZeroUsize::new(2).unwrap(), None, |pool| {
        let one = |input: &Vec<u8>| {
            let mut out = Vec::new();
            let produce = |writer: &mut BlockWriter<'_>| writer.write_all(input);
            pool.compress::<io::Error>(Codec::Gzip, Sink::new(&mut out), produce).unwrap();
            out
        };
        thread::scope(|scope| {
            let threads: Vec<_> =
                inputs.iter().map(|input| scope.spawn(move || one(input))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    });
    assert!(together == alone);
}

/// Takes so many bytes, and is full then.
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

#[test]
fn a_full_disk_is_reported_as_itself_and_nothing_hangs() {
    let input = text(BLOCK_BYTES_MAX * 40);
    let two = NonZeroUsize::new(2).unwrap();
    let error = compress::<io::Error>(two, &mut Full(100), |w| w.write_all(&input)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let (mut out, mut input_end) = (Vec::new(), Full(100));
    let sink = Sink { input: Some(&mut input_end), ..Sink::new(&mut out) };
    let error = with_pool(two, None, |pool| {
        pool.compress::<io::Error>(Codec::Gzip, sink, |w| w.write_all(&input))
    });
    assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
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
    fn any_bytes_in_any_pieces_on_any_threads_inflate_back(
        input in proptest::collection::vec(any::<u8>(), 0..5000),
        repeat in 1_usize..900,
        jobs in 1_usize..5,
        steps in (1_usize..600_000, 1_usize..600_000),
        zstd in any::<bool>(),
    ) {
        let input = input.repeat(repeat);
        let codec = if zstd { Codec::Zstd } else { Codec::Gzip };
        let (bytes, compressed) = pack(codec, jobs, &input, steps.0);
        let (again, same) = pack(codec, 1, &input, steps.1);
        prop_assert!(bytes == again && compressed == same);
        prop_assert!(inflate(codec, &bytes) == input);
        if codec == Codec::Gzip {
            let mut all = Vec::new();
            MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut all).unwrap();
            prop_assert!(all == input);
        }
    }
}
