//! Reading the body of an answer at no less than a given pace: a body that stands still, or only
//! trickles, is given up however large it is.
//!
//! Invariant: only the time that is spent waiting for the upstream counts; a reader that takes its
//! time between two reads makes no upstream slow.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::Error;
pub(crate) use crate::lag::Floor;

/// A body with its pace.
pub(super) struct Paced {
    body: Incoming,
    floor: Floor,
    waited: Duration,
    taken_bytes: u64,
}

impl Paced {
    pub(super) const fn new(body: Incoming, floor: Floor) -> Self {
        Self { body, floor, waited: Duration::ZERO, taken_bytes: 0 }
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self, operation: &'static str) -> Result<Option<Bytes>, Error> {
        loop {
            let left = self.floor.window.saturating_sub(self.waited);
            let began = Instant::now();
            let frame = tokio::time::timeout(left, self.body.frame()).await;
            self.waited += began.elapsed();
            let bytes = match frame {
                Err(_) => Bytes::new(),
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => {
                    let frame = frame.map_err(|error| super::failed(operation, error))?;
                    frame.into_data().unwrap_or_default()
                }
            };
            self.taken_bytes += bytes.len() as u64;
            if self.waited >= self.floor.window {
                self.judge(operation)?;
            }
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }

    /// At the end of a window: was it enough?
    fn judge(&mut self, operation: &'static str) -> Result<(), Error> {
        let least = self.floor.window.as_secs_f64() * to_f64(self.floor.bytes_per_second);
        if to_f64(self.taken_bytes) < least.max(1.0) {
            let (bytes, seconds) = (self.taken_bytes, self.floor.window.as_secs_f64());
            let reason = format!("its body stands still: {bytes} bytes in {seconds} s");
            return Err(super::failed(operation, reason));
        }
        self.waited = Duration::ZERO;
        self.taken_bytes = 0;
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a pace needs no 53 bits")]
const fn to_f64(count: u64) -> f64 {
    count as f64
}
