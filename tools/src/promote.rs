//! From one registry to another by digest: a plan that says everything, an apply that does nothing
//! else, and a ledger from which it goes on, reports and undoes.
//!
//! Invariant: nothing is written that is not in the plan; a source that changed since is refused;
//! no image ends without a state.

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
    /// A tag points elsewhere, or something changed since the plan was made.
    Refused,
    /// The source does not have it.
    Lost,
    /// Something went wrong on the way.
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
