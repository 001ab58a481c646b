//! Equality of platforms: the default variants of architectures.

use wharf_oci::Platform;

/// The variant, unless it is the architecture's default. A runtime takes an image for `arm64` on
/// `arm64/v8`, and the other way round (containerd's rules).
#[must_use]
pub fn telling_variant(platform: &Platform) -> Option<&str> {
    match (platform.architecture.as_str(), platform.variant.as_deref()) {
        ("arm64", Some("v8")) | ("arm", Some("v7")) | ("amd64", Some("v1")) => None,
        (_, variant) => variant.filter(|variant| !variant.is_empty()),
    }
}

/// Whether a runtime takes one for the other, the version of Windows aside.
#[must_use]
pub fn is_same(one: &Platform, other: &Platform) -> bool {
    one.os == other.os
        && one.architecture == other.architecture
        && telling_variant(one) == telling_variant(other)
}

/// A platform as people type it, with the version of Windows where there is one.
#[must_use]
pub fn named(platform: &Platform) -> String {
    match &platform.os_version {
        Some(version) => format!("{platform} {version}"),
        None => platform.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_variant_that_goes_without_saying_changes_nothing() {
        let same = |one: &str, other: &str| is_same(&one.parse().unwrap(), &other.parse().unwrap());
        assert!(same("linux/arm64", "linux/arm64/v8") && same("linux/arm/v7", "linux/arm"));
        assert!(same("linux/amd64/v1", "linux/amd64"));
        assert!(!same("linux/amd64/v3", "linux/amd64") && !same("linux/arm/v6", "linux/arm/v7"));
        assert!(!same("linux/arm64", "linux/arm") && !same("windows/amd64", "linux/amd64"));
    }
}
