//! `Manifest`: the exact bytes with the few fields that we read. Never serialised again: what came
//! in is what goes out, because its digest is of those bytes.
//!
//! Invariant: a `Manifest` is JSON of at most 4 MiB, of one kind, and every digest in it parsed.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Algorithm, Digest, Digester, MediaType, ParseError, Platform};

/// Largest manifest, in bytes: what the specification asks a registry to accept at least, and what
/// ACR accepts at most.
pub const MANIFEST_SIZE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What a manifest points at (image-spec, "Content Descriptors").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    pub media_type: MediaType,
    /// Their address.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// Where else they can be had (non-distributable layers).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Free text about this use of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The bytes themselves, base64, when they are small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What the image behind it runs on; in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The kind of artifact behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// A descriptor with nothing but the three required fields.
    #[must_use]
    pub const fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            data: None,
            platform: None,
            artifact_type: None,
        }
    }
}

/// What a manifest is made of.
#[expect(clippy::large_enum_variant, reason = "one per manifest, and most are images")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestKind {
    /// One image or artifact: its configuration and its layers. The old artifact manifest has no
    /// configuration; its `blobs` are here as layers.
    Image {
        /// The configuration.
        config: Option<Descriptor>,
        /// The layers, base first.
        layers: Vec<Descriptor>,
    },
    /// A manifest of manifests.
    Index {
        /// Its children, in their order.
        manifests: Vec<Descriptor>,
    },
}

/// A manifest as it came, and what we read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    bytes: Bytes,
    digest: Digest,
    media_type: MediaType,
    kind: ManifestKind,
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
}

/// Every field that some kind of manifest has. Unknown ones are allowed (image-spec, "Extensibility").
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<MediaType>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    blobs: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    subject: Option<Descriptor>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Manifest {
    /// Reads a manifest; `declared` is the `Content-Type` it came with.
    ///
    /// Refused: more than 4 MiB, not JSON, a `mediaType` that differs from the declared one, a kind
    /// that we do not know (schema 1 among them), and fields of two kinds at once, because clients
    /// would disagree about what they pulled (image-spec, "Manifest media types").
    pub fn parse(bytes: Bytes, declared: Option<&MediaType>) -> Result<Self, ParseError> {
        let size_bytes = bytes.len() as u64;
        if size_bytes > MANIFEST_SIZE_BYTES_MAX {
            return Err(ParseError::ManifestTooLarge {
                size_bytes,
                limit_bytes: MANIFEST_SIZE_BYTES_MAX,
            });
        }
        let fields: Fields = serde_json::from_slice(&bytes)
            .map_err(|error| ParseError::Manifest { reason: error.to_string() })?;
        let media_type = decide_media_type(&fields, declared)?;
        if fields.schema_version != Some(2) && media_type != MediaType::OCI_ARTIFACT {
            return invalid("`schemaVersion` is not 2");
        }
        let Fields {
            artifact_type, config, layers, blobs, manifests, subject, annotations, ..
        } = fields;
        let kind = if media_type.is_index() {
            if layers.is_some() || config.is_some() {
                return invalid("an index must not have `config` or `layers`");
            }
            let manifests = manifests.ok_or_else(|| missing("manifests"))?;
            ManifestKind::Index { manifests }
        } else {
            if manifests.is_some() {
                return invalid("an image manifest must not have `manifests`");
            }
            if media_type == MediaType::OCI_ARTIFACT {
                ManifestKind::Image { config: None, layers: blobs.unwrap_or_default() }
            } else {
                let config = config.ok_or_else(|| missing("config"))?;
                let layers = layers.ok_or_else(|| missing("layers"))?;
                ManifestKind::Image { config: Some(config), layers }
            }
        };
        Ok(Self {
            digest: Digester::digest(Algorithm::Sha256, &bytes),
            bytes,
            media_type,
            kind,
            subject,
            artifact_type,
            annotations: annotations.unwrap_or_default(),
        })
    }

    /// The exact bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The SHA-256 digest of those bytes.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The digest of those bytes by another algorithm.
    #[must_use]
    pub fn digest_by(&self, algorithm: Algorithm) -> Digest {
        match algorithm {
            Algorithm::Sha256 => self.digest,
            Algorithm::Sha512 => Digester::digest(algorithm, &self.bytes),
        }
    }

    /// What to send as `Content-Type`.
    #[must_use]
    pub const fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// What it is made of.
    #[must_use]
    pub const fn kind(&self) -> &ManifestKind {
        &self.kind
    }

    /// The manifest that this one refers to.
    #[must_use]
    pub const fn subject(&self) -> Option<&Descriptor> {
        self.subject.as_ref()
    }

    /// The annotations.
    #[must_use]
    pub const fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// What kind of artifact it is: its own word, or the media type of its configuration
    /// (distribution-spec, "Listing Referrers").
    #[must_use]
    pub fn artifact_type(&self) -> Option<&str> {
        match (&self.artifact_type, &self.kind) {
            (Some(own), _) => Some(own),
            (None, ManifestKind::Image { config: Some(config), .. }) => {
                Some(config.media_type.as_str())
            }
            (None, _) => None,
        }
    }

    /// The blobs that must exist before it: configuration and layers; none for an index.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, layers): (Option<&Descriptor>, &[Descriptor]) = match &self.kind {
            ManifestKind::Image { config, layers } => (config.as_ref(), layers),
            ManifestKind::Index { .. } => (None, &[]),
        };
        config.into_iter().chain(layers)
    }

    /// The manifests that an index lists; none for an image.
    #[must_use]
    pub fn children(&self) -> &[Descriptor] {
        match &self.kind {
            ManifestKind::Index { manifests } => manifests,
            ManifestKind::Image { .. } => &[],
        }
    }

    /// How others point at it.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest, self.bytes.len() as u64)
    }
}

/// The one media type that the field, the header and the shape agree on.
fn decide_media_type(
    fields: &Fields,
    declared: Option<&MediaType>,
) -> Result<MediaType, ParseError> {
    let declared = declared.filter(|declared| declared.as_str() != "application/json");
    let media_type = match (&fields.media_type, declared) {
        (Some(own), Some(declared)) if own != declared => {
            return invalid(format!("`mediaType` says {own}, but it was sent as {declared}"));
        }
        (Some(own), _) => own.clone(),
        (None, Some(declared)) => declared.clone(),
        (None, None) if fields.manifests.is_some() => MediaType::OCI_INDEX,
        (None, None) => MediaType::OCI_MANIFEST,
    };
    if media_type == MediaType::DOCKER_SCHEMA_1 || media_type == MediaType::DOCKER_SCHEMA_1_SIGNED {
        return invalid("schema 1 manifests are not supported; push schema 2 or OCI");
    }
    if !media_type.is_manifest() {
        return invalid(format!("{media_type} is not a manifest type"));
    }
    Ok(media_type)
}

fn invalid<T>(reason: impl Into<String>) -> Result<T, ParseError> {
    Err(ParseError::Manifest { reason: reason.into() })
}

fn missing(field: &str) -> ParseError {
    ParseError::Manifest { reason: format!("`{field}` is missing") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn descriptor(media_type: &str, content: &[u8]) -> serde_json::Value {
        json!({
            "mediaType": media_type,
            "digest": Digester::digest(Algorithm::Sha256, content).to_string(),
            "size": content.len(),
        })
    }

    fn image() -> serde_json::Value {
        json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OCI_MANIFEST.as_str(),
            "config": descriptor(MediaType::OCI_CONFIG.as_str(), b"{}"),
            "layers": [descriptor(MediaType::OCI_LAYER_GZIP.as_str(), b"layer")],
        })
    }

    fn parse(
        value: &serde_json::Value,
        declared: Option<&MediaType>,
    ) -> Result<Manifest, ParseError> {
        Manifest::parse(Bytes::from(serde_json::to_vec_pretty(value).unwrap()), declared)
    }

    #[test]
    fn an_image_keeps_its_exact_bytes_and_names_its_blobs() {
        let value = image();
        let manifest = parse(&value, Some(&MediaType::OCI_MANIFEST)).unwrap();
        let bytes = serde_json::to_vec_pretty(&value).unwrap();
        assert_eq!(manifest.bytes(), &bytes);
        assert_eq!(manifest.digest(), Digester::digest(Algorithm::Sha256, &bytes));
        assert_eq!(manifest.blobs().count(), 2);
        assert_eq!(manifest.artifact_type(), Some(MediaType::OCI_CONFIG.as_str()));
        assert!(manifest.children().is_empty());
    }

    #[test]
    fn an_index_names_its_children_with_platforms() {
        let mut child = descriptor(MediaType::OCI_MANIFEST.as_str(), b"child");
        child["platform"] = json!({"os": "windows", "architecture": "amd64", "os.version": "10.0"});
        let value = json!({"schemaVersion": 2, "manifests": [child]});
        let manifest = parse(&value, None).unwrap();
        assert_eq!(manifest.media_type(), &MediaType::OCI_INDEX);
        let platform = manifest.children().first().unwrap().platform.clone().unwrap();
        assert_eq!(platform.to_string(), "windows/amd64");
        assert_eq!(platform.os_version.as_deref(), Some("10.0"));
    }

    #[test]
    fn docker_types_and_the_old_artifact_manifest_are_read() {
        let mut docker = image();
        docker["mediaType"] = json!(MediaType::DOCKER_MANIFEST.as_str());
        assert!(parse(&docker, Some(&MediaType::DOCKER_MANIFEST)).is_ok());
        let artifact = json!({
            "mediaType": MediaType::OCI_ARTIFACT.as_str(),
            "artifactType": "application/sbom",
            "blobs": [descriptor("text/plain", b"x")],
            "subject": descriptor(MediaType::OCI_MANIFEST.as_str(), b"subject"),
        });
        let artifact = parse(&artifact, None).unwrap();
        assert_eq!(artifact.artifact_type(), Some("application/sbom"));
        assert_eq!(artifact.blobs().count(), 1);
        assert!(artifact.subject().is_some());
    }

    #[test]
    fn ambiguous_and_foreign_manifests_are_refused() {
        let mut both = image();
        both["manifests"] = json!([]);
        assert!(parse(&both, None).is_err());
        assert!(parse(&image(), Some(&MediaType::OCI_INDEX)).is_err());
        assert!(parse(&json!({"schemaVersion": 1, "name": "a"}), None).is_err());
        assert!(parse(&image(), Some(&MediaType::DOCKER_SCHEMA_1)).is_err());
        let mut bad_digest = image();
        bad_digest["config"]["digest"] = json!("sha256:00");
        assert!(parse(&bad_digest, None).is_err());
        let mut negative = image();
        negative["config"]["size"] = json!(-1);
        assert!(parse(&negative, None).is_err());
    }

    #[test]
    fn a_manifest_over_four_mebibytes_is_refused_by_size() {
        let bytes = Bytes::from(vec![b' '; usize::try_from(MANIFEST_SIZE_BYTES_MAX).unwrap() + 1]);
        let error = Manifest::parse(bytes, None).unwrap_err();
        assert!(matches!(error, ParseError::ManifestTooLarge { .. }));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let _ = Manifest::parse(Bytes::from(bytes), None);
        }
    }
}
