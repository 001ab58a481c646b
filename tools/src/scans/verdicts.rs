//! The package or image of a verdict (VEX).

use wharf_oci::Digest;

use super::{Cover, Scan, ScanSubject, ScannedPackage, VexStatement};
use crate::image::facts::ImageFacts;

impl Scan {
    /// Whether this document's verdict is about this package of this image: it names the package by
    /// its URL, or the image by its digest. A verdict without both counts for the document's own
    /// image.
    #[must_use]
    pub fn speaks_of(
        &self,
        said: &VexStatement,
        package: &ScannedPackage,
        image: Option<&ImageFacts>,
    ) -> bool {
        let is_of_image = |subject: &ScanSubject| {
            image.is_some_and(|image| subject.cover(image) != Cover::Nothing)
        };
        if said.affects.is_empty() {
            return is_of_image(&self.subject);
        }
        // A document about another image has no verdict for this one.
        if self.subject.has_digest() && !is_of_image(&self.subject) {
            return false;
        }
        said.affects.iter().any(|target| {
            let mut subject = ScanSubject::default();
            subject.add_digest(target);
            let named: Option<&Digest> = subject.digests.first();
            if named.is_some() { is_of_image(&subject) } else { is_same(target, &package.purl) }
        })
    }
}

/// Whether a package URL means a package: the same type and name, and the same version where one is
/// stated. Qualifiers (architecture, distribution) are left out by some writers.
fn is_same(target: &str, purl: &str) -> bool {
    let plain = |text: &str| {
        let text = text.split(['?', '#']).next().unwrap_or(text);
        percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
    };
    let (target, purl) = (plain(target), plain(purl));
    if !target.starts_with("pkg:") || purl.is_empty() {
        return false;
    }
    // The version stands behind the last `@`; a scope of npm begins with one.
    let without = |text: &str| match text.rsplit_once('@') {
        Some((name, version)) if !name.ends_with('/') && !version.contains('/') => name.to_owned(),
        _ => text.to_owned(),
    };
    target == purl || target == without(&purl)
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn package_urls_mean_a_package_with_or_without_a_version() {
        let deb = "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12";
        assert!(is_same("pkg:deb/debian/libssl3@3.0.11-1~deb12u2", deb));
        assert!(is_same("pkg:deb/debian/libssl3", deb));
        assert!(is_same("pkg:deb/debian/libssl3@3.0.11-1%7Edeb12u2?arch=arm64", deb));
        assert!(!is_same("pkg:deb/debian/libssl3@3.0.12", deb));
        assert!(!is_same("pkg:deb/debian/libssl", deb));
        assert!(!is_same("libssl3", deb) && !is_same("", "") && !is_same("pkg:", ""));
        let scoped = "pkg:npm/%40scope/name@1.0.0";
        assert!(is_same("pkg:npm/@scope/name", scoped) && is_same(scoped, scoped));
        assert!(!is_same("pkg:npm/", scoped) && !is_same("pkg:npm/%40other/name@1.0.0", scoped));
    }
}
