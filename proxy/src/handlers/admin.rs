//! The admin address: health, readiness, metrics. Never on the address that clients use.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::App;
use super::listings::plain;
use crate::metrics::{Admitted, Gauges};
use crate::response::Answer;
use crate::upstream::Upstream;

/// Answers a request on the admin address.
pub(crate) async fn admin(app: &App, method: &Method, path: &str) -> Answer {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
    }
    match path {
        "/healthz" => plain(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" if app.admission.is_draining() => {
            plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned())
        }
        "/readyz" => plain(StatusCode::OK, "ready\n".to_owned()),
        "/metrics" => {
            let (uploads, uploads_resting) = app.uploads.count();
            let (fills, usage) = (app.cache.fills(), app.keeper.usage().await);
            let upstreams = app.cache.upstreams.all();
            let state =
                |upstream: &Arc<Upstream>| (upstream.address().to_owned(), upstream.state());
            let upstreams = upstreams.iter().map(state).collect();
            let deliveries = app.deliveries.state();
            let places = app.cache.bridge.places();
            let admitted = admitted(app, uploads + uploads_resting);
            let gauges = Gauges {
                fills,
                uploads,
                uploads_resting,
                deliveries,
                places,
                usage,
                upstreams,
                admitted,
            };
            plain(StatusCode::OK, app.metrics.render(&gauges))
        }
        _ => plain(StatusCode::NOT_FOUND, "try /healthz, /readyz or /metrics\n".to_owned()),
    }
}

fn admitted(app: &App, uploads: usize) -> Admitted {
    let limits = &app.live.rules().limits;
    Admitted {
        uses: app.admission.state(limits, &app.cache.bridge.held(), uploads),
        refusals: app.admission.counts.rows().collect(),
        tls: app.tls.as_ref().map(|tls| tls.state()),
    }
}
