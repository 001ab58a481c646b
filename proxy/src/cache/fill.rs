//! A download into the store that any number of clients follow.
//!
//! Invariants: one download per digest at a time; it outlives the client that caused it; nothing is
//! kept that is not exactly the digest, and no follower ever sees a whole wrong blob.

use std::sync::Arc;

use wharf_oci::{Digest, RepoName};
use wharf_store::{InFlight, Retention};

use super::{Cache, Outcome, ServedBlob, Store, unknown};
use crate::Error;
use crate::bridge::{Bridge, Pump};
use crate::flights::Promise;
use crate::limits::BLOB_BYTES_MAX;
use crate::upstream::Download;
use crate::upstreams::Remote;

/// A download that is going on.
#[derive(Clone)]
pub(super) struct Filling {
    blob: InFlight,
    size_bytes: Option<u64>,
    /// For which repository it was begun; that one is known to have it.
    repo: RepoName,
}

/// Everything that the download needs once nobody waits for it.
struct Fill {
    bridge: Bridge,
    store: Arc<dyn Store>,
    remote: Remote,
    repo: RepoName,
    digest: Digest,
}

impl Cache {
    pub(super) async fn fill(
        &self,
        repo: &RepoName,
        digest: &Digest,
        remote: &Remote,
    ) -> Result<(ServedBlob, Outcome), Error> {
        let fill = Fill {
            bridge: self.bridge.clone(),
            store: Arc::clone(&self.store),
            remote: remote.clone(),
            repo: repo.clone(),
            digest: *digest,
        };
        let (filling, joined) = self.fills.ask(*digest, |promise| fill.run(promise)).await?;
        if joined && filling.repo != *repo {
            self.ask_whether_theirs(repo, digest, remote).await?;
            self.link_after(repo, digest, &filling);
        }
        let outcome = if joined { Outcome::Join } else { Outcome::Fill };
        Ok((ServedBlob::Arriving(filling.blob, filling.size_bytes), outcome))
    }

    /// A repository that joined another's download is linked when that ends well.
    fn link_after(&self, repo: &RepoName, digest: &Digest, filling: &Filling) {
        let (bridge, store) = (self.bridge.clone(), Arc::clone(&self.store));
        let (repo, digest, blob) = (repo.clone(), *digest, filling.blob.clone());
        tokio::spawn(async move {
            let end = u64::MAX;
            let tail = std::future::poll_fn(|context| blob.poll_read(end, context)).await;
            if matches!(tail, wharf_store::Tail::End) {
                let linked = bridge.run(move || store.link_blob(&repo, &digest)).await;
                if let Err(error) = linked {
                    tracing::warn!(%error, "a repository was not linked to its blob");
                }
            }
        });
    }
}

impl Fill {
    async fn run(self, promise: Promise<Digest, Filling>) {
        let started = self.start().await;
        let (download, pump, filling) = match started {
            Ok(started) => started,
            Err(error) => return promise.keep(Err(error)),
        };
        promise.keep(Ok(filling));
        if let Err(error) = self.pump(download, pump).await {
            tracing::warn!(
                upstream = self.remote.upstream.address(),
                repo = %self.remote.repo,
                digest = %self.digest,
                %error,
                "a download was given up"
            );
        }
        // Only here does the digest leave the list of downloads: by then it is in the store.
        drop(promise);
    }

    async fn start(&self) -> Result<(Download, Pump, Filling), Error> {
        let download = self.remote.upstream.blob(&self.remote.repo, &self.digest).await?;
        let download = download.ok_or_else(|| unknown(&self.repo, &self.digest))?;
        let (store, algorithm) = (Arc::clone(&self.store), self.digest.algorithm());
        let writer = self.bridge.run(move || store.begin()).await?.hashing(algorithm);
        let filling = Filling {
            blob: writer.in_flight(),
            size_bytes: download.size_bytes,
            repo: self.repo.clone(),
        };
        Ok((download, Pump::new(self.bridge.clone(), writer), filling))
    }

    async fn pump(&self, mut download: Download, mut pump: Pump) -> Result<(), Error> {
        while let Some(bytes) = download.next().await? {
            pump.append(bytes).await?;
            if pump.taken_bytes() > BLOB_BYTES_MAX {
                return Err(Error::BlobTooLarge { limit_bytes: BLOB_BYTES_MAX });
            }
        }
        let ready = pump.verify(self.digest).await?.map_err(Error::UpstreamLied)?;
        let (store, repo, digest) = (Arc::clone(&self.store), self.repo.clone(), self.digest);
        let kept = self.bridge.run(move || {
            ready.publish(Retention::Cached)?;
            store.link_blob(&repo, &digest)
        });
        Ok(kept.await?)
    }
}
