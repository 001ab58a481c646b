//! From one registry to another by digest: a complete plan, an apply of this plan alone, and a
//! ledger to resume, report and undo from.
//!
//! Invariant: nothing outside the plan is written; a source changed since the plan is refused; no
//! image ends without a state.

pub mod apply;
pub mod companions;
pub mod ledger;
pub mod plan;
pub mod undo;

use serde::{Deserialize, Serialize};

/// How an image ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It was copied, and its tags point at it.
    Promoted,
    /// Everything was as it should be before.
    Already,
    /// A tag has another digest, or a manifest changed since the plan was made.
    Refused,
    /// The source does not have it.
    Lost,
    /// An error ended it on the way.
    Failed,
}

impl State {
    /// Whether the image is where it should be.
    #[must_use]
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Promoted | Self::Already)
    }

    /// The word for tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::Already => "already",
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests;
