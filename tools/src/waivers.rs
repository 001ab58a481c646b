//! Waivers: accepted findings, each with its reason and its last day. A YAML file beside the offer,
//! read as strictly as the offer; its effect on findings is in `rules::waiving`.
//!
//! ```yaml
//! version: 1
//! waivers:
//!   - rule: IMG-020
//!     vulnerability: CVE-2026-1234
//!     package: libxml2
//!     reason: Only used to read files of our own; the fix is in the next base image.
//!     expires: 2026-12-31
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use wharf_oci::{Day, Digest};

use crate::offer::error::Diagnostic;
use crate::offer::globs::Glob;
use crate::offer::parse::parse;
use crate::offer::source_map::{SourceMap, Spot};

/// Largest file of waivers, in bytes.
pub const WAIVERS_BYTES_MAX: u64 = 1024 * 1024;

/// How many waivers of one file are read.
const WAIVERS_MAX: usize = 1000;

/// Longest reason, in characters: reports repeat it.
const REASON_CHARS_MAX: usize = 1000;

/// A file of waivers.
#[derive(Debug, Clone)]
pub struct WaiverFile {
    pub waivers: Vec<Waiver>,
    path: PathBuf,
    text: String,
    spots: SourceMap,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u64,
    waivers: Vec<Waiver>,
}

/// The acceptance of every finding of the rule that all of the stated scopes fit.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Waiver {
    pub rule: String,
    /// The plan, by its ID, with all its images; or one image of a chart: `PLAN.NAME`.
    #[serde(default)]
    pub plan: Option<String>,
    /// The image by its full name, or by the last part of it.
    #[serde(default)]
    pub image: Option<String>,
    /// The digest of an index, a manifest or a configuration.
    #[serde(default)]
    pub digest: Option<Digest>,
    /// The platform: `linux/arm64`.
    #[serde(default)]
    pub platform: Option<String>,
    /// The path of a file of the image, as a pattern.
    #[serde(default)]
    pub path: Option<Glob>,
    /// The key of the offer, with the keys below it.
    #[serde(default)]
    pub key: Option<String>,
    #[serde(default)]
    pub vulnerability: Option<String>,
    /// The vulnerable package.
    #[serde(default)]
    pub package: Option<String>,
    pub reason: WaiverReason,
    /// The last valid day, in UTC.
    pub expires: Day,
    #[serde(default)]
    pub owner: Option<String>,
}

/// The reason for a waiver: not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaiverReason(String);

/// Why a file of waivers cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaiversError {
    /// It is not UTF-8.
    #[error("{} is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
    /// The file has a fault.
    #[error("{0}")]
    Invalid(Box<Diagnostic>),
}

impl WaiverFile {
    /// Reads the content of a file of waivers; `path` is for messages.
    pub fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, WaiversError> {
        let text = String::from_utf8(bytes).map_err(|_| WaiversError::NotUtf8(path.to_owned()))?;
        let text = text.strip_prefix('\u{feff}').map(ToOwned::to_owned).unwrap_or(text);
        let spots = SourceMap::read(&text);
        let fault = |key: &str, message: String, help: &str| {
            let diagnostic = Diagnostic::new(path, &text, spots.find(key), message).help(help);
            WaiversError::Invalid(Box::new(diagnostic))
        };
        let Document { version, waivers } = parse(path, &text, &spots)
            .map_err(|diagnostic| WaiversError::Invalid(Box::new(diagnostic)))?;
        if version != 1 {
            let message = format!("the version {version} is not known here");
            return Err(fault("version", message, "write `version: 1`"));
        }
        if waivers.len() > WAIVERS_MAX {
            let message = format!("there are {} waivers; {WAIVERS_MAX} is the most", waivers.len());
            return Err(fault("waivers", message, "remove those that are not needed any more"));
        }
        Ok(Self { waivers, path: path.to_owned(), text, spots })
    }

    /// Where it was read.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a key of it stands.
    #[must_use]
    pub fn spot(&self, key: &str) -> Spot {
        self.spots.find(key)
    }

    /// A line of it, from 1, without its end.
    #[must_use]
    pub fn line(&self, number: usize) -> Option<&str> {
        self.text.lines().nth(number.checked_sub(1)?)
    }
}

impl Waiver {
    /// Whether it names more than the rule.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        self.names_image()
            || self.path.is_some()
            || self.key.is_some()
            || self.vulnerability.is_some()
            || self.package.is_some()
    }

    /// Whether it names a plan or an image.
    #[must_use]
    pub fn names_image(&self) -> bool {
        self.plan.is_some() || self.image.is_some() || self.digest.is_some()
    }
}

impl WaiverReason {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for WaiverReason {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let text = String::deserialize(reader)?;
        let text = text.trim();
        if text.is_empty() {
            return Err(D::Error::custom("a reason is missing: say why this does no harm"));
        }
        let count = text.chars().count();
        if count > REASON_CHARS_MAX {
            let message =
                format!("the reason has {count} characters; {REASON_CHARS_MAX} is the most");
            return Err(D::Error::custom(message));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests;
