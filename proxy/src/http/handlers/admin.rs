//! The admin address: health, readiness, metrics. Never on the address for clients.

use std::sync::Arc;

use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode};
use wharf_store::limits::DELIVERIES_MAX;

use super::App;
use super::listings::plain;
use crate::bound::{Bound, BoundUsage};
use crate::http::metrics_page::{self, AdmissionGauges, Gauges, ProcessState};
use crate::http::response::Answer;
use crate::limits::{
    BYPASSES_MAX, CHANGE_LOCKS_MAX, FILLS_MAX, FLIGHTS_MAX, PARTY_CHANGE_LOCKS_MAX, PUTS_MAX,
    SHARES, UPLOADS_MAX,
};
use crate::upstream::Upstream;

/// Answers a request on the admin address.
pub(crate) async fn admin(app: &App, method: &Method, path: &str) -> Answer {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/healthz" => plain(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => match app.readiness.missing(&app.maintenance).await {
            missing if missing.is_empty() => plain(StatusCode::OK, "ready\n".to_owned()),
            missing => plain(StatusCode::SERVICE_UNAVAILABLE, missing),
        },
        "/metrics" => plain(StatusCode::OK, metrics_page::render(&app.metrics, &gauges(app).await)),
        _ => plain(StatusCode::NOT_FOUND, "try /healthz, /readyz or /metrics\n".to_owned()),
    }
}

/// Gauges, read at the moment of the request.
async fn gauges(app: &App) -> Gauges {
    let ready = app.readiness.missing(&app.maintenance).await.is_empty();
    let process = app.cache.blocking.run(ProcessState::read).await;
    let (uploads, uploads_resting) = app.uploads.count();
    let usage = app.maintenance.usage().await;
    let state = |upstream: &Arc<Upstream>| (Arc::clone(upstream.label()), upstream.state());
    let (manifests, tags) = app.cache.questions();
    let outbox = app.outbox.state();
    let pending = usize::try_from(outbox.blobs).unwrap_or(usize::MAX);
    let of_access = app.active.current().access.state().into_iter();
    let of_access = of_access.chain([app.admission.waiting()]);
    let limits = Arc::clone(&app.active.current().limits);
    let (fills_of_one, fills_ended) = app.cache.fills_shared();
    let bounds = vec![
        BoundUsage::new(Bound::Downloads, app.cache.fills(), FILLS_MAX),
        BoundUsage::new(Bound::PartyDownloads, fills_of_one, limits.fills_per_user),
        BoundUsage::new(Bound::RelayedDownloads, app.cache.bypass_limit(), BYPASSES_MAX),
        BoundUsage::new(Bound::ManifestRequests, manifests, FLIGHTS_MAX),
        BoundUsage::new(Bound::TagRequests, tags, FLIGHTS_MAX),
        BoundUsage::new(Bound::ManifestPuts, app.puts.count(), PUTS_MAX),
        BoundUsage::new(Bound::Uploads, app.uploads.taken().total, UPLOADS_MAX),
        BoundUsage::new(Bound::Changes, app.turns.count(), CHANGE_LOCKS_MAX),
        BoundUsage::new(Bound::PartyChanges, app.turns.largest(), PARTY_CHANGE_LOCKS_MAX),
        BoundUsage::new(Bound::PendingBlobs, pending, DELIVERIES_MAX),
        BoundUsage::new(Bound::PartyPendingBlobs, app.outbox.largest(), DELIVERIES_MAX / SHARES),
    ];
    let bounds = bounds.into_iter().chain(of_access).collect();
    Gauges {
        process,
        ready,
        fills: app.cache.fills(),
        fills_ended,
        uploads,
        uploads_resting,
        outbox,
        places: app.cache.blocking.places(),
        jobs: app.cache.blocking.jobs(),
        bounds,
        scrub: app.maintenance.scrub_state(),
        usage,
        upstreams: app.active.current().upstreams.all().iter().map(state).collect(),
        admitted: admitted(app),
    }
}

/// Usage of the bounds on clients, and refusals at each.
fn admitted(app: &App) -> AdmissionGauges {
    let limits = &app.active.current().limits;
    AdmissionGauges {
        uses: app.admission.state(limits, &app.cache.blocking.held(), app.uploads.taken()),
        refusals: app.admission.counts.rows().collect(),
        held: app.admission.holds.held() as u64,
        holds: app.admission.holds.rows().collect(),
        waits: app.admission.counts.waits().collect(),
        waiting: app.admission.waiting().used,
        tls: app.tls.as_ref().map(|tls| tls.state()),
    }
}
