//! The cost of a thousand, a hundred thousand and a million blobs at start, at each look-up, and in
//! memory. A separate process opens each store, with nothing else in its memory.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wharf_oci::Digest;
use wharf_store::{BlobStore, Retention, RocksStore, StoreOptions};

use crate::bed::{Bed, KIB, Row, Scale, digest_of, float, put, timed};

/// The argument before folder and number of blobs.
pub(crate) const CHILD: &str = "--open-and-look-up";
/// Writers at once: they share the syncs.
const WRITERS: u64 = 32;
const LOOKUPS: u64 = 20_000;

pub(crate) fn growth(scale: Scale, row: &mut dyn FnMut(Row)) {
    let mut first = None;
    for blobs in [scale.pick(1_000, 100), scale.pick(100_000, 500), scale.pick(1_000_000, 1_000)] {
        let bed = Bed::make(&StoreOptions::default());
        let ((), time) = timed(|| fill(&bed.store, blobs as u64));
        let rate = float(blobs as u64) / time.as_secs_f64();
        row(Row::of(format!("{blobs} blobs, published by 32 threads"), format!("{rate:.0} /s")));
        let Bed { store, folder } = bed;
        drop(store);
        let [open, known, unknown, resident] = look(folder.path(), blobs);
        row(Row::at_most(format!("{blobs} blobs, open"), open, 2.0, "s"));
        let base = *first.get_or_insert(known);
        row(Row::of(format!("{blobs} blobs, look-up of what is not there"), micros(unknown)));
        row(Row::of(format!("{blobs} blobs, look-up"), micros(known)));
        if blobs > 1_000 || scale == Scale::Quick {
            let what = format!("{blobs} blobs, look-up against the smallest store");
            row(Row::at_most(what, known / base, 2.0, "x"));
        }
        row(Row::of(format!("{blobs} blobs, resident memory"), format!("{resident:.0} MiB")));
    }
}

fn micros(figure: f64) -> String {
    format!("{figure:.1} us")
}

fn content(index: u64) -> bytes::Bytes {
    let mut content = vec![7; KIB];
    let start = index.to_le_bytes();
    content.splice(..start.len(), start);
    content.into()
}

fn fill(store: &RocksStore, blobs: u64) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= blobs {
                        return;
                    }
                    let content = content(index);
                    put(store, &content, &digest_of(&content), Retention::Cached);
                }
            });
        }
    });
}

/// Seconds to open, microseconds for a found and for a missing blob, and resident MiB, of a process
/// for this measurement alone.
fn look(folder: &Path, blobs: usize) -> [f64; 4] {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    let output = command.arg(CHILD).arg(folder).arg(blobs.to_string()).output().expect("run");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut figures = text.split_whitespace().filter_map(|word| word.parse().ok());
    let figures = std::array::from_fn(|_| figures.next().unwrap_or(f64::NAN));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    figures
}

/// The process of [`look`].
pub(crate) fn child(folder: &str, blobs: &str) -> String {
    let blobs: u64 = blobs.parse().expect("a number of blobs");
    let (store, open) = timed(|| RocksStore::open(Path::new(folder)).expect("a store"));
    // Spread over all of them, in no order.
    let some = |salt: u64| -> Vec<Digest> {
        let spread = |index: u64| index.wrapping_mul(0x9e37_79b9_7f4a_7c15) % blobs;
        (0..LOOKUPS).map(|index| digest_of(&content(spread(index) + salt))).collect()
    };
    let (known, unknown) = (some(0), some(blobs));
    let each = |time: Duration| time.as_secs_f64() * 1e6 / float(LOOKUPS);
    let find = |digests: &[Digest]| {
        let is_there = |digest: &&Digest| store.stat(digest).expect("stat").is_some();
        digests.iter().filter(is_there).count()
    };
    assert_eq!(find(&known), known.len());
    let (found, time_known) = timed(|| find(&known));
    assert_eq!(found, known.len());
    let (found, time_unknown) = timed(|| find(&unknown));
    assert_eq!(found, 0);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    let mib = float(resident.unwrap_or(0)) / 1024.0;
    format!("{} {} {} {mib}", open.as_secs_f64(), each(time_known), each(time_unknown))
}
