//! Whether an order explains the responses to overlapping requests: each request takes effect at
//! one moment between its begin and its end (linearizability, Herlihy and Wing 1990). This module
//! knows neither HTTP nor registries.
//!
//! Invariant: it says no only when there is no such order.

use std::collections::BTreeSet;
use std::fmt::Debug;

/// An object under requests: each request reads or changes it, and its response follows from its
/// state alone.
pub(super) trait Object {
    /// The object's state at one moment.
    type State: Clone + Ord + Debug;
    /// A request about it, with its answer.
    type Act: Debug;

    /// The state after this act, if the act's response is right in this state.
    fn after(state: &Self::State, act: &Self::Act) -> Option<Self::State>;
}

/// An act, and the two moments around it. No two moments are the same.
#[derive(Clone, Debug)]
pub(super) struct Event<A> {
    pub(super) begun: u64,
    pub(super) ended: u64,
    pub(super) act: A,
}

impl<A> Event<A> {
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.begun < other.ended && other.begun < self.ended
    }
}

/// The possible situations: a state, and the pending requests with their effect already done.
type Possible<S> = BTreeSet<(S, BTreeSet<usize>)>;

/// Searches an order of these events; without one, returns the events up to the unexplained
/// response.
pub(super) fn explain<O: Object>(start: O::State, events: &[Event<O::Act>]) -> Result<(), String> {
    let begins = events.iter().enumerate().map(|(number, event)| (event.begun, number, false));
    let ends = events.iter().enumerate().map(|(number, event)| (event.ended, number, true));
    let mut moments: Vec<_> = begins.chain(ends).collect();
    moments.sort_unstable();
    let mut possible = Possible::from([(start, BTreeSet::new())]);
    let mut going_on = BTreeSet::new();
    for (moment, number, ends) in moments {
        if !ends {
            going_on.insert(number);
            continue;
        }
        let before: BTreeSet<_> = possible.iter().map(|(state, _)| state.clone()).collect();
        possible = ended::<O>(events, &going_on, possible, number);
        going_on.remove(&number);
        if possible.is_empty() {
            let so_far = events.iter().filter(|event| event.begun <= moment);
            let so_far: Vec<_> = so_far
                .map(|event| format!("{:6}-{:<6} {:?}", event.begun, event.ended, event.act))
                .collect();
            let act = &events[number].act;
            return Err(format!(
                "nothing explains {act:?} at {moment}; before it could be {before:?}, after\n{}",
                so_far.join("\n")
            ));
        }
    }
    Ok(())
}

/// The possible situations after the response to this request: its effect is done.
fn ended<O: Object>(
    events: &[Event<O::Act>],
    going_on: &BTreeSet<usize>,
    possible: Possible<O::State>,
    number: usize,
) -> Possible<O::State> {
    let (mut seen, mut open) = (possible.clone(), possible);
    let mut after = Possible::new();
    while let Some((state, mut happened)) = open.pop_first() {
        if happened.remove(&number) {
            after.insert((state, happened));
            continue;
        }
        for next in going_on.difference(&happened) {
            if let Some(state) = O::after(&state, &events[*next].act) {
                let mut happened = happened.clone();
                happened.insert(*next);
                if seen.insert((state.clone(), happened.clone())) {
                    open.insert((state, happened));
                }
            }
        }
    }
    after
}

/// A number with reads and writes.
struct Number;

impl Object for Number {
    type State = u8;
    /// The number before, and after.
    type Act = (u8, u8);

    fn after(state: &u8, (before, after): &(u8, u8)) -> Option<u8> {
        (state == before).then_some(*after)
    }
}

#[test]
fn an_order_is_found_where_there_is_one_and_only_there() {
    let event = |begun, ended, act| Event { begun, ended, act };
    let explained = |events: &[Event<(u8, u8)>]| explain::<Number>(0, events).is_ok();
    // One sets while another reads, before or after.
    for read in [(0, 0), (1, 1)] {
        assert!(explained(&[event(0, 3, (0, 1)), event(1, 2, read)]), "{read:?}");
    }
    assert!(!explained(&[event(0, 3, (0, 1)), event(1, 2, (2, 2))]));
    // A read value stays read.
    let late = |read| [event(0, 9, (0, 1)), event(1, 2, (1, 1)), event(3, 4, read)];
    assert!(explained(&late((1, 1))));
    assert!(!explained(&late((0, 0))));
    // A request begun after an end does not see the earlier value.
    assert!(!explained(&[event(0, 1, (0, 1)), event(2, 3, (0, 0))]));
    // Two requests cannot both be the first to set it.
    assert!(!explained(&[event(0, 3, (0, 1)), event(1, 2, (0, 1))]));
}
