//! What an offer says of an image: what it is made from on each platform, how it starts, and what is
//! said of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_oci::{Platform, RepoName, Tag, Timestamp};

use super::forms::{PlatformText, QuotedText, RepoNameText, TagText};
use super::layers::{Compression, Layer};
use super::mapping::mapping;
use super::origin::{ImageSource, MadeFrom};
use super::tags::{ExpandedTag, TagTemplates};
use super::values::{Annotations, EnvName, ExposedPort, ImagePath, ImageVersion};

mapping! {
    /// An image.
    Image {
        /// The repository, without the registry and its prefix.
        #[schemars(with = "RepoNameText")]
        repository: RepoName,
        /// Its version.
        version: ImageVersion,
        /// The time of every file and of the image.
        #[serde(default)]
        #[schemars(with = "Option<super::forms::Timestamp>")]
        created: Option<Timestamp>,
        /// The tags as written; `expanded_tags` says what they come to.
        #[serde(default)]
        tags: TagTemplates,
        /// The tags in the order of writing. Set when the file is parsed; never empty after that.
        #[serde(skip)]
        expanded_tags: Vec<ExpandedTag>,
        /// Tags of earlier versions that stay published; never written by us.
        #[serde(default)]
        #[schemars(with = "Vec<TagText>")]
        published_tags: Vec<Tag>,
        /// The image below the layers of every platform that names none itself.
        #[serde(default)]
        base: Option<ImageSource>,
        /// The image that every platform is which names none itself.
        #[serde(default)]
        adopt: Option<ImageSource>,
        /// Where its source code is.
        #[serde(default)]
        source: Option<String>,
        /// Which state of the source code it is made from.
        #[serde(default)]
        revision: Option<String>,
        /// Its licences, as an SPDX expression.
        #[serde(default)]
        licences: Option<String>,
        /// What the offer says of it for its labels and annotations, where those do not say it
        /// themselves. Set when the file is parsed.
        #[serde(skip)]
        described: Annotations,
        /// One build per platform; at least one, all different.
        platforms: Vec<PlatformBuild>,
        /// How its layers are compressed.
        #[serde(default)]
        compression: Compression,
        /// How a container starts.
        #[serde(default)]
        config: ContainerConfig,
        /// Annotations of every manifest and of the index.
        #[serde(default)]
        annotations: BTreeMap<String, String>,
        /// What is said of the image besides, and attached to it.
        #[serde(default = "all_attestations")]
        attestations: Vec<Attestation>,
    }

    /// What a platform's image is made of.
    PlatformBuild {
        /// The platform, without `os.version`; see [`PlatformBuild::full_platform`].
        #[serde(deserialize_with = "super::values::from_text")]
        #[schemars(with = "PlatformText")]
        platform: Platform,
        /// The exact version of Windows.
        #[serde(default)]
        os_version: Option<String>,
        /// The image below its layers.
        #[serde(default)]
        base: Option<ImageSource>,
        /// The image that it is.
        #[serde(default)]
        adopt: Option<ImageSource>,
        /// Its layers, bottom first; at least one where no image is named to start from.
        #[serde(default)]
        layers: Vec<Layer>,
    }
}

/// Something that is said of an image besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Attestation {
    /// What it is made of, in `CycloneDX` and in SPDX.
    Sbom,
    /// What it was made from, and how (in-toto).
    Provenance,
}

/// How a container of the image starts; the same for every platform.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ContainerConfig {
    /// The program, with its first arguments.
    pub entrypoint: Vec<String>,
    /// More arguments, or the program.
    pub cmd: Vec<String>,
    /// Environment variables.
    #[serde(deserialize_with = "super::quoted::map")]
    #[schemars(with = "BTreeMap<EnvName, QuotedText>")]
    pub env: BTreeMap<EnvName, String>,
    /// Where it starts.
    pub working_dir: Option<ImagePath>,
    /// As whom it runs.
    pub user: Option<String>,
    /// Where it listens.
    pub exposed_ports: Vec<ExposedPort>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Folders that outlive a container.
    pub volumes: Vec<ImagePath>,
    /// The signal that ends it.
    pub stop_signal: Option<String>,
}

impl PlatformBuild {
    /// The platform with its `os.version`.
    #[must_use]
    pub fn full_platform(&self) -> Platform {
        Platform { os_version: self.os_version.clone(), ..self.platform.clone() }
    }
}

impl<'a> MadeFrom<'a> {
    /// The platform's own source, or else the image's for all platforms.
    #[must_use]
    pub fn of(image: &'a Image, build: &'a PlatformBuild) -> Self {
        Self::said(build.base.as_ref(), build.adopt.as_ref())
            .or_else(|| Self::said(image.base.as_ref(), image.adopt.as_ref()))
            .unwrap_or(Self::Scratch)
    }
}

fn all_attestations() -> Vec<Attestation> {
    vec![Attestation::Sbom, Attestation::Provenance]
}
