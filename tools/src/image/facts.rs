//! The facts of an image once its bytes were read: the seam between the engine to read and prove
//! them (`verify`) and the rules to judge them (`rules::image`). Only types.
//!
//! Invariant: facts hold the image as it is, not as it should be: a manifest with other bytes than
//! its digest is among the faults, and only readable manifests are among the manifests.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use wharf_oci::{Descriptor, Digest, Platform, Tag};

use super::config::ImageConfig;
use super::files::FileView;

/// Everything known of the image of one plan, or of one layout.
#[derive(Debug, Clone, Default)]
pub struct ImageFacts {
    /// Where it was read, as people call it: the folder, the archive, the reference.
    pub location: String,
    /// The digest of each tag.
    pub tags: BTreeMap<Tag, Digest>,
    /// The descriptors at the top, in order, with duplicates removed.
    pub roots: Vec<Descriptor>,
    /// The readable indexes.
    pub indexes: Vec<IndexFacts>,
    /// The readable manifests of images; attestations are not among them.
    pub images: Vec<PlatformImage>,
    /// Manifests about images: signatures, lists of parts, attestations.
    pub artifacts: Vec<ArtifactFacts>,
    /// Every difference from a descriptor or configuration.
    pub faults: Vec<Fault>,
}

/// An index.
#[derive(Debug, Clone)]
pub struct IndexFacts {
    /// How it is pointed at.
    pub descriptor: Descriptor,
    /// Its children, in their order.
    pub children: Vec<Descriptor>,
    pub annotations: BTreeMap<String, String>,
}

/// The image of one platform.
#[derive(Debug, Clone)]
pub struct PlatformImage {
    /// How it is pointed at, with the platform the index states, if it is in one.
    pub descriptor: Descriptor,
    /// The configuration; `None` when it could not be read (there is a fault then).
    pub config: Option<ImageConfig>,
    /// How the configuration is pointed at.
    pub config_descriptor: Option<Descriptor>,
    /// The annotations of its manifest.
    pub annotations: BTreeMap<String, String>,
    /// Its layers, bottom first.
    pub layers: Vec<LayerFacts>,
    /// The files of a container of it; `None` if they were not read.
    pub files: Option<Arc<FileView>>,
}

/// A manifest about an image: one with a subject, or an index's child about another child.
#[derive(Debug, Clone)]
pub struct ArtifactFacts {
    /// How it is pointed at.
    pub descriptor: Descriptor,
    /// The image it is about, when it says so.
    pub subject: Option<Digest>,
    /// Its kind: the `artifactType`, or the type of its configuration.
    pub artifact_type: Option<String>,
    pub layers: Vec<Descriptor>,
    /// The types of the statements its layers hold (`in-toto.io/predicate-type`).
    pub predicate_types: Vec<String>,
}

/// A layer.
#[derive(Debug, Clone)]
pub struct LayerFacts {
    /// How it is pointed at.
    pub descriptor: Descriptor,
    /// Size of the tar inside, when it was read.
    pub uncompressed_bytes: Option<u64>,
}

/// A difference between bytes and their descriptor or configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Hash)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The blob or manifest it is about.
    pub digest: Digest,
    /// The kind of fault.
    pub kind: FaultKind,
    /// The entry it is about, in a layer; fit to be shown once control characters are out.
    pub path: Option<String>,
    /// The same in words.
    pub message: String,
}

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Hash)]
#[serde(rename_all = "camelCase")]
pub enum FaultKind {
    /// There is no such blob (IMG-003).
    Missing,
    /// It has another size (IMG-003).
    Size,
    /// Its bytes have another digest (IMG-003).
    Digest,
    /// A digest by an algorithm unknown to this program; its content was not checked (IMG-003).
    Algorithm,
    /// Two manifests have one name (IMG-049).
    Name,
    /// It is no manifest, or of a type registries refuse (IMG-001).
    Manifest,
    /// The configuration is not readable (IMG-010).
    Config,
    /// A layer's tar has another digest than the configuration says, or their numbers differ
    /// (IMG-036).
    DiffId,
    /// The uncompressed bytes of a layer could not be checked (IMG-036).
    Unproven,
    /// A layer does not inflate (IMG-033).
    Compression,
    /// A layer is not compressed as its media type says (IMG-033).
    Packing(EngineRefusal),
    /// A layer's tar is damaged (IMG-032).
    Tar,
    /// An entry of a layer some engines refuse to unpack (IMG-032).
    Entry(EngineRefusal),
}

/// The engines customers run (docker, podman, containerd), by their refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Hash)]
#[serde(rename_all = "camelCase")]
pub enum EngineRefusal {
    /// All of them.
    All,
    /// Some of them.
    Some,
    /// None; it is worth knowing all the same.
    None,
}

/// The weight of a fault for the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Worth knowing.
    Remark,
    /// The bytes may be right or wrong; they were not proven.
    Unproven,
    /// Some engines refuse the image.
    Refused,
    /// No engine takes the image, or no registry.
    Unusable,
    /// Bytes are missing, or others than they should be.
    Damage,
}

impl FaultKind {
    /// Its weight for the image.
    #[must_use]
    pub const fn weight(self) -> Weight {
        match self {
            Self::Missing
            | Self::Size
            | Self::Digest
            | Self::DiffId
            | Self::Compression
            | Self::Tar => Weight::Damage,
            Self::Manifest
            | Self::Config
            | Self::Packing(EngineRefusal::All)
            | Self::Entry(EngineRefusal::All) => Weight::Unusable,
            Self::Name | Self::Packing(EngineRefusal::Some) | Self::Entry(EngineRefusal::Some) => {
                Weight::Refused
            }
            Self::Packing(EngineRefusal::None) | Self::Entry(EngineRefusal::None) => Weight::Remark,
            Self::Algorithm | Self::Unproven => Weight::Unproven,
        }
    }
}

impl Fault {
    /// A fault of a whole blob.
    #[must_use]
    pub const fn new(digest: Digest, kind: FaultKind, message: String) -> Self {
        Self { digest, kind, path: None, message }
    }
}

impl fmt::Display for Fault {
    /// Names the blob, once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.contains(&self.digest.to_string()) {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.digest, self.message)
    }
}

impl ImageFacts {
    /// The image with this digest.
    #[must_use]
    pub fn image(&self, digest: &Digest) -> Option<&PlatformImage> {
        self.images.iter().find(|image| image.descriptor.digest == *digest)
    }

    /// The index with this digest.
    #[must_use]
    pub fn index(&self, digest: &Digest) -> Option<&IndexFacts> {
        self.indexes.iter().find(|index| index.descriptor.digest == *digest)
    }
}

impl PlatformImage {
    /// The platform its configuration states.
    #[must_use]
    pub fn platform(&self) -> Option<Platform> {
        let config = self.config.as_ref()?;
        Some(Platform {
            os: config.os.clone(),
            architecture: config.architecture.clone(),
            variant: config.variant.clone(),
            os_version: config.os_version.clone(),
            os_features: Vec::new(),
        })
    }

    /// Its name in messages: its platform, or its digest if the platform is unknown.
    #[must_use]
    pub fn name(&self) -> String {
        match self.platform().filter(|platform| !platform.os.is_empty()) {
            Some(platform) => platform.to_string(),
            None => self.descriptor.digest.to_string(),
        }
    }

    /// Bytes a registry stores for it: configuration and layers, compressed.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        let layers = self.layers.iter().map(|layer| layer.descriptor.size);
        let config = self.config_descriptor.iter().map(|descriptor| descriptor.size);
        layers.chain(config).fold(0, u64::saturating_add)
    }

    /// Bytes of its layers unpacked, when all were read.
    #[must_use]
    pub fn uncompressed_bytes(&self) -> Option<u64> {
        let sizes = self.layers.iter().map(|layer| layer.uncompressed_bytes);
        sizes.sum()
    }
}
