//! The transfer of a blob to an upstream: it skips bytes where it can (`push/transfer/skip.rs`),
//! sends chunks while they arrive, and sends lost ones again. Knows neither the client's session
//! nor the store's.
//!
//! Invariant: a transfer succeeds only after the upstream answered 201 for this digest, or
//! confirmed the blob.

mod coalesce;
mod content;
mod retry;
mod skip;

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Instrument as _;
use wharf_client::runtime::party;
use wharf_client::{Arrival, ClientError, UploadSession};
use wharf_oci::{Algorithm, Digest, RepoName};
use wharf_store::BlobReader;

use crate::Error;
use crate::limits::{CANCEL_TIMEOUT, CHUNK_BYTES, TRANSFER_RETRY_TIME};
use crate::registries::UpstreamRepo;
use crate::runtime::blocking::BlockingPool;
use crate::runtime::spans;
use crate::runtime::store::Store;

use coalesce::{Coalescing, LeadGuard};
pub(crate) use content::TransferContent;
use retry::{RetryStep, TransferRetry};

/// The state common to all transfers.
pub(crate) struct Transfers {
    blocking: BlockingPool,
    store: Arc<dyn Store>,
    coalescing: Arc<Coalescing>,
}

/// A running transfer.
pub(crate) struct Transfer {
    known: watch::Sender<Known>,
    work: JoinHandle<Result<(), Error>>,
}

/// A stored blob that is to be at an upstream.
pub(crate) struct StoredUpload {
    pub(crate) blob: BlobReader,
    /// A repository of the same upstream that is said to have the blob.
    pub(crate) source: Option<RepoName>,
    /// Called for every chunk that the upstream took.
    pub(crate) moved: Box<dyn Fn() + Send + Sync>,
}

/// The knowledge of the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    /// The client's digest.
    Expected(Digest),
    /// The bytes are all here, with this digest.
    Proven(Digest),
}

impl Known {
    fn algorithm(self) -> Option<Algorithm> {
        match self {
            Self::Nothing => None,
            Self::Expected(digest) | Self::Proven(digest) => Some(digest.algorithm()),
        }
    }
}

struct Sender {
    transfers: Arc<Transfers>,
    upstream_repo: UpstreamRepo,
    content: TransferContent,
    known: watch::Receiver<Known>,
    session: UpstreamSession,
    patience: TransferRetry,
    /// While other transfers may follow this one.
    lead: Option<LeadGuard>,
    /// A repository there that is said to have the blob.
    source: Option<RepoName>,
    /// Called for every chunk that the upstream took.
    moved: Option<Box<dyn Fn() + Send + Sync>>,
    /// Whether a request is running that creates a blob there.
    landing: watch::Sender<bool>,
}

/// The session at the upstream.
enum UpstreamSession {
    /// There is none.
    None,
    /// The session continues at a known offset.
    Open(UploadSession),
    /// The upstream's offset must be asked for; whether the end was sent.
    Lost(UploadSession, bool),
}

/// Why the transfer stopped.
enum Stop {
    /// The client's upload was given up, and this transfer with it.
    Abandoned(String),
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Self::Failed(error.into())
    }
}

impl Transfers {
    pub(crate) fn new(blocking: BlockingPool, store: Arc<dyn Store>) -> Self {
        Self { blocking, store, coalescing: Arc::default() }
    }

    /// Starts to send the arriving bytes, into the open session if there is one.
    pub(crate) fn start(
        self: &Arc<Self>,
        upstream_repo: UpstreamRepo,
        content: TransferContent,
        open: Option<UploadSession>,
    ) -> Transfer {
        let (known, told) = watch::channel(Known::Nothing);
        let sender = self.sender(upstream_repo, content, told, open);
        Transfer {
            known,
            work: tokio::spawn(party::hand_on(sender.run().instrument(spans::detached("send")))),
        }
    }

    /// Sends a stored blob to an upstream. Not for long in vain: the caller comes again. When it is
    /// `unwanted`, the transfer is given up with the upstream's session, and returns `None`, unless
    /// a request is running that creates a blob there. The call waits for this request, so that no
    /// blob lands after a deletion.
    pub(crate) async fn deliver(
        self: &Arc<Self>,
        upstream_repo: UpstreamRepo,
        stored_upload: StoredUpload,
        unwanted: impl Future<Output = ()>,
    ) -> Option<Result<(), Error>> {
        let StoredUpload { blob, source, moved } = stored_upload;
        let (_known, told) = watch::channel(Known::Proven(blob.info().digest));
        let mut sender = self.sender(upstream_repo, TransferContent::Stored(blob), told, None);
        sender.patience = TransferRetry::of_delivery();
        (sender.source, sender.moved) = (source, Some(moved));
        let mut landing = sender.landing.subscribe();
        let mut run = pin!(sender.run());
        tokio::select! {
            result = &mut run => return Some(result),
            () = unwanted => {}
        }
        if !*landing.borrow_and_update() {
            return None;
        }
        tokio::select! {
            result = &mut run => Some(result),
            _ = landing.wait_for(|landing| !landing) => None,
        }
    }

    /// The pool of the transfers' jobs.
    pub(crate) const fn blocking(&self) -> &BlockingPool {
        &self.blocking
    }

    fn sender(
        self: &Arc<Self>,
        upstream_repo: UpstreamRepo,
        content: TransferContent,
        known: watch::Receiver<Known>,
        open: Option<UploadSession>,
    ) -> Sender {
        Sender {
            transfers: Arc::clone(self),
            upstream_repo,
            content,
            known,
            session: open.map_or(UpstreamSession::None, UpstreamSession::Open),
            patience: TransferRetry::new(TRANSFER_RETRY_TIME),
            lead: None,
            source: None,
            moved: None,
            landing: watch::Sender::new(false),
        }
    }
}

impl Transfer {
    /// Sets the digest announced by the client.
    pub(crate) fn expect(&self, digest: Digest) {
        self.known.send_replace(Known::Expected(digest));
    }

    /// Whether the transfer failed before its end.
    pub(crate) fn is_over(&self) -> bool {
        self.work.is_finished()
    }

    /// The transfer's error.
    pub(crate) async fn result(self) -> Result<(), Error> {
        match self.work.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Ends the upload, whose bytes are all here and verified, and waits for the upstream's answer.
    pub(crate) async fn finish(self, digest: Digest) -> Result<(), Error> {
        self.known.send_replace(Known::Proven(digest));
        self.result().await
    }

    /// Waits until the upstream's session is given up, after the content was; not for long.
    pub(crate) async fn cancelled(self) {
        drop(self.known);
        if tokio::time::timeout(CANCEL_TIMEOUT, self.work).await.is_err() {
            tracing::debug!("an upload was left to expire at the upstream");
        }
    }
}

impl Sender {
    async fn run(mut self) -> Result<(), Error> {
        match self.arrive().await {
            Ok(way) => {
                let digest = self.proven().await.map_err(abandoned)?;
                self.upstream_repo.upstream.client.arrived(&self.upstream_repo.repo, &digest, way);
                if let Some(lead) = &self.lead {
                    lead.there(digest);
                }
                Ok(())
            }
            Err(Stop::Failed(error)) => Err(error),
            // The stop of the server waits for this.
            Err(stop @ Stop::Abandoned(_)) => {
                if let Some(push) = self.session.take() {
                    push.cancel().await;
                }
                Err(abandoned(stop))
            }
        }
    }

    async fn arrive(&mut self) -> Result<Arrival, Stop> {
        let removals = self.upstream_repo.upstream.client.removals();
        if let Some(way) = self.spare().await? {
            let digest = self.proven().await?;
            // The blob may have been deleted there while the client continued to send.
            if removals == self.upstream_repo.upstream.client.removals()
                || self.is_there(&digest).await
            {
                return Ok(way);
            }
        }
        self.patience.begins();
        loop {
            match self.step().await {
                Ok(Some(way)) => return Ok(way),
                Ok(None) => {}
                Err(Stop::Failed(error)) => self.recover(error).await?,
                Err(stop @ Stop::Abandoned(_)) => return Err(stop),
            }
        }
    }

    /// Waits for the first bytes, or for their digest.
    async fn begun(&mut self) -> Result<Known, Stop> {
        let mut known = *self.known.borrow_and_update();
        if known == Known::Nothing {
            tokio::select! {
                arrived = self.content.arrived(1) => { arrived?; }
                changed = self.known.changed() => changed.map_err(|_| went_away())?,
            }
            known = *self.known.borrow_and_update();
        }
        // A small blob shows no bytes before all of it is verified.
        if known == Known::Nothing && self.content.size_bytes().is_some() {
            known = Known::Proven(self.proven().await?);
        }
        Ok(known)
    }

    /// Waits until all bytes are here and verified.
    async fn proven(&mut self) -> Result<Digest, Stop> {
        let known = self.known.wait_for(|known| matches!(known, Known::Proven(_))).await;
        match known.map(|known| *known) {
            Ok(Known::Proven(digest)) => Ok(digest),
            _ => Err(went_away()),
        }
    }

    /// Sends a chunk, or ends the upload; returns the way of arrival, once the blob arrived.
    async fn step(&mut self) -> Result<Option<Arrival>, Stop> {
        let Some(sent_bytes) = self.ready().await? else { return Ok(Some(Arrival::Sent)) };
        let floor = self.upstream_repo.upstream.client.chunk_floor();
        let wanted = sent_bytes + CHUNK_BYTES.min(self.patience.most_bytes()).max(floor);
        let since = Instant::now();
        let there_bytes = self.content.arrived(wanted).await?.saturating_sub(sent_bytes);
        if there_bytes == 0 {
            self.proven().await?;
        }
        self.patience.waited(since.elapsed());
        let UpstreamSession::Open(mut push) =
            std::mem::replace(&mut self.session, UpstreamSession::None)
        else {
            return Ok(None);
        };
        let done = if there_bytes > 0 {
            let (content, blocking) = (self.content.clone(), self.transfers.blocking.clone());
            let body = move |span| content.body(blocking.clone(), span);
            push.send(there_bytes, self.patience.most_bytes(), body).await
        } else {
            let digest = self.proven().await?;
            self.landing.send_replace(true);
            let ended = push.finish(&digest).await;
            self.landing.send_replace(false);
            ended
        };
        match done {
            Ok(()) if there_bytes == 0 => return Ok(Some(Arrival::Sent)),
            Ok(()) if push.sent_bytes() > sent_bytes => {
                self.took(push.sent_bytes());
                self.session = UpstreamSession::Open(push);
            }
            // Or the upstream lost some of its bytes.
            Ok(()) => {
                self.session = UpstreamSession::Lost(push, false);
                let reason = "it took a chunk and nothing of it".to_owned();
                return Err(Error::UpstreamFailed { operation: "sending a chunk", reason }.into());
            }
            // The upstream did not look at the request.
            Err(error @ (ClientError::Busy { .. } | ClientError::TooMany(_))) => {
                self.session = UpstreamSession::Open(push);
                return Err(error.into());
            }
            Err(error) => {
                self.session = UpstreamSession::Lost(push, there_bytes == 0);
                return Err(error.into());
            }
        }
        Ok(None)
    }

    fn took(&mut self, bytes: u64) {
        self.patience.took(bytes);
        if let Some(lead) = &self.lead {
            lead.sent(bytes);
        }
        if let Some(moved) = &self.moved {
            moved();
        }
    }

    /// Provides a session with a known offset, and returns the offset; `None` when the blob is
    /// there after all.
    async fn ready(&mut self) -> Result<Option<u64>, Stop> {
        match std::mem::replace(&mut self.session, UpstreamSession::None) {
            UpstreamSession::Open(push) => return Ok(Some(self.open_at(push))),
            UpstreamSession::None => {}
            UpstreamSession::Lost(mut push, ended) => {
                // An end without an answer may have succeeded all the same.
                let known = *self.known.borrow();
                if let (true, Known::Proven(digest)) = (ended, known)
                    && self.is_there(&digest).await
                {
                    push.forget();
                    return Ok(None);
                }
                match push.resync().await {
                    Ok(true) => return Ok(Some(self.open_at(push))),
                    Ok(false) => drop(push),
                    // The upstream does not know the session any more, or it is of no use.
                    Err(ClientError::Refused { status, .. }) if status.is_client_error() => {
                        push.forget();
                    }
                    Err(error) => {
                        self.session = UpstreamSession::Lost(push, ended);
                        return Err(error.into());
                    }
                }
                self.patience.restarts()?;
            }
        }
        let (UpstreamRepo { upstream, repo, .. }, algorithm) =
            (&self.upstream_repo, self.known.borrow().algorithm());
        let push = upstream.client.open_upload(repo, algorithm, self.urgency()).await?;
        Ok(Some(self.open_at(push)))
    }

    fn open_at(&mut self, push: UploadSession) -> u64 {
        let sent_bytes = push.sent_bytes();
        self.session = UpstreamSession::Open(push);
        sent_bytes
    }

    /// Waits before the next try, or gives up with the error.
    async fn recover(&mut self, error: Error) -> Result<(), Stop> {
        let RetryStep { wait, anew } = self.patience.after(error)?;
        self.upstream_repo.upstream.client.mended();
        tokio::time::sleep(wait).await;
        // A transfer given up meanwhile has no waiting client.
        if self.known.has_changed().is_err() {
            return Err(went_away());
        }
        if anew && let Some(push) = self.session.take() {
            drop(push);
            self.patience.restarts()?;
        }
        Ok(())
    }
}

impl UpstreamSession {
    fn take(&mut self) -> Option<UploadSession> {
        match std::mem::replace(self, Self::None) {
            Self::None => None,
            Self::Open(push) | Self::Lost(push, _) => Some(push),
        }
    }
}

fn went_away() -> Stop {
    Stop::Abandoned("the client went away".to_owned())
}

fn abandoned(stop: Stop) -> Error {
    match stop {
        Stop::Failed(error) => error,
        Stop::Abandoned(reason) => {
            Error::UpstreamFailed { operation: "receiving the upload", reason }
        }
    }
}
