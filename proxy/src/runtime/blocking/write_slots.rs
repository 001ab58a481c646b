//! Write slots bound how many writers have content in memory before it is on disk. A free slot goes
//! to the party with the fewest, each party in turn, and within a party to the first request: two
//! endless writers make a third wait for one turn. The connection holds back a waiting client.
//!
//! Invariants: a writer with a slot while others wait loses it (`blob_feed.rs` sees to it) when it
//! stops, is slow for long, or its party has more slots than a waiting one; so a client that stands
//! still or trickles keeps no other one out. An unwanted download gets a slot only when no other
//! writer waits. A slot is free only while no writer waits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use wharf_client::runtime::mutex::Mutex;
use wharf_client::runtime::party::Party;
use wharf_client::runtime::subscribers::Subscribers;

use crate::limits::WRITE_SLOT_TIME_MAX;

/// All slots, and the queue for them.
pub(super) struct WriteSlots {
    lines: Mutex<Lines>,
    count: usize,
    waiting: watch::Sender<usize>,
    handed_on: AtomicU64,
    tickets: AtomicUsize,
}

/// The party of a writer, and its subscribers.
#[derive(Clone)]
pub(crate) struct WriteOwner {
    party: Party,
    /// The subscribers of a download; none for a client's upload.
    subscribers: Option<Subscribers>,
}

impl WriteOwner {
    /// A download with these subscribers, begun by this party.
    pub(crate) const fn those_at(subscribers: Subscribers, party: Party) -> Self {
        Self { party, subscribers: Some(subscribers) }
    }

    pub(super) const fn party(&self) -> &Party {
        &self.party
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.subscribers.as_ref().is_none_or(Subscribers::are_taken)
    }
}

impl From<Party> for WriteOwner {
    fn from(party: Party) -> Self {
        Self { party, subscribers: None }
    }
}

#[derive(Default)]
struct Lines {
    free: usize,
    /// Parties that have a slot, or wait for one.
    by_party: HashMap<Party, Line>,
    /// Slots granted since the start.
    given: u64,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Waiter>,
    places: usize,
    /// When this party last got a slot, in slots granted.
    last: u64,
}

struct Waiter {
    ticket: usize,
    for_whom: WriteOwner,
    grant: oneshot::Sender<Permit>,
}

/// The right to a slot; goes to the next writer when dropped.
struct Permit {
    places: Option<Arc<WriteSlots>>,
    party: Party,
}

/// The slots of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriteSlotsState {
    /// Writers with a slot.
    pub taken: usize,
    /// Writers waiting for one.
    pub waiting: usize,
    /// Slots handed on before their blob was whole.
    pub handed_on: u64,
}

/// A slot; returned when dropped.
pub(super) struct WriteSlot {
    permit: Permit,
    /// Bytes taken since the slot was granted.
    pub(super) bytes: u64,
    /// When the slot was granted.
    pub(super) since: Instant,
    /// The task that watches for a writer standing still; ends with the slot.
    pub(super) watch: Option<AbortHandle>,
}

impl Drop for WriteSlot {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

/// A writer in the queue, for as long as it waits.
struct Waiting<'a> {
    places: &'a WriteSlots,
    party: Party,
    ticket: usize,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.places.lines.lock().leave(&self.party, self.ticket);
        self.places.waiting.send_modify(|count| *count -= 1);
    }
}

impl WriteSlots {
    pub(super) fn new(count: usize) -> Self {
        let (waiting, _) = watch::channel(0);
        let lines = Mutex::new(Lines { free: count, ..Lines::default() });
        let (handed_on, tickets) = (AtomicU64::new(0), AtomicUsize::new(0));
        Self { lines, count, waiting, handed_on, tickets }
    }

    /// A slot, in turn. Safe to give up in the middle.
    pub(super) async fn take(self: &Arc<Self>, for_whom: &WriteOwner) -> WriteSlot {
        let party = for_whom.party.clone();
        let (grant, granted) = oneshot::channel();
        let waiting = {
            let mut lines = self.lines.lock();
            if lines.take_free(&party) {
                return WriteSlot::of(Permit { places: Some(Arc::clone(self)), party });
            }
            let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
            let waiter = Waiter { ticket, for_whom: for_whom.clone(), grant };
            lines.by_party.entry(party.clone()).or_default().waiting.push_back(waiter);
            Waiting { places: self, party, ticket }
        };
        self.waiting.send_modify(|count| *count += 1);
        let permit = granted.await;
        drop(waiting);
        WriteSlot::of(permit.expect("whoever waits is in a line"))
    }

    /// Whether a writer waits.
    pub(super) fn are_wanted(&self) -> bool {
        *self.waiting.borrow() > 0
    }

    /// Whether a writer waits that precedes this one.
    pub(super) fn are_wanted_before(&self, for_whom: &WriteOwner) -> bool {
        self.are_wanted() && (!for_whom.is_wanted() || self.lines.lock().is_anybody_wanted())
    }

    /// Whether a writer waits whose party has fewer slots than this party would have after giving
    /// one up.
    pub(super) fn are_owed_by(&self, party: &Party) -> bool {
        self.are_wanted() && self.lines.lock().are_owed_by(party)
    }

    /// Resolves when a writer waits.
    pub(super) async fn wanted(&self) {
        let mut waiting = self.waiting.subscribe();
        // The sender lives as long as `self`.
        let _ = waiting.wait_for(|count| *count > 0).await;
    }

    /// Counts a slot handed on to the next writer.
    pub(super) fn hand_on(&self, place: WriteSlot) {
        self.handed_on.fetch_add(1, Ordering::Relaxed);
        drop(place);
    }

    pub(super) fn state(&self) -> WriteSlotsState {
        WriteSlotsState {
            taken: self.count - self.lines.lock().free,
            waiting: *self.waiting.borrow(),
            handed_on: self.handed_on.load(Ordering::Relaxed),
        }
    }
}

impl WriteSlot {
    fn of(permit: Permit) -> Self {
        Self { permit, bytes: 0, since: Instant::now(), watch: None }
    }

    /// The party of the slot.
    pub(super) const fn party(&self) -> &Party {
        &self.permit.party
    }

    /// Whether the slot was held for as long as allowed while others wait.
    pub(super) fn had_its_time(&self) -> bool {
        self.since.elapsed() >= WRITE_SLOT_TIME_MAX
    }
}

impl Lines {
    fn take_free(&mut self, party: &Party) -> bool {
        let is_free = self.free > 0;
        if is_free {
            self.free -= 1;
            self.give(party);
        }
        is_free
    }

    fn give(&mut self, party: &Party) {
        self.given += 1;
        let line = self.by_party.entry(party.clone()).or_default();
        line.places += 1;
        line.last = self.given;
    }

    fn give_back(&mut self, party: &Party) {
        if let Some(line) = self.by_party.get_mut(party) {
            line.places -= 1;
        }
        self.tidy(party);
    }

    fn leave(&mut self, party: &Party, ticket: usize) {
        if let Some(line) = self.by_party.get_mut(party) {
            line.waiting.retain(|waiter| waiter.ticket != ticket);
        }
        self.tidy(party);
    }

    fn tidy(&mut self, party: &Party) {
        if self.by_party.get(party).is_some_and(|line| line.places == 0 && line.waiting.is_empty())
        {
            self.by_party.remove(party);
        }
    }

    fn is_anybody_wanted(&self) -> bool {
        let mut waiting = self.by_party.values().flat_map(|line| &line.waiting);
        waiting.any(|waiter| waiter.for_whom.is_wanted())
    }

    fn are_owed_by(&self, party: &Party) -> bool {
        let has = self.by_party.get(party).map_or(0, |line| line.places);
        self.by_party.values().any(|line| {
            let mut waiting = line.waiting.iter();
            line.places + 1 < has && waiting.any(|waiter| waiter.for_whom.is_wanted())
        })
    }

    /// The next writer to get a slot.
    fn next(&mut self) -> Option<Waiter> {
        let turns = self.by_party.iter().filter_map(|(party, line)| {
            let wanted = line.waiting.iter().position(|waiter| waiter.for_whom.is_wanted());
            let index = wanted.unwrap_or(0);
            let ticket = line.waiting.get(index)?.ticket;
            Some(((wanted.is_none(), line.places, line.last, ticket), party, index))
        });
        let (_, party, index) = turns.min_by_key(|(rank, ..)| *rank)?;
        let party = party.clone();
        self.by_party.get_mut(&party)?.waiting.remove(index)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(places) = self.places.take() else { return };
        let mut lines = places.lines.lock();
        lines.give_back(&self.party);
        while let Some(Waiter { for_whom: WriteOwner { party, .. }, grant, .. }) = lines.next() {
            lines.give(&party);
            let permit = Permit { places: Some(Arc::clone(&places)), party };
            let Err(mut refused) = grant.send(permit) else { return };
            // The writer gave up: the next one, then, and without a second drop of the same slot.
            refused.places = None;
            lines.give_back(&refused.party);
        }
        lines.free += 1;
    }
}
