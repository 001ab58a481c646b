//! The retry policy of a transfer: after a failure it waits and continues, with smaller chunks,
//! from its start, or gives up. Pure but for the clock; the caller does the waiting.
//!
//! Invariant: a transfer that makes no progress ends, with the upstream's last error.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::Error;
use crate::limits::{
    CHUNK_BYTES, CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, DELIVERY_RETRY_TIME, RETRY_AFTER_MAX,
    RETRY_PAUSE, RETRY_PAUSE_MAX, TRANSFER_REFUSALS_MAX, TRANSFER_RESTARTS_MAX,
};

/// The remaining retries of one transfer.
pub(super) struct TransferRetry {
    /// How long the upstream may be out before it took any bytes.
    at_first: Duration,
    /// The same after it took some.
    longest: Duration,
    /// When the upstream last took new bytes.
    progress: Instant,
    /// The furthest offset in this session.
    furthest_bytes: u64,
    /// Tries without an answer since then.
    failures: u32,
    /// Refusals since then that another try may mend.
    refusals: u32,
    restarts: u32,
    most_bytes: u64,
    last: Option<Error>,
}

/// The next step.
pub(super) struct RetryStep {
    /// The wait before it.
    pub(super) wait: Duration,
    /// Whether it opens a new session.
    pub(super) anew: bool,
}

impl TransferRetry {
    /// Retries for this long, without progress.
    pub(super) fn new(longest: Duration) -> Self {
        Self::with(longest, longest)
    }

    /// Retries of a delivery, which comes again later: no more than a few tries to begin with, and
    /// some to continue.
    pub(super) fn of_delivery() -> Self {
        Self::with(Duration::ZERO, DELIVERY_RETRY_TIME)
    }

    fn with(at_first: Duration, longest: Duration) -> Self {
        Self {
            at_first,
            longest,
            progress: Instant::now(),
            furthest_bytes: 0,
            failures: 0,
            refusals: 0,
            restarts: 0,
            most_bytes: CHUNK_BYTES_MAX,
            last: None,
        }
    }

    /// The bound of this transfer's chunks.
    pub(super) const fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    /// The first bytes are ready to send.
    pub(super) fn begins(&mut self) {
        self.progress = Instant::now();
    }

    /// Leaves out a wait for the client: it asked nothing of the upstream.
    pub(super) fn waited(&mut self, time: Duration) {
        self.progress += time;
    }

    /// The upstream has this many bytes. Only an offset past the furthest one is progress.
    pub(super) fn took(&mut self, bytes: u64) {
        if bytes > self.furthest_bytes {
            self.furthest_bytes = bytes;
            (self.progress, self.failures, self.refusals) = (Instant::now(), 0, 0);
        }
    }

    /// All bytes are sent anew.
    pub(super) fn restarts(&mut self) -> Result<(), Error> {
        self.restarts += 1;
        self.furthest_bytes = 0;
        if self.restarts <= TRANSFER_RESTARTS_MAX {
            return Ok(());
        }
        let reason = "it lost the upload again and again".to_owned();
        let lost = Error::UpstreamFailed { operation: "sending a chunk", reason };
        Err(self.last.take().unwrap_or(lost))
    }

    /// The next step after an error; the error itself when there is none.
    pub(super) fn after(&mut self, error: Error) -> Result<RetryStep, Error> {
        let mut anew = false;
        let wait = match &error {
            Error::UpstreamBusy { retry_after_seconds }
            | Error::UpstreamDown { retry_after_seconds } => {
                Duration::from_secs(*retry_after_seconds).min(RETRY_AFTER_MAX)
            }
            Error::TooMany(_) => RETRY_PAUSE_MAX,
            Error::UpstreamFailed { .. } | Error::LoginFailed { .. } => {
                self.failures += 1;
                if self.failures > 1 {
                    self.shrink();
                }
                self.pause()
            }
            Error::UpstreamRefused { status, .. } => match status.as_u16() {
                408 | 500..=599 => {
                    self.failures += 1;
                    self.pause()
                }
                _ if is_mendable(*status) => {
                    self.refusals += 1;
                    if *status == 400 || *status == 413 {
                        self.shrink();
                    }
                    // Some upstreams get a session into a state that no request mends (acr#866).
                    anew = self.refusals > 1 && *status != 413;
                    if self.refusals > TRANSFER_REFUSALS_MAX {
                        return Err(error);
                    }
                    Duration::ZERO
                }
                _ => return Err(error),
            },
            _ => return Err(error),
        };
        if self.progress.elapsed() + wait > self.longest(&error) {
            return Err(error);
        }
        tracing::warn!(%error, ?wait, "an upload goes on");
        self.last = Some(error);
        Ok(RetryStep { wait, anew })
    }

    /// The longest time without progress. A request's wait among many uploads may take as long as
    /// all of it, and a missing answer longer: it is asked for twice.
    fn longest(&self, error: &Error) -> Duration {
        let longest = if self.furthest_bytes > 0 { self.longest } else { self.at_first };
        match error {
            // The upstream is not out: another try may mend this, and their number is bounded.
            Error::UpstreamRefused { status, .. } if is_mendable(*status) => self.longest,
            Error::UpstreamBusy { .. } | Error::TooMany(_) => longest * 2,
            Error::UpstreamFailed { .. } if self.failures == 1 && !longest.is_zero() => {
                Duration::MAX
            }
            _ => longest,
        }
    }

    fn pause(&self) -> Duration {
        (RETRY_PAUSE * self.failures).min(RETRY_PAUSE_MAX)
    }

    fn shrink(&mut self) {
        self.most_bytes = (self.most_bytes.min(CHUNK_BYTES) / 2).max(CHUNK_BYTES_MIN);
    }
}

/// Whether an upstream with this refusal may take the same bytes in other chunks, or in another
/// session.
fn is_mendable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 404 | 409 | 413 | 416)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::TRANSFER_RETRY_TIME;
    use wharf_oci::ErrorCode;

    fn failed() -> Error {
        Error::UpstreamFailed { operation: "sending a chunk", reason: "reset".to_owned() }
    }

    fn refused(status: u16) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        Error::UpstreamRefused { status, code: ErrorCode::Unknown, message: String::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_waited_for_and_not_for_ever() {
        let mut patience = TransferRetry::new(TRANSFER_RETRY_TIME);
        patience.took(5);
        let (began, mut tries) = (Instant::now(), 0);
        while let Ok(next) = patience.after(failed()) {
            tokio::time::advance(next.wait).await;
            tries += 1;
            let down = Error::UpstreamDown { retry_after_seconds: 2 };
            let Ok(next) = patience.after(down) else { break };
            tokio::time::advance(next.wait).await;
        }
        assert!(began.elapsed() > TRANSFER_RETRY_TIME * 9 / 10);
        assert!(began.elapsed() <= TRANSFER_RETRY_TIME && tries < 40);
        // Progress starts the time anew.
        patience.took(6);
        assert!(patience.after(failed()).is_ok());
        // A slower answer is asked for once more.
        patience.took(7);
        tokio::time::advance(TRANSFER_RETRY_TIME * 3).await;
        assert!(patience.after(failed()).is_ok());
        assert!(patience.after(failed()).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_make_chunks_smaller_or_sessions_new_and_come_to_an_end() {
        let mut patience = TransferRetry::new(TRANSFER_RETRY_TIME);
        assert!(!patience.after(refused(413)).unwrap().anew);
        assert_eq!(patience.most_bytes(), CHUNK_BYTES / 2);
        assert!(patience.after(refused(416)).unwrap().anew);
        assert_eq!(patience.most_bytes(), CHUNK_BYTES / 2);
        for _ in 2..TRANSFER_REFUSALS_MAX {
            assert!(patience.after(refused(400)).is_ok());
        }
        assert_eq!(patience.most_bytes(), CHUNK_BYTES_MIN);
        assert!(patience.after(refused(416)).is_err());
        let denied = Error::UpstreamDenied { status: StatusCode::FORBIDDEN };
        assert!(TransferRetry::new(TRANSFER_RETRY_TIME).after(denied).is_err());
        assert!(TransferRetry::new(TRANSFER_RETRY_TIME).after(refused(405)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_that_a_client_takes_is_not_the_upstreams() {
        let mut patience = TransferRetry::new(TRANSFER_RETRY_TIME);
        for _ in 0..3 {
            tokio::time::advance(TRANSFER_RETRY_TIME * 2).await;
            patience.waited(TRANSFER_RETRY_TIME * 2);
            assert!(patience.after(refused(503)).is_ok());
        }
        tokio::time::advance(TRANSFER_RETRY_TIME * 2).await;
        assert!(patience.after(refused(503)).is_err());
        patience.begins();
        assert!(patience.after(refused(503)).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_waits_for_no_outage_at_its_begin_and_mends_refusals_all_the_same() {
        let mut patience = TransferRetry::of_delivery();
        assert!(patience.after(refused(413)).is_ok());
        assert!(patience.after(refused(404)).is_ok());
        assert!(patience.after(failed()).is_err());
        patience.took(1);
        assert!(patience.after(failed()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_gets_lost_again_and_again_ends_with_its_last_words() {
        let mut patience = TransferRetry::new(TRANSFER_RETRY_TIME);
        for _ in 0..TRANSFER_RESTARTS_MAX {
            patience.took(9);
            assert!(patience.after(refused(416)).is_ok());
            assert!(patience.restarts().is_ok());
        }
        assert!(matches!(patience.restarts(), Err(Error::UpstreamRefused { .. })));
    }
}
