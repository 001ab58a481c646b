//! A first offer. A chart, an image and a Git remote yield proposals; a person or flags settle the
//! rest; then a commented `offer.yaml` is written with every file it names.
//!
//! Invariant: an offer of these values alone breaks no rule: [`draft::check`] judges the texts and
//! pictures before any file is written. `wharf offer lint` alone reports the faults of an existing
//! chart.

mod answers;
mod application;
mod chart_skeleton;
pub mod draft;
mod error;
mod git;
mod helm;
mod image;
mod kind;
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

pub use answers::Answers;
pub use error::InitError;
pub use kind::OfferKind;
pub use writing::{FileOutcome, WrittenFile, check_place, write};

#[cfg(test)]
mod tests;
