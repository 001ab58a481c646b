//! What a store must live through: kills, full disks, flipped bits, readers that join whenever they
//! like. One test binary, one module per subject; what stores have in common is `contract.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod crash;
mod flips;
mod full;
mod ground;
mod in_flight;
mod parts;
mod records;
