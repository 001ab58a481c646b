//! The texts with the image's own account of its parts: the lists of package managers, the name of
//! the distribution, and the licences of packages.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::image::attest::licences::{self, COPYRIGHT_BYTES_MAX, PackageLicence};
use crate::image::packages::manager_of;

/// The paths of a distribution's os-release; the first counts.
pub const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

/// Largest package list read here.
const LIST_BYTES_MAX: u64 = 8 << 20;

/// Largest os-release.
const OS_RELEASE_BYTES_MAX: u64 = 64 << 10;

/// How much of all lists of one layer is kept.
const TEXTS_BYTES_MAX: usize = 16 << 20;

/// How many packages of one layer are remembered with their licence.
const LICENCES_MAX: usize = 50_000;

/// The texts of one layer.
#[derive(Debug, Default)]
pub struct Texts {
    /// Lists of packages and os-release, by path.
    kept: BTreeMap<Vec<u8>, Bytes>,
    kept_bytes: usize,
    /// By the name of a package.
    licences: BTreeMap<String, PackageLicence>,
}

/// How many bytes of the file at a path are wanted; none of most files.
pub(super) fn wanted_bytes(path: &[u8]) -> u64 {
    if manager_of(path).is_some() {
        LIST_BYTES_MAX
    } else if OS_RELEASE.iter().any(|known| known.as_bytes() == path) {
        OS_RELEASE_BYTES_MAX
    } else if package_of(path).is_some() {
        COPYRIGHT_BYTES_MAX
    } else {
        0
    }
}

/// The package of a `copyright` file.
fn package_of(path: &[u8]) -> Option<&str> {
    let rest = std::str::from_utf8(path).ok()?.strip_prefix("usr/share/doc/")?;
    rest.strip_suffix("/copyright").filter(|name| !name.is_empty() && !name.contains('/'))
}

impl Texts {
    /// Takes the text of a file.
    pub(super) fn take(&mut self, path: &[u8], text: Vec<u8>) {
        if let Some(package) = package_of(path) {
            if let Some(licence) = licences::read(&text)
                && self.licences.len() < LICENCES_MAX
            {
                self.licences.insert(package.to_owned(), licence);
            }
        } else if self.kept_bytes + text.len() <= TEXTS_BYTES_MAX {
            self.kept_bytes += text.len();
            self.kept.insert(path.to_vec(), text.into());
        }
    }

    /// A list of packages, or os-release.
    #[must_use]
    pub fn get(&self, path: &[u8]) -> Option<&Bytes> {
        self.kept.get(path)
    }

    /// The licence of a package.
    #[must_use]
    pub fn licence(&self, package: &str) -> Option<&PackageLicence> {
        self.licences.get(package)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_files_are_read_as_texts() {
        for path in ["etc/os-release", "var/lib/dpkg/status", "usr/share/doc/curl/copyright"] {
            assert!(wanted_bytes(path.as_bytes()) > 0, "{path}");
        }
        for path in ["etc/os-release.d", "usr/share/doc/a/b/copyright", "usr/share/doc//copyright"]
        {
            assert_eq!(wanted_bytes(path.as_bytes()), 0, "{path}");
        }
    }

    #[test]
    fn texts_are_bounded() {
        let mut texts = Texts::default();
        for number in 0..4 {
            let path = format!("var/lib/dpkg/status.d/{number}");
            texts.take(path.as_bytes(), vec![b'x'; 8 << 20]);
        }
        assert!(texts.get(b"var/lib/dpkg/status.d/1").is_some());
        assert!(texts.get(b"var/lib/dpkg/status.d/2").is_none());
    }
}
