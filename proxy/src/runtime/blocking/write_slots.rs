//! Who may have content in memory that is not on disk yet: so many writers at once. A place that is
//! free goes to the party that has fewest, each in turn, and within one to whoever asked first: two
//! that write without end make a third wait for one turn. A client that waits is held back by its
//! connection.
//!
//! Invariants: whoever has a place while others wait loses it (`pump.rs` sees to that) when it stops, goes
//! on slowly for long, or its party has more places than that of one who waits; so a client that stands
//! still or trickles keeps nobody out. What nobody wants gets a place only when nobody else waits. A
//! place is free only while nobody waits.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::limits::PLACE_TIME_MAX;
use crate::runtime::party::Party;
use crate::runtime::subscribers::Subscribers;

/// All places, and who waits for one.
pub(super) struct WriteSlots {
    lines: Mutex<Lines>,
    count: usize,
    waiting: watch::Sender<usize>,
    handed_on: AtomicU64,
    tickets: AtomicUsize,
}

/// For whom content is written.
#[derive(Clone)]
pub(crate) struct WriteOwner {
    party: Party,
    /// Who wants it; none where it is written because somebody sends it.
    subscribers: Option<Subscribers>,
}

impl WriteOwner {
    /// A download that these wait for, and this party began.
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
    /// Of parties that have a place, or wait for one.
    by_party: HashMap<Party, Line>,
    /// Places that were given, ever.
    given: u64,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Waiter>,
    places: usize,
    /// When this party was given a place last, in places that were given.
    last: u64,
}

struct Waiter {
    ticket: usize,
    for_whom: WriteOwner,
    grant: oneshot::Sender<Permit>,
}

/// The right to a place; goes to the next one when it is dropped.
struct Permit {
    places: Option<Arc<WriteSlots>>,
    party: Party,
}

/// Places at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriteSlotsState {
    /// Writers that have one.
    pub taken: usize,
    /// Writers that wait for one.
    pub waiting: usize,
    /// How often one was handed on before its blob was whole.
    pub handed_on: u64,
}

/// A place; free again when it is dropped.
pub(super) struct WriteSlot {
    permit: Permit,
    /// Bytes that were taken since it was given.
    pub(super) bytes: u64,
    /// When that was.
    pub(super) since: Instant,
    /// The task that looks whether its writer stands still; ends with it.
    pub(super) watch: Option<AbortHandle>,
}

impl Drop for WriteSlot {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

/// One that waits, as long as it does.
struct Waiting<'a> {
    places: &'a WriteSlots,
    party: Party,
    ticket: usize,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.places.lines().leave(&self.party, self.ticket);
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

    /// A place; waits for its turn. Safe to give up in the middle.
    pub(super) async fn take(self: &Arc<Self>, for_whom: &WriteOwner) -> WriteSlot {
        let party = for_whom.party.clone();
        let (grant, granted) = oneshot::channel();
        let waiting = {
            let mut lines = self.lines();
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

    /// Whether somebody waits.
    pub(super) fn are_wanted(&self) -> bool {
        *self.waiting.borrow() > 0
    }

    /// Whether somebody waits who is to have a place before these go on.
    pub(super) fn are_wanted_before(&self, for_whom: &WriteOwner) -> bool {
        self.are_wanted() && (!for_whom.is_wanted() || self.lines().is_anybody_wanted())
    }

    /// Whether somebody waits whose party has fewer places than this one would have without one of its own.
    pub(super) fn are_owed_by(&self, party: &Party) -> bool {
        self.are_wanted() && self.lines().are_owed_by(party)
    }

    /// Resolves when somebody waits.
    pub(super) async fn wanted(&self) {
        let mut waiting = self.waiting.subscribe();
        // The sender lives as long as `self`.
        let _ = waiting.wait_for(|count| *count > 0).await;
    }

    /// Counts a place that goes to the next one.
    pub(super) fn hand_on(&self, place: WriteSlot) {
        self.handed_on.fetch_add(1, Ordering::Relaxed);
        drop(place);
    }

    pub(super) fn state(&self) -> WriteSlotsState {
        WriteSlotsState {
            taken: self.count - self.lines().free,
            waiting: *self.waiting.borrow(),
            handed_on: self.handed_on.load(Ordering::Relaxed),
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WriteSlot {
    fn of(permit: Permit) -> Self {
        Self { permit, bytes: 0, since: Instant::now(), watch: None }
    }

    /// Whose it is.
    pub(super) const fn party(&self) -> &Party {
        &self.permit.party
    }

    /// Whether it was had for as long as one may while others wait.
    pub(super) fn had_its_time(&self) -> bool {
        self.since.elapsed() >= PLACE_TIME_MAX
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

    /// Who gets the next place.
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
        let mut lines = places.lines();
        lines.give_back(&self.party);
        while let Some(Waiter { for_whom: WriteOwner { party, .. }, grant, .. }) = lines.next() {
            lines.give(&party);
            let permit = Permit { places: Some(Arc::clone(&places)), party };
            let Err(mut refused) = grant.send(permit) else { return };
            // It gave up: the next one, then, and without a second drop of the same place.
            refused.places = None;
            lines.give_back(&refused.party);
        }
        lines.free += 1;
    }
}
