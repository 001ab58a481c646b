//! A request's body, collected whole.
//!
//! Invariant: every byte of it in memory was reserved before, and none is beyond the limit.

use http::{HeaderMap, header};

use super::rated_body::IncomingBody;
use super::request_body::{RequestBody, WholeBody};
use crate::Error;
use crate::runtime::memory_gauge::{CollectedBytes, MemoryBudget};
use crate::runtime::min_rate::MinRate;

/// The bounds for collecting a body.
pub(super) struct Taking<'a, F> {
    /// The budget of the caller.
    pub(super) budget: &'a MemoryBudget,
    /// The most bytes.
    pub(super) limit_bytes: u64,
    /// The least rate.
    pub(super) min_rate: MinRate,
    /// The error for a body of this many bytes, or more.
    pub(super) too_large: F,
}

/// The body, and its reservation. Refused as soon as the body is known to be too large, or finds no
/// room: an announced length is reserved before anything is read. A repeated try has the body from
/// the first.
pub(super) async fn collect(
    headers: &HeaderMap,
    body: &mut RequestBody,
    taking: Taking<'_, impl Fn(u64) -> Error>,
) -> Result<WholeBody, Error> {
    if let Some(whole) = body.whole() {
        return Ok(whole);
    }
    let Taking { budget, limit_bytes, min_rate, too_large } = taking;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if let Some(size) = announced.filter(|size: &u64| *size > limit_bytes) {
        return Err(too_large(size));
    }
    let mut hold = budget.take(announced.unwrap_or(0))?;
    let mut collected = CollectedBytes::with_room(announced.unwrap_or(0));
    let most = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
    let mut arriving = IncomingBody::new(body.pieces(), min_rate);
    while let Some(bytes) = arriving.next().await? {
        let size = collected.len() + bytes.len();
        if size > most {
            return Err(too_large(size as u64));
        }
        collected.push(&bytes, most, &mut hold)?;
    }
    Ok(body.keep(collected.into_bytes(), hold))
}
