//! The way of one stored blob to its upstream: asked for first, mounted when another repository there
//! has it, else sent from the store. When to try again is the caller's affair.
//!
//! Invariant: success is said only after the upstream said that it has the blob.

use std::sync::Arc;

use bytes::Bytes;
use wharf_oci::{Digest, RepoName, Span};
use wharf_store::{BlobReader, StoreError};

use crate::Error;
use crate::bridge::Bridge;
use crate::cache::Store;
use crate::limits::{CHUNK_BYTES, CHUNK_BYTES_MIN, RETRY_PAUSE, TRIES_MAX};
use crate::upstream::{Push, Started};
use crate::upstreams::Remote;

/// One blob on its way.
pub(super) struct Parcel<'a> {
    pub(super) bridge: &'a Bridge,
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) remote: &'a Remote,
    pub(super) digest: Digest,
    pub(super) size_bytes: u64,
    /// A repository there that is said to have it.
    pub(super) source: Option<RepoName>,
    /// Told of every chunk that the upstream took.
    pub(super) moved: &'a (dyn Fn() + Send + Sync),
}

/// Sends it, unless the upstream has it.
pub(super) async fn send(parcel: &Parcel<'_>) -> Result<(), Error> {
    let Parcel { remote, digest, .. } = parcel;
    let there = remote.upstream.blob_size(&remote.repo, digest).await?;
    if there == Some(parcel.size_bytes) {
        return Ok(());
    }
    let Some(mut push) = parcel.begin().await? else {
        return Ok(());
    };
    let sent = parcel.send_all(&mut push).await;
    if sent.is_err() {
        push.cancel().await;
    }
    sent
}

impl Parcel<'_> {
    /// A session; `None` when the blob was mounted.
    async fn begin(&self) -> Result<Option<Push>, Error> {
        let Remote { upstream, repo } = self.remote;
        if let Some(source) = &self.source {
            match upstream.start_upload(repo, Some((&self.digest, Some(source)))).await {
                Ok(Started::Mounted) => return Ok(None),
                Ok(Started::Session(push)) => return Ok(Some(push)),
                Err(error) if error.is_outage() => return Err(error),
                // Not from there, then.
                Err(_) => {}
            }
        }
        match upstream.start_upload(repo, None).await? {
            Started::Session(push) => Ok(Some(push)),
            Started::Mounted => Err(Error::UpstreamFailed {
                operation: "opening an upload",
                reason: "it answered 201 to an upload without content".to_owned(),
            }),
        }
    }

    async fn send_all(&self, push: &mut Push) -> Result<(), Error> {
        let (mut failures, mut chunk_bytes) = (0, CHUNK_BYTES);
        loop {
            let error = match self.attempt(push, &mut failures, chunk_bytes).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            failures += 1;
            let Error::UpstreamRefused { status, .. } = &error else {
                if failures < TRIES_MAX
                    && matches!(error, Error::UpstreamFailed { .. })
                    && self.is_there(push, failures).await?
                {
                    continue;
                }
                return Err(error);
            };
            match status.as_u16() {
                413 if chunk_bytes > CHUNK_BYTES_MIN => {
                    chunk_bytes = (chunk_bytes / 2).max(CHUNK_BYTES_MIN);
                    failures = 0;
                }
                404 | 408 | 416 if failures < TRIES_MAX => {}
                _ => return Err(error),
            }
            if push.resync().await.is_err() {
                match self.begin().await? {
                    Some(new) => *push = new,
                    None => return Ok(()),
                }
            }
        }
    }

    /// Whether the session is still there after a chunk, or an end, whose fate is unknown.
    async fn is_there(&self, push: &mut Push, failures: u32) -> Result<bool, Error> {
        tokio::time::sleep(RETRY_PAUSE * failures).await;
        Ok(push.resync().await.is_ok())
    }

    /// Everything from where the upstream is, then the end.
    async fn attempt(
        &self,
        push: &mut Push,
        failures: &mut u32,
        chunk_bytes: u64,
    ) -> Result<(), Error> {
        let mut reader = None;
        while push.sent_bytes() < self.size_bytes {
            let at = push.sent_bytes();
            let from = reader.take().filter(|reader| self.is_at(reader, at));
            let (rest, parts) = self.read(from, at, chunk_bytes).await?;
            push.send(parts).await?;
            reader = Some(rest);
            *failures = 0;
            (self.moved)();
        }
        push.finish(&self.digest).await
    }

    fn is_at(&self, reader: &BlobReader, at: u64) -> bool {
        self.size_bytes - reader.left_bytes() == at
    }

    /// The next chunk, and the reader behind it.
    async fn read(
        &self,
        reader: Option<BlobReader>,
        at: u64,
        chunk_bytes: u64,
    ) -> Result<(BlobReader, Vec<Bytes>), Error> {
        let (store, digest, size_bytes) = (Arc::clone(self.store), self.digest, self.size_bytes);
        let read = self.bridge.run(move || {
            let mut reader = match reader {
                Some(reader) => reader,
                None => match (store.open(&digest)?, Span::new(at, size_bytes)) {
                    (Some(reader), Some(span)) => reader.narrow(span),
                    _ => return Ok(None),
                },
            };
            let (mut parts, mut length) = (Vec::new(), 0);
            while length < chunk_bytes
                && let Some(part) = reader.next_segment()?
            {
                length += part.len() as u64;
                parts.push(part);
            }
            Ok(Some((reader, parts)))
        });
        match read.await {
            Ok(Some(read)) => Ok(read),
            Ok(None) => Err(self.lost()),
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(digest = %self.digest, %error, "a blob that is owed is damaged");
                Err(self.lost())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn lost(&self) -> Error {
        Error::BlobUnknown { repo: self.remote.repo.clone(), digest: self.digest }
    }
}
