//! What an upload does after a failure: wait and go on, with smaller chunks, from its start, or give up.
//! Pure but for the clock; the waiting is done by the caller.
//!
//! Invariant: an upload that makes no progress ends, with the upstream's last words.

use std::time::Duration;

use tokio::time::Instant;

use crate::Error;
use crate::limits::{
    CHUNK_BYTES, CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, RETRY_AFTER_MAX, RETRY_PAUSE, RETRY_PAUSE_MAX,
    SENDING_PATIENCE, SENDING_REFUSALS_MAX, SENDING_RESTARTS_MAX,
};

/// How much is left of it, for one upload.
pub(super) struct Patience {
    /// When the upstream last took something new.
    progress: Instant,
    /// The furthest that it came in this session.
    furthest_bytes: u64,
    /// Tries without an answer since then.
    failures: u32,
    /// Refusals since then that another try may mend.
    refusals: u32,
    restarts: u32,
    most_bytes: u64,
    last: Option<Error>,
}

/// What comes next.
pub(super) struct Next {
    /// After this time.
    pub(super) wait: Duration,
    /// In a new session.
    pub(super) anew: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            progress: Instant::now(),
            furthest_bytes: 0,
            failures: 0,
            refusals: 0,
            restarts: 0,
            most_bytes: CHUNK_BYTES_MAX,
            last: None,
        }
    }
}

impl Patience {
    /// No chunk of this upload shall be larger.
    pub(super) const fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    /// The upstream has so many bytes; `false` when it had as many before.
    pub(super) fn took(&mut self, bytes: u64) -> bool {
        let more = bytes > self.furthest_bytes;
        if more {
            self.furthest_bytes = bytes;
            (self.progress, self.failures, self.refusals) = (Instant::now(), 0, 0);
        }
        more
    }

    /// Everything is sent anew.
    pub(super) fn restarts(&mut self) -> Result<(), Error> {
        self.restarts += 1;
        self.furthest_bytes = 0;
        if self.restarts <= SENDING_RESTARTS_MAX {
            return Ok(());
        }
        let reason = "it lost the upload again and again".to_owned();
        let lost = Error::UpstreamFailed { operation: "sending a chunk", reason };
        Err(self.last.take().unwrap_or(lost))
    }

    /// What to do after this; the error itself when nothing is.
    pub(super) fn after(&mut self, error: Error) -> Result<Next, Error> {
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
                400 | 404 | 409 | 413 | 416 => {
                    self.refusals += 1;
                    if *status == 400 || *status == 413 {
                        self.shrink();
                    }
                    // Some upstreams get a session into a state that no request mends (acr#866).
                    anew = self.refusals > 1 && *status != 413;
                    if self.refusals > SENDING_REFUSALS_MAX {
                        return Err(error);
                    }
                    Duration::ZERO
                }
                _ => return Err(error),
            },
            _ => return Err(error),
        };
        if self.failures > 1 && self.progress.elapsed() + wait > SENDING_PATIENCE
            || self.failures == 0 && self.progress.elapsed() + wait > SENDING_PATIENCE * 2
        {
            return Err(error);
        }
        tracing::warn!(%error, ?wait, "an upload goes on");
        self.last = Some(error);
        Ok(Next { wait, anew })
    }

    fn pause(&self) -> Duration {
        (RETRY_PAUSE * self.failures).min(RETRY_PAUSE_MAX)
    }

    fn shrink(&mut self) {
        self.most_bytes = (self.most_bytes.min(CHUNK_BYTES) / 2).max(CHUNK_BYTES_MIN);
    }
}
