//! The workers of the outbox: a few for each upstream, while it has deliveries. A failing upstream
//! is left alone for longer and longer, and never given up.
//!
//! Invariant: a worker's delivery is delivered, refused or back in its queue when the worker is
//! done with it, also when the server stops.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::{Instant, sleep_until};
use wharf_oci::{Digest, RepoName};
use wharf_store::{Delivery, LastError, Refusal};

use super::Outbox;
use super::table::NextDelivery;
use crate::Error;
use crate::limits::TROUBLE_CHARS_MAX;
use crate::push::transfer::StoredUpload;
use crate::registries::{Target, UpstreamRepo};
use crate::runtime::clock::now_ms;

impl Outbox {
    /// Starts workers or the timer of an upstream.
    pub(super) fn wake(&self, upstream: &str) {
        if *self.shared.stopping.borrow() {
            return;
        }
        let next = self.table().next(upstream, Instant::now());
        match next {
            NextDelivery::Work(more) => {
                for _ in 0..more {
                    let (outbox, upstream) = (self.clone(), upstream.to_owned());
                    self.spawn(async move { Box::pin(outbox.work(&upstream)).await });
                }
            }
            NextDelivery::Later(until) => {
                let (outbox, upstream) = (self.clone(), upstream.to_owned());
                self.spawn(async move {
                    let mut stopping = outbox.shared.stopping.subscribe();
                    tokio::select! {
                        () = sleep_until(until) => outbox.wake(&upstream),
                        _ = stopping.wait_for(|stopping| *stopping) => {}
                    }
                });
            }
            NextDelivery::Nothing => {}
        }
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work);
    }

    async fn work(&self, upstream: &str) {
        let mut stopping = self.shared.stopping.subscribe();
        loop {
            let taken = self.table().take(upstream, Instant::now());
            let Some(delivery) = taken else { break };
            let mut changed = self.shared.changed.subscribe();
            // Deleted or about to be, given up, or pushed again.
            let unwanted = async {
                let _ = changed.wait_for(|_| !self.table().is_wanted(&delivery)).await;
            };
            let outcome = tokio::select! {
                outcome = self.deliver(&delivery, unwanted) => outcome,
                _ = stopping.wait_for(|stopping| *stopping) => None,
            };
            match outcome {
                Some(Ok(())) => self.settled(&delivery).await,
                Some(Err(error)) => self.failed(delivery, error).await,
                None => self.table().put_back(&delivery),
            }
            self.shared.changed.send_modify(|count| *count += 1);
            if *stopping.borrow() {
                return;
            }
        }
        // A lane that pauses needs a timer.
        self.wake(upstream);
    }

    /// `None` when the delivery was given up as unwanted.
    async fn deliver(
        &self,
        delivery: &Delivery,
        unwanted: impl Future<Output = ()>,
    ) -> Option<Result<(), Error>> {
        let (upstream_repo, stored_upload) = match self.stored_upload(delivery).await {
            Ok(packed) => packed,
            Err(error) => return Some(Err(error)),
        };
        let sent = self.transfers.deliver(upstream_repo, stored_upload, unwanted).await?;
        if sent.is_err()
            && let Err(lost) = self.whole(delivery).await
        {
            return Some(Err(lost));
        }
        Some(sent)
    }

    async fn stored_upload(
        &self,
        delivery: &Delivery,
    ) -> Result<(UpstreamRepo, StoredUpload), Error> {
        let upstream_repo = self.upstream_repo(delivery)?;
        let (store, digest) = (Arc::clone(&self.store), delivery.digest);
        let Some(blob) = self.blocking.run(move || store.open(&digest)).await? else {
            return Err(Error::BlobUnknown { repo: delivery.errand.repo.clone(), digest });
        };
        let (outbox, upstream) = (self.clone(), delivery.errand.to.upstream.clone());
        let stored_upload = StoredUpload {
            blob,
            source: delivery.errand.to.from.clone(),
            moved: Box::new(move || {
                outbox.table().moved(&upstream);
                outbox.shared.changed.send_modify(|count| *count += 1);
            }),
        };
        Ok((upstream_repo, stored_upload))
    }

    /// Sends a stored blob to an upstream that lost it, pending or not, and waits for the delivery
    /// until `until`.
    pub(crate) async fn redeliver(
        &self,
        repo: &RepoName,
        upstream_repo: UpstreamRepo,
        digest: Digest,
        until: Instant,
    ) -> Result<(), Error> {
        let (store, of) = (Arc::clone(&self.store), repo.clone());
        let open = move || {
            let linked = store.has_blob(&of, &digest)?;
            if linked { store.open(&digest) } else { Ok(None) }
        };
        let blob = self.blocking.run(open).await?;
        let blob = blob.ok_or_else(|| Error::BlobUnknown { repo: repo.clone(), digest })?;
        let stored_upload = StoredUpload { blob, source: None, moved: Box::new(|| {}) };
        let late = || Error::UpstreamFailed {
            operation: "delivering a blob again",
            reason: "it took too long".to_owned(),
        };
        self.transfers
            .deliver(upstream_repo, stored_upload, sleep_until(until))
            .await
            .ok_or_else(late)?
    }

    /// An error when the pending blob is damaged: then it has to be pushed again.
    async fn whole(&self, delivery: &Delivery) -> Result<(), Error> {
        let (store, digest) = (Arc::clone(&self.store), delivery.digest);
        let here = self.blocking.run(move || store.stat(&digest)).await?;
        let lost = || Error::BlobUnknown { repo: delivery.errand.repo.clone(), digest };
        here.map(|_| ()).ok_or_else(lost)
    }

    /// The upstream by the present configuration; never another place than the push was for.
    fn upstream_repo(&self, delivery: &Delivery) -> Result<UpstreamRepo, Error> {
        let (repo, to) = (&delivery.errand.repo, &delivery.errand.to);
        match self.config.current().upstreams.target(repo) {
            Ok(Target::Upstream(upstream_repo))
                if upstream_repo.upstream.address() == to.upstream
                    && upstream_repo.repo == to.repo =>
            {
                Ok(upstream_repo)
            }
            Ok(_) | Err(Error::NameUnserved(_)) => Err(Error::UpstreamFailed {
                operation: "delivering a blob",
                reason: format!("{repo} does not belong to {} any more", to.upstream),
            }),
            Err(error) => Err(error),
        }
    }

    async fn settled(&self, delivery: &Delivery) {
        let (store, done) = (Arc::clone(&self.store), delivery.clone());
        match self.blocking.run(move || store.delivered(&done)).await {
            Ok(_) => {
                self.shared.delivered.fetch_add(1, Ordering::Relaxed);
                let (repo, digest) = (&delivery.errand.repo, &delivery.digest);
                tracing::debug!(%repo, %digest, "a blob was delivered");
                self.table().settle(delivery);
            }
            // The blob is asked for again, and found to be there.
            Err(error) => self.failed(delivery.clone(), error.into()).await,
        }
    }

    async fn failed(&self, mut delivery: Delivery, error: Error) {
        self.shared.failures.fetch_add(1, Ordering::Relaxed);
        let tries = delivery.trouble.as_ref().map_or(0, |trouble| trouble.tries);
        let trouble = LastError {
            at_ms: now_ms(),
            tries: tries.saturating_add(1),
            reason: reason(&error),
            refused: refusal(&error),
        };
        let (repo, digest) = (&delivery.errand.repo, &delivery.digest);
        let refused = trouble.refused.is_some();
        tracing::warn!(%repo, %digest, tries = trouble.tries, refused, %error, "a blob was not delivered");
        let (store, noted, note) = (Arc::clone(&self.store), delivery.clone(), trouble.clone());
        if let Err(error) = self.blocking.run(move || store.note_trouble(&noted, &note)).await {
            tracing::error!(%error, "the trouble with a delivery was not noted");
        }
        delivery.trouble = Some(trouble);
        self.table().failed(&delivery, &error, Instant::now());
    }
}

/// For people; an upstream can write long answers.
fn reason(error: &Error) -> String {
    let text = match error {
        Error::UpstreamRefused { message, .. } => message.clone(),
        error => error.to_string(),
    };
    text.chars().take(TROUBLE_CHARS_MAX).collect()
}

/// The refusal in an error that another try does not mend.
fn refusal(error: &Error) -> Option<Refusal> {
    let refused = |status: u16, code: wharf_oci::ErrorCode| {
        Some(Refusal { status, code: code.as_str().to_owned() })
    };
    match error {
        Error::UpstreamRefused { status, code, .. } => match status.as_u16() {
            408 | 416 | 429 => None,
            status @ 400..=499 => refused(status, *code),
            _ => None,
        },
        Error::UpstreamDenied { .. } => refused(403, wharf_oci::ErrorCode::Denied),
        // The blob is here no more, or damaged: it has to be pushed again.
        Error::BlobUnknown { .. } => refused(404, wharf_oci::ErrorCode::ManifestBlobUnknown),
        _ => None,
    }
}
