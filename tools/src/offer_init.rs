//! A first offer. What a chart, an image and a Git remote say becomes proposals; a person or flags
//! settle what is left; then a commented `offer.yaml` is written with every file it names.
//!
//! Invariant: what the values alone make of an offer breaks no rule: [`draft::check`] judges the
//! texts and pictures before anything is written. What a chart that was there breaks is said by
//! `wharf offer lint` alone.

mod answers;
mod application;
mod chart_skeleton;
pub mod draft;
mod error;
mod git;
mod helm;
mod image;
mod mark;
mod names;
mod offer_text;
mod proposals;
mod scalar;
pub mod settle;
pub mod sources;
mod texts;
pub mod topics;
mod writing;

pub use answers::{Answers, Kind};
pub use error::InitError;
pub use writing::{Outcome, WrittenFile, check_place, write};

#[cfg(test)]
mod tests;
