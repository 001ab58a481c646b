//! How a blob leaves: removed, evicted, or put into quarantine. One batch takes everything that
//! leads to it; its bytes go later.
//!
//! Invariant: whoever changes what a digest leads to holds the lock of that digest.

use rocksdb::WriteBatch;
use wharf_oci::{Digest, RepoName};

use super::engine::Engine;
use super::journal;
use super::lease::Remains;
use super::order::now_ms;
use super::records::{Doomed, Located, Quarantined, Totals};
use super::schema::{
    self, BLOBS, DOOMED, HOLDERS, LINKS, META, NUMBERS, QUARANTINE, RECENCY, TOTALS,
};
use crate::limits::PAGE_ENTRIES_MAX;
use crate::{Result, StoreError};

/// Adds to `batch` what makes a published blob unknown. The caller holds its lock.
pub(super) fn unpublish(
    engine: &Engine,
    batch: &mut WriteBatch,
    digest: &Digest,
    located: &Located,
) -> Result<()> {
    batch.delete_cf(&engine.family(BLOBS)?, schema::digest_key(digest));
    batch.delete_cf(&engine.family(NUMBERS)?, located.number.to_be_bytes());
    if let Some(numbered) = engine.numbered(located.number)?.filter(|known| known.used > 0) {
        let key = schema::recency_key(numbered.used, located.number);
        batch.delete_cf(&engine.family(RECENCY)?, key);
    }
    let change = Totals::of(located).negative().encode();
    batch.merge_cf(&engine.family(META)?, TOTALS, change);
    Ok(())
}

/// Adds to `batch` that the bytes are to be freed; also what is left to do for that.
pub(super) fn doom(engine: &Engine, batch: &mut WriteBatch, located: &Located) -> Result<Remains> {
    let doomed = Doomed::of(located);
    batch.put_cf(&engine.family(DOOMED)?, located.number.to_be_bytes(), doomed.encode());
    Ok(Remains { number: located.number, doomed })
}

/// Adds to `batch` that no repository has the blob; how many had it.
pub(super) fn unlink_all(engine: &Engine, batch: &mut WriteBatch, digest: &Digest) -> Result<u64> {
    let (holders, links) = (engine.family(HOLDERS)?, engine.family(LINKS)?);
    let mut count = 0;
    for repo in holders_of(engine, digest)? {
        batch.delete_cf(&holders, schema::holder_key(digest, &repo));
        batch.delete_cf(&links, schema::repo_digest_key(&repo, digest));
        count += 1;
    }
    Ok(count)
}

/// The repositories that have a blob, at most a page of them: what is left over is a link to
/// nothing, which does no harm.
pub(super) fn holders_of(engine: &Engine, digest: &Digest) -> Result<Vec<RepoName>> {
    let prefix = schema::digest_key(digest);
    let family = engine.family(HOLDERS)?;
    let mode = rocksdb::IteratorMode::From(&prefix, rocksdb::Direction::Forward);
    let mut repos = Vec::new();
    for entry in engine.db().iterator_cf(&family, mode).take(PAGE_ENTRIES_MAX) {
        let (key, _) = entry.map_err(|error| StoreError::database("listing", HOLDERS, error))?;
        if !key.starts_with(&prefix) {
            break;
        }
        repos.extend(schema::decode_holder(&key));
    }
    Ok(repos)
}

/// Forgets a blob; what is left to free, or `None` when it is not here. The caller holds its lock.
pub(super) fn remove(engine: &Engine, digest: &Digest) -> Result<Option<Remains>> {
    let Some(located) = engine.located(digest)? else {
        return Ok(None);
    };
    let mut batch = WriteBatch::default();
    unpublish(engine, &mut batch, digest, &located)?;
    journal::settle_all(engine, &mut batch, digest)?;
    let remains = doom(engine, &mut batch, &located)?;
    engine.write(batch, "removing", || digest.to_string())?;
    Ok(Some(remains))
}

/// Makes a blob unknown whose bytes are wrong, and keeps them for a look; `false` when another blob
/// has the digest by now. What is owed for it stays owed, so that whoever delivers it learns of this.
pub(super) fn quarantine(engine: &Engine, number: u64, reason: &str) -> Result<bool> {
    let Some(numbered) = engine.numbered(number)? else {
        return Ok(false);
    };
    let digest = numbered.digest;
    let _changing = engine.changing(&digest);
    let Some(located) = engine.located(&digest)?.filter(|located| located.number == number) else {
        return Ok(false);
    };
    let mut batch = WriteBatch::default();
    unpublish(engine, &mut batch, &digest, &located)?;
    let record = Quarantined { located, found_ms: now_ms(), reason: reason.to_owned() };
    let key = schema::quarantine_key(number, &digest);
    batch.put_cf(&engine.family(QUARANTINE)?, key, record.encode());
    engine.write(batch, "putting into quarantine", || digest.to_string())?;
    engine.hot.forget(number);
    tracing::error!(%digest, number, reason, "a stored blob is damaged; it is in quarantine now");
    Ok(true)
}
