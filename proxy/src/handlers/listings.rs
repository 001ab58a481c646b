//! Lists: tags (end-8), referrers (end-12), repositories (`_catalog`).

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use wharf_oci::{Descriptor, Digest, Endpoint, MediaType, Reference, RepoName, Tag};

use super::App;
use crate::Error;
use crate::body::Body;
use crate::response::{self, Answer, OCI_FILTERS_APPLIED};
use crate::route::{Cursor, Route, render};
use crate::upstream::referrers_tag;
use crate::upstreams::{Remote, Site};

#[derive(Serialize, Deserialize)]
struct TagList {
    name: String,
    tags: Option<Vec<String>>,
}

#[derive(Serialize)]
struct RepoList<'a> {
    repositories: &'a [RepoName],
}

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

pub(super) async fn tags(app: &App, repo: &RepoName, cursor: Cursor) -> Result<Answer, Error> {
    if let Site::Remote(remote) = app.cache.upstreams.site(repo)? {
        return remote_tags(repo, &remote, &cursor).await;
    }
    let (store, of, limit, last) =
        (Arc::clone(&app.cache.store), repo.clone(), cursor.limit, cursor.last.clone());
    let page = app.cache.bridge.run(move || store.tags(&of, last.as_deref(), limit)).await?;
    let page = page.ok_or_else(|| Error::NameUnknown(repo.clone()))?;
    let next = next_page(page.more, page.entries.last().map(Tag::as_str), cursor.limit);
    let next = next.map(|cursor| render(&Route::Tags { repo: repo.clone(), cursor }).1);
    let tags = page.entries.iter().map(ToString::to_string).collect();
    Ok(response::json(&TagList { name: repo.to_string(), tags: Some(tags) }, next))
}

/// The upstream's page, under our name and with our link.
async fn remote_tags(repo: &RepoName, remote: &Remote, cursor: &Cursor) -> Result<Answer, Error> {
    let endpoint = Endpoint::Tags { repo: remote.repo.clone() };
    let listing = remote.upstream.list(&endpoint, &cursor.render()).await?;
    let listing = listing.ok_or_else(|| Error::NameUnknown(repo.clone()))?;
    let list: TagList = serde_json::from_slice(&listing.bytes).map_err(|error| {
        Error::UpstreamFailed { operation: "listing tags", reason: error.to_string() }
    })?;
    let tags = list.tags.unwrap_or_default();
    let more = listing.next.is_some();
    let next = next_page(more, tags.last().map(String::as_str), cursor.limit);
    let next = next.map(|cursor| render(&Route::Tags { repo: repo.clone(), cursor }).1);
    Ok(response::json(&TagList { name: repo.to_string(), tags: Some(tags) }, next))
}

fn next_page(more: bool, last: Option<&str>, limit: usize) -> Option<Cursor> {
    let last = last.filter(|_| more)?;
    Some(Cursor { limit, last: Some(last.to_owned()) })
}

/// The repositories that are known here; an upstream's others are not listed.
pub(super) async fn catalog(app: &App, cursor: Cursor) -> Result<Answer, Error> {
    let (store, limit, last) = (Arc::clone(&app.cache.store), cursor.limit, cursor.last);
    let page = app.cache.bridge.run(move || store.repos(last.as_deref(), limit)).await?;
    let next = next_page(page.more, page.entries.last().map(RepoName::as_str), limit);
    let next = next.map(|cursor| render(&Route::Catalog(cursor)).1);
    Ok(response::json(&RepoList { repositories: &page.entries }, next))
}

pub(super) async fn referrers(
    app: &App,
    repo: &RepoName,
    subject: &Digest,
    artifact_type: Option<&str>,
) -> Result<Answer, Error> {
    let mut manifests = match app.cache.upstreams.site(repo)? {
        Site::Local => {
            let (store, of, subject) = (Arc::clone(&app.cache.store), repo.clone(), *subject);
            app.cache.bridge.run(move || store.referrers(&of, &subject)).await?
        }
        Site::Remote(remote) => remote_referrers(&remote, subject).await?,
    };
    if let Some(wanted) = artifact_type {
        manifests.retain(|descriptor| descriptor.artifact_type.as_deref() == Some(wanted));
    }
    let index = ReferrerIndex {
        schema_version: 2,
        media_type: Some(MediaType::OCI_INDEX.to_string()),
        manifests,
    };
    let mut answer = response::json(&index, None);
    let media_type = HeaderValue::from_static("application/vnd.oci.image.index.v1+json");
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
    if artifact_type.is_some() {
        let filter = HeaderValue::from_static("artifactType");
        answer.headers_mut().insert(OCI_FILTERS_APPLIED, filter);
    }
    Ok(answer)
}

/// From the upstream's API, or from the tag that stands in for it.
async fn remote_referrers(remote: &Remote, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
    let endpoint = Endpoint::Referrers { repo: remote.repo.clone(), digest: *subject };
    let bytes = match remote.upstream.list(&endpoint, "").await? {
        Some(listing) => Some(listing.bytes),
        None => match referrers_tag(subject) {
            None => None,
            Some(tag) => {
                let fetched = remote.upstream.manifest(&remote.repo, &Reference::Tag(tag)).await?;
                fetched.map(|fetched| fetched.bytes)
            }
        },
    };
    let Some(bytes) = bytes else {
        return Ok(Vec::new());
    };
    let index: ReferrerIndex = serde_json::from_slice(&bytes).map_err(|error| {
        Error::UpstreamFailed { operation: "listing referrers", reason: error.to_string() }
    })?;
    Ok(index.manifests)
}

/// Text for the admin address.
pub(super) fn plain(status: StatusCode, text: String) -> Answer {
    let headers: [(HeaderName, String); 1] =
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8".to_owned())];
    response::answer(status, &headers, Body::full(text))
}
