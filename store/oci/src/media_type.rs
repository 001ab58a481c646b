//! `MediaType`: the type of the content behind a descriptor, with constants for the known types.
//! Parameters (`; charset=…`) are cut off at parse, because they never change the type of a
//! manifest.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{ParseError, excerpt};

/// Longest media type (RFC 6838 §4.2: two names of 127 characters).
const LEN_MAX: usize = 255;

/// A media type, without parameters, in lowercase.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MediaType(Cow<'static, str>);

macro_rules! known {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl MediaType {
            $($(#[$doc])* pub const $name: Self = Self(Cow::Borrowed($text));)*
        }
    };
}

known! {
    /// OCI image manifest (also of artifacts).
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    OCI_INDEX = "application/vnd.oci.image.index.v1+json";
    /// The artifact manifest of a release candidate of OCI 1.1, still in registries.
    OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json";
    /// The artifact manifest of ORAS before OCI 1.1, still in registries.
    ORAS_ARTIFACT = "application/vnd.cncf.oras.artifact.manifest.v1+json";
    /// Docker image manifest, version 2, schema 2.
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image manifest, schema 1: served as it is, and refused for a push.
    DOCKER_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+json";
    /// The same, signed.
    DOCKER_SCHEMA_1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    /// OCI image configuration.
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json";
    /// Docker image configuration.
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";
    /// OCI layer, plain tar.
    OCI_LAYER = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, gzip.
    OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker layer, gzip.
    DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// The empty descriptor of artifacts (`{}`).
    OCI_EMPTY = "application/vnd.oci.empty.v1+json";
    /// Content of no stated type.
    OCTET_STREAM = "application/octet-stream";
}

impl MediaType {
    /// Every readable manifest type, in the order of an `Accept` header.
    pub const MANIFESTS: [Self; 6] = [
        Self::OCI_INDEX,
        Self::DOCKER_LIST,
        Self::OCI_MANIFEST,
        Self::DOCKER_MANIFEST,
        Self::OCI_ARTIFACT,
        Self::ORAS_ARTIFACT,
    ];

    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the type of a readable manifest or index.
    #[must_use]
    pub fn is_manifest(&self) -> bool {
        Self::MANIFESTS.contains(self)
    }

    /// Whether this is the type of an index.
    #[must_use]
    pub fn is_index(&self) -> bool {
        *self == Self::OCI_INDEX || *self == Self::DOCKER_LIST
    }

    /// Whether this is the type of a manifest of blobs without a configuration.
    #[must_use]
    pub fn is_artifact(&self) -> bool {
        *self == Self::OCI_ARTIFACT || *self == Self::ORAS_ARTIFACT
    }

    /// Whether this is Docker's first schema, never read.
    #[must_use]
    pub fn is_schema_1(&self) -> bool {
        *self == Self::DOCKER_SCHEMA_1 || *self == Self::DOCKER_SCHEMA_1_SIGNED
    }

    /// Whether this is the type of a layer or a configuration, so never of a manifest.
    #[must_use]
    pub fn is_blob(&self) -> bool {
        let blobs = [Self::OCI_CONFIG, Self::DOCKER_CONFIG, Self::OCI_EMPTY];
        let layers = ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."];
        blobs.contains(self) || layers.iter().any(|prefix| self.0.starts_with(prefix))
    }

    /// Whether this is a type of servers without knowledge of the content.
    #[must_use]
    pub fn is_generic(&self) -> bool {
        let generic = ["application/json", "application/octet-stream", "binary/octet-stream"];
        generic.contains(&self.as_str()) || self.0.starts_with("text/")
    }

    /// Whether registries may refuse layers of this type (Windows bases).
    #[must_use]
    pub fn is_nondistributable(&self) -> bool {
        self.0.contains(".nondistributable.") || self.0.contains(".foreign.")
    }
}

impl FromStr for MediaType {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bare = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let name = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&c))
        };
        match bare.split_once('/') {
            Some((kind, subtype)) if name(kind) && name(subtype) && bare.len() <= LEN_MAX => {
                Ok(Self(Cow::Owned(bare)))
            }
            _ => Err(ParseError::MediaType { text: excerpt(text) }),
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for MediaType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_parses_survives_display(text in "\\PC{0,80}|[a-z]{1,9}/[a-z0-9.+-]{1,40}") {
            if let Ok(parsed) = text.parse::<MediaType>() {
                prop_assert_eq!(parsed.to_string().parse::<MediaType>().unwrap(), parsed);
            }
        }
    }

    #[test]
    fn parameters_and_case_do_not_make_another_type() {
        let parsed: MediaType =
            "Application/vnd.oci.image.index.v1+json; charset=utf-8".parse().unwrap();
        assert_eq!(parsed, MediaType::OCI_INDEX);
        assert!(parsed.is_index() && parsed.is_manifest());
        assert!("text".parse::<MediaType>().is_err());
        assert!("text/".parse::<MediaType>().is_err());
        assert!("a/b\r\nx".parse::<MediaType>().is_err());
    }
}
