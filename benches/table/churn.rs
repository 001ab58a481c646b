//! A cache at its limit takes in six times its size: the speed, the bytes to the disk for each byte
//! of content, and the size of the cache at every moment.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use wharf_benches::noise;
use wharf_store::{Retention, StoreOptions, limits};

use crate::bed::{
    Bed, GIB, KIB, MIB, Row, Scale, digest_of, disk_bytes, float, gbps, put, size, timed,
    written_bytes,
};

/// How often the disk is looked at.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) fn churn(scale: Scale, row: &mut dyn FnMut(Row)) {
    let least = usize::try_from(limits::LIMIT_BYTES_MIN).unwrap_or(usize::MAX);
    let limit = scale.pick(GIB, least);
    let total = scale.pick(6 * GIB, least + 64 * MIB);
    // Layers of all sizes, as windows into this: no two begin at the same byte.
    let content = noise(256 * MIB);
    let sizes = [70 * MIB, 3 * KIB, 30 * MIB, 300 * KIB, 150 * MIB, 9 * MIB, MIB];
    let limit_bytes = Some(limit as u64);
    let bed = Bed::make(&StoreOptions { limit_bytes, ..StoreOptions::default() });
    let (stop, stopped) = channel::<()>();
    let (mut ingested, mut time) = (0, Duration::ZERO);
    let before = written_bytes();
    let most = std::thread::scope(|scope| {
        let folder = bed.folder.path();
        let looking = scope.spawn(move || most_on_disk(folder, &stopped));
        for (index, bytes) in sizes.into_iter().cycle().enumerate() {
            if ingested >= total {
                break;
            }
            let start = index * 4_099 % (content.len() - bytes);
            let blob = content.slice(start..start + bytes);
            let digest = digest_of(&blob);
            time += timed(|| put(&bed.store, &blob, &digest, Retention::Cached)).1;
            ingested += bytes;
        }
        drop(stop);
        looking.join().unwrap_or(u64::MAX)
    });
    let usage = bed.store.usage().expect("usage");
    drop(bed.store);
    let amplification = float(written_bytes() - before) / float(ingested as u64);
    let what = format!("{} through a limit of {}", size(ingested), size(limit));
    let speed = gbps(ingested, time);
    row(Row::of(format!("churn, {what}"), format!("{speed:.2} GB/s")));
    row(Row::of("churn, blobs evicted", usage.evicted_blobs.to_string()));
    row(Row::at_most("churn, write amplification", amplification, 1.1, "B/B"));
    let share = float(most) / float(limit as u64);
    row(Row::at_most("churn, most on disk (du) against the limit", share, 1.0, "of it"));
}

/// The largest size of the folder until the work on it ends.
fn most_on_disk(folder: &Path, stopped: &Receiver<()>) -> u64 {
    let mut most = 0;
    loop {
        most = most.max(disk_bytes(folder));
        if stopped.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
            return most;
        }
    }
}
