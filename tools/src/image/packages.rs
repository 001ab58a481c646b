//! The packages of an image, from the records of its package managers: Debian's dpkg (one `status`,
//! or a file per package in `status.d`, as distroless images have it) and Alpine's apk.
//!
//! Invariant: any bytes give a list, bounded in number and in the length of every word; a record
//! without a name or version is left out.

mod order;

use std::cmp::Ordering;

use bytes::Bytes;
use serde::Serialize;

use super::files::{File, FileView};

/// How many packages are read of one file; a full desktop has about 5,000.
pub const PACKAGES_MAX: usize = 50_000;

/// Longest name, version or architecture in bytes; longer ones are cut. Debian's longest are near 100.
const WORD_BYTES_MAX: usize = 256;

/// Where dpkg keeps one file for all packages.
pub const DPKG_STATUS: &str = "var/lib/dpkg/status";
/// The folder with a file for each package; `*.md5sums` beside them are none.
pub const DPKG_STATUS_FOLDER: &str = "var/lib/dpkg/status.d";
/// Where apk keeps its list, and where version 3 does.
pub const APK_INSTALLED: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];

/// The manager of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Manager {
    /// Debian and its children.
    Dpkg,
    /// Alpine and its children.
    Apk,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    pub manager: Manager,
    pub name: String,
    /// The architecture; empty if the record has none.
    pub architecture: String,
    pub version: String,
    /// The source package it was built from; its own name when nothing else is said.
    pub source: String,
}

impl Manager {
    /// Its name for people and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dpkg => "dpkg",
            Self::Apk => "apk",
        }
    }

    /// The order of two versions, by the manager's own rules.
    #[must_use]
    pub fn compare(self, one: &str, other: &str) -> Ordering {
        match self {
            Self::Dpkg => order::dpkg(one, other),
            Self::Apk => order::apk(one, other),
        }
    }
}

/// The manager of a file for [`read`]; `None` for any other file. `path` is relative to the image's
/// root.
#[must_use]
pub fn manager_of(path: &[u8]) -> Option<Manager> {
    let path = std::str::from_utf8(path).ok()?;
    if APK_INSTALLED.contains(&path) {
        return Some(Manager::Apk);
    }
    let in_folder = path.strip_prefix(DPKG_STATUS_FOLDER).and_then(|rest| rest.strip_prefix('/'));
    let is_record =
        in_folder.is_some_and(|name| !name.contains('/') && !name.ends_with(".md5sums"));
    (path == DPKG_STATUS || is_record).then_some(Manager::Dpkg)
}

/// The packages a manager's file lists, in its order.
#[must_use]
pub fn read(manager: Manager, text: &[u8]) -> Vec<Package> {
    let mut packages = Vec::new();
    let mut record = Record::default();
    // One more empty line ends the last record.
    for line in text.split(|byte| *byte == b'\n').chain([b"".as_slice()]) {
        if packages.len() == PACKAGES_MAX {
            break;
        }
        if line.trim_ascii().is_empty() {
            packages.extend(std::mem::take(&mut record).into_package(manager));
            continue;
        }
        match manager {
            Manager::Dpkg => record.dpkg(line),
            Manager::Apk => record.apk(line),
        }
    }
    packages
}

/// The packages of an image, from its files; those of dpkg first.
#[must_use]
pub fn of_files(files: &FileView) -> Vec<Package> {
    of_texts(files, &|file| file.content().text.clone())
}

/// The same where the texts of files are known from elsewhere.
#[must_use]
pub fn of_texts(files: &FileView, text: &dyn Fn(&File<'_>) -> Option<Bytes>) -> Vec<Package> {
    let at = |path: &str| text(&files.follow(path.as_bytes()).ok()?);
    let records = files.children(DPKG_STATUS_FOLDER.as_bytes());
    let records = records.filter(|file| manager_of(file.path()) == Some(Manager::Dpkg));
    let records = records.filter_map(|file| text(&file));
    let mut all = Vec::new();
    for text in records.chain(at(DPKG_STATUS)) {
        all.extend(read(Manager::Dpkg, &text));
    }
    // The older path leads to the newer one where both are.
    if let Some(text) = APK_INSTALLED.iter().find_map(|path| at(path)) {
        all.extend(read(Manager::Apk, &text));
    }
    all.truncate(PACKAGES_MAX);
    all
}

/// The fields of a package so far.
#[derive(Default)]
struct Record {
    name: Option<String>,
    version: Option<String>,
    architecture: Option<String>,
    source: Option<String>,
    is_gone: bool,
}

impl Record {
    /// `Field: value`, in any case; a line with leading white space continues the field before.
    fn dpkg(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (field, value) = (line.get(..colon).unwrap_or_default(), line.get(colon + 1..));
        let value = value.unwrap_or_default();
        let is = |name: &str| field.eq_ignore_ascii_case(name.as_bytes());
        if is("Package") {
            self.name = word(value);
        } else if is("Version") {
            self.version = word(value);
        } else if is("Architecture") {
            self.architecture = word(value);
        } else if is("Source") {
            // `name (version)`, when the source has another version.
            self.source = word(value.split(|byte| *byte == b'(').next().unwrap_or_default());
        } else if is("Status") {
            // `want flag state`; of these two states no program is left.
            let state = value.trim_ascii().rsplit(u8::is_ascii_whitespace).next();
            self.is_gone = matches!(state, Some(b"not-installed" | b"config-files"));
        }
    }

    /// `X:value`, one letter per field; the letters of files are others.
    fn apk(&mut self, line: &[u8]) {
        let Some((field, value)) = line.split_first_chunk::<2>() else { return };
        match field {
            b"P:" => self.name = word(value),
            b"V:" => self.version = word(value),
            b"A:" => self.architecture = word(value),
            b"o:" => self.source = word(value),
            _ => {}
        }
    }

    fn into_package(self, manager: Manager) -> Option<Package> {
        let (name, version) = (self.name?, self.version?);
        let source = self.source.unwrap_or_else(|| name.clone());
        let architecture = self.architecture.unwrap_or_default();
        (!self.is_gone).then_some(Package { manager, name, architecture, version, source })
    }
}

/// The value without the space around it; `None` when nothing is left.
fn word(value: &[u8]) -> Option<String> {
    let value = value.trim_ascii();
    let value = value.get(..WORD_BYTES_MAX.min(value.len()))?;
    (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    fn names(manager: Manager, text: &str) -> Vec<String> {
        let packages = read(manager, text.as_bytes());
        packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
    }

    #[test]
    fn dpkg_lists_what_is_installed() {
        let text = "Package: libssl3\nStatus: install ok installed\nArchitecture: amd64\n\
            Source: openssl (3.0.14-1)\nVersion: 3.0.14-1~deb12u2\nDescription: text\n Version: 9\n\n\
            Package: old\nStatus: deinstall ok config-files\nVersion: 1\n\n\
            package: half\nstatus: install ok half-configured\nversion: 2:1.0\n";
        let packages = read(Manager::Dpkg, text.as_bytes());
        assert_eq!(packages.len(), 2);
        assert_eq!(packages[0].source, "openssl");
        assert_eq!(packages[0].architecture, "amd64");
        assert_eq!(names(Manager::Dpkg, text), ["libssl3 3.0.14-1~deb12u2", "half 2:1.0"]);
    }

    #[test]
    fn a_record_of_status_d_has_no_status() {
        let text = "Package: tzdata\nVersion: 2024a-0+deb12u1\nArchitecture: all";
        assert_eq!(names(Manager::Dpkg, text), ["tzdata 2024a-0+deb12u1"]);
    }

    #[test]
    fn apk_lists_packages_between_their_files() {
        let text = "C:Q1abc=\nP:musl\nV:1.2.5-r1\nA:x86_64\no:musl\nF:lib\nR:ld-musl.so\nZ:Q1x=\n\n\
            P:libcrypto3\nV:3.3.1-r3\nA:x86_64\no:openssl\n\nP:nameless\n\n";
        assert_eq!(names(Manager::Apk, text), ["musl 1.2.5-r1", "libcrypto3 3.3.1-r3"]);
        assert_eq!(read(Manager::Apk, text.as_bytes())[1].source, "openssl");
    }

    #[test]
    fn the_files_of_managers_are_known_by_their_paths() {
        for path in ["var/lib/dpkg/status", "var/lib/dpkg/status.d/tzdata"] {
            assert_eq!(manager_of(path.as_bytes()), Some(Manager::Dpkg), "{path}");
        }
        assert_eq!(manager_of(b"usr/lib/apk/db/installed"), Some(Manager::Apk));
        for path in ["var/lib/dpkg/status.d/x.md5sums", "var/lib/dpkg/status-old", "x/installed"] {
            assert_eq!(manager_of(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn words_are_bounded() {
        let text = format!("P:{}\nV:1\n", "n".repeat(10_000));
        assert_eq!(read(Manager::Apk, text.as_bytes())[0].name.len(), WORD_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            for manager in [Manager::Dpkg, Manager::Apk] {
                for package in read(manager, &bytes) {
                    prop_assert!(!package.name.is_empty() && !package.version.is_empty());
                }
            }
        }
    }
}
