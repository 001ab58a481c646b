//! Permits for login checks, shared fairly: a party with many waiting requests gets one permit,
//! then the other parties get theirs, then it gets the next. Every other permit goes to known
//! parties, however many unknown parties wait.
//!
//! Invariants: a dropped permit is free again, also one granted to a request that was cancelled
//! meanwhile. The callers bound how many requests wait (`SingleFlight`, with a share for each
//! party).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;

use wharf_client::runtime::mutex::Mutex;
use wharf_client::runtime::party::Party;

/// All permits of one kind, and the requests waiting for one.
#[derive(Clone)]
pub(super) struct CheckQueue(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// The most permits one party may hold.
    each: usize,
    lots: HashMap<Party, Lot>,
    /// Parties with waiting requests, unknown and known; the first of each queue is next.
    strangers: VecDeque<Party>,
    known: VecDeque<Party>,
    /// Whether the last permit went to an unknown party.
    after_stranger: bool,
    number: u64,
}

/// The permits and waiting requests of one party.
#[derive(Default)]
struct Lot {
    places: usize,
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
}

/// A permit for one check; free again when it is dropped.
pub(super) struct CheckPermit {
    all: CheckQueue,
    party: Party,
}

/// A waiting request; returns a permit that it was granted and did not take.
struct Waiting {
    all: CheckQueue,
    party: Party,
    number: u64,
    given: oneshot::Receiver<()>,
    taken: bool,
}

impl CheckQueue {
    /// A queue with this many permits in all, and a limit for each party.
    pub(super) fn new(places: usize, each: usize) -> Self {
        let state = State {
            free: places,
            each,
            lots: HashMap::new(),
            strangers: VecDeque::new(),
            known: VecDeque::new(),
            after_stranger: false,
            number: 0,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Waits for a permit. Cancel safe.
    pub(super) async fn enter(&self, party: &Party) -> CheckPermit {
        if let Some(mut waiting) = self.take_or_wait(party) {
            // The sender stays alive until it has sent.
            let _ = (&mut waiting.given).await;
            waiting.taken = true;
        }
        CheckPermit { all: self.clone(), party: party.clone() }
    }

    /// Takes a permit, or enters the queue for one.
    fn take_or_wait(&self, party: &Party) -> Option<Waiting> {
        let mut state = self.0.lock();
        let (free, each) = (state.free, state.each);
        let lot = state.lots.entry(party.clone()).or_default();
        if free > 0 && lot.places < each {
            lot.places += 1;
            state.free -= 1;
            return None;
        }
        let is_first = lot.waiting.is_empty();
        let (sender, given) = oneshot::channel();
        state.number += 1;
        let number = state.number;
        if let Some(lot) = state.lots.get_mut(party) {
            lot.waiting.push_back((number, sender));
        }
        if is_first {
            state.order(party.is_stranger()).push_back(party.clone());
        }
        Some(Waiting { all: self.clone(), party: party.clone(), number, given, taken: false })
    }
}

impl State {
    /// Frees one of this party's permits.
    fn leave(&mut self, party: &Party) {
        self.free += 1;
        if let Some(lot) = self.lots.get_mut(party) {
            lot.places -= 1;
        }
        self.tidy(party);
        while self.free > 0 && self.hand_on() {}
    }

    /// Grants a permit to the next party entitled to one; whether there was one.
    fn hand_on(&mut self) -> bool {
        let first = !self.after_stranger;
        let next = self.next(first).or_else(|| self.next(!first));
        let Some(party) = next else { return false };
        self.after_stranger = party.is_stranger();
        let Some(lot) = self.lots.get_mut(&party) else { return true };
        if let Some((_, sender)) = lot.waiting.pop_front() {
            // A waiting request takes itself off this list under the same lock.
            let _ = sender.send(());
            lot.places += 1;
            self.free -= 1;
        }
        if !lot.waiting.is_empty() {
            self.order(party.is_stranger()).push_back(party);
        }
        true
    }

    fn order(&mut self, of_strangers: bool) -> &mut VecDeque<Party> {
        if of_strangers { &mut self.strangers } else { &mut self.known }
    }

    /// Takes the next party entitled to a permit off its queue.
    fn next(&mut self, of_strangers: bool) -> Option<Party> {
        let Self { lots, each, strangers, known, .. } = self;
        let order = if of_strangers { strangers } else { known };
        let may = |party: &Party| lots.get(party).is_some_and(|lot| lot.places < *each);
        order.iter().position(may).and_then(|at| order.remove(at))
    }

    /// Takes a waiting request off the list; `false` when it is gone from there because it was
    /// granted a permit.
    fn give_up(&mut self, party: &Party, number: u64) -> bool {
        let Some(lot) = self.lots.get_mut(party) else { return false };
        let Some(at) = lot.waiting.iter().position(|(of, _)| *of == number) else { return false };
        lot.waiting.remove(at);
        if lot.waiting.is_empty() {
            self.order(party.is_stranger()).retain(|other| other != party);
        }
        self.tidy(party);
        true
    }

    fn tidy(&mut self, party: &Party) {
        if self.lots.get(party).is_some_and(|lot| lot.places == 0 && lot.waiting.is_empty()) {
            self.lots.remove(party);
        }
    }
}

impl Drop for CheckPermit {
    fn drop(&mut self) {
        self.all.0.lock().leave(&self.party);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut state = self.all.0.lock();
        if !state.give_up(&self.party, self.number) {
            state.leave(&self.party);
        }
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

    type Entering = Pin<Box<dyn Future<Output = CheckPermit>>>;

    fn entering(all: &CheckQueue, last: u8) -> Entering {
        let all = all.clone();
        Box::pin(async move { all.enter(&party(last)).await })
    }

    fn poll(entering: &mut Entering) -> Option<CheckPermit> {
        match entering.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(place) => Some(place),
            Poll::Pending => None,
        }
    }

    /// The first of these requests that has its permit.
    fn ready(all: &mut Vec<Entering>) -> Option<CheckPermit> {
        let (at, place) =
            all.iter_mut().enumerate().find_map(|(at, one)| Some((at, poll(one)?)))?;
        drop(all.remove(at));
        Some(place)
    }

    #[test]
    fn whoever_comes_third_is_next_however_many_wait_of_two_others() {
        let all = CheckQueue::new(2, 2);
        let mut held: Vec<_> = (1..=2).map(|of| poll(&mut entering(&all, of)).unwrap()).collect();
        let mut others: Vec<_> = (0..100).map(|n| entering(&all, 1 + n % 2)).collect();
        assert!(ready(&mut others).is_none());
        let mut third = entering(&all, 3);
        assert!(poll(&mut third).is_none());
        // One permit for each of the two earlier requests, then this one.
        for _ in 0..2 {
            held.remove(0);
            held.push(ready(&mut others).unwrap());
        }
        assert!(poll(&mut third).is_none());
        held.remove(0);
        assert!(poll(&mut third).is_some());
    }

    #[test]
    fn who_is_known_waits_for_one_stranger_and_not_for_all_of_them() {
        let all = CheckQueue::new(1, 1);
        let held = poll(&mut entering(&all, 1)).unwrap();
        let mut strangers: Vec<_> = (2..=200).map(|of| entering(&all, of)).collect();
        assert!(ready(&mut strangers).is_none());
        let known = |party: Party| -> Entering {
            let all = all.clone();
            Box::pin(async move { all.enter(&party).await })
        };
        let mut waiting = [known(party(1).familiar()), known(Party::Caller("alice".into()))];
        assert!(waiting.iter_mut().all(|known| poll(known).is_none()));
        drop(held);
        let mut before = 0;
        for known in &mut waiting {
            let place = loop {
                match poll(known) {
                    Some(place) => break place,
                    None => drop(ready(&mut strangers).unwrap()),
                }
                before += 1;
            };
            drop(place);
        }
        assert!(before <= 2, "they waited for {before} strangers");
    }

    #[test]
    fn a_share_is_not_exceeded_while_others_find_room() {
        let all = CheckQueue::new(8, 2);
        let held: Vec<_> = (0..2).map(|_| poll(&mut entering(&all, 1)).unwrap()).collect();
        let mut more = entering(&all, 1);
        assert!(poll(&mut more).is_none());
        let _other = poll(&mut entering(&all, 2)).unwrap();
        drop(held);
        assert!(poll(&mut more).is_some());
    }

    #[test]
    fn who_goes_away_takes_no_place_and_leaves_no_trace() {
        let all = CheckQueue::new(1, 1);
        let held = poll(&mut entering(&all, 1)).unwrap();
        let (mut first, mut second) = (entering(&all, 2), entering(&all, 3));
        let mut third = entering(&all, 1);
        assert!(poll(&mut first).or(poll(&mut second)).or(poll(&mut third)).is_none());
        drop(second);
        drop(held);
        // Granted, and not taken.
        drop(first);
        drop(poll(&mut third).unwrap());
        let state = all.0.lock();
        let waiting = state.strangers.len() + state.known.len();
        assert_eq!((state.free, state.lots.len(), waiting), (1, 0, 0));
    }
}
