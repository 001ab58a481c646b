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

use crate::Error;
use crate::access::{Caller, Need};
use crate::account::{Home, Notes};
use crate::audit::Act;
use crate::body::Body;
use crate::cache::Cache;
use crate::delivery::Deliveries;
use crate::live::{Live, Rules};
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::response::{Answer, answer};
use crate::route::Route;
use crate::turns::Turns;
use crate::upkeep::Keeper;
use crate::uploads::Uploads;
use crate::upstreams::{Site, Upstreams};
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
    /// Whether this may be sent requests.
    pub readiness: Readiness,
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

/// Answers a call. What is left of the body afterwards is the caller's to deal with.
pub(crate) fn dispatch<'a>(
    app: &'a Arc<App>,
    call: Call,
    body: &'a mut Incoming,
    notes: &'a mut Notes,
) -> impl Future<Output = Result<Answer, Error>> + Send + 'a {
    let upstreams = Arc::clone(&call.rules.upstreams);
    Upstreams::seen_as(upstreams, answer_call(app, call, body, notes))
}

async fn answer_call(
    app: &Arc<App>,
    mut call: Call,
    body: &mut Incoming,
    notes: &mut Notes,
) -> Result<Answer, Error> {
    let namespace = Namespace::enter(&app.cache.upstreams, &mut call)?;
    let act = Act::of(&call.route, &call.caller, call.client);
    if let Some(need) = Need::of(&call.route)
        && let Err(error) = call.rules.access.authorize(&call.caller, &need).await
    {
        return act.ended(Err(error));
    }
    notes.home = home(app, &call.route);
    let written = call.route.repo().filter(|_| call.route.writes()).cloned();
    let mut answer = handle(app, (call, act), namespace.as_ref(), body).await?;
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
    (Call { route, headers, client, .. }, act): (Call, Act),
    namespace: Option<&Namespace>,
    body: &mut Incoming,
) -> Result<Answer, Error> {
    match route {
        Route::Base => Ok(base()),
        Route::Catalog(cursor) => listings::catalog(app, cursor).await,
        Route::Blob { repo, digest, head: false } => {
            blobs::get(app, &repo, &digest, &headers).await
        }
        Route::Blob { repo, digest, head: true } => {
            blobs::head(app, &repo, &digest, &headers).await
        }
        Route::DeleteBlob { repo, digest } => act.ended(removals::blob(app, &repo, &digest).await),
        Route::Manifest { repo, reference, head } => {
            manifests::get(app, &repo, &reference, head, &headers).await
        }
        Route::PutManifest { repo, reference, tags } => {
            let put = manifests::Put { repo, reference, tags, client };
            manifests::put(app, (put, act), &headers, body).await
        }
        Route::DeleteManifest { repo, reference } => {
            removals::manifest(app, (repo, reference), client, act).await
        }
        Route::StartUpload { repo, start } => {
            uploads::start(app, &repo, start, &headers, body).await
        }
        Route::UploadStatus { repo, id } => uploads::status(app, &repo, id),
        Route::PatchUpload { repo, id } => uploads::patch(app, &repo, id, &headers, body).await,
        Route::FinishUpload { repo, id, digest } => {
            let end = uploads::End { repo, id, digest };
            uploads::finish(app, end, &headers, body).await
        }
        Route::CancelUpload { repo, id } => uploads::cancel(app, &repo, id).await,
        Route::Tags { repo, cursor } => {
            let name = namespace.map_or(&repo, Namespace::asked);
            listings::tags(app, &repo, name, cursor).await
        }
        Route::Referrers { repo, digest, artifact_type } => {
            referrers::referrers(app, &repo, &digest, artifact_type.as_deref()).await
        }
    }
}

/// Where the repository of a route lives; asked only when its caller may know.
fn home(app: &App, route: &Route) -> Home {
    match route.repo().map(|repo| app.cache.upstreams.site(repo)) {
        Some(Ok(Site::Local)) => Home::Here,
        Some(Ok(Site::Remote(remote))) => Home::There(remote.upstream),
        Some(Err(_)) | None => Home::Unknown,
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
