//! The links between repositories and blobs, in both directions.
//!
//! Invariant: one batch writes or deletes both directions; its caller holds the lock of the digest.

use rocksdb::WriteBatch;
use wharf_oci::{Digest, RepoName};

use super::engine::Engine;
use super::schema::{self, HOLDERS, LINKS, REPOS};
use crate::limits::PAGE_ENTRIES_MAX;
use crate::{Result, StoreError};

pub(super) fn remember_repo(
    engine: &Engine,
    batch: &mut WriteBatch,
    repo: &RepoName,
) -> Result<()> {
    if engine.get(REPOS, repo.as_str().as_bytes())?.is_none() {
        batch.put_cf(&engine.family(REPOS)?, repo.as_str(), []);
    }
    Ok(())
}

/// Adds a link to `batch`. The caller holds the lock of the digest.
pub(super) fn link(
    engine: &Engine,
    batch: &mut WriteBatch,
    repo: &RepoName,
    digest: &Digest,
) -> Result<()> {
    remember_repo(engine, batch, repo)?;
    batch.put_cf(&engine.family(LINKS)?, schema::repo_digest_key(repo, digest), []);
    batch.put_cf(&engine.family(HOLDERS)?, schema::holder_key(digest, repo), []);
    Ok(())
}

/// Adds a link to `batch`, unless it exists. The caller holds the lock of the digest.
pub(super) fn link_anew(
    engine: &Engine,
    batch: &mut WriteBatch,
    repo: &RepoName,
    digest: &Digest,
) -> Result<()> {
    match engine.get(LINKS, &schema::repo_digest_key(repo, digest))? {
        Some(_) => Ok(()),
        None => link(engine, batch, repo, digest),
    }
}

/// Deletes every link of a blob in `batch`; returns their number.
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

/// The repositories with a link to a blob, at most one page. A link past the page stays without
/// content, and does no harm.
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
