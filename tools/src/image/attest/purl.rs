//! Package URLs: names of packages for scanners of every kind (package-url specification, types
//! `deb`, `apk`, `oci`).

use std::fmt::Write as _;

use super::description::{Base, StatementSubject, System};
use crate::image::packages::{Manager, Package};

/// The name of a package. Without a known distribution it is the one its manager comes from.
#[must_use]
pub fn of_package(package: &Package, system: Option<&System>) -> String {
    let (kind, fallback) = match package.manager {
        Manager::Dpkg => ("deb", "debian"),
        Manager::Apk => ("apk", "alpine"),
    };
    let namespace = system.map_or(fallback, |system| system.id.as_str()).to_ascii_lowercase();
    let name = package.name.to_ascii_lowercase();
    let mut purl = format!("pkg:{kind}/{}/{}", encoded(&namespace), encoded(&name));
    let _ = write!(purl, "@{}", encoded(&package.version));
    let distribution = system.map(ToString::to_string).unwrap_or_default();
    let upstream = Some(package.source.as_str()).filter(|source| *source != package.name);
    let qualifiers = [
        ("arch", package.architecture.as_str()),
        ("distro", distribution.as_str()),
        ("upstream", upstream.unwrap_or_default()),
    ];
    qualify(&mut purl, &qualifiers);
    purl
}

/// The name of an image: its digest, without a registry.
#[must_use]
pub fn of_image(subject: &StatementSubject) -> String {
    let name = encoded(&subject.name.to_ascii_lowercase());
    let mut purl = format!("pkg:oci/{name}@{}", encoded(&subject.digest.to_string()));
    let architecture = subject.platform.as_ref().map(|platform| platform.architecture.as_str());
    qualify(&mut purl, &[("arch", architecture.unwrap_or_default())]);
    purl
}

/// The name of a base image, with its registry if there is one.
#[must_use]
pub fn of_base(base: &Base) -> String {
    let path = base.name.split('@').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let name = last.split(':').next().unwrap_or_default().to_ascii_lowercase();
    format!("pkg:oci/{}@{}", encoded(&name), encoded(&base.digest.to_string()))
}

/// A path of the offer as a URI relative to the offer's folder.
#[must_use]
pub fn of_file(path: &str) -> String {
    let parts: Vec<String> = path.split('/').map(encoded).collect();
    format!("file:{}", parts.join("/"))
}

/// Appends qualifiers, already sorted by key, and leaves out those without a value.
fn qualify(purl: &mut String, qualifiers: &[(&str, &str)]) {
    let mut separator = '?';
    for (key, value) in qualifiers.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(purl, "{separator}{key}={}", encoded(value));
        separator = '&';
    }
}

/// Percent-encodes all but letters, digits, `.-_~` and the colon, which stays as it is (Debian's
/// epochs, digests).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn package(name: &str, version: &str, source: &str) -> Package {
        Package {
            manager: Manager::Dpkg,
            name: name.to_owned(),
            architecture: "amd64".to_owned(),
            version: version.to_owned(),
            source: source.to_owned(),
        }
    }

    #[test]
    fn epochs_keep_their_colon_and_plus_is_encoded() {
        let debian = System { id: "debian".to_owned(), version: "12".to_owned() };
        let redis = package("redis-server", "5:7.0.15-1~deb12u10", "redis");
        assert_eq!(
            of_package(&redis, Some(&debian)),
            "pkg:deb/debian/redis-server@5:7.0.15-1~deb12u10?arch=amd64&distro=debian-12&upstream=redis"
        );
        let stdcxx = package("libstdc++6", "12.2.0-14+deb12u1", "libstdc++6");
        assert_eq!(
            of_package(&stdcxx, None),
            "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64"
        );
    }

    #[test]
    fn packages_of_alpine_and_children_of_debian_have_their_own_names() {
        let ubuntu = System { id: "Ubuntu".to_owned(), version: String::new() };
        let purl = of_package(&package("a", "1", "a"), Some(&ubuntu));
        assert_eq!(purl, "pkg:deb/ubuntu/a@1?arch=amd64&distro=Ubuntu");
        let musl = Package { manager: Manager::Apk, ..package("musl", "1.2.5-r1", "musl") };
        assert_eq!(of_package(&musl, None), "pkg:apk/alpine/musl@1.2.5-r1?arch=amd64");
    }

    #[test]
    fn images_are_named_by_their_digest() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let subject = StatementSubject {
            digest: digest.parse().unwrap(),
            name: "Cache".to_owned(),
            version: "1".to_owned(),
            platform: Some("linux/arm64".parse().unwrap()),
        };
        let hex = "ab".repeat(32);
        assert_eq!(of_image(&subject), format!("pkg:oci/cache@sha256:{hex}?arch=arm64"));
    }

    #[test]
    fn anything_hostile_is_encoded() {
        let purl = of_package(&package("a/b?c#d\n", "1@2&x=y ", "é"), None);
        let expected =
            "pkg:deb/debian/a%2Fb%3Fc%23d%0A@1%402%26x%3Dy%20?arch=amd64&upstream=%C3%A9";
        assert_eq!(purl, expected);
    }
}
