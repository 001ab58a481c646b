//! The body of a request: read piece by piece as it arrives, or collected whole. A request that is
//! tried again needs its body again, so a body read whole is kept until the request is over.
//!
//! Invariants: every byte of a whole body in memory was reserved before, and counts in its caller's
//! budget until the body is dropped. Only the wait for the client counts for its rate
//! (`runtime/min_rate.rs`): while its bytes wait for a write slot here, or for an upstream, it cannot
//! be slow.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, header};
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;
use wharf_client::CollectedBytes;
use wharf_client::runtime::min_rate::{MinRate, RateError, RatedBody};

use crate::Error;
use crate::runtime::memory_gauge::{MemoryBudget, Reservation};

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

/// A body on its way in.
pub(super) struct IncomingBody<'a>(RatedBody<&'a mut Incoming>);

impl<'a> IncomingBody<'a> {
    pub(super) const fn new(body: &'a mut Incoming, min_rate: MinRate) -> Self {
        Self(RatedBody::new(body, min_rate))
    }

    /// The next bytes; `None` at the end. Safe to give up in the middle.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        self.0.next().await.map_err(|error| match error {
            RateError::TooSlow(_) => Error::BodyTooSlow,
            RateError::Broken(_) => Error::BodyBroken,
        })
    }
}

/// The bounds for collecting a body.
pub(super) struct CollectBounds<'a, F> {
    /// The budget of the caller.
    pub(super) budget: &'a MemoryBudget,
    /// The most bytes.
    pub(super) limit_bytes: u64,
    /// The least rate.
    pub(super) min_rate: MinRate,
    /// The error for a body of this many bytes, or more.
    pub(super) too_large: F,
}

impl WholeBody {
    /// Grows the reservation to this many bytes in all, or fails for want of room.
    pub(super) fn grow_to(&self, bytes: u64) -> Result<(), Error> {
        Ok(self.hold.lock().unwrap_or_else(PoisonError::into_inner).grow_to(bytes)?)
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

    /// The body, and its reservation. Refused as soon as the body is known to be too large, or finds no
    /// room: an announced length is reserved before anything is read. A repeated try has the body from
    /// the first.
    pub(super) async fn collect(
        &mut self,
        headers: &HeaderMap,
        bounds: CollectBounds<'_, impl Fn(u64) -> Error>,
    ) -> Result<WholeBody, Error> {
        if let Some(whole) = self.whole.clone() {
            return Ok(whole);
        }
        let CollectBounds { budget, limit_bytes, min_rate, too_large } = bounds;
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        if let Some(size) = announced.filter(|size: &u64| *size > limit_bytes) {
            return Err(too_large(size));
        }
        let mut hold = budget.take(announced.unwrap_or(0))?;
        let mut collected = CollectedBytes::with_room(announced.unwrap_or(0));
        let most = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
        let mut arriving = IncomingBody::new(self.pieces(), min_rate);
        while let Some(bytes) = arriving.next().await? {
            let size = collected.len() + bytes.len();
            if size > most {
                return Err(too_large(size as u64));
            }
            collected.push(&bytes, most, &mut hold)?;
        }
        Ok(self.keep(collected.into_bytes(), hold))
    }

    fn keep(&mut self, bytes: Bytes, hold: Reservation) -> WholeBody {
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

#[cfg(test)]
mod tests;
