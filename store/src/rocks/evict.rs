//! Eviction: the choice of cached blobs, and its trigger. Least recently used first, by bytes.
//!
//! Invariants: a kept, leased or pending blob is never evicted; bytes are freed only after the
//! deletion of their records is durable.

use std::ops::ControlFlow;

use rocksdb::{Direction, IteratorMode, WriteBatch};
use wharf_oci::{Digest, RepoName};

use super::engine::Engine;
use super::freeing;
use super::lease::{Leases, Remains};
use super::records::QuarantineRecord;
use super::schema::{self, LINKS, QUARANTINE, RECENCY, SMALL};
use super::space::{Reserve, ShortBy};
use super::{blob_records, forget, journal, links, parts, recency, recency_records};
use crate::blob_info::Retention;
use crate::limits::{
    EVICTION_EXTRA_BYTES, EVICTION_PAGE_LEN, EVICTION_ROUNDS_MAX, SMALL_HEAP_BYTES,
};
use crate::upkeep::{Eviction, EvictionReport, Progress, Watch};
use crate::{Result, StoreError};

/// Reserves disk space, after an eviction if there is none. [`StoreError::Full`] when nothing
/// evictable is left, or when even an empty store has no room.
pub(super) fn reserve(
    engine: &Engine,
    leases: &Leases,
    bytes: u64,
    what: Reserve,
    key: &str,
) -> Result<()> {
    let reserve = || engine.space.reserve(engine.folder(), bytes, what);
    let full = || StoreError::Full { operation: "storing", key: key.to_owned() };
    if reserve()?.is_ok() {
        return Ok(());
    }
    let _evicting = engine.evicting();
    engine.measure_records()?;
    if what == Reserve::Ahead && engine.space.is_hopeless(bytes) {
        return Err(full());
    }
    // Records weigh less or more than their blobs, so one round may not do.
    for _ in 0..EVICTION_ROUNDS_MAX {
        // Also in the first round: the last holder of the lock may have made the room.
        let Err(ShortBy(short)) = reserve()? else {
            return Ok(());
        };
        let extra = engine.space.limit_bytes().map_or(EVICTION_EXTRA_BYTES, |limit| limit / 32);
        let wanted = short + extra.min(EVICTION_EXTRA_BYTES);
        let mut gone = parts::forget(engine, leases, wanted)?;
        let goal = Goal::Free(wanted.saturating_sub(gone));
        gone += unless_damaged(evict_quarantined(engine, leases))?.blobs;
        gone += evict_cached(engine, leases, goal, &mut |_| ControlFlow::Continue(()))?.blobs;
        if gone == 0 && engine.small_heap(0) == 0 {
            break;
        }
        if reserve()?.is_ok() {
            return Ok(());
        }
        give_back_small(engine, 1)?;
    }
    reserve()?.map_err(|_| full())
}

/// Evicts on request.
pub(super) fn evict(
    engine: &Engine,
    leases: &Leases,
    what: &Eviction,
    watch: Watch<'_>,
) -> Result<EvictionReport> {
    let _evicting = engine.evicting();
    engine.measure_records()?;
    match what {
        Eviction::DownTo { disk_bytes } => {
            let over = engine.space.used_bytes().saturating_sub(*disk_bytes);
            let goal = Goal::Free(over.saturating_sub(parts::forget(engine, leases, over)?));
            let mut evicted = EvictionReport::default();
            if goal != Goal::Free(0) {
                evicted = evict_quarantined(engine, leases)?;
                let cached = evict_cached(engine, leases, goal, watch)?;
                evicted.blobs += cached.blobs;
                evicted.bytes += cached.bytes;
                evicted.links += cached.links;
            }
            Ok(evicted)
        }
        Eviction::UnusedSince { ms } => {
            evict_cached(engine, leases, Goal::Before(recency::of_ms(*ms)), watch)
        }
        Eviction::Repository(repo) => evict_repository(engine, leases, repo, watch),
        Eviction::Quarantined => evict_quarantined(engine, leases),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// Until so many bytes are free.
    Free(u64),
    /// Every blob last used before this moment.
    Before(u64),
}

/// Evicts in the order of use until the goal is reached or nothing is left.
fn evict_cached(
    engine: &Engine,
    leases: &Leases,
    goal: Goal,
    watch: Watch<'_>,
) -> Result<EvictionReport> {
    recency_records::write_touched(engine)?;
    let mut evicted = EvictionReport::default();
    let mut from = [0_u8; 16];
    let total_bytes = if let Goal::Free(bytes) = goal { bytes } else { 0 };
    loop {
        let page = unless_damaged(page(engine, from))?;
        let Some((last, _)) = page.last() else { break };
        from = next_key(*last);
        let mut freed = Vec::new();
        for (key, digest) in &page {
            let reached = match (goal, schema::decode_recency(key)) {
                (Goal::Free(bytes), _) => evicted.bytes >= bytes,
                (Goal::Before(moment), Some((used, _))) => used >= moment,
                (Goal::Before(_), None) => true,
            };
            if reached {
                break;
            }
            if let Some(gone) = unless_damaged(forget_cached(engine, leases, digest))? {
                evicted.blobs += 1;
                evicted.bytes += gone.size_bytes;
                evicted.links += gone.links;
                freed.push(gone.remains);
            }
        }
        let over = freed.len() < page.len() && is_reached(goal, &evicted, from);
        free_all(engine, leases, freed)?;
        let (done, done_bytes) = (evicted.blobs, evicted.bytes);
        let progress = Progress { done, total: 0, done_bytes, total_bytes };
        if watch(&progress).is_break() || over {
            break;
        }
    }
    give_back_small(engine, SMALL_HEAP_BYTES)?;
    Ok(evicted)
}

/// A blob with a damaged record stays, and the rest is evicted.
fn unless_damaged<T: Default>(result: Result<T>) -> Result<T> {
    match result {
        Err(StoreError::Corrupt { key, reason, .. }) => {
            tracing::error!(key, reason, "a record is damaged; what it leads to is not evicted");
            Ok(T::default())
        }
        other => other,
    }
}

fn is_reached(goal: Goal, evicted: &EvictionReport, next: [u8; 16]) -> bool {
    match goal {
        Goal::Free(bytes) => evicted.bytes >= bytes,
        Goal::Before(moment) => {
            schema::decode_recency(&next).is_none_or(|(used, _)| used >= moment)
        }
    }
}

/// The next entries in the order of use.
fn page(engine: &Engine, from: [u8; 16]) -> Result<Vec<([u8; 16], Digest)>> {
    let family = engine.family(RECENCY)?;
    let mode = IteratorMode::From(&from, Direction::Forward);
    let entries = engine.db().iterator_cf(&family, mode).take(EVICTION_PAGE_LEN);
    let entries = entries.map(|entry| {
        let (key, value) =
            entry.map_err(|error| StoreError::database("listing", RECENCY, error))?;
        let key = <[u8; 16]>::try_from(&*key).ok();
        key.zip(schema::decode_digest(&value))
            .ok_or_else(|| StoreError::undecodable("listing", RECENCY))
    });
    entries.collect()
}

fn next_key(key: [u8; 16]) -> [u8; 16] {
    u128::from_be_bytes(key).saturating_add(1).to_be_bytes()
}

/// A blob without records.
struct EvictedBlob {
    remains: Remains,
    size_bytes: u64,
    links: u64,
}

/// Forgets a blob, unless it is protected or leased. Not synced: [`free_all`] syncs before it frees
/// bytes.
fn forget_cached(engine: &Engine, leases: &Leases, digest: &Digest) -> Result<Option<EvictedBlob>> {
    let _changing = engine.changing(digest);
    let Some(blob) = engine.blob_record(digest)? else {
        return Ok(None);
    };
    if blob.retention != Retention::Cached || leases.is_held(blob.number) {
        return Ok(None);
    }
    let mut batch = WriteBatch::default();
    blob_records::unpublish(engine, &mut batch, digest, &blob)?;
    let links = links::unlink_all(engine, &mut batch, digest)?;
    let remains = forget::doom(engine, &mut batch, &blob)?;
    engine.write_soon(batch, "evicting", || digest.to_string())?;
    engine.evicted.add(blob.size_bytes);
    Ok(Some(EvictedBlob { remains, size_bytes: blob.size_bytes, links }))
}

/// Frees bytes without records; those with a lease since then are freed later.
fn free_all(engine: &Engine, leases: &Leases, remains: Vec<Remains>) -> Result<()> {
    if remains.is_empty() {
        return Ok(());
    }
    engine.sync()?;
    for remains in remains {
        if leases.doom(remains) {
            freeing::free(engine, &remains)?;
        }
    }
    Ok(())
}

/// Frees the space of forgotten small blobs by a rewrite of their table. Not worth it for less than
/// `least_bytes`.
pub(super) fn give_back_small(engine: &Engine, least_bytes: u64) -> Result<()> {
    let heap = engine.small_heap(0);
    if heap >= least_bytes {
        engine.db().compact_range_cf(&engine.family(SMALL)?, None::<&[u8]>, None::<&[u8]>);
        // A full disk may have no room for the rewrite, and RocksDB reports no error; the deletions
        // are still there, so the next call repeats it.
        if engine.deletions(SMALL)? == 0 {
            engine.small_heap_gone(heap);
        }
        engine.measure_records()?;
    }
    Ok(())
}

/// Removes the links of a repository, and its blobs without another link.
fn evict_repository(
    engine: &Engine,
    leases: &Leases,
    repo: &RepoName,
    watch: Watch<'_>,
) -> Result<EvictionReport> {
    let mut evicted = EvictionReport::default();
    let prefix = schema::repo_prefix(repo);
    let mut from = prefix.clone();
    loop {
        let page = links_page(engine, &prefix, &from)?;
        let Some((last, _)) = page.last() else { break };
        from = [last.as_slice(), &[0]].concat();
        let mut freed = Vec::new();
        for (key, digest) in &page {
            let others = links::holders_of(engine, digest)?.iter().any(|other| other != repo);
            let forget = || unless_damaged(forget_cached(engine, leases, digest));
            let gone = if others { None } else { forget()? };
            if let Some(gone) = gone {
                evicted.blobs += 1;
                evicted.bytes += gone.size_bytes;
                evicted.links += gone.links;
                freed.push(gone.remains);
            } else if others && unlink(engine, repo, digest, key)? {
                evicted.links += 1;
            }
        }
        free_all(engine, leases, freed)?;
        let (done, done_bytes) = (evicted.blobs, evicted.bytes);
        let progress = Progress { done, total: 0, done_bytes, total_bytes: 0 };
        if watch(&progress).is_break() {
            break;
        }
    }
    Ok(evicted)
}

type LinkEntry = (Vec<u8>, Digest);

fn links_page(engine: &Engine, prefix: &[u8], from: &[u8]) -> Result<Vec<LinkEntry>> {
    let family = engine.family(LINKS)?;
    let mode = IteratorMode::From(from, Direction::Forward);
    let mut links = Vec::new();
    for entry in engine.db().iterator_cf(&family, mode).take(EVICTION_PAGE_LEN) {
        let (key, _) = entry.map_err(|error| StoreError::database("listing", LINKS, error))?;
        if !key.starts_with(prefix) {
            break;
        }
        let (_, digest) =
            schema::decode_link(&key).ok_or_else(|| StoreError::undecodable("listing", LINKS))?;
        links.push((key.into_vec(), digest));
    }
    Ok(links)
}

/// `false` when the link stays, because the repository has a pending delivery of the blob.
fn unlink(engine: &Engine, repo: &RepoName, digest: &Digest, key: &[u8]) -> Result<bool> {
    let _changing = engine.changing(digest);
    if journal::is_owed(engine, repo, digest)? {
        return Ok(false);
    }
    let mut batch = WriteBatch::default();
    batch.delete_cf(&engine.family(LINKS)?, key);
    let holder = schema::holder_key(digest, repo);
    batch.delete_cf(&engine.family(schema::HOLDERS)?, holder);
    engine.write_soon(batch, "unlinking", || format!("{repo}@{digest}")).map(|()| true)
}

/// Evicts the blobs in quarantine.
fn evict_quarantined(engine: &Engine, leases: &Leases) -> Result<EvictionReport> {
    let mut evicted = EvictionReport::default();
    let family = engine.family(QUARANTINE)?;
    let mut freed = Vec::new();
    for entry in engine.db().iterator_cf(&family, IteratorMode::Start) {
        let (key, value) =
            entry.map_err(|error| StoreError::database("listing", QUARANTINE, error))?;
        let record = QuarantineRecord::decode(&value)
            .ok_or_else(|| StoreError::undecodable("listing", QUARANTINE))?;
        let mut batch = WriteBatch::default();
        let remains = forget::doom(engine, &mut batch, &record.blob)?;
        batch.delete_cf(&family, &key);
        engine.write_soon(batch, "evicting", || "a blob in quarantine".to_owned())?;
        evicted.blobs += 1;
        evicted.bytes += record.blob.size_bytes;
        freed.push(remains);
    }
    free_all(engine, leases, freed)?;
    Ok(evicted)
}
