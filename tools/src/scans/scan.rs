//! What a report says, whichever scanner wrote it.

use std::fmt;
use std::path::PathBuf;

use super::cvss::BaseScore;
use super::subject::ScanSubject;
use wharf_oci::Timestamp;

/// Most kept vulnerabilities of one report; more are only counted.
pub const KEPT_MAX: usize = 10_000;

/// A report, as far as the rules need it.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Its tool, in its own words: `Trivy`, `grype`.
    pub tool: String,
    pub subject: ScanSubject,
    /// Its time, if stated.
    pub made: Option<Timestamp>,
    /// The time of the scanner's list of vulnerabilities, if stated.
    pub database: Option<Timestamp>,
    /// What kind of document it is.
    pub kind: ScanKind,
    /// The possibly harmful vulnerabilities: with a blocking CVSS v3 score, or without a score.
    pub vulnerabilities: Vec<Vulnerability>,
    /// How many it found in all.
    pub count: usize,
    /// The number of such vulnerabilities beyond the kept ones.
    pub not_kept: usize,
    /// Its verdicts about other reports' vulnerabilities.
    pub statements: Vec<VexStatement>,
}

impl ScanKind {
    /// Whether it is the report of a scan.
    #[must_use]
    pub const fn is_report(self) -> bool {
        matches!(self, Self::Scan | Self::Summary)
    }
}

/// The kind of a document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScanKind {
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
    /// The package that has it.
    pub package: ScannedPackage,
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
pub struct ScannedPackage {
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
pub struct VexStatement {
    pub id: String,
    /// The packages or images it is said of, as package URLs.
    pub affects: Vec<String>,
    /// Why it does no harm there.
    pub excuse: String,
}

impl Score {
    /// Whether it decides an image is refused.
    #[must_use]
    pub fn blocks(&self) -> bool {
        matches!(self, Self::V3 { score, .. } if score.blocks())
    }

    /// Whether an image may be published with it in every case.
    pub(super) fn is_harmless(&self) -> bool {
        matches!(self, Self::V3 { score, .. } if !score.blocks())
    }

    /// The order of two scores of one vulnerability: the higher one of v3 counts.
    pub(super) fn rank(&self) -> (u8, Option<BaseScore>) {
        match self {
            Self::V3 { score, .. } => (2, Some(*score)),
            Self::Unnamed(score) => (1, Some(*score)),
            Self::None => (0, None),
        }
    }
}

impl fmt::Display for ScannedPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.as_str(), self.version.as_str()) {
            ("", _) => f.write_str("a package that is not named"),
            (name, "") => f.write_str(name),
            (name, version) => write!(f, "{name} {version}"),
        }
    }
}
