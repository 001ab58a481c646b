//! Ways to skip a transfer: the upstream has the blob, another of its repositories has it
//! (`push/mount.rs`), or another upload sends the same (`coalesce.rs`). A failure on such a way only means to send.
//!
//! Invariant: only content verified here is mounted; a named digest is no proof.

use wharf_client::{Arrival, StartedUpload, Urgency};
use wharf_oci::{Digest, RepoName};

use super::{Known, Sender, Stop, Transfers, UpstreamSession};
use crate::push::mount;
use crate::registries::UpstreamRepo;

impl Sender {
    /// Tries to have the blob there without sending it. A failure on such a way only means to send.
    pub(super) async fn spare(&mut self) -> Result<Option<Arrival>, Stop> {
        match self.begun().await? {
            Known::Nothing => {}
            Known::Expected(digest) => {
                let known = self.known_bytes(&digest).await?;
                if known.is_some() || !self.lenders(&digest).await.is_empty() {
                    // Whether the content matches the client's digest is known only at its end.
                    let proven = self.proven().await?;
                    if proven == digest && known == self.content.size_bytes() {
                        return Ok(Some(Arrival::Known));
                    }
                    if self.borrow(&proven).await {
                        return Ok(Some(Arrival::Mounted));
                    }
                }
            }
            Known::Proven(digest) => {
                if self.known_bytes(&digest).await? == self.content.size_bytes() {
                    return Ok(Some(Arrival::Known));
                }
                if self.borrow(&digest).await {
                    return Ok(Some(Arrival::Mounted));
                }
            }
        }
        self.join().await
    }

    /// The size of the blob at the upstream, when it has it already. A client that has just been
    /// told "absent" has asked for us.
    async fn known_bytes(&self, digest: &Digest) -> Result<Option<u64>, Stop> {
        let UpstreamRepo { upstream, repo, .. } = &self.upstream_repo;
        if upstream.client.recently_missed(repo, digest) {
            return Ok(None);
        }
        match upstream.client.blob_size(repo, digest).await {
            // No client waits: the delivery asks again later.
            Err(error) if self.urgency() == Urgency::Patient => Err(error.into()),
            size => Ok(size.ok().flatten()),
        }
    }

    /// A waiting client would have to send all bytes again; a delivery behind comes again.
    pub(super) const fn urgency(&self) -> Urgency {
        if self.moved.is_some() { Urgency::Patient } else { Urgency::Long }
    }

    /// Whether the upstream has exactly the blob here.
    pub(super) async fn is_there(&self, digest: &Digest) -> bool {
        let there =
            self.upstream_repo.upstream.client.blob_size(&self.upstream_repo.repo, digest).await;
        matches!(there, Ok(Some(there)) if Some(there) == self.content.size_bytes())
    }

    async fn lenders(&self, digest: &Digest) -> Vec<RepoName> {
        let Transfers { store, blocking, .. } = &*self.transfers;
        mount::sources_beside(store, blocking, &self.upstream_repo, digest).await
    }

    /// Mounts the blob from a repository that has it.
    async fn borrow(&mut self, digest: &Digest) -> bool {
        let named = self.source.take();
        for lender in named.into_iter().chain(self.lenders(digest).await) {
            if self.mount(digest, &lender).await {
                return true;
            }
        }
        false
    }

    pub(super) async fn mount(&mut self, digest: &Digest, from: &RepoName) -> bool {
        self.landing.send_replace(true);
        let started = mount::attempt(&self.upstream_repo, digest, from, self.urgency()).await;
        self.landing.send_replace(false);
        match started {
            Some(StartedUpload::Mounted) => true,
            Some(StartedUpload::Session(session)) => {
                if matches!(self.session, UpstreamSession::None) {
                    self.session = UpstreamSession::Open(session);
                }
                false
            }
            None => false,
        }
    }
}
