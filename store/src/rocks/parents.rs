//! The parents of a digest: the manifests of a repository with it as child, configuration or layer.
//!
//! Invariant: the batch of a manifest writes or deletes its records here, so both agree at any
//! moment. Its caller holds the lock of the manifest's digest.

use std::collections::HashSet;

use rocksdb::{IteratorMode, Snapshot, WriteBatch};
use wharf_oci::{Digest, Manifest, RepoName};

use super::engine::Engine;
use super::options::scan_options;
use super::schema::{self, MANIFESTS, PARENTS};
use crate::manifests::StoredManifest;
use crate::upkeep::ScrubReport;
use crate::{Result, StoreError};

/// Adds the parent records of a new manifest to `batch`; `before` is the earlier manifest under its
/// digest.
pub(super) fn note(
    engine: &Engine,
    batch: &mut WriteBatch,
    repo: &RepoName,
    (manifest, digest): (&Manifest, &Digest),
    before: Option<StoredManifest>,
) -> Result<()> {
    // The same bytes have other children only under another media type.
    if let Some(before) = before.filter(|before| before.media_type != *manifest.media_type()) {
        forget(engine, batch, repo, &before)?;
    }
    let family = engine.family(PARENTS)?;
    for child in named(manifest) {
        batch.put_cf(&family, schema::parent_key(repo, &child, digest), []);
    }
    Ok(())
}

/// Deletes the parent records of a manifest in `batch`.
pub(super) fn forget(
    engine: &Engine,
    batch: &mut WriteBatch,
    repo: &RepoName,
    stored: &StoredManifest,
) -> Result<()> {
    let family = engine.family(PARENTS)?;
    for child in named_by(stored) {
        batch.delete_cf(&family, schema::parent_key(repo, &child, &stored.digest));
    }
    Ok(())
}

/// Each digest once.
fn named(manifest: &Manifest) -> HashSet<Digest> {
    manifest.named().into_iter().collect()
}

fn named_by(stored: &StoredManifest) -> HashSet<Digest> {
    let manifest = Manifest::read_outline(stored.bytes.clone(), Some(&stored.media_type));
    manifest.map(|manifest| named(&manifest)).unwrap_or_default()
}

/// Writes the records anew from the stored manifests. An unreadable manifest gets none.
pub(super) fn rebuild(engine: &Engine) -> Result<()> {
    let (manifests, parents) = (engine.family(MANIFESTS)?, engine.family(PARENTS)?);
    for entry in engine.db().iterator_cf_opt(&manifests, scan_options(), IteratorMode::Start) {
        let (key, value) =
            entry.map_err(|error| StoreError::database("listing", MANIFESTS, error))?;
        let Some((repo, stored)) = decode(&key, &value) else {
            tracing::error!("a manifest that cannot be read keeps nothing from being deleted");
            continue;
        };
        let mut batch = WriteBatch::default();
        for child in named_by(&stored) {
            batch.put_cf(&parents, schema::parent_key(&repo, &child, &stored.digest), []);
        }
        engine.write_soon(batch, "upgrading", || format!("{repo}@{}", stored.digest))?;
    }
    Ok(())
}

fn decode(key: &[u8], value: &[u8]) -> Option<(RepoName, StoredManifest)> {
    let (repo, digest) = schema::decode_link(key)?;
    Some((repo, schema::decode_manifest(digest, value)?))
}

/// Whether the records agree with the manifests of a snapshot: every entry exists, and no other.
pub(super) fn check(engine: &Engine, moment: &Snapshot<'_>, found: &mut ScrubReport) -> Result<()> {
    let (manifests, parents) = (engine.family(MANIFESTS)?, engine.family(PARENTS)?);
    let mut expected = 0_u64;
    for entry in moment.iterator_cf_opt(&manifests, scan_options(), IteratorMode::Start) {
        // The family with the unreadable record is in the report.
        let Ok((key, value)) = entry else { return Ok(()) };
        let Some((repo, stored)) = decode(&key, &value) else { return Ok(()) };
        for child in named_by(&stored) {
            expected += 1;
            let key = schema::parent_key(&repo, &child, &stored.digest);
            let Ok(record) = moment.get_cf(&parents, key) else { return Ok(()) };
            if record.is_none() {
                let reason =
                    format!("{repo}@{} names {child}, and that is not noted", stored.digest);
                found.add_records(PARENTS, reason);
            }
        }
    }
    let entries = moment.iterator_cf_opt(&parents, scan_options(), IteratorMode::Start);
    let noted = entries.flatten().count() as u64;
    if noted > expected {
        let reason = format!("{} entries of manifests that name nothing", noted - expected);
        found.add_records(PARENTS, reason);
    }
    Ok(())
}
