//! The image that tests of rules judge: it breaks none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::zero_sized_map_values)]

use std::collections::BTreeMap;

use wharf_oci::{Algorithm, Descriptor, Digest, Digester, MediaType, Platform};

use super::evidence::Evidence;
use super::file_fixture::{base, view};
use crate::image::config::{Empty, History, ImageConfig, RuntimeConfig};
use crate::image::facts::{ArtifactFacts, ImageFacts, IndexFacts, LayerFacts, PlatformImage};
use crate::image::files::Machine;
use crate::offer::fixture::{OFFER, parse};

pub(super) fn digest(content: &str) -> Digest {
    Digester::digest(Algorithm::Sha256, content.as_bytes())
}

/// What tools write that have no time.
pub(super) const ZERO: &str = "0001-01-01T00:00:00Z";

pub(super) fn evidence() -> Evidence {
    Evidence { now: "2026-11-28T00:00:00Z".parse().unwrap(), ..Evidence::default() }
}

pub(super) fn labels() -> BTreeMap<String, String> {
    let said = [
        ("title", "Tidepool"),
        ("version", "1.4.0"),
        ("vendor", "Quayline"),
        ("licenses", "MIT"),
        ("source", "https://git.quayline.dev/tidepool"),
    ];
    said.map(|(name, value)| (format!("org.opencontainers.image.{name}"), value.to_owned())).into()
}

pub(super) fn image(platform: &str) -> PlatformImage {
    let platform: Platform = platform.parse().unwrap();
    let machine = if platform.architecture == "amd64" { Machine::X86_64 } else { Machine::AARCH64 };
    let config = ImageConfig {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        config: RuntimeConfig {
            user: "999:999".to_owned(),
            entrypoint: vec!["/bin/server".to_owned()],
            exposed_ports: BTreeMap::from([("6379/tcp".to_owned(), Empty {})]),
            env: vec!["TZ=Etc/UTC".to_owned()],
            labels: labels(),
            ..RuntimeConfig::default()
        },
        created: Some("2026-11-01T00:00:00.5+01:00".to_owned()),
        history: vec![History { created: Some(ZERO.to_owned()), ..History::default() }],
        ..ImageConfig::default()
    };
    let name = platform.to_string();
    let mut descriptor = Descriptor::new(MediaType::OCI_MANIFEST, digest(&name), 500);
    descriptor.platform = Some(platform);
    let layer = Descriptor::new(MediaType::OCI_LAYER_GZIP, digest("layer"), 1000);
    PlatformImage {
        descriptor,
        config: Some(config),
        config_descriptor: Some(Descriptor::new(MediaType::OCI_CONFIG, digest("config"), 100)),
        annotations: BTreeMap::new(),
        layers: vec![LayerFacts { descriptor: layer, uncompressed_bytes: Some(4000) }],
        files: Some(view(&base(machine))),
    }
}

/// What says something of an image.
pub(super) fn artifact(subject: Digest, kind: &str) -> ArtifactFacts {
    let digest = digest(&format!("{kind} {subject}"));
    ArtifactFacts {
        descriptor: Descriptor::new(MediaType::OCI_MANIFEST, digest, 300),
        subject: Some(subject),
        artifact_type: Some(kind.to_owned()),
        layers: vec![Descriptor::new(MediaType::OCI_LAYER, digest, 2000)],
        predicate_types: Vec::new(),
    }
}

/// The image of the plan `server` as it should be.
pub(super) fn facts() -> ImageFacts {
    let file = parse(OFFER).unwrap();
    let images = vec![image("linux/amd64"), image("linux/arm64")];
    let index = Descriptor::new(MediaType::OCI_INDEX, digest("index"), 700);
    let children = images.iter().map(|image| image.descriptor.clone()).collect();
    let tags = &file.offer.plans[0].images()[0].image.expanded_tags;
    let mut artifacts: Vec<_> = images
        .iter()
        .map(|image| artifact(image.descriptor.digest, "application/spdx+json"))
        .collect();
    artifacts.push(artifact(index.digest, "application/vnd.cncf.notary.signature"));
    ImageFacts {
        location: "out/server".to_owned(),
        tags: tags.iter().map(|item| (item.tag.clone(), index.digest)).collect(),
        roots: vec![index.clone()],
        indexes: vec![IndexFacts { descriptor: index, children, annotations: BTreeMap::new() }],
        images,
        artifacts,
        faults: Vec::new(),
    }
}
