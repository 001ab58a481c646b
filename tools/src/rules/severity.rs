//! How much findings weigh, and by which of two values.

use clap::ValueEnum;
use serde::Serialize;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// May be refused, or could be better
    Warning,
    /// Will be refused, or breaks customers
    Error,
}

impl Severity {
    /// The word for people and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Which value counts where Microsoft's pages contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Warn by the narrower value, fail by the wider one
    Strict,
    /// Only the wider value counts
    Lenient,
}
