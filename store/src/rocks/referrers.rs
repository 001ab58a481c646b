//! The records of referrers, read page by page.
//!
//! Invariant: a record is bounded like an entry of a list; a larger one, of an older format, is cut
//! when it is read. A page is bounded in bytes.

use rocksdb::{Direction, IteratorMode, WriteBatch};
use wharf_oci::{Digest, Manifest, REFERRER_BYTES_MAX, Referrer, RepoName};

use super::engine::Engine;
use super::options::scan_options;
use super::schema::{self, REFERRERS};
use crate::limits::PAGE_ENTRIES_MAX;
use crate::manifests::Page;
use crate::{Result, StoreError};

/// Adds the referrer record of a manifest with a subject to `batch`.
pub(super) fn note(
    engine: &Engine,
    batch: &mut WriteBatch,
    repo: &RepoName,
    (manifest, digest): (&Manifest, &Digest),
) -> Result<()> {
    if let Some(subject) = manifest.subject() {
        let key = schema::referrer_key(repo, &subject.digest, digest);
        batch.put_cf(&engine.family(REFERRERS)?, key, Referrer::of(manifest, digest).json());
    }
    Ok(())
}

/// Deletes the referrer record of a manifest in `batch`.
pub(super) fn forget(
    engine: &Engine,
    batch: &mut WriteBatch,
    repo: &RepoName,
    (manifest, digest): (&Manifest, &Digest),
) -> Result<()> {
    if let Some(subject) = manifest.subject() {
        let key = schema::referrer_key(repo, &subject.digest, digest);
        batch.delete_cf(&engine.family(REFERRERS)?, key);
    }
    Ok(())
}

/// Referrers of `subject` after `after`, in the order of their digests.
pub(super) fn page(
    engine: &Engine,
    repo: &RepoName,
    subject: &Digest,
    after: Option<&Digest>,
    bytes_max: usize,
) -> Result<Page<Referrer>> {
    let family = engine.family(REFERRERS)?;
    let prefix = schema::referrer_prefix(repo, subject);
    let after = after.map(|after| schema::referrer_key(repo, subject, after));
    let from = after.as_deref().unwrap_or(&prefix);
    let mode = IteratorMode::From(from, Direction::Forward);
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for entry in engine.db().iterator_cf(&family, mode) {
        let (key, value) =
            entry.map_err(|error| StoreError::database("listing", REFERRERS, error))?;
        if !key.starts_with(&prefix) {
            break;
        }
        if after.as_deref() == Some(&key) {
            continue;
        }
        let entry = Referrer::parse(&value).ok_or_else(|| {
            StoreError::undecodable("listing", format!("referrers of {repo}@{subject}"))
        })?;
        bytes += entry.json().len() + 1;
        if entries.len() >= PAGE_ENTRIES_MAX || bytes > bytes_max {
            return Ok(Page { entries, more: true });
        }
        entries.push(entry);
    }
    Ok(Page { entries, more: false })
}

/// Cuts the records of older formats; those have all annotations.
pub(super) fn cut(engine: &Engine) -> Result<()> {
    let family = engine.family(REFERRERS)?;
    for entry in engine.db().iterator_cf_opt(&family, scan_options(), IteratorMode::Start) {
        let (key, value) =
            entry.map_err(|error| StoreError::database("listing", REFERRERS, error))?;
        if value.len() <= REFERRER_BYTES_MAX {
            continue;
        }
        let Some(entry) = Referrer::parse(&value) else { continue };
        let mut batch = WriteBatch::default();
        batch.put_cf(&family, &key, entry.json());
        engine.write_soon(batch, "upgrading", || format!("the referrer {}", entry.digest()))?;
    }
    Ok(())
}
