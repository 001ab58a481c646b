//! The reports of vulnerability scanners about images: Trivy and Grype, SARIF, and `CycloneDX` with
//! vulnerabilities, read into one form. The marketplace's view of them is in `rules`.
//!
//! Invariant: a foreign report costs bounded memory and never panics; its kept part is short.
//! Scores are of CVSS v3, or marked as other ones.

mod collect;
pub mod cvss;
mod cyclonedx;
mod error;
mod grype;
mod recognise;
mod sarif;
mod scan;
mod stream;
mod subject;
mod text;
mod trivy;
mod verdicts;

use std::path::Path;

pub use self::error::ScanError;
use self::recognise::Format;
pub use self::scan::{
    KEPT_MAX, Scan, ScanKind, ScannedPackage, Score, VexStatement, Vulnerability,
};
pub use self::subject::{Cover, ScanSubject};

/// Largest report, in bytes. One of 2,000 vulnerabilities, with descriptions and references, has
/// about 10 MB.
pub const REPORT_BYTES_MAX: u64 = 128 * 1024 * 1024;

impl Scan {
    /// Reads a report; `file` is for messages.
    pub fn read(file: &Path, bytes: &[u8]) -> Result<Self, ScanError> {
        let text = recognise::text(file, bytes)?;
        let format = recognise::format(file, &text)?;
        let read = match format {
            Format::Trivy => trivy::read(&text),
            Format::Grype => grype::read(&text),
            Format::Sarif => sarif::read(&text),
            Format::CycloneDx => cyclonedx::read(&text),
        };
        let collected = read.map_err(|source| ScanError::Content {
            file: file.to_owned(),
            format: format.name(),
            source,
        })?;
        Ok(collected.into_scan(file))
    }
}

impl Scan {
    /// Whether its form is the same for a scan without findings and for no scan. Trivy leaves the
    /// list out in both cases (0.74); Grype always matches.
    #[must_use]
    pub fn writes_nothing_as_none(&self) -> bool {
        !self.tool.eq_ignore_ascii_case("grype")
    }
}

#[cfg(test)]
mod tests;
