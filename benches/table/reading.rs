//! Reading: right after ingest, when the page cache has it, and when the store's own memory has it.

use wharf_benches::noise;
use wharf_oci::Span;
use wharf_store::{Retention, StoreOptions};

use crate::bed::{
    Bed, GIB, KIB, MIB, Row, Scale, digest_of, drain, float, gbps, median, open, put, size, timed,
};

/// The first reader of a freshly published blob, with the usual memory and with next to none: the
/// writer of runs drops its pages after the write.
pub(crate) fn after_ingest(scale: Scale, row: &mut dyn FnMut(Row)) {
    for bytes in [scale.pick(64 * MIB, MIB), scale.pick(GIB, 8 * MIB)] {
        let content = noise(bytes);
        let digest = digest_of(&content);
        let usual = StoreOptions::default();
        for (options, words) in [(usual, ""), (Bed::bare(), ", 1 MiB of memory")] {
            let bed = Bed::make(&options);
            put(&bed.store, &content, &digest, Retention::Cached);
            let read = || gbps(bytes, timed(|| drain(open(&bed.store, &digest))).1);
            let (first, second) = (read(), read());
            let what = format!("first read after ingest of {}{words}", size(bytes));
            row(Row::of(what, format!("{first:.2} GB/s, then {second:.2}")));
        }
    }
}

pub(crate) fn warm_and_hot(scale: Scale, row: &mut dyn FnMut(Row)) {
    let bytes = scale.pick(256 * MIB, 4 * MIB);
    let content = noise(bytes);
    let digest = digest_of(&content);
    let bed = Bed::make(&Bed::bare());
    put(&bed.store, &content, &digest, Retention::Cached);
    let bed = bed.reopen(&Bed::bare());
    assert_eq!(drain(open(&bed.store, &digest)), bytes);
    let whole = || gbps(bytes, timed(|| drain(open(&bed.store, &digest))).1);
    let figure = median(scale.pick(9, 1), whole);
    row(Row::at_least(format!("warm read, whole, {}", size(bytes)), figure, 4.0, "GB/s"));
    ranges(&bed, &content, scale, row);
    hot(scale, row);
}

/// Ranges with both ends inside of segments; each range needs its own look-up.
fn ranges(bed: &Bed, content: &bytes::Bytes, scale: Scale, row: &mut dyn FnMut(Row)) {
    let digest = digest_of(content);
    for bytes in [64 * KIB, MIB] {
        let count = content.len() / bytes - 1;
        let all = || {
            for index in 0..count {
                let start = (index * bytes + 17) as u64;
                let span = Span::new(start, start + bytes as u64).expect("not empty");
                assert_eq!(drain(open(&bed.store, &digest).narrow(span)), bytes);
            }
        };
        let mut each = 0.0;
        let figure = median(scale.pick(5, 1), || {
            let ((), time) = timed(all);
            each = time.as_secs_f64() * 1e6 / float(count as u64);
            gbps(count * bytes, time)
        });
        let what = format!("warm read, ranges of {}", size(bytes));
        row(Row::of(what, format!("{figure:.2} GB/s, {each:.0} us")));
    }
}

/// A blob with all its segments in the store's memory.
fn hot(scale: Scale, row: &mut dyn FnMut(Row)) {
    let bytes = scale.pick(64 * MIB, MIB);
    let content = noise(bytes);
    let digest = digest_of(&content);
    let bed = Bed::make(&StoreOptions::default());
    put(&bed.store, &content, &digest, Retention::Cached);
    let whole = || gbps(bytes, timed(|| drain(open(&bed.store, &digest))).1);
    let figure = median(scale.pick(9, 1), whole);
    let what = format!("hot read, {} handed over without a copy", size(bytes));
    row(Row::of(what, format!("{figure:.2} GB/s")));
}
