//! From a route to an answer: one match, no logic. The work is in the files below.

mod admin;
mod blobs;
mod current_digest;
mod deletes;
mod listings;
mod manifest_push;
mod manifest_puts;
mod manifests;
mod namespace;
mod permission;
mod reachability;
mod redelivery;
mod references;
mod referrers;
mod request_body;
mod token;
mod uploads;
mod write_once_check;

use std::sync::Arc;

use http::{HeaderMap, StatusCode, header};
use wharf_client::runtime::party;
use wharf_client::runtime::party::Party;

use crate::Error;
use crate::config::active::ActiveConfig;
use crate::context::RequestContext;
use crate::http::access_log::{RepoHome, RequestFacts};
use crate::http::admission::Admission;
use crate::http::audit::AuditedChange;
use crate::http::response::{API_VERSION, Answer, answer};
use crate::http::route::Route;
use crate::http::tls::Tls;
use crate::maintenance::Maintenance;
use crate::maintenance::readiness::Readiness;
use crate::observe::metrics::Metrics;
use crate::pull::Cache;
use crate::push::change_locks::ChangeLocks;
use crate::push::outbox::Outbox;
use crate::push::uploads::Uploads;
use crate::push::write_once::WriteOnce;
use crate::registries::Target;
use crate::runtime::body::Body;
use crate::runtime::detached::DetachedTasks;
use crate::runtime::memory_gauge::MemoryBudget;
use crate::settings::limits::Limits;

pub(crate) use admin::admin;
use manifest_push::ManifestPut;
pub(crate) use manifest_puts::ManifestPuts;
use namespace::Namespace;
pub(crate) use request_body::RequestBody;
pub(crate) use token::token;

/// The shared state of all handlers.
pub(crate) struct App {
    /// Reads.
    pub cache: Cache,
    /// Writes of blobs.
    pub uploads: Uploads,
    /// Staged blobs and their delivery upstream.
    pub outbox: Outbox,
    /// Locks for changes of tags and content.
    pub turns: ChangeLocks,
    /// Tasks that go on although their client went away.
    pub detached: DetachedTasks,
    /// Manifest puts under way.
    pub puts: ManifestPuts,
    /// The write-once tags and their overrides.
    pub write_once: Arc<WriteOnce>,
    /// The configuration in force.
    pub active: Arc<ActiveConfig>,
    /// Bounds on clients.
    pub admission: Admission,
    /// The server's certificate; plain HTTP without it.
    pub tls: Option<Arc<Tls>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The store as an operator sees it.
    pub maintenance: Maintenance,
    /// Whether a balancer may send requests here.
    pub readiness: Readiness,
}

/// A request with a parsed URL. It may be answered more than once, until one answer stands.
pub(crate) struct Call {
    /// The operation, with the names used here.
    pub route: Route,
    /// The repository's name for the caller, if it is another one, or why there is no such name
    /// here.
    namespace: Result<Option<Namespace>, Error>,
    /// Headers as they came.
    pub headers: HeaderMap,
    /// Its client, caller, configuration and target.
    pub context: RequestContext,
    /// The change that the request makes.
    change: AuditedChange,
}

impl Call {
    /// Takes a route with the caller's names; `namespace` is the registry that the caller means
    /// (`?ns=`).
    pub(crate) fn new(
        context: RequestContext,
        mut route: Route,
        host: Option<String>,
        headers: HeaderMap,
    ) -> Self {
        let upstreams = &context.config.upstreams;
        let namespace = Namespace::enter(upstreams, &mut route, host, &headers);
        let change = AuditedChange::of(&route, &context.caller, context.client);
        Self { route, namespace, headers, context, change }
    }
}

impl App {
    /// The memory budget of this party.
    pub(crate) fn budget(&self, party: Party, limits: &Limits) -> MemoryBudget {
        self.cache.blocking.held().budget(party, limits.bytes)
    }

    /// The memory budget of work for no party in particular.
    pub(crate) fn own_budget(&self) -> MemoryBudget {
        self.budget(Party::Ourselves, &self.active.current().limits)
    }
}

/// Answers a call. The caller of this function deals with the rest of the body.
pub(crate) async fn dispatch(
    app: &Arc<App>,
    call: &Call,
    body: &mut RequestBody,
    facts: &mut RequestFacts,
) -> Result<Answer, Error> {
    let namespace = match permit(call).await {
        Ok(namespace) => namespace,
        Err(error) => return call.change.ended(Err(error)),
    };
    if let Some((repo, id)) = call.route.upload() {
        uploads::require_own(app, call, repo, id)?;
    }
    facts.home = home(call);
    let has_own_login = call.context.caller.login().is_some();
    let handled = handle(app, call, namespace, body);
    let mut answer = match party::work_for(call.context.party(), handled).await {
        Ok(answer) => answer,
        // The upstream denied the caller's own login: no fault of the upstream, nor of ours.
        Err(Error::UpstreamDenied { .. }) if has_own_login => return Err(Error::Denied),
        Err(mut error) => {
            if let Some(namespace) = namespace {
                namespace.leave_refused(&mut error);
            }
            return Err(error);
        }
    };
    if let Some(repo) = call.route.repo().filter(|_| call.route.writes()) {
        app.cache.written(repo);
    }
    if let Some(namespace) = namespace {
        namespace.leave(&mut answer);
    }
    Ok(answer)
}

/// Checks the permission for the call before anything else: an unknown name, too, is answered only
/// to permitted callers.
async fn permit(call: &Call) -> Result<Option<&Namespace>, Error> {
    let access = &call.context.config.access;
    match (&call.namespace, permission::need(&call.route)) {
        (Ok(_), Some(need)) => access.authorize(&call.context.caller, &need).await?,
        _ => access.admit(&call.context.caller, permission::door(&call.route)).await?,
    }
    call.namespace.as_ref().map(Option::as_ref).map_err(Clone::clone)
}

async fn handle(
    app: &Arc<App>,
    call: &Call,
    namespace: Option<&Namespace>,
    body: &mut RequestBody,
) -> Result<Answer, Error> {
    let context = &call.context;
    match &call.route {
        Route::Base => Ok(base()),
        Route::Catalog(cursor) => listings::catalog(app, context, cursor.clone()).await,
        Route::Blob { repo, digest, head: false } => blobs::get(app, call, repo, digest).await,
        Route::Blob { repo, digest, head: true } => blobs::head(app, call, repo, digest).await,
        Route::DeleteBlob { repo, digest } => deletes::blob(app, call, repo.clone(), *digest).await,
        Route::Manifest { repo, reference, head } => {
            manifests::get(app, call, repo, reference, *head).await
        }
        Route::NoManifest { repo, .. } => Err(Error::ReferenceImpossible(repo.clone())),
        Route::PutManifest { repo, reference, tags } => {
            let (repo, reference, tags) = (repo.clone(), reference.clone(), tags.clone());
            let (caller, client) = (context.caller.clone(), context.client);
            let budget = context.budget.clone();
            let put = ManifestPut { repo, reference, tags, caller, client, budget };
            Box::pin(manifests::put(app, call, put, body)).await
        }
        Route::DeleteManifest { repo, reference } => {
            deletes::manifest(app, call, repo.clone(), reference.clone()).await
        }
        Route::StartUpload { repo, start } => {
            uploads::start(app, call, repo, start.clone(), body).await
        }
        Route::UploadStatus { repo, id } => uploads::status(app, repo, *id),
        Route::PatchUpload { repo, id } => uploads::patch(app, call, repo, *id, body).await,
        Route::FinishUpload { repo, id, digest } => {
            let end = uploads::UploadEnd { repo: repo.clone(), id: *id, digest: *digest };
            uploads::finish(app, call, end, body).await
        }
        Route::CancelUpload { repo, id } => uploads::cancel(app, repo, *id).await,
        Route::Tags { repo, cursor } => {
            listings::tags(app, context, repo, namespace, cursor.clone()).await
        }
        Route::Referrers { repo, digest: subject, artifact_type, cursor } => {
            let (repo, subject, budget) = (repo.clone(), *subject, context.budget.clone());
            let artifact_type = artifact_type.clone();
            let asked = referrers::ReferrersQuery { repo, subject, artifact_type, budget };
            // On the heap, as everything large and seldom needed.
            Box::pin(referrers::referrers(app, context, asked, cursor.clone())).await
        }
    }
}

/// Where the repository of a route lives; looked up only after the permission check.
fn home(call: &Call) -> RepoHome {
    match call.route.repo().map(|repo| call.context.target(repo)) {
        Some(Ok(Target::Local(_))) => RepoHome::Here,
        Some(Ok(Target::Upstream(upstream_repo))) => {
            RepoHome::There(Arc::clone(&upstream_repo.upstream))
        }
        Some(Err(_)) | None => RepoHome::Unknown,
    }
}

/// `GET /v2/`: this is a registry.
fn base() -> Answer {
    let (version, this) = API_VERSION;
    let headers =
        [(header::CONTENT_TYPE, "application/json".to_owned()), (version, this.to_owned())];
    answer(StatusCode::OK, &headers, Body::full("{}"))
}
