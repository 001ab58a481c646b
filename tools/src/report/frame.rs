//! What a format is given.

use super::{Report, ReportRoot};

/// A report on its way into a format.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    pub report: &'a Report,
    /// The report's command: `offer lint`.
    pub command: &'a str,
    /// The base of relative paths, for formats with them.
    pub root: &'a ReportRoot,
    /// The most bytes of a text for a reader with a limit.
    pub bytes_max: usize,
}
