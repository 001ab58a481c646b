//! Permits for jobs: a party with many requests gets one, then each other party, then the next one.
//!
//! Invariants: no party has more than its share of the permits, unless half of all are free; a
//! permit is free only while no waiting job may have it.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use wharf_client::runtime::mutex::Mutex;
use wharf_client::runtime::party::Party;
use wharf_client::runtime::round_robin::{Eligibility, RoundRobin};

/// All permits of one kind, and the queue for them.
pub(super) struct JobQueue {
    places: usize,
    each: usize,
    state: Mutex<State>,
}

struct State {
    free: usize,
    /// Permits by party; a party without one has no entry.
    taken: HashMap<Party, usize>,
    waiting: RoundRobin<u64>,
    grants: HashMap<u64, oneshot::Sender<JobPermit>>,
    tickets: u64,
}

/// A permit; returned when dropped.
pub(crate) struct JobPermit {
    line: Option<Arc<JobQueue>>,
    party: Party,
}

/// A job in the queue, for as long as it waits.
struct Waiting<'a> {
    line: &'a JobQueue,
    ticket: u64,
}

impl JobQueue {
    /// The number of permits in all, and for each party.
    pub(super) fn new(places: usize, each: usize) -> Self {
        let state = State {
            free: places,
            taken: HashMap::new(),
            waiting: RoundRobin::default(),
            grants: HashMap::new(),
            tickets: 0,
        };
        Self { places, each, state: Mutex::new(state) }
    }

    /// A permit, in turn. Safe to give up in the middle.
    pub(super) async fn take(self: &Arc<Self>, party: &Party) -> JobPermit {
        let (grant, granted) = oneshot::channel();
        let waiting = {
            let mut state = self.state.lock();
            if self.may(state.free, &state.taken, party) {
                return self.give(&mut state, party);
            }
            state.tickets += 1;
            let ticket = state.tickets;
            state.waiting.push(party, ticket);
            state.grants.insert(ticket, grant);
            Waiting { line: self, ticket }
        };
        let room = granted.await;
        drop(waiting);
        room.expect("whoever waits is in the line")
    }

    /// A permit without waiting.
    pub(super) fn try_take(self: &Arc<Self>, party: &Party) -> Option<JobPermit> {
        let mut state = self.state.lock();
        let may = self.may(state.free, &state.taken, party);
        may.then(|| self.give(&mut state, party))
    }

    /// The number of permits taken.
    pub(super) fn taken(&self) -> usize {
        self.places - self.state.lock().free
    }

    /// The number of waiting jobs.
    pub(super) fn waiting(&self) -> usize {
        self.state.lock().waiting.len()
    }

    fn may(&self, free: usize, taken: &HashMap<Party, usize>, party: &Party) -> bool {
        let has = taken.get(party).copied().unwrap_or(0);
        free > 0 && (has < self.each || free > self.places / 2)
    }

    fn give(self: &Arc<Self>, state: &mut State, party: &Party) -> JobPermit {
        state.free -= 1;
        *state.taken.entry(party.clone()).or_default() += 1;
        JobPermit { line: Some(Arc::clone(self)), party: party.clone() }
    }
}

impl State {
    fn give_back(&mut self, party: &Party) {
        self.free += 1;
        if let Some(count) = self.taken.get_mut(party) {
            *count -= 1;
            if *count == 0 {
                self.taken.remove(party);
            }
        }
    }

    /// The next job to get a permit.
    fn next(&mut self, line: &JobQueue) -> Option<(Party, oneshot::Sender<JobPermit>)> {
        let Self { free, taken, waiting, grants, .. } = self;
        let (party, ticket) =
            waiting.pop(|party| line.may(*free, taken, party), |_| Eligibility::Free)?;
        Some((party, grants.remove(&ticket)?))
    }
}

impl Drop for JobPermit {
    fn drop(&mut self) {
        let Some(line) = self.line.take() else { return };
        let mut state = line.state.lock();
        state.give_back(&self.party);
        while let Some((party, grant)) = state.next(&line) {
            let room = line.give(&mut state, &party);
            if let Err(mut refused) = grant.send(room) {
                // The job gave up: the next one, then, and without a second drop of the same
                // permit.
                refused.line = None;
                state.give_back(&refused.party);
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.line.state.lock();
        state.waiting.remove(&self.ticket);
        state.grants.remove(&self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    fn party(last: u8) -> Party {
        Party::behind([10, 0, 0, last].into())
    }

    type Taking = Pin<Box<dyn Future<Output = JobPermit>>>;

    fn taking(line: &Arc<JobQueue>, last: u8) -> Taking {
        let line = Arc::clone(line);
        Box::pin(async move { line.take(&party(last)).await })
    }

    fn poll(taking: &mut Taking) -> Option<JobPermit> {
        match taking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(room) => Some(room),
            Poll::Pending => None,
        }
    }

    #[test]
    fn whoever_comes_third_is_next_however_many_wait_of_two_others() {
        let line = Arc::new(JobQueue::new(1, 1));
        let mut held = poll(&mut taking(&line, 1)).unwrap();
        let mut others: Vec<_> = (0..200).map(|n| taking(&line, 1 + n % 2)).collect();
        assert!(others.iter_mut().all(|other| poll(other).is_none()));
        let mut third = taking(&line, 3);
        assert!(poll(&mut third).is_none());
        for _ in 0..2 {
            drop(held);
            assert!(poll(&mut third).is_none());
            let given =
                others.iter_mut().enumerate().find_map(|(at, other)| Some((at, poll(other)?)));
            let (at, room) = given.unwrap();
            drop(others.remove(at));
            held = room;
        }
        drop(held);
        assert!(poll(&mut third).is_some());
    }

    #[test]
    fn a_share_is_not_exceeded_when_half_is_taken_and_who_gives_up_takes_nothing() {
        let line = Arc::new(JobQueue::new(8, 2));
        let mut held: Vec<_> = (0..4).map(|_| poll(&mut taking(&line, 1)).unwrap()).collect();
        let mut more = taking(&line, 1);
        assert!(poll(&mut more).is_none());
        held.extend((0..2).map(|_| poll(&mut taking(&line, 2)).unwrap()));
        assert!(line.try_take(&party(2)).is_none());
        assert!(line.try_take(&party(3)).is_some());
        let mut other = taking(&line, 1);
        assert!(poll(&mut other).is_none());
        assert_eq!((line.taken(), line.waiting()), (6, 2));
        drop(other);
        drop(held);
        // Granted, and not taken.
        drop(more);
        let state = line.state.lock();
        let left = (state.free, state.taken.len(), state.grants.len(), state.waiting.len());
        assert_eq!(left, (8, 0, 0, 0));
    }
}
