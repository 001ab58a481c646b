//! The body of a request: read piece by piece, or whole. A request that is tried again needs its
//! body again, so a body read whole is kept until the request is over.
//!
//! Invariant: a kept body counts in its caller's budget until it is dropped.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;

use crate::Error;
use crate::runtime::memory_gauge::Reservation;

/// A body, and its state.
pub(crate) struct RequestBody {
    incoming: Incoming,
    whole: Option<WholeBody>,
    is_begun: bool,
    /// When the whole body had arrived.
    came: Arc<OnceLock<Instant>>,
}

/// A whole body, with its reservation.
#[derive(Clone)]
pub(crate) struct WholeBody {
    pub(crate) bytes: Bytes,
    hold: Arc<Mutex<Reservation>>,
}

impl WholeBody {
    /// Grows the reservation to this many bytes in all, or fails for want of room.
    pub(super) fn grow_to(&self, bytes: u64) -> Result<(), Error> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner).grow_to(bytes)
    }
}

impl RequestBody {
    /// A body with nothing read yet.
    pub(crate) fn new(incoming: Incoming) -> Self {
        let came = Arc::<OnceLock<Instant>>::default();
        if incoming.is_end_stream() {
            came.get_or_init(Instant::now);
        }
        Self { incoming, whole: None, is_begun: false, came }
    }

    /// When the whole body had arrived; set later, too.
    pub(crate) fn came(&self) -> Arc<OnceLock<Instant>> {
        Arc::clone(&self.came)
    }

    /// For reading piece by piece: there is no second time.
    pub(super) fn pieces(&mut self) -> &mut Incoming {
        self.is_begun |= !self.incoming.is_end_stream();
        &mut self.incoming
    }

    /// The whole body, if it is here.
    pub(super) fn whole(&self) -> Option<WholeBody> {
        self.whole.clone()
    }

    /// Keeps the whole body.
    pub(super) fn keep(&mut self, bytes: Bytes, hold: Reservation) -> WholeBody {
        let whole = WholeBody { bytes, hold: Arc::new(Mutex::new(hold)) };
        self.whole = Some(whole.clone());
        self.is_begun = false;
        self.came.get_or_init(Instant::now);
        whole
    }

    /// Whether the request can be tried again: nothing of its body is lost.
    pub(crate) const fn can_come_again(&self) -> bool {
        !self.is_begun
    }

    /// The body's rest on the connection.
    pub(crate) const fn rest(&mut self) -> &mut Incoming {
        &mut self.incoming
    }

    /// The same when the request is over.
    pub(crate) fn into_rest(self) -> Incoming {
        self.incoming
    }
}
