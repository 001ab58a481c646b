//! The submissions to the marketplace, kept as a text file in the publisher's repository: one JSON
//! record per line, only ever appended.
//!
//! Invariant: the meaning of the file is the meaning of the set of its records. Their order and
//! their number say nothing, so two branches each append can be merged line by line, by Git or by
//! hand.

mod contradictions;
mod file;
mod of_offer;
mod record;
mod state;

use crate::offer::OfferFile;
use crate::offer::content::Content;
use wharf_oci::Timestamp;

pub use self::contradictions::{Contradiction, ContradictionTopic, contradictions};
pub use self::file::{AppendResult, LEDGER_NAME, PublishedError, PublishedFile};
pub use self::of_offer::{complete, submissions};
pub use self::record::{
    Record, RecordedAudience, RecordedBundle, RecordedKind, RecordedLicence, RecordedScope,
    RecordedTerms, RecordedVisibility, Submission, SubmissionTarget, Withdrawal,
};
pub use self::state::{
    BundleState, LedgerState, Life, OfferState, PlanState, TagState, ValueHistory,
};

/// A ledger as the rules of an offer see it.
#[derive(Debug, Clone, Default)]
pub struct Published {
    pub state: LedgerState,
    /// The offer's contradictions of it.
    pub contradictions: Vec<Contradiction>,
}

impl Published {
    /// Compares an offer with the submissions.
    #[must_use]
    pub fn of(state: LedgerState, file: &OfferFile, content: &Content) -> Self {
        let submissions =
            submissions(file, content, &state, SubmissionTarget::Live, Timestamp::default());
        let contradictions = contradictions(&state, &submissions);
        Self { state, contradictions }
    }
}

#[cfg(test)]
pub(crate) mod tests;
