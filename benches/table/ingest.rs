//! Writes: verified ingest against hashing alone, many blobs at once, and the size border between
//! blobs in files and blobs as ordinary puts.

use bytes::Bytes;
use wharf_benches::noise;
use wharf_oci::Digest;
use wharf_store::{BlobStore, Retention, StoreOptions};

use crate::bed::{
    Bed, GIB, KIB, MIB, Row, Scale, digest_of, drain, float, gbps, median, open, put, size, timed,
    written_bytes,
};

/// Hash, store, publish and sync against hashing alone, in turns.
pub(crate) fn verified(scale: Scale, row: &mut dyn FnMut(Row)) {
    let content = noise(scale.pick(GIB, 4 * MIB));
    let bed = Bed::make(&StoreOptions::default());
    let digest = digest_of(&content);
    let (mut hashing, mut ingest) = (Vec::new(), Vec::new());
    let times = scale.pick(5, 1);
    let ratio = median(times, || {
        let (_, alone) = timed(|| digest_of(&content));
        let ((), stored) = timed(|| put(&bed.store, &content, &digest, Retention::Kept));
        assert!(bed.store.remove(&digest).expect("remove"));
        hashing.push(gbps(content.len(), alone));
        ingest.push(gbps(content.len(), stored));
        alone.as_secs_f64() / stored.as_secs_f64()
    });
    let of = size(content.len());
    let (mut hashing, mut ingest) = (hashing.into_iter(), ingest.into_iter());
    let hashing = median(times, || hashing.next().unwrap_or(0.0));
    let ingest = median(times, || ingest.next().unwrap_or(0.0));
    row(Row::of(format!("hashing alone, {of}"), format!("{hashing:.2} GB/s")));
    row(Row::of(format!("verified ingest, {of}"), format!("{ingest:.2} GB/s")));
    row(Row::at_least("verified ingest against hashing alone", ratio, 0.8, "of it"));
}

/// So many blobs at once, together always as large: written, then read from the page cache.
pub(crate) fn many_at_once(scale: Scale, row: &mut dyn FnMut(Row)) {
    let total = scale.pick(GIB, 32 * MIB);
    let content = noise(total);
    for count in [1, 8, 32] {
        let bed = Bed::make(&StoreOptions::default());
        let part = total / count;
        let blobs: Vec<(Bytes, Digest)> = (0..count)
            .map(|index| content.slice(index * part..(index + 1) * part))
            .map(|blob| (blob.clone(), digest_of(&blob)))
            .collect();
        let together = |work: &(dyn Fn(&Bytes, &Digest) + Sync)| {
            let all = || {
                std::thread::scope(|scope| {
                    for (blob, digest) in &blobs {
                        scope.spawn(move || work(blob, digest));
                    }
                });
            };
            gbps(total, timed(all).1)
        };
        let ingest = together(&|blob, digest| put(&bed.store, blob, digest, Retention::Kept));
        let bed = bed.reopen(&Bed::bare());
        let read = |_: &Bytes, digest: &Digest| {
            assert_eq!(drain(open(&bed.store, digest)), part);
        };
        let _ = together(&read);
        let read = together(&read);
        let what = format!("{count} at once, {} each", size(part));
        row(Row::of(format!("ingest, {what}"), format!("{ingest:.2} GB/s")));
        row(Row::of(format!("warm read, {what}"), format!("{read:.2} GB/s")));
    }
}

/// Blobs of each size with each border: the time for one blob, and the bytes to the disk for each
/// byte of content.
pub(crate) fn border(scale: Scale, row: &mut dyn FnMut(Row)) {
    let total = scale.pick(192 * MIB, 4 * MIB);
    // Each blob is a window into this content, so no two blobs are equal.
    let content = noise(total);
    for segments in [0, 1, 2, 4, 8] {
        for bytes in [64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, MIB, 2 * MIB] {
            let options = StoreOptions { small_blob_segments: segments, ..StoreOptions::default() };
            let blobs: Vec<(Bytes, Digest)> = (0..total / bytes)
                .map(|index| content.slice(index * bytes..(index + 1) * bytes))
                .map(|blob| (blob.clone(), digest_of(&blob)))
                .collect();
            let bed = Bed::make(&options);
            let before = written_bytes();
            let all = || {
                for (blob, digest) in &blobs {
                    put(&bed.store, blob, digest, Retention::Kept);
                }
            };
            let ((), time) = timed(all);
            let bed = bed.reopen(&options);
            drop(bed.store);
            let sent = float(written_bytes() - before) / float(total as u64);
            let each = time.as_secs_f64() * 1e6 / float(blobs.len() as u64);
            let what = format!("border, {segments} segments, blobs of {}", size(bytes));
            row(Row::of(what, format!("{each:.0} us, {sent:.2} B/B")));
        }
    }
}
