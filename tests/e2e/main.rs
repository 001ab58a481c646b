//! The end-to-end tests: one test binary, one module per subject.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod bad_input;
mod clients;
mod coalesce;
mod crash;
mod credentials;
mod crowd;
mod damage;
mod double;
mod encrypted;
mod fixture;
mod fuzz_corpus;
mod herd;
mod layering;
mod malicious;
mod matrix;
mod mirrors;
mod pull;
mod push;
mod reading;
mod resume;
mod standalone;
mod upkeep;
