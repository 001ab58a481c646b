//! The reports of vulnerability scanners about images: Trivy and Grype, SARIF, and `CycloneDX` with
//! vulnerabilities, read into one form. The marketplace's view of them is in `rules`.
//!
//! Invariant: a foreign report costs bounded memory and never panics; its kept part is short.
//! Scores are of CVSS v3, or marked as other ones.

mod collect;
pub mod cvss;
mod cyclonedx;
mod grype;
mod recognise;
mod sarif;
mod stream;
mod subject;
mod trivy;
mod verdicts;

use std::fmt;
use std::path::{Path, PathBuf};

use self::collect::Collector;
use self::cvss::BaseScore;
use self::recognise::Format;
pub use self::subject::{Cover, Subject};
use crate::offer::timestamp::Timestamp;

/// Largest report, in bytes. One of 2,000 vulnerabilities, with descriptions and references, has
/// about 10 MB.
pub const REPORT_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Most kept vulnerabilities of one report; more are only counted.
pub const KEPT_MAX: usize = 10_000;

/// A report, as far as the rules need it.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Its tool, in its own words: `Trivy`, `grype`.
    pub tool: String,
    pub subject: Subject,
    /// Its time, if stated.
    pub made: Option<Timestamp>,
    /// The time of the scanner's list of vulnerabilities, if stated.
    pub database: Option<Timestamp>,
    /// The kind of document.
    pub kind: Kind,
    /// The possibly harmful vulnerabilities: with a blocking CVSS v3 score, or without a score.
    pub vulnerabilities: Vec<Vulnerability>,
    /// How many it found in all.
    pub count: usize,
    /// The number of such vulnerabilities beyond the kept ones.
    pub not_kept: usize,
    /// Its verdicts about other reports' vulnerabilities.
    pub statements: Vec<Statement>,
}

impl Kind {
    /// Whether it is the report of a scan.
    #[must_use]
    pub const fn is_report(self) -> bool {
        matches!(self, Self::Scan | Self::Summary)
    }
}

/// The kind of a document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// A scan's findings, with every known score.
    #[default]
    Scan,
    /// The same in a form with at most one number for a vulnerability (SARIF).
    Summary,
    /// Verdicts on other reports' vulnerabilities (VEX).
    Verdicts,
    /// The components of an image. It proves no scan, since a list made without one has an empty
    /// list of vulnerabilities as well.
    Components,
}

/// A vulnerability of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vulnerability {
    /// Its name: `CVE-2026-1234`, `GHSA-…`.
    pub id: String,
    /// The vulnerable package.
    pub package: Package,
    /// The first mended version, if there is one.
    pub fixed: Option<String>,
    pub score: Score,
    /// The scanner's word for it, without effect here.
    pub label: Option<String>,
    /// Why it does no harm, where the report says so.
    pub excuse: Option<String>,
}

/// A package of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    pub name: String,
    /// The installed version.
    pub version: String,
    /// Its package URL, if it is said.
    pub purl: String,
}

/// How bad a vulnerability is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Score {
    /// The highest stated base score of CVSS v3.
    V3 {
        score: BaseScore,
        /// Its source: `nvd`, `ghsa`.
        source: String,
        /// Whether only its vector is stated.
        is_computed: bool,
    },
    /// A number of an unstated scale.
    Unnamed(BaseScore),
    /// None of CVSS v3.
    None,
}

/// A VEX document's verdict on a vulnerability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub id: String,
    /// The packages or images it is said of, as package URLs.
    pub affects: Vec<String>,
    /// Why it does no harm there.
    pub excuse: String,
}

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

impl Score {
    /// Whether it decides an image is refused.
    #[must_use]
    pub fn blocks(&self) -> bool {
        matches!(self, Self::V3 { score, .. } if score.blocks())
    }

    /// Whether an image may be published with it in every case.
    fn is_harmless(&self) -> bool {
        matches!(self, Self::V3 { score, .. } if !score.blocks())
    }

    /// The order of two scores of one vulnerability: the higher one of v3 counts.
    fn rank(&self) -> (u8, Option<BaseScore>) {
        match self {
            Self::V3 { score, .. } => (2, Some(*score)),
            Self::Unnamed(score) => (1, Some(*score)),
            Self::None => (0, None),
        }
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.as_str(), self.version.as_str()) {
            ("", _) => f.write_str("a package that is not named"),
            (name, "") => f.write_str(name),
            (name, version) => write!(f, "{name} {version}"),
        }
    }
}

#[cfg(test)]
mod tests;
