//! The way of an upload to the upstream: a reader of the blob in flight that sends what it sees in
//! chunks, while the client still sends. It can always send again, because the bytes are here.
//!
//! Invariant: `finish` returns success only after the upstream answered 201 for this digest, or
//! says that it has it.

use std::future::poll_fn;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wharf_oci::Digest;
use wharf_store::{InFlight, Tail};

use crate::Error;
use crate::bridge::Bridge;
use crate::limits::{
    CANCEL_TIMEOUT, CHUNK_BYTES, CHUNK_BYTES_MIN, RETRY_AFTER_MAX, RETRY_PAUSE, TRIES_MAX,
};
use crate::upstream::{Push, Started};
use crate::upstreams::Remote;

/// An upload that is going through.
pub(super) struct Through {
    digest: oneshot::Sender<Digest>,
    work: JoinHandle<Result<(), Error>>,
}

struct Sender {
    bridge: Bridge,
    remote: Remote,
    push: Push,
    blob: InFlight,
    chunk_bytes: u64,
    /// Failures since the upstream last took something.
    failures: u32,
    /// How often everything was sent anew.
    restarts: u32,
}

/// Why sending stopped.
enum Stop {
    /// The client's upload was given up: so is this one.
    Abandoned(String),
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Through {
    /// Starts sending into an upstream session that is open.
    pub(super) fn start(bridge: Bridge, remote: Remote, push: Push, blob: InFlight) -> Self {
        let (digest, proven) = oneshot::channel();
        let sender = Sender {
            bridge,
            remote,
            push,
            blob,
            chunk_bytes: CHUNK_BYTES,
            failures: 0,
            restarts: 0,
        };
        Self { digest, work: tokio::spawn(sender.run(proven)) }
    }

    /// Ends the upload at the upstream and waits for its answer.
    pub(super) async fn finish(self, digest: Digest) -> Result<(), Error> {
        // A sender that failed already is gone; its error is the answer.
        let _ = self.digest.send(digest);
        match self.work.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Waits until the upstream's session is given up, after the blob in flight was; not for long.
    pub(super) async fn cancelled(self) {
        drop(self.digest);
        if tokio::time::timeout(CANCEL_TIMEOUT, self.work).await.is_err() {
            tracing::debug!("an upload was left to expire at the upstream");
        }
    }
}

impl Sender {
    async fn run(mut self, mut proven: oneshot::Receiver<Digest>) -> Result<(), Error> {
        let mut digest = None;
        loop {
            let stop = match self.attempt(&mut proven, &mut digest).await {
                Ok(()) => return Ok(()),
                Err(stop) => stop,
            };
            let error = match stop {
                Stop::Abandoned(reason) => {
                    self.push.cancel().await;
                    let operation = "receiving the upload";
                    return Err(Error::UpstreamFailed { operation, reason });
                }
                Stop::Failed(error) => error,
            };
            // An end whose answer got lost may have been an end all the same.
            if let Some(digest) = &digest
                && self.is_there(digest).await
            {
                return Ok(());
            }
            self.recover(error).await?;
        }
    }

    /// Sends everything from where the upstream is, then ends the upload.
    async fn attempt(
        &mut self,
        proven: &mut oneshot::Receiver<Digest>,
        digest: &mut Option<Digest>,
    ) -> Result<(), Stop> {
        loop {
            let (parts, end) = self.gather().await?;
            if !parts.is_empty() {
                self.push.send(parts).await?;
                self.failures = 0;
            }
            if end && self.blob.size_bytes() == Some(self.push.sent_bytes()) {
                break;
            }
        }
        let wanted = match *digest {
            Some(digest) => digest,
            None => proven.await.map_err(|_| Stop::Abandoned("the client went away".to_owned()))?,
        };
        *digest = Some(wanted);
        Ok(self.push.finish(&wanted).await?)
    }

    /// The next chunk, whole unless it is the last, and whether it is the last.
    async fn gather(&self) -> Result<(Vec<Bytes>, bool), Stop> {
        let mut parts = Vec::new();
        let mut at = self.push.sent_bytes();
        let end = at + self.chunk_bytes;
        while at < end {
            let bytes = match poll_fn(|context| self.blob.poll_read(at, context)).await {
                Tail::Bytes(bytes) => bytes,
                Tail::Stored => {
                    let blob = self.blob.clone();
                    self.bridge.run(move || blob.read_stored(at)).await.map_err(Error::from)?
                }
                Tail::End => return Ok((parts, true)),
                Tail::Abandoned(reason) => return Err(Stop::Abandoned(reason)),
            };
            at += bytes.len() as u64;
            parts.push(bytes);
        }
        Ok((parts, false))
    }

    /// Finds out where the upstream is after a failure, or starts over; gives up in the end.
    async fn recover(&mut self, error: Error) -> Result<(), Error> {
        self.failures += 1;
        let wait = match &error {
            Error::UpstreamFailed { .. } => RETRY_PAUSE * self.failures,
            Error::UpstreamBusy { retry_after_seconds } => {
                std::time::Duration::from_secs(*retry_after_seconds).min(RETRY_AFTER_MAX)
            }
            Error::UpstreamRefused { status, .. } if is_temporary(status.as_u16()) => {
                RETRY_PAUSE * self.failures
            }
            _ => return Err(error),
        };
        if self.failures >= TRIES_MAX {
            return Err(error);
        }
        tracing::warn!(upstream = self.remote.upstream.address(), %error, "an upload goes on");
        tokio::time::sleep(wait).await;
        if let Error::UpstreamRefused { status, .. } = &error
            && status.as_u16() == 413
        {
            self.chunk_bytes = (self.chunk_bytes / 2).max(CHUNK_BYTES_MIN);
        }
        if self.push.resync().await.is_ok() {
            return Ok(());
        }
        self.restarts += 1;
        if self.restarts >= TRIES_MAX {
            return Err(error);
        }
        match self.remote.upstream.start_upload(&self.remote.repo, None).await? {
            Started::Session(push) => self.push = push,
            Started::Mounted => return Err(error),
        }
        Ok(())
    }

    async fn is_there(&self, digest: &Digest) -> bool {
        let size = self.remote.upstream.blob_size(&self.remote.repo, digest).await;
        matches!((size, self.blob.size_bytes()), (Ok(Some(there)), Some(here)) if there == here)
    }
}

/// Refusals of a chunk after which going on from the upstream's offset, with smaller chunks, or
/// from the start can help.
fn is_temporary(status: u16) -> bool {
    matches!(status, 404 | 408 | 413 | 416 | 500..=599)
}
