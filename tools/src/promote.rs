//! From one registry to another by digest: a complete plan, an apply of this plan alone, and a
//! ledger to resume, report and undo from.
//!
//! Invariant: nothing outside the plan is written; a source changed since the plan is refused; no
//! image ends without a state.

pub mod apply;
pub mod companions;
pub mod forecast;
pub mod images;
pub mod ledger;
pub mod manifests;
pub mod plan;
pub mod planner;
pub mod record;
pub mod undo;
pub mod watch;

use serde::{Deserialize, Serialize};

/// How an image ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ImageState {
    /// It was copied, and its tags point at it.
    Promoted,
    /// Everything was as it should be before.
    #[serde(rename = "already")]
    UpToDate,
    /// A tag has another digest, or a manifest changed since the plan was made.
    Refused,
    /// The source does not have it.
    #[serde(rename = "lost")]
    Missing,
    /// An error ended it on the way.
    Failed,
}

impl ImageState {
    /// Whether the image is where it should be.
    #[must_use]
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Promoted | Self::UpToDate)
    }

    /// The word for tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::UpToDate => "already",
            Self::Refused => "refused",
            Self::Missing => "lost",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests;
