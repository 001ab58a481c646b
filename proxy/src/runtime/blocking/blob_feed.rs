//! Content from async code into a writer of the store: collected in batches, stored on blocking
//! threads, one batch behind the other.
//!
//! Invariant: bytes counted as taken by a [`BlobFeed`] are appended in their order, and a caller
//! that goes away in the middle of a call loses none of them. Without a write slot the feed holds
//! less than [`UNPLACED_BYTES_MAX`] and one frame, and its writer no run. Its bytes are reserved.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wharf_client::runtime::party;
use wharf_client::runtime::party::Party;
use wharf_oci::{Digest, Mismatch};
use wharf_store::limits::SEGMENT_BYTES;
use wharf_store::{BlobWriter, InFlight, PartKey, ReadyBlob, StoreError};

use super::write_slots::{WriteOwner, WriteSlot, WriteSlots};
use super::{BlockingPool, spawn, unwind};
use crate::Error;
use crate::limits::{BATCH_BYTES, TURN_BYTES, UNPLACED_BYTES_MAX, WRITE_SLOT_IDLE_MAX};
use crate::runtime::memory_gauge::{MemoryBounds, StreamReservation};

/// Feeds a writer: collects a batch while the one before is hashed and stored.
pub(crate) struct BlobFeed {
    work: Arc<Mutex<Work>>,
    taken_bytes: u64,
    blob: InFlight,
    for_whom: WriteOwner,
}

/// The state that the feed's owner and the watch over its write slot share, one at a time.
struct Work {
    blocking: BlockingPool,
    /// The writer's bytes are visible there.
    blob: InFlight,
    stage: Stage,
    /// Bytes given to the writer; those of the batch follow them.
    given_bytes: u64,
    batch: Vec<Bytes>,
    batch_bytes: usize,
    /// The reservation of the batch, with its party.
    held: Option<(Party, StreamReservation)>,
    place: Option<WriteSlot>,
    /// The time of the last bytes.
    touched: Instant,
}

enum Stage {
    Idle(BlobWriter),
    Working(JoinHandle<Result<BlobWriter, StoreError>>),
    Failed(Error),
}

impl BlobFeed {
    /// A feed for this writer, charged to this program until [`Self::write_for`].
    #[must_use]
    pub(crate) fn new(blocking: BlockingPool, writer: BlobWriter) -> Self {
        let taken_bytes = writer.size_bytes();
        let blob = writer.in_flight();
        let work = Work {
            blocking,
            blob: blob.clone(),
            given_bytes: taken_bytes,
            stage: Stage::Idle(writer),
            batch: Vec::new(),
            batch_bytes: 0,
            held: None,
            place: None,
            touched: Instant::now(),
        };
        let for_whom = Party::Ourselves.into();
        Self { work: Arc::new(Mutex::new(work)), taken_bytes, blob, for_whom }
    }

    /// From here on the feed takes write slots for this owner.
    pub(crate) fn write_for(&mut self, for_whom: impl Into<WriteOwner>) {
        self.for_whom = for_whom.into();
    }

    /// The bytes that the writer has or will have: those at its beginning, and all taken since.
    #[must_use]
    pub(crate) const fn taken_bytes(&self) -> u64 {
        self.taken_bytes
    }

    /// The bytes visible to readers at this moment.
    pub(crate) fn visible_bytes(&self) -> u64 {
        self.blob.visible_bytes()
    }

    /// Takes bytes. Waits while a whole batch is behind, and for a write slot when all are taken.
    pub(crate) async fn append(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        let mut work = self.work.lock().await;
        // A slot is handed on at the border of a segment: bytes past it need no memory of the
        // store.
        let past = usize::try_from((self.taken_bytes + bytes.len() as u64) % SEGMENT_BYTES as u64);
        let past = past.unwrap_or(0);
        if work.is_turn_over(&self.for_whom) && past <= bytes.len() {
            let before = bytes.split_to(bytes.len() - past);
            self.taken_bytes += before.len() as u64;
            work.take(before, &self.for_whom);
            work.hand_on().await?;
        }
        self.taken_bytes += bytes.len() as u64;
        work.take(bytes, &self.for_whom);
        if work.place.is_none() && work.batch_bytes >= UNPLACED_BYTES_MAX {
            let mut place = work.blocking.places.take(&self.for_whom).await;
            let watched = watch(Arc::clone(&work.blocking.places), Arc::downgrade(&self.work));
            place.watch = Some(tokio::spawn(watched).abort_handle());
            work.place = Some(place);
        }
        work.flush_when_due(&self.for_whom).await
    }

    /// Makes taken bytes in an incomplete segment visible to readers, as far as possible.
    pub(crate) async fn show(&self) {
        self.work.lock().await.show();
    }

    /// Verifies that the content is `digest`; the writer is used up. While others wait for a write
    /// slot, the verified blob waits on disk.
    pub(crate) async fn verify(self, digest: Digest) -> Result<Result<ReadyBlob, Mismatch>, Error> {
        let places = {
            let mut work = self.work.lock().await;
            if work.place.is_none() && self.taken_bytes >= UNPLACED_BYTES_MAX as u64 {
                work.place = Some(work.blocking.places.take(&self.for_whom).await);
            }
            Arc::clone(&work.blocking.places)
        };
        self.end(move |writer| {
            let mut ready = writer.verify(&digest)?;
            if let Ok(ready) = &mut ready
                && places.are_wanted()
            {
                ready.flush_run()?;
            }
            Ok(ready)
        })
        .await
    }

    /// Suspends the upload with every byte taken.
    pub(crate) async fn suspend(self) -> Result<(), Error> {
        self.end(BlobWriter::suspend).await
    }

    /// Keeps the taken bytes, up to the end of the last segment, for a download that resumes them.
    pub(crate) async fn lay_down(self, key: PartKey, size_bytes: u64) -> Result<(), Error> {
        self.end(move |writer| writer.lay_down(key, size_bytes)).await
    }

    /// Appends the taken bytes, then runs the last operation on the writer.
    async fn end<T: Send + 'static>(
        self,
        last: impl FnOnce(BlobWriter) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        let mut work = self.work.lock().await;
        let mut writer = work.writer().await?;
        let batch = std::mem::take(&mut work.batch);
        work.held = None;
        let place = work.place.take();
        let blocking = work.blocking.clone();
        drop(work);
        let ended = blocking.run(move || {
            append_all(&mut writer, batch)?;
            let ended = last(writer);
            drop(place);
            ended
        });
        Ok(ended.await?)
    }
}

impl Work {
    fn take(&mut self, bytes: Bytes, for_whom: &WriteOwner) {
        self.batch_bytes += bytes.len();
        self.count(for_whom.party());
        if let Some(place) = &mut self.place {
            place.bytes += bytes.len() as u64;
        }
        self.touched = Instant::now();
        if !bytes.is_empty() {
            self.batch.push(bytes);
        }
    }

    /// Counts the batch for the party of its latest bytes.
    fn count(&mut self, party: &Party) {
        if self.held.as_ref().is_none_or(|(of, _)| of != party) {
            let budget = self.blocking.held.budget(party.clone(), MemoryBounds::NONE);
            self.held = Some((party.clone(), budget.pieces()));
        }
        self.count_again();
    }

    fn count_again(&mut self) {
        if let Some((_, held)) = &mut self.held {
            held.set(self.batch_bytes as u64, true);
        }
    }

    /// Whether others wait and this feed has used its slot long enough; an unwanted feed
    /// gives way at once.
    fn is_turn_over(&self, for_whom: &WriteOwner) -> bool {
        let turn_bytes = if for_whom.is_wanted() { TURN_BYTES } else { 0 };
        let places = &self.blocking.places;
        let had_all = |place: &WriteSlot| {
            place.bytes >= turn_bytes || place.had_its_time() || places.are_owed_by(place.party())
        };
        let had = self.place.as_ref().is_some_and(had_all);
        had && self.blocking.places.are_wanted_before(for_whom)
    }

    async fn flush_when_due(&mut self, for_whom: &WriteOwner) -> Result<(), Error> {
        let finished = match &self.stage {
            Stage::Idle(_) => true,
            Stage::Working(job) => job.is_finished(),
            Stage::Failed(error) => return Err(error.clone()),
        };
        let short = self.blocking.places.are_wanted_before(for_whom);
        let batch_bytes = if short { SEGMENT_BYTES } else { BATCH_BYTES };
        if self.batch_bytes >= batch_bytes || (finished && self.batch_bytes >= SEGMENT_BYTES) {
            let whole = self.batch_bytes - self.past_border();
            self.start(whole, |_| Ok(())).await?;
        }
        Ok(())
    }

    /// The bytes of the batch past the end of the last whole segment.
    fn past_border(&self) -> usize {
        let past = (self.given_bytes + self.batch_bytes as u64) % SEGMENT_BYTES as u64;
        usize::try_from(past).unwrap_or(0).min(self.batch_bytes)
    }

    fn show(&self) {
        let mut at = self.given_bytes;
        for bytes in &self.batch {
            self.blob.show(at, bytes);
            at += bytes.len() as u64;
        }
    }

    /// The first bytes of the batch.
    fn take_first(&mut self, count: usize) -> Vec<Bytes> {
        let (mut first, mut left) = (Vec::new(), count);
        let mut batch = std::mem::take(&mut self.batch).into_iter();
        while left > 0
            && let Some(mut bytes) = batch.next()
        {
            let part = bytes.split_to(bytes.len().min(left));
            left -= part.len();
            first.push(part);
            if !bytes.is_empty() {
                self.batch.push(bytes);
            }
        }
        self.batch.extend(batch);
        self.batch_bytes -= count - left;
        self.given_bytes += (count - left) as u64;
        self.count_again();
        first
    }

    /// Writes everything to disk, then hands on the write slot.
    async fn hand_on(&mut self) -> Result<(), Error> {
        // From here on an incomplete segment cannot be shown; the segments before it must be there.
        self.settled().await?;
        self.show();
        self.start(self.batch_bytes, BlobWriter::flush_run).await?;
        self.settled().await?;
        if let Some(place) = self.place.take() {
            self.blocking.places.hand_on(place);
        }
        Ok(())
    }

    /// Starts a job over this much of the batch and an operation after it; waits for the job
    /// before.
    async fn start(
        &mut self,
        count: usize,
        then: impl FnOnce(&mut BlobWriter) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), Error> {
        self.settled().await?;
        // Nothing is awaited past this line: a caller that goes away leaves the feed whole.
        let owner = self.place.as_ref().map_or_else(party::at_work, |place| place.party().clone());
        let room = self.blocking.jobs.take(&owner).await;
        match std::mem::replace(&mut self.stage, Stage::Failed(Error::UploadUnknown)) {
            Stage::Idle(mut writer) => {
                let batch = self.take_first(count);
                let job = spawn(room, move || {
                    append_all(&mut writer, batch)?;
                    then(&mut writer)?;
                    Ok(writer)
                });
                self.stage = Stage::Working(job);
            }
            other => self.stage = other,
        }
        Ok(())
    }

    /// Waits until the writer is idle. Safe to give up in the middle.
    async fn settled(&mut self) -> Result<(), Error> {
        if let Stage::Working(job) = &mut self.stage {
            self.stage = match unwind(job.await) {
                Ok(writer) => Stage::Idle(writer),
                Err(error) => Stage::Failed(error.into()),
            };
        }
        match &self.stage {
            Stage::Failed(error) => Err(error.clone()),
            Stage::Idle(_) | Stage::Working(_) => Ok(()),
        }
    }

    /// Takes the writer for good.
    async fn writer(&mut self) -> Result<BlobWriter, Error> {
        self.settled().await?;
        match std::mem::replace(&mut self.stage, Stage::Failed(Error::UploadUnknown)) {
            Stage::Idle(writer) => Ok(writer),
            Stage::Working(_) | Stage::Failed(_) => Err(Error::UploadUnknown),
        }
    }
}

/// Takes the write slot from a feed that stands still while others wait, or is slow for long. Ends
/// with the slot.
async fn watch(places: Arc<WriteSlots>, work: Weak<Mutex<Work>>) {
    loop {
        places.wanted().await;
        tokio::time::sleep(WRITE_SLOT_IDLE_MAX).await;
        let Some(work) = work.upgrade() else { return };
        let mut work = work.lock().await;
        let is_over = |place: &WriteSlot| place.had_its_time() || places.are_owed_by(place.party());
        let goes_on = work.touched.elapsed() < WRITE_SLOT_IDLE_MAX
            && !work.place.as_ref().is_some_and(is_over);
        if goes_on || !places.are_wanted() {
            continue;
        }
        if let Err(error) = work.hand_on().await {
            // The owner gets the error with its next call; no bytes are in memory for it any more.
            tracing::debug!(%error, "a writer that stood still has failed");
            work.place = None;
        }
    }
}

fn append_all(writer: &mut BlobWriter, batch: Vec<Bytes>) -> Result<(), StoreError> {
    batch.into_iter().try_for_each(|bytes| writer.append(bytes))
}
