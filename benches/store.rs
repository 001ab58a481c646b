//! Claims about the store: verified ingest against hashing alone, reads of warm blobs, and the size
//! border between blobs in files and blobs as ordinary puts. `cargo bench -p wharf-benches`.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wharf_benches::{machine, noise};
use wharf_oci::{Algorithm, Digest, Digester, Span};
use wharf_store::{BlobStore, Retention, RocksStore};

const MIB: usize = 1024 * 1024;
/// The size of one piece from the proxy.
const PIECE: usize = 128 * 1024;

fn put(store: &dyn BlobStore, content: &bytes::Bytes, digest: &Digest) {
    let mut writer = store.begin().expect("begin");
    let mut rest = content.clone();
    while !rest.is_empty() {
        writer.append(rest.split_to(PIECE.min(rest.len()))).expect("append");
    }
    let ready = writer.verify(digest).expect("verify").expect("the digest is right");
    ready.publish(Retention::Kept).expect("publish");
}

/// Hash, store and publish against hashing alone: the target is 0.8 of it.
fn ingest(criterion: &mut Criterion) {
    println_machine();
    let mut group = criterion.benchmark_group("ingest");
    group.sample_size(10);
    for size in [64 * 1024, 512 * 1024, MIB, 16 * MIB, 256 * MIB] {
        let content = noise(size);
        let digest = Digester::digest(Algorithm::Sha256, &content);
        let folder = tempfile::tempdir().expect("a folder");
        let store = RocksStore::open(folder.path()).expect("a store");
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("hash only", size), |bencher| {
            bencher.iter(|| Digester::digest(Algorithm::Sha256, &content));
        });
        group.bench_function(BenchmarkId::new("hash and store", size), |bencher| {
            let forget = || store.remove(&digest).expect("remove");
            bencher.iter_batched(
                forget,
                |_| put(&store, &content, &digest),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Reads a published blob with its pages in memory.
fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    let size = 256 * MIB;
    let content = noise(size);
    let digest = Digester::digest(Algorithm::Sha256, &content);
    let folder = tempfile::tempdir().expect("a folder");
    let store = RocksStore::open(folder.path()).expect("a store");
    put(&store, &content, &digest);
    let whole = || {
        let mut reader = store.open(&digest).expect("open").expect("there");
        let mut bytes = 0;
        while let Some(segment) = reader.next_segment().expect("read") {
            bytes += segment.len();
        }
        bytes
    };
    assert_eq!(whole(), size);
    group.throughput(Throughput::Bytes(size as u64));
    group.bench_function("warm, whole", |bencher| bencher.iter(whole));
    let span = Span::new(100 * MIB as u64 + 17, 101 * MIB as u64 + 17).expect("not empty");
    group.throughput(Throughput::Bytes(span.size_bytes()));
    group.bench_function("warm, a range of 1 MiB", |bencher| {
        bencher.iter(|| {
            let mut reader = store.open(&digest).expect("open").expect("there").narrow(span);
            while reader.next_segment().expect("read").is_some() {}
        });
    });
    group.finish();
}

#[expect(clippy::print_stdout, reason = "a figure is printed with the machine that it is of")]
fn println_machine() {
    println!("machine: {}", machine());
}

criterion_group!(benches, ingest, read);
criterion_main!(benches);
