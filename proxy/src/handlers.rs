//! From a route to an answer: one match, no logic. The work is in the files below.

mod admin;
mod blobs;
mod content;
mod listings;
mod manifests;
mod namespace;
mod once;
mod push;
mod referrers;
mod removals;
mod uploads;

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, StatusCode, header};
use hyper::body::Incoming;
use wharf_oci::RepoName;

use crate::Error;
use crate::access::{Action, Caller, Door, Need};
use crate::body::Body;
use crate::cache::Cache;
use crate::delivery::Deliveries;
use crate::error::Fault;
use crate::live::{Live, Rules};
use crate::metrics::Metrics;
use crate::response::{Answer, answer};
use crate::route::Route;
use crate::turns::Turns;
use crate::upkeep::Keeper;
use crate::uploads::Uploads;
use crate::write_once::WriteOnce;

pub(crate) use admin::admin;
use namespace::Namespace;

/// Everything that handlers share.
pub(crate) struct App {
    /// Reads.
    pub cache: Cache,
    /// Writes of blobs.
    pub uploads: Uploads,
    /// What is owed to upstreams.
    pub deliveries: Deliveries,
    /// Whose turn it is to change a tag.
    pub turns: Turns,
    /// Which tags are put once.
    pub write_once: Arc<WriteOnce>,
    /// What a reload changes.
    pub live: Live,
    /// Counters.
    pub metrics: Metrics,
    /// The store as an operator sees it.
    pub keeper: Keeper,
}

/// A request whose URL was parsed.
pub(crate) struct Call {
    /// What is wanted.
    pub route: Route,
    /// The registry that is meant (`?ns=`).
    pub namespace: Option<String>,
    /// Headers as they came.
    pub headers: HeaderMap,
    /// From where it comes, for the log.
    pub client: IpAddr,
    /// Who asks.
    pub caller: Caller,
    /// The rules when it came.
    pub rules: Arc<Rules>,
}

/// Who asks, and what they may.
struct Asker {
    caller: Caller,
    rules: Arc<Rules>,
}

impl Asker {
    /// Whether they may read a repository that they name as a source, if they name one.
    async fn may_read(&self, repo: Option<&RepoName>) -> Result<bool, Error> {
        let Some(repo) = repo.cloned() else { return Ok(true) };
        let need = Need { repo, action: Action::Pull };
        match self.rules.access.authorize(&self.caller, &need).await {
            Ok(()) => Ok(true),
            Err(error) if error.fault() == Fault::Client => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Answers a call. What is left of the body afterwards is the caller's to deal with.
pub(crate) async fn dispatch(
    app: &Arc<App>,
    mut call: Call,
    body: &mut Incoming,
) -> Result<Answer, Error> {
    let namespace = Namespace::enter(&app.cache.upstreams, &mut call)?;
    match Need::of(&call.route) {
        Some(need) => call.rules.access.authorize(&call.caller, &need).await?,
        None => call.rules.access.admit(&call.caller, Door::of(&call.route)).await?,
    }
    let written = call.route.repo().filter(|_| call.route.writes()).cloned();
    let mut answer = handle(app, call, namespace.as_ref(), body).await?;
    if let Some(repo) = written {
        app.cache.written(&repo);
    }
    if let Some(namespace) = namespace {
        namespace.leave(&mut answer);
    }
    Ok(answer)
}

async fn handle(
    app: &Arc<App>,
    Call { route, headers, client, caller, rules, .. }: Call,
    namespace: Option<&Namespace>,
    body: &mut Incoming,
) -> Result<Answer, Error> {
    match route {
        Route::Base => Ok(base()),
        Route::Catalog(cursor) => listings::catalog(app, cursor).await,
        Route::Blob { repo, digest, head: false } => {
            blobs::get(app, &repo, &digest, &headers, &caller).await
        }
        Route::Blob { repo, digest, head: true } => {
            blobs::head(app, &repo, &digest, &headers, &caller).await
        }
        Route::DeleteBlob { repo, digest } => removals::blob(app, &repo, &digest, &caller).await,
        Route::Manifest { repo, reference, head } => {
            manifests::get(app, &repo, &reference, head, (&headers, &caller)).await
        }
        Route::PutManifest { repo, reference, tags } => {
            let put = manifests::Put { repo, reference, tags, caller, client };
            manifests::put(app, put, &headers, body).await
        }
        Route::DeleteManifest { repo, reference } => {
            removals::manifest(app, repo, reference, (&caller, client)).await
        }
        Route::StartUpload { repo, start } => {
            let asker = Asker { caller, rules };
            uploads::start(app, &repo, start, &asker, (&headers, body)).await
        }
        Route::UploadStatus { repo, id } => uploads::status(app, &repo, id),
        Route::PatchUpload { repo, id } => {
            uploads::patch(app, &repo, id, &caller, (&headers, body)).await
        }
        Route::FinishUpload { repo, id, digest } => {
            let end = uploads::End { repo, id, digest };
            uploads::finish(app, end, &caller, (&headers, body)).await
        }
        Route::CancelUpload { repo, id } => uploads::cancel(app, &repo, id).await,
        Route::Tags { repo, cursor } => {
            let name = namespace.map_or(&repo, Namespace::asked);
            listings::tags(app, &repo, name, cursor, &caller).await
        }
        Route::Referrers { repo, digest, artifact_type } => {
            let artifact_type = artifact_type.as_deref();
            referrers::referrers(app, &repo, &digest, artifact_type, &caller).await
        }
    }
}

/// `GET /v2/`: this is a registry.
fn base() -> Answer {
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (
            header::HeaderName::from_static("docker-distribution-api-version"),
            "registry/2.0".to_owned(),
        ),
    ];
    answer(StatusCode::OK, &headers, Body::full("{}"))
}
