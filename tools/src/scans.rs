//! What vulnerability scanners say of images: reports of Trivy and Grype, SARIF, and `CycloneDX`
//! with vulnerabilities, read into one form. What the marketplace thinks of it is in `rules`.
//!
//! Invariant: a report of a stranger costs bounded memory and never panics; what is kept of it is
//! short. Scores are those of CVSS v3 or said to be something else.

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

/// How many vulnerabilities that matter are kept of one report; more are only counted.
pub const KEPT_MAX: usize = 10_000;

/// A report, as far as anybody here needs it.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The file, as it was named.
    pub file: PathBuf,
    /// What made it, as it says itself: `Trivy`, `grype`.
    pub tool: String,
    pub subject: Subject,
    /// When it was made, if that is said.
    pub made: Option<Timestamp>,
    /// From when the scanner's list of vulnerabilities is, if that is said.
    pub database: Option<Timestamp>,
    /// What kind of document it is.
    pub kind: Kind,
    /// What it found and what is not known to be harmless: a CVSS v3 score that blocks, or none.
    pub vulnerabilities: Vec<Vulnerability>,
    /// How many it found in all.
    pub count: usize,
    /// How many that block, or have no score of CVSS v3, were found and not kept.
    pub not_kept: usize,
    /// What it says of vulnerabilities others may find.
    pub statements: Vec<Statement>,
}

impl Kind {
    /// Whether it is the report of a scan.
    #[must_use]
    pub const fn is_report(self) -> bool {
        matches!(self, Self::Scan | Self::Summary)
    }
}

/// What a document says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// What a scan found, with every score that is known.
    #[default]
    Scan,
    /// The same in a form that has at most one number of a vulnerability (SARIF).
    Summary,
    /// What somebody says of vulnerabilities others find (VEX).
    Verdicts,
    /// What an image is made of. Nobody says it was looked at for vulnerabilities, since such a
    /// list has an empty one of them as well.
    Components,
}

/// A vulnerability of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vulnerability {
    /// Its name: `CVE-2026-1234`, `GHSA-…`.
    pub id: String,
    /// The package that has it.
    pub package: Package,
    /// The version that mends it, if there is one.
    pub fixed: Option<String>,
    pub score: Score,
    /// The word the scanner has for that, which decides nothing.
    pub label: Option<String>,
    /// Why it does no harm, where the report says so.
    pub excuse: Option<String>,
}

/// A package of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    pub name: String,
    /// The version that is installed.
    pub version: String,
    /// Its package URL, if it is said.
    pub purl: String,
}

/// How bad a vulnerability is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Score {
    /// The highest base score of CVSS v3 that is stated.
    V3 {
        score: BaseScore,
        /// Whose it is: `nvd`, `ghsa`.
        source: String,
        /// Whether only its vector is stated.
        is_computed: bool,
    },
    /// A number of which the report does not say what it is.
    Unnamed(BaseScore),
    /// None of CVSS v3.
    None,
}

/// What a VEX document says of a vulnerability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub id: String,
    /// The packages or images it is said of, as package URLs.
    pub affects: Vec<String>,
    /// Why it does no harm there.
    pub excuse: String,
}

/// Why a file is no report that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// It is something else.
    #[error("{} is {what}, no vulnerability report that is read here; {help}", file.display())]
    NoReport { file: PathBuf, what: String, help: &'static str },
    /// It has what such a report does not have.
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
    /// Whether its form is the same where nothing was found and where nobody looked. Trivy leaves
    /// the list out in both cases (0.74); Grype always matches.
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

    /// Whether an image may be published with it whatever else is known.
    fn is_harmless(&self) -> bool {
        matches!(self, Self::V3 { score, .. } if !score.blocks())
    }

    /// Of two that are stated for the same vulnerability, the one that counts: the higher one of v3.
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
