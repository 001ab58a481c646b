//! Manifest puts under way: a repeated request for the same put waits for the running one, or finds
//! its result after the client left. Each put waits for its content, then for its locks.
//!
//! Invariant: a put found that way was made, and its names still point to its manifest.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::Instrument as _;
use wharf_client::runtime::mutex::Mutex;
use wharf_client::runtime::party::Party;
use wharf_client::runtime::ttl_map::TtlMap;
use wharf_oci::{Digest, Reference, RepoName, Tag};
use wharf_store::StoreError;

use super::manifest_push::{ManifestPush, ProvenManifest};
use super::{App, references};
use crate::Error;
use crate::bound::Bound;
use crate::http::audit::AuditedChange;
use crate::limits::{PUTS_MAX, RECENT_COMMITS_MAX, RECENT_COMMITS_TIME};
use crate::push::change_locks::{ChangeGuard, LockSet, RepoLocation};
use crate::push::write_once::WriteOnce;
use crate::registries::Target;
use crate::runtime::single_flight::SingleFlight;

/// All manifest puts of the process.
pub(crate) struct ManifestPuts {
    running: SingleFlight<PutKey, bool>,
    /// Finished puts without a client that has heard of them, with whether referrers are kept
    /// there.
    unheard: Mutex<TtlMap<PutKey, bool>>,
}

/// Two puts with the same key are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PutKey {
    place: RepoLocation,
    reference: Reference,
    tags: Vec<Tag>,
    digest: Digest,
    party: Party,
}

/// A repository and tags, by the names used here.
type Names = (RepoName, Vec<Tag>);

impl Default for ManifestPuts {
    fn default() -> Self {
        let running = SingleFlight::new(PUTS_MAX, Bound::ManifestPuts).ending_themselves();
        Self { running, unheard: Mutex::new(TtlMap::new(RECENT_COMMITS_MAX)) }
    }
}

impl ManifestPuts {
    /// How many puts are under way.
    pub(crate) fn count(&self) -> usize {
        self.running.count()
    }
}

/// Puts the manifest, or waits for the same put under way; whether referrers are kept.
pub(super) async fn put(
    app: &Arc<App>,
    proven: ProvenManifest,
    change: &AuditedChange,
) -> Result<bool, Error> {
    let key = PutKey {
        place: proven.place.clone(),
        reference: proven.put.reference.clone(),
        tags: proven.put.tags.clone(),
        digest: proven.digest,
        party: proven.put.caller.party(),
    };
    ready(app, &proven).await?;
    let (whole, change) = (Arc::clone(app), change.clone());
    let names: Names = (proven.put.repo.clone(), proven.put.named_tags().cloned().collect());
    let has_conditions = !proven.conditions.is_empty();
    let work = async move |whole: Arc<App>| {
        let digest = proven.digest;
        let done = in_turn(&whole, proven).await;
        match &done {
            Ok(_) => change.done(Some(&digest)),
            Err(error) => change.failed(error),
        }
        done
    };
    // A put with conditions is never the same as another one.
    if has_conditions {
        return app.detached.run(work(whole).in_current_span()).await;
    }
    let (party, noted) = (key.party.clone(), key.clone());
    let (keeps_referrers, _) = app
        .puts
        .running
        .ask(&party, key, move |promise| async move {
            // The leader looks for an unheard put here: one put is under way at a time.
            if let Some(found) = found(&whole, &noted, &names).await.transpose() {
                return promise.keep(found);
            }
            let done = whole.detached.run(work(Arc::clone(&whole)).in_current_span()).await;
            if let (Ok(keeps_referrers), false) = (&done, promise.subscribers().are_taken()) {
                let expiry = Instant::now() + RECENT_COMMITS_TIME;
                whole.puts.unheard.lock().insert(noted, *keeps_referrers, expiry);
            }
            promise.keep(done);
        })
        .await?;
    Ok(keeps_referrers)
}

/// The result of the same put after its client left, as long as its names still point to its
/// manifest.
async fn found(app: &App, key: &PutKey, (repo, tags): &Names) -> Result<Option<bool>, Error> {
    let unheard = app.puts.unheard.lock().remove(key);
    let Some(keeps_referrers) = unheard else { return Ok(None) };
    let (store, repo, digest) = (Arc::clone(&app.cache.store), repo.clone(), key.digest);
    let tags = tags.clone();
    let still = move || {
        for tag in &tags {
            if store.tag(&repo, tag)?.is_none_or(|record| record.digest != digest) {
                return Ok::<_, StoreError>(false);
            }
        }
        Ok(store.manifest(&repo, &digest)?.is_some())
    };
    Ok(app.cache.blocking.run(still).await?.then_some(keeps_referrers))
}

/// Waits until the manifest's content is there.
async fn ready(app: &App, proven: &ProvenManifest) -> Result<(), Error> {
    let ProvenManifest { put, target, manifest, .. } = proven;
    references::require(app, &put.repo, target, manifest).await?;
    if let Target::Upstream(_) = target {
        app.outbox.settle((&put.repo, &put.caller.party()), manifest).await?;
    }
    Ok(())
}

/// Puts the manifest under its locks; whether referrers are kept.
async fn in_turn(app: &Arc<App>, proven: ProvenManifest) -> Result<bool, Error> {
    let _keeping = keep(app, &proven).await?;
    let ProvenManifest { put, place, conditions, digest, .. } = &proven;
    let wanted = LockSet::to_put(place, *digest, put.named_tags());
    // A conditional put takes its locks exclusively, so that no other put changes the tag after the
    // check.
    let wanted = if conditions.is_empty() { wanted } else { wanted.alone() };
    let _turn = app.turns.take(&put.caller.party(), wanted).await?;
    ManifestPush { app: Arc::clone(app), proven }.run().await
}

/// For a write-once tag: until the put, nothing of the repository is deleted. Earlier content may
/// have gone while this put waited.
async fn keep(app: &App, proven: &ProvenManifest) -> Result<Option<ChangeGuard>, Error> {
    let ProvenManifest { put, target, place, manifest, .. } = proven;
    if !put.named_tags().any(|tag| WriteOnce::covers(target, place, tag)) {
        return Ok(None);
    }
    let turn = app.turns.take(&put.caller.party(), LockSet::to_keep(place)).await?;
    references::require(app, &put.repo, target, manifest).await?;
    Ok(Some(turn))
}
