//! The records of pending deliveries.
//!
//! Invariant: every change of the deliveries of a digest holds the lock of the digest. A blob is
//! `Pending` exactly while it has deliveries, unless it is `Kept`; a blob in quarantine may still
//! have deliveries.

use rocksdb::{Direction, IteratorMode, WriteBatch};
use wharf_oci::{Digest, RepoName};

use super::engine::Engine;
use super::schema::{self, JOURNAL};
use super::{blob_records, links};
use crate::blob_info::Retention;
use crate::journal::Delivery;
use crate::limits::DELIVERIES_MAX;
use crate::{Result, StoreError};

pub(super) fn key_of(delivery: &Delivery) -> Vec<u8> {
    schema::holder_key(&delivery.digest, &delivery.errand.repo)
}

/// Adds a delivery and its link to `batch`. The caller holds the lock of the digest, and the blob
/// is protected.
pub(super) fn owe(engine: &Engine, batch: &mut WriteBatch, delivery: &Delivery) -> Result<()> {
    links::link(engine, batch, &delivery.errand.repo, &delivery.digest)?;
    batch.put_cf(&engine.family(JOURNAL)?, key_of(delivery), delivery.encode());
    Ok(())
}

/// Whether the repository has a pending delivery of the blob.
pub(super) fn is_owed(engine: &Engine, repo: &RepoName, digest: &Digest) -> Result<bool> {
    Ok(engine.get(JOURNAL, &schema::holder_key(digest, repo))?.is_some())
}

/// Whether exactly this errand is pending, not a later one.
pub(super) fn is_still_owed(engine: &Engine, delivery: &Delivery) -> Result<bool> {
    let key = key_of(delivery);
    let Some(value) = engine.get(JOURNAL, &key)? else {
        return Ok(false);
    };
    let owed = Delivery::decode(&key, &value).ok_or_else(|| {
        StoreError::undecodable("reading", format!("the delivery of {}", delivery.digest))
    })?;
    Ok(owed.errand.id == delivery.errand.id)
}

/// Ends the delivery of a repository in `batch`. After the last delivery of a blob it is cached.
pub(super) fn complete(
    engine: &Engine,
    batch: &mut WriteBatch,
    repo: &RepoName,
    digest: &Digest,
) -> Result<()> {
    let owing = owing(engine, digest)?;
    if !owing.contains(repo) {
        return Ok(());
    }
    batch.delete_cf(&engine.family(JOURNAL)?, schema::holder_key(digest, repo));
    if owing.len() == 1
        && let Some(blob) = engine.blob_record(digest)?
        && blob.retention == Retention::Pending
    {
        blob_records::retain(engine, batch, digest, &blob, Retention::Cached)?;
    }
    Ok(())
}

/// Ends every delivery of a blob in `batch`, together with the blob itself.
pub(super) fn complete_all(engine: &Engine, batch: &mut WriteBatch, digest: &Digest) -> Result<()> {
    for repo in owing(engine, digest)? {
        batch.delete_cf(&engine.family(JOURNAL)?, schema::holder_key(digest, &repo));
    }
    Ok(())
}

/// The repositories with a pending delivery of a blob.
pub(super) fn owing(engine: &Engine, digest: &Digest) -> Result<Vec<RepoName>> {
    let prefix = schema::digest_key(digest);
    let mode = IteratorMode::From(&prefix, Direction::Forward);
    let mut repos = Vec::new();
    for entry in engine.db().iterator_cf(&engine.family(JOURNAL)?, mode).take(DELIVERIES_MAX) {
        let (key, _) = entry.map_err(|error| StoreError::database("listing", JOURNAL, error))?;
        if !key.starts_with(&prefix) {
            break;
        }
        repos.extend(schema::decode_holder(&key));
    }
    Ok(repos)
}
