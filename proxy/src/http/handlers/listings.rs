//! Lists of names: tags (end-8), repositories (`_catalog`). Referrers are in `referrers.rs`.

use std::sync::Arc;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName};
use serde::{Deserialize, Serialize};
use wharf_oci::{Endpoint, RepoName, Tag};
use wharf_store::{Page, StoreError};

use super::App;
use crate::Error;
use crate::context::RequestContext;
use crate::http::response;
use crate::http::response::Answer;
use crate::http::route::{Cursor, Route, render};
use crate::limits::{CATALOG_SCANNED_MAX, PAGE_ENTRIES_MAX};
use crate::observe::outcome::Outcome;
use crate::registries::{Target, UpstreamRepo};
use crate::runtime::body::Body;
use crate::runtime::memory_gauge::MemoryBudget;
use crate::runtime::store::Store;

#[derive(Serialize, Deserialize)]
struct TagList {
    name: String,
    tags: Option<Vec<String>>,
}

#[derive(Serialize)]
struct RepoList<'a> {
    repositories: &'a [RepoName],
}

/// The tags of `repo`, known to its caller as `name`.
pub(super) async fn tags(
    app: &App,
    context: &RequestContext,
    (repo, name): (&RepoName, &RepoName),
    cursor: Cursor,
) -> Result<Answer, Error> {
    if let Target::Upstream(upstream_repo) = context.target_for_party(repo)? {
        app.metrics.outcome(Outcome::Bypass);
        let answer = remote_tags((repo, name), &upstream_repo, &cursor, &context.budget).await?;
        return Ok(response::with_outcome(answer, Outcome::Bypass));
    }
    let (store, of, limit, last) =
        (Arc::clone(&app.cache.store), repo.clone(), cursor.limit, cursor.last.clone());
    let page = app.cache.blocking.run(move || store.tags(&of, last.as_deref(), limit)).await?;
    let page = page.ok_or_else(|| Error::NameUnknown(repo.clone()))?;
    let next = next_page(page.more, page.entries.last().map(Tag::as_str), cursor.limit);
    let next = next.map(|cursor| render(&Route::Tags { repo: repo.clone(), cursor }).1);
    let tags = page.entries.iter().map(ToString::to_string).collect();
    Ok(response::json(&TagList { name: name.to_string(), tags: Some(tags) }, next))
}

/// The upstream's page, under our name and with our link.
async fn remote_tags(
    (repo, name): (&RepoName, &RepoName),
    upstream_repo: &UpstreamRepo,
    cursor: &Cursor,
    budget: &MemoryBudget,
) -> Result<Answer, Error> {
    let endpoint = Endpoint::Tags { repo: upstream_repo.repo.clone() };
    let listing = upstream_repo.upstream.list(&endpoint, &cursor.render(), budget).await?;
    let listing = listing.ok_or_else(|| Error::NameUnknown(repo.clone()))?;
    let list: TagList = serde_json::from_slice(&listing.bytes).map_err(|error| {
        Error::UpstreamFailed { operation: "listing tags", reason: error.to_string() }
    })?;
    let tags = list.tags.unwrap_or_default();
    let more = listing.next.is_some();
    let next = next_page(more, tags.last().map(String::as_str), cursor.limit);
    let next = next.map(|cursor| render(&Route::Tags { repo: repo.clone(), cursor }).1);
    Ok(response::json(&TagList { name: name.to_string(), tags: Some(tags) }, next))
}

fn next_page(more: bool, last: Option<&str>, limit: usize) -> Option<Cursor> {
    let last = last.filter(|_| more)?;
    Some(Cursor { limit, last: Some(last.to_owned()) })
}

/// The repositories known here that the caller may pull; an upstream's others are not listed.
pub(super) async fn catalog(
    app: &App,
    context: &RequestContext,
    cursor: Cursor,
) -> Result<Answer, Error> {
    let (store, limit, last) = (Arc::clone(&app.cache.store), cursor.limit, cursor.last);
    let (config, caller) = (Arc::clone(&context.config), context.caller.clone());
    let page = app.cache.blocking.run(move || {
        if config.access.is_open() {
            return store.repos(last.as_deref(), limit);
        }
        seen(&*store, last, limit, |repo| config.access.lists(&caller, repo))
    });
    let page = page.await?;
    let next = next_page(page.more, page.entries.last().map(RepoName::as_str), limit);
    let next = next.map(|cursor| render(&Route::Catalog(cursor)).1);
    Ok(response::json(&RepoList { repositories: &page.entries }, next))
}

/// A page of the repositories accepted by `is_seen`. After very many rejected ones it ends early,
/// at an accepted one: no other may be named, not even as the cursor.
fn seen(
    store: &dyn Store,
    mut last: Option<String>,
    limit: usize,
    is_seen: impl Fn(&RepoName) -> bool,
) -> Result<Page<RepoName>, StoreError> {
    let mut entries = Vec::new();
    let mut looked_at = 0;
    while looked_at < CATALOG_SCANNED_MAX {
        let page = store.repos(last.as_deref(), PAGE_ENTRIES_MAX)?;
        last = page.entries.last().map(ToString::to_string);
        looked_at += page.entries.len();
        for repo in page.entries.into_iter().filter(&is_seen) {
            if entries.len() == limit {
                return Ok(Page { entries, more: true });
            }
            entries.push(repo);
        }
        if !page.more || last.is_none() {
            break;
        }
    }
    let more = looked_at >= CATALOG_SCANNED_MAX && !entries.is_empty();
    Ok(Page { entries, more })
}

/// Text for the admin address.
pub(super) fn plain(status: StatusCode, text: String) -> Answer {
    let headers: [(HeaderName, String); 1] =
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8".to_owned())];
    response::answer(status, &headers, Body::full(text))
}
