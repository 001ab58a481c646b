//! The graceful drain: the end of a running server, step by step, after the first SIGTERM or SIGINT
//! (`cli/signals.rs`).
//!
//! Invariant: nothing begins after a step that ended its kind, and each step has a bound of its own, so
//! that the drain ends.

use std::time::Duration;

use tokio::task::AbortHandle;

use crate::http::admission::Connections;
use crate::http::handlers::App;
use crate::http::server::Listeners;
use crate::limits::{FINISHING_DEADLINE, LAST_ANSWERS_TIMEOUT};

/// Closes a listener: no connection comes any more, and the open ones may end until the deadline. Each
/// then ends after its request.
pub(super) async fn close(listener: Listeners, connections: &Connections, deadline: Duration) {
    drop(listener);
    if tokio::time::timeout(deadline, connections.all_gone()).await.is_err() {
        tracing::warn!(?deadline, "transfers were cut off at the deadline");
    }
}

/// Drains the registry: its connections, then work in which others have a part, then uploads, which
/// are suspended in the store, then the outbox, whose entries stay in the journal. `expiry` ends
/// sessions until then.
pub(super) async fn drain(
    app: &App,
    listener: Listeners,
    connections: &Connections,
    deadline: Duration,
    expiry: &AbortHandle,
) {
    // A balancer sends no more requests.
    app.readiness.drain();
    close(listener, connections, deadline).await;
    expiry.abort();
    let unfinished = app.detached.settled(FINISHING_DEADLINE).await;
    if unfinished > 0 {
        tracing::warn!(unfinished, "uploads, manifests or deletions are not finished in time");
    }
    app.uploads.suspend().await;
    let _ = tokio::time::timeout(LAST_ANSWERS_TIMEOUT, connections.all_gone()).await;
    app.outbox.stop().await;
    app.active.current().upstreams.cancellations_sent().await;
}
