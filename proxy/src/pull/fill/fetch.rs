//! The work of one download: begun or resumed, fed into the store, verified, published; laid down
//! when it has to make room.
//!
//! Invariant: a part of an earlier download is resumed only with an answer that is exactly the rest
//! of a blob of the same size, from the same upstream; the verification covers the whole.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::Instrument as _;
use wharf_client::Download;
use wharf_client::runtime::party::Party;
use wharf_client::runtime::ttl_set::TtlSet;
use wharf_oci::{ByteRange, Digest, RepoName};
use wharf_store::{BlobWriter, PartKey, ResumedPart, Retention, StoreError};

use super::RunningFill;
use crate::Error;
use crate::limits::{BLOB_BYTES_MAX, SHOW_PERIOD, UNSIZED_BLOB_BYTES_MAX, UNSTORABLE_TIME};
use crate::pull::generations::{Generation, Generations};
use crate::pull::{link_unless_removed, unknown};
use crate::registries::UpstreamRepo;
use crate::runtime::blocking::{BlobFeed, BlockingPool, WriteOwner};
use crate::runtime::single_flight::Leader;
use crate::runtime::spans;
use crate::runtime::store::Store;

/// The state of the download, independent of its requests.
#[derive(Clone)]
pub(super) struct Fill {
    pub(super) blocking: BlockingPool,
    pub(super) store: Arc<dyn Store>,
    pub(super) upstream_repo: UpstreamRepo,
    pub(super) repo: RepoName,
    pub(super) digest: Digest,
    pub(super) unstorable: Arc<TtlSet<Digest>>,
    pub(super) generations: Arc<Generations>,
    pub(super) since: Generation,
}

impl Fill {
    pub(super) async fn run(self, promise: Leader<(usize, Digest), RunningFill>, party: Party) {
        let for_whom = WriteOwner::those_at(promise.subscribers(), party);
        let started = tokio::select! {
            biased;
            started = self.start() => started,
            () = promise.told_to_end() => return,
        };
        let (mut download, mut pump, filling) = match started {
            Ok(started) => started,
            Err(error) => return promise.keep(Err(error)),
        };
        pump.write_for(for_whom);
        promise.keep(Ok(filling));
        let arrived = tokio::select! {
            biased;
            arrived = self.pump(&mut download, &mut pump) => Some(arrived),
            () = promise.told_to_end() => None,
        };
        let ended = match arrived {
            Some(Ok(())) => self.finish(pump).await,
            Some(Err(error)) => Err(error),
            None => {
                self.lay_down(pump, download.size_bytes()).await;
                Ok(())
            }
        };
        if let Err(error) = ended {
            if matches!(error, Error::Store(_)) {
                self.unstorable.insert(self.digest, UNSTORABLE_TIME);
            }
            let (upstream, repo) =
                (self.upstream_repo.upstream.address(), &self.upstream_repo.repo);
            let digest = &self.digest;
            // A caller's lost permission is no failure of the upstream, nor of this proxy.
            let is_callers = matches!(error, Error::UpstreamDenied { .. })
                && self.upstream_repo.upstream.caller_fingerprint().is_some();
            if is_callers {
                tracing::debug!(upstream, %repo, %digest, %error, "a download was refused");
            } else {
                tracing::warn!(upstream, %repo, %digest, %error, "a download was given up");
            }
        }
        // Only here does the digest leave the list of downloads: by then the blob is in the store.
        drop(promise);
    }

    async fn start(&self) -> Result<(Download, BlobFeed, RunningFill), Error> {
        let (store, key) = (Arc::clone(&self.store), self.part_key());
        let part = self.blocking.run(move || store.take_up(&key)).await?;
        let (download, writer) = match part {
            Some(part) => self.go_on(part).await?,
            None => self.begin().await?,
        };
        let blob = writer.in_flight();
        if let Some(size_bytes) = download.size_bytes() {
            blob.expect(size_bytes);
        }
        let filling = RunningFill {
            blob,
            size_bytes: download.size_bytes(),
            repo: self.repo.clone(),
            since: self.since,
            relayed_bytes: Arc::default(),
        };
        Ok((download, BlobFeed::new(self.blocking.clone(), writer), filling))
    }

    async fn begin(&self) -> Result<(Download, BlobWriter), Error> {
        let download =
            self.upstream_repo.upstream.client.blob(&self.upstream_repo.repo, &self.digest).await?;
        let download = download.ok_or_else(|| unknown(&self.repo, &self.digest))?;
        let (store, algorithm) = (Arc::clone(&self.store), self.digest.algorithm());
        let size_bytes = download.size_bytes();
        // A store without room says so here, while the blob can still pass by it.
        let begin = move || {
            let mut writer = store.begin()?.hashing(algorithm);
            if let Some(size_bytes) = size_bytes {
                writer.make_room(size_bytes)?;
            }
            Ok::<_, StoreError>(writer)
        };
        Ok((download, self.blocking.run(begin).await?))
    }

    /// Continues with the part of an earlier download and the rest from the upstream; with the
    /// whole blob when the upstream sends no parts, or has another blob at this moment.
    async fn go_on(&self, part: ResumedPart) -> Result<(Download, BlobWriter), Error> {
        let ResumedPart { mut writer, size_bytes } = part;
        let rest = ByteRange::From { first: writer.size_bytes() }.resolve(size_bytes);
        let upstream = &self.upstream_repo.upstream;
        let answered = match rest {
            Some(rest) => {
                upstream.client.blob_part(&self.upstream_repo.repo, &self.digest, rest).await
            }
            None => Ok(None),
        };
        let begun = match answered {
            Ok(Some(download)) if download.size_bytes() == Some(size_bytes) => {
                let room = move || (writer.make_room(size_bytes), writer);
                let (made, same) = self.blocking.run(room).await;
                writer = same;
                if let Err(error) = made {
                    Err(error.into())
                } else {
                    let at = writer.size_bytes();
                    tracing::debug!(digest = %self.digest, at, "a download goes on");
                    return Ok((download, writer));
                }
            }
            Err(error) if error.is_outage() => Err(error.into()),
            Ok(_) | Err(_) => self.begin().await,
        };
        if begun.is_err() {
            // The upstream may refuse only this caller.
            let key = self.part_key();
            self.blocking.run(move || writer.lay_down(key, size_bytes)).await?;
        }
        begun
    }

    /// Feeds every frame to the store. A slow download is shown to its readers as it comes.
    async fn pump(&self, download: &mut Download, pump: &mut BlobFeed) -> Result<(), Error> {
        let sized = download.size_bytes().is_some();
        let limit_bytes = if sized { BLOB_BYTES_MAX } else { UNSIZED_BLOB_BYTES_MAX };
        let mut look = pin!(tokio::time::sleep(SHOW_PERIOD));
        let mut seen_bytes = pump.visible_bytes();
        loop {
            let mut next = pin!(download.next());
            let bytes = loop {
                tokio::select! {
                    biased;
                    bytes = &mut next => break bytes?,
                    () = &mut look => {
                        // Otherwise segments get full fast enough.
                        if pump.visible_bytes() == seen_bytes {
                            pump.show().await;
                        }
                        seen_bytes = pump.visible_bytes();
                        look.as_mut().reset(Instant::now() + SHOW_PERIOD);
                    }
                }
            };
            let Some(bytes) = bytes else { return Ok(()) };
            pump.append(bytes).await?;
            if pump.taken_bytes() > limit_bytes {
                return Err(Error::BlobTooLarge { limit_bytes });
            }
        }
    }

    async fn finish(&self, pump: BlobFeed) -> Result<(), Error> {
        let ready = pump.verify(self.digest).await?.map_err(Error::UpstreamLied)?;
        let (store, repo, digest) = (Arc::clone(&self.store), self.repo.clone(), self.digest);
        let (generations, since) = (Arc::clone(&self.generations), self.since);
        let kept = self.blocking.run(move || {
            ready.publish(Retention::Cached)?;
            link_unless_removed(&*store, &generations, since, &repo, &digest)
        });
        Ok(kept.instrument(spans::step("publish")).await?)
    }

    /// No client wants the download, and another one needs its slot: the stored part waits for the
    /// next request.
    async fn lay_down(&self, pump: BlobFeed, size_bytes: Option<u64>) {
        let at = pump.taken_bytes();
        tracing::info!(digest = %self.digest, at, "a download that nobody waits for makes room");
        let Some(size_bytes) = size_bytes else { return };
        if let Err(error) = pump.lay_down(self.part_key(), size_bytes).await {
            tracing::warn!(digest = %self.digest, %error, "what it had is not kept");
        }
    }

    fn part_key(&self) -> PartKey {
        PartKey { source: self.upstream_repo.upstream.address().to_owned(), digest: self.digest }
    }
}
