//! Mechanisms without a word of the protocol: threads, memory, queues, shares, time, bodies.

pub(crate) mod blocking;
pub(crate) mod body;
pub(crate) mod clock;
pub(crate) mod detached;
pub(crate) mod memory_gauge;
pub(crate) mod min_rate;
pub(crate) mod mutex;
pub(crate) mod party;
pub(crate) mod round_robin;
pub(crate) mod shares;
pub(crate) mod single_flight;
pub(crate) mod spans;
pub(crate) mod store;
pub(crate) mod subscribers;
pub(crate) mod ttl_map;
pub(crate) mod ttl_set;
