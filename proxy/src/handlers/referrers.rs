//! What refers to a manifest (distribution-spec end-12): as the upstream says, together with what was
//! pushed here. An upstream without that API has none through here either: clients then keep the list
//! in a tag there, where whoever pulls by another way finds it.
//!
//! Invariant: what is here and not in the upstream's list is listed only when the upstream has it
//! all the same. While the upstream cannot answer, what is here is listed as stale if it is known to
//! have the API, and never otherwise: a client that believes in an API leaves the tag alone.

use std::collections::HashSet;
use std::sync::Arc;

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use wharf_oci::{Descriptor, Digest, Reference, Referrer, ReferrerList, RepoName};

use super::App;
use crate::Error;
use crate::access::Caller;
use crate::cache::Outcome;
use crate::held::Purse;
use crate::limits::REFERRERS_ASKED_MAX;
use crate::response::{self, Answer, OCI_FILTERS_APPLIED};
use crate::upstream::ReferrersApi;
use crate::upstreams::{Remote, Site};

pub(super) async fn referrers(
    app: &App,
    repo: &RepoName,
    subject: &Digest,
    artifact_type: Option<&str>,
    (caller, purse): (&Caller, &Purse),
) -> Result<Answer, Error> {
    let here = pushed_here(app, repo, subject).await?;
    let (mut list, outcome) = match app
        .cache
        .upstreams
        .site_for(repo, caller.login())?
        .for_party(caller.party())
    {
        Site::Local => (entries(&here), Outcome::Hit),
        Site::Remote(remote) => match remote.upstream.referrers(&remote.repo, subject, purse).await
        {
            Ok(Some(there)) => (merge(&remote, there, here).await, Outcome::Bypass),
            Ok(None) => return Err(Error::ReferrersUnsupported(repo.clone())),
            Err(error) if error.is_outage() => match remote.upstream.referrers_api() {
                ReferrersApi::Present if !here.is_empty() => {
                    tracing::warn!(%repo, %subject, %error, "listing the referrers that are here");
                    (entries(&here), Outcome::Stale)
                }
                ReferrersApi::Absent => return Err(Error::ReferrersUnsupported(repo.clone())),
                ReferrersApi::Present | ReferrersApi::Unknown => return Err(error),
            },
            Err(error) => return Err(error),
        },
    };
    app.metrics.outcome(outcome);
    if let Some(wanted) = artifact_type {
        list.retain_type(wanted);
    }
    Ok(answer(&list, artifact_type.is_some(), outcome))
}

fn answer(list: &ReferrerList, filtered: bool, outcome: Outcome) -> Answer {
    let mut answer = response::json(list, None);
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

fn entries(descriptors: &[Descriptor]) -> ReferrerList {
    descriptors.iter().map(Referrer::from).collect()
}

/// The upstream's list first, then what only we know of and it has.
async fn merge(remote: &Remote, there: ReferrerList, here: Vec<Descriptor>) -> ReferrerList {
    let listed = there.entries().iter().map(|entry| entry.digest().to_owned());
    let mut known: HashSet<String> = listed.collect();
    let mut merged = there;
    let more = here.into_iter().filter(|descriptor| known.insert(descriptor.digest.to_string()));
    for descriptor in more.take(REFERRERS_ASKED_MAX) {
        let reference = Reference::Digest(descriptor.digest);
        let asked = remote.upstream.manifest_digest(&remote.repo, &reference).await;
        if matches!(&asked, Ok(Some(digest)) if *digest == descriptor.digest) {
            merged.extend([Referrer::from(&descriptor)]);
        }
    }
    merged
}
