//! Rules about the distribution and the packages of an image.

use super::end_of_life::{end_of, is_over};
use super::roots::{Need, Root, each_root, words};
use super::{Check, Rule, Severity};
use crate::image::packages::{self, Package};

/// The first OpenSSL Microsoft's advice accepts.
const OPENSSL_MIN: &str = "1.1.1";
/// The files in which a distribution names itself.
const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "IMG-023",
        title: "the distribution of the image still gets security updates",
        severity: Severity::Warning,
        source: "ACR/key-concept-continuous-patching (EOSL images are not patched); dates: distro-info-data, makers' life cycle pages",
        why: "Vulnerabilities that are found tomorrow are never mended, and block the next submission.",
        fix: "build on a release that is supported",
        check: Check::Image(|view, judge| {
            let now = view.evidence.now;
            each_root(view, judge, Need::All, |judge, root| {
                let Some((name, end)) = release(root) else { return false };
                if is_over(end, now) {
                    judge.warning("", format!("{name} gets no free updates since {end}"));
                }
                true
            });
        }),
    },
    Rule {
        id: "IMG-024",
        title: "OpenSSL is 1.1.1 or later",
        severity: Severity::Warning,
        source: "MTM",
        why: "Older ones have no TLS 1.3 and get no fixes; the marketplace asks for 1.1.1 at least.",
        fix: "build on a release that has a later OpenSSL, or remove the package",
        check: Check::Image(|view, judge| {
            each_root(view, judge, Need::All, |judge, root| {
                let found: Vec<Package> =
                    packages::of_files(root.files).into_iter().filter(is_openssl).collect();
                for package in &found {
                    if package.manager.compare(&package.version, OPENSSL_MIN).is_lt() {
                        let (name, version) = (&package.name, &package.version);
                        let message = format!(
                            "the package {} has the version {}",
                            words(name.as_bytes()),
                            words(version.as_bytes())
                        );
                        judge.warning("", message);
                    }
                }
                !found.is_empty()
            });
        }),
    },
];

/// The release in os-release, with its last day, when known.
fn release(root: &Root<'_>) -> Option<(String, &'static str)> {
    let text = OS_RELEASE.iter().find_map(|path| root.text(path))?;
    let text = String::from_utf8_lossy(text);
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim_matches(['"', '\'', ' ']).to_owned())
    };
    let (id, version) = (value("ID")?, value("VERSION_ID")?);
    let end = end_of(&id, &version)?;
    Some((format!("{id} {version}"), end))
}

/// Whether a package holds OpenSSL itself, not a user of it.
fn is_openssl(package: &Package) -> bool {
    let name = package.name.as_str();
    let library = name.strip_prefix("libssl").or_else(|| name.strip_prefix("libcrypto"));
    let is_library = library.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    is_library || name == "openssl"
}
