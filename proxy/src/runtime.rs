//! Mechanisms without a word of the protocol: threads, memory, shares, time, bodies. Those that the client of
//! upstreams has too are its (`wharf_client::runtime`).

pub(crate) mod blocking;
pub(crate) mod body;
pub(crate) mod clock;
pub(crate) mod detached;
pub(crate) mod memory_gauge;
pub(crate) mod shares;
pub(crate) mod single_flight;
pub(crate) mod spans;
pub(crate) mod store;
