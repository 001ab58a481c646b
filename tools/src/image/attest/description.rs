//! The parts of an image as plain data, the source of every format.

use std::fmt;

use wharf_oci::{Digest, Platform, Timestamp};

use super::licences::PackageLicence;
use crate::image::packages::{Manager, Package};

/// Most files named in one list. With their relations they take about 450 bytes each in SPDX, all
/// in memory at once; statements above 32 MiB were seen to break pushes (SUP-003).
pub const FILES_MAX: usize = 20_000;

/// How many bytes the paths of listed files may have together, once written as JSON.
pub const PATH_BYTES_MAX: usize = 8 << 20;

/// How many packages one list names; a full desktop has about 5,000.
pub const PARTS_MAX: usize = 10_000;

/// The subject of a list of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementSubject {
    /// The digest of its manifest or index.
    pub digest: Digest,
    /// Its name: the last part of the repository.
    pub name: String,
    pub version: String,
    /// The platform; nothing for an index.
    pub platform: Option<Platform>,
}

/// The whole description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub subject: StatementSubject,
    /// The time of the image.
    pub created: Timestamp,
    /// The distribution, if the image names one.
    pub system: Option<System>,
    /// The image below, when there is one.
    pub base: Option<Base>,
    pub packages: Packages,
    /// The files of the layers made here.
    pub files: ListedFiles,
    /// For an index: the image of each platform.
    pub platforms: Vec<StatementSubject>,
}

/// A distribution (os-release(5)).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct System {
    /// `ID`: `debian`, `ubuntu`, `alpine`, …
    pub id: String,
    /// `VERSION_ID`; empty when it has none (Debian unstable).
    pub version: String,
}

/// The image below.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Base {
    /// How the offer names it.
    pub name: String,
    /// The digest of its manifest for the platform.
    pub digest: Digest,
}

/// Packages, sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packages {
    listed: Vec<SbomPart>,
    total: usize,
}

/// A package, and all facts known besides its record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SbomPart {
    pub package: Package,
    /// Its licence, when it is stated in a form programs read.
    pub licence: Option<PackageLicence>,
    /// The digest of the unpacked archive, if the offer names one.
    pub archive: Option<Digest>,
}

/// Files, in the order of a walk, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedFiles {
    listed: Vec<ListedFile>,
    total: usize,
}

/// A file as a container sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedFile {
    /// Its path without the first slash; bytes outside UTF-8 are escaped.
    pub path: String,
    pub digests: FileDigests,
}

/// The digests of a file: SPDX wants the older one, everybody else the newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileDigests {
    pub sha256: [u8; 32],
    pub sha1: [u8; 20],
}

impl Packages {
    /// The packages of an image, sorted; a package known from both its archive and the image's
    /// records is listed once.
    #[must_use]
    pub fn new(mut all: Vec<SbomPart>) -> Self {
        all.sort_by(|left, right| {
            let rank = |part: &SbomPart| (part.archive.is_none(), part.licence.is_none());
            let (of_left, of_right) = (rank(left), rank(right));
            left.package.cmp(&right.package).then(of_left.cmp(&of_right)).then(left.cmp(right))
        });
        let mut listed: Vec<SbomPart> = Vec::new();
        for part in all {
            match listed.last_mut() {
                Some(last) if last.is_same(&part) => {
                    if last.licence.is_none() {
                        last.licence = part.licence;
                    }
                }
                _ => listed.push(part),
            }
        }
        let total = listed.len();
        listed.truncate(PARTS_MAX);
        Self { listed, total }
    }

    /// The packages within the limit of the list.
    #[must_use]
    pub fn listed(&self) -> &[SbomPart] {
        &self.listed
    }

    /// How many are not listed.
    #[must_use]
    pub const fn cut(&self) -> usize {
        self.total.saturating_sub(self.listed.len())
    }
}

impl SbomPart {
    fn is_same(&self, other: &Self) -> bool {
        let key = |part: &Self| {
            let Package { manager, name, architecture, version, .. } = &part.package;
            (*manager, name.clone(), architecture.clone(), version.clone())
        };
        key(self) == key(other)
    }

    /// Whether Debian's tools manage it.
    #[must_use]
    pub fn is_debian(&self) -> bool {
        self.package.manager == Manager::Dpkg
    }
}

impl ListedFiles {
    /// The files of an image, in the order of a walk; `total` is how many there are. Too many are cut.
    #[must_use]
    pub fn new(listed: impl Iterator<Item = ListedFile>, total: usize) -> Self {
        let mut bytes = 0_usize;
        let fits = listed.take(FILES_MAX).take_while(|file| {
            bytes += json_len(&file.path);
            bytes <= PATH_BYTES_MAX
        });
        Self { listed: fits.collect(), total }
    }

    /// The files within the limit of the list.
    #[must_use]
    pub fn listed(&self) -> &[ListedFile] {
        &self.listed
    }

    /// How many are not listed.
    #[must_use]
    pub const fn cut(&self) -> usize {
        self.total.saturating_sub(self.listed.len())
    }
}

/// The most bytes a text can take as JSON.
fn json_len(text: &str) -> usize {
    text.bytes().map(|byte| if byte < 0x20 || matches!(byte, b'"' | b'\\') { 6 } else { 1 }).sum()
}

/// A path of an image as text: bytes outside UTF-8 are escaped, so that two names never become one.
#[must_use]
pub fn path_text(path: &[u8]) -> String {
    std::str::from_utf8(path).map_or_else(|_| path.escape_ascii().to_string(), str::to_owned)
}

impl FileDigests {
    /// SHA-256 in lowercase hexadecimal.
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        hex(&self.sha256)
    }

    /// SHA-1 in lowercase hexadecimal.
    #[must_use]
    pub fn sha1_hex(&self) -> String {
        hex(&self.sha1)
    }
}

/// Bytes in lowercase hexadecimal.
pub(in crate::image) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

impl System {
    /// Reads os-release; `None` without an `ID`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        let value = |key: &str| {
            let value = text.lines().rev().find_map(|line| line.trim().strip_prefix(key))?;
            let value = value.trim_matches(['"', '\'']);
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+~".contains(c);
            (value.len() <= 64 && value.chars().all(is_plain)).then(|| value.to_owned())
        };
        let id = value("ID=").filter(|id| !id.is_empty())?;
        Some(Self { id, version: value("VERSION_ID=").unwrap_or_default() })
    }
}

impl fmt::Display for System {
    /// `debian-12`, as scanners write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if self.version.is_empty() { Ok(()) } else { write!(f, "-{}", self.version) }
    }
}

#[cfg(test)]
#[path = "description_tests.rs"]
mod tests;
