//! Mechanisms without a word of the protocol: queues, shared work, rates, locks.

pub mod min_rate;
pub mod mutex;
pub mod party;
pub mod round_robin;
pub mod single_flight;
pub mod subscribers;
pub mod ttl_map;
pub mod ttl_set;
