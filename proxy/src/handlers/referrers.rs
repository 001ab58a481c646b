//! What refers to a manifest (distribution-spec end-12): as the upstream says, by its API or by the
//! tag that stands in for one, together with what was pushed here.
//!
//! Invariant: what is here and not in the upstream's list is listed only when the upstream has it
//! all the same; while the upstream cannot answer, what is here is listed as stale.

use std::collections::HashSet;
use std::sync::Arc;

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use wharf_oci::{Descriptor, Digest, Endpoint, MediaType, Reference, RepoName};

use super::App;
use crate::Error;
use crate::access::Caller;
use crate::cache::Outcome;
use crate::limits::{LIST_PAGES_MAX, REFERRERS_ASKED_MAX};
use crate::response::{self, Answer, OCI_FILTERS_APPLIED};
use crate::upstream::{Haste, referrers_tag};
use crate::upstreams::{Remote, Site};

/// An index of referrers: what is served, and what upstreams send.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReferrerIndex {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

pub(super) async fn referrers(
    app: &App,
    repo: &RepoName,
    subject: &Digest,
    artifact_type: Option<&str>,
    caller: &Caller,
) -> Result<Answer, Error> {
    let here = pushed_here(app, repo, subject).await?;
    let (mut manifests, outcome) = match app.cache.upstreams.site_for(repo, caller.login())? {
        Site::Local => (here, Outcome::Hit),
        Site::Remote(remote) => match listed_there(&remote, subject).await {
            Ok(there) => (merge(&remote, there, here).await, Outcome::Bypass),
            Err(error) if error.is_outage() && !here.is_empty() => {
                tracing::warn!(%repo, %subject, %error, "listing the referrers that are here");
                (here, Outcome::Stale)
            }
            Err(error) => return Err(error),
        },
    };
    app.metrics.outcome(outcome);
    if let Some(wanted) = artifact_type {
        manifests.retain(|descriptor| descriptor.artifact_type.as_deref() == Some(wanted));
    }
    Ok(answer(manifests, artifact_type.is_some(), outcome))
}

fn answer(manifests: Vec<Descriptor>, filtered: bool, outcome: Outcome) -> Answer {
    let index = ReferrerIndex {
        schema_version: 2,
        media_type: Some(MediaType::OCI_INDEX.to_string()),
        manifests,
    };
    let mut answer = response::json(&index, None);
    let media_type = HeaderValue::from_static("application/vnd.oci.image.index.v1+json");
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
    if filtered {
        let filter = HeaderValue::from_static("artifactType");
        answer.headers_mut().insert(OCI_FILTERS_APPLIED, filter);
    }
    response::with_outcome(answer, outcome)
}

async fn pushed_here(
    app: &App,
    repo: &RepoName,
    subject: &Digest,
) -> Result<Vec<Descriptor>, Error> {
    let (store, of, subject) = (Arc::clone(&app.cache.store), repo.clone(), *subject);
    Ok(app.cache.bridge.run(move || store.referrers(&of, &subject)).await?)
}

/// The upstream's list first, then what only we know of and it has.
async fn merge(remote: &Remote, there: Vec<Descriptor>, here: Vec<Descriptor>) -> Vec<Descriptor> {
    let mut known: HashSet<Digest> = there.iter().map(|descriptor| descriptor.digest).collect();
    let mut merged = there;
    let more = here.into_iter().filter(|descriptor| known.insert(descriptor.digest));
    for descriptor in more.take(REFERRERS_ASKED_MAX) {
        let reference = Reference::Digest(descriptor.digest);
        let asked = remote.upstream.manifest_digest(&remote.repo, &reference).await;
        if matches!(&asked, Ok(Some(digest)) if *digest == descriptor.digest) {
            merged.push(descriptor);
        }
    }
    merged
}

/// From the upstream's API, all of its pages, or from the tag that stands in for it.
async fn listed_there(remote: &Remote, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
    let endpoint = Endpoint::Referrers { repo: remote.repo.clone(), digest: *subject };
    let (mut manifests, mut query) = (Vec::new(), String::new());
    for page in 0..LIST_PAGES_MAX {
        let Some(listing) = remote.upstream.list(&endpoint, &query).await? else {
            if page == 0 {
                return listed_by_tag(remote, subject).await;
            }
            break;
        };
        manifests.extend(parse(&listing.bytes)?);
        match listing.next {
            Some(next) if next != query => query = next,
            _ => break,
        }
    }
    Ok(manifests)
}

async fn listed_by_tag(remote: &Remote, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
    let Some(tag) = referrers_tag(subject) else { return Ok(Vec::new()) };
    let reference = Reference::Tag(tag);
    match remote.upstream.manifest(&remote.repo, &reference, Haste::Patient).await? {
        Some(fetched) => parse(&fetched.bytes),
        None => Ok(Vec::new()),
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<Descriptor>, Error> {
    let index: ReferrerIndex = serde_json::from_slice(bytes).map_err(|error| {
        Error::UpstreamFailed { operation: "listing referrers", reason: error.to_string() }
    })?;
    Ok(index.manifests)
}
