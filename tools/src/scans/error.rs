//! Why a file is no report that can be read.

use std::path::PathBuf;

/// Why a file is no readable report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// It is a file of another kind.
    #[error("{} is {what}, no vulnerability report that is read here; {help}", file.display())]
    NoReport { file: PathBuf, what: String, help: &'static str },
    /// Its content does not fit the format.
    #[error("{} begins as a report of {format} and cannot be read on", file.display())]
    Content { file: PathBuf, format: &'static str, source: serde_json::Error },
}
