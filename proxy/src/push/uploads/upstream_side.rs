//! The upstream's side of one session: its transfer, and how to begin again after a failure.
//!
//! Invariant: `finish` succeeds only after the upstream has the blob.

use std::sync::Arc;

use wharf_client::UploadSession;
use wharf_oci::Digest;
use wharf_store::InFlight;

use crate::Error;
use crate::push::transfer::{Transfer, TransferContent, Transfers};
use crate::registries::UpstreamRepo;

/// The way of one session to its upstream.
pub(super) struct UpstreamSide {
    transfers: Arc<Transfers>,
    upstream_repo: UpstreamRepo,
    blob: InFlight,
    /// Absent after a failure, until there are more bytes to send.
    sending: Option<Transfer>,
}

impl UpstreamSide {
    /// Starts to send, into the upstream's session if one is open.
    pub(super) fn start(
        transfers: &Arc<Transfers>,
        upstream_repo: UpstreamRepo,
        blob: InFlight,
        open: Option<UploadSession>,
    ) -> Self {
        let content = TransferContent::InFlight(blob.clone());
        let sending = Some(transfers.start(upstream_repo.clone(), content, open));
        Self { transfers: Arc::clone(transfers), upstream_repo, blob, sending }
    }

    /// The destination.
    pub(super) const fn upstream_repo(&self) -> &UpstreamRepo {
        &self.upstream_repo
    }

    /// The transfer, begun anew from the start after a failure: the bytes are here.
    fn sending(&mut self) -> Transfer {
        let again = || {
            let content = TransferContent::InFlight(self.blob.clone());
            self.transfers.start(self.upstream_repo.clone(), content, None)
        };
        self.sending.take().unwrap_or_else(again)
    }

    /// Sets the digest announced by the client.
    pub(super) fn expect(&mut self, digest: Digest) {
        let sending = self.sending();
        sending.expect(digest);
        self.sending = Some(sending);
    }

    /// The upstream's refusal, as soon as there is one: later bytes would be sent in vain. During
    /// an outage, bytes are taken all the same: the client could hardly send them again, and they
    /// are sent from the start when the upstream is back.
    pub(super) async fn check(&mut self) -> Result<(), Error> {
        let sending = self.sending();
        if !sending.is_over() {
            self.sending = Some(sending);
            return Ok(());
        }
        match sending.result().await {
            Err(error) if error.is_outage() => {
                tracing::warn!(upstream = self.upstream_repo.upstream.address(), %error, "an upload waits");
                Ok(())
            }
            ended => ended,
        }
    }

    /// Ends the upload at the upstream and waits for its answer. A transfer that failed before the
    /// end came says nothing of the upstream at this moment: all bytes are sent once more.
    pub(super) async fn finish(&mut self, digest: Digest) -> Result<(), Error> {
        let sending = self.sending();
        let had_ended = sending.is_over();
        match sending.finish(digest).await {
            Err(error) if had_ended && error.is_outage() => {
                tracing::warn!(upstream = self.upstream_repo.upstream.address(), %error, "an upload is sent anew");
                self.sending().finish(digest).await
            }
            ended => ended,
        }
    }

    /// Waits until the upstream's session is given up, after the blob in flight was; not for long.
    pub(super) async fn cancelled(self) {
        if let Some(sending) = self.sending {
            sending.cancelled().await;
        }
    }
}
