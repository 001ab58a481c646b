//! The configuration of an image, and its annotations, from what the offer says.

use std::collections::BTreeMap;

use wharf_oci::Digest;

use crate::image::config::{Empty, History, ImageConfig, RootFs, RuntimeConfig};
use crate::offer::model::{Image, Layer, PlatformBuild};
use crate::offer::timestamp::Timestamp;
use crate::offer::words::ImagePath;

/// The annotation and label that carries the version when the offer does not set it.
pub(super) const VERSION_KEY: &str = "org.opencontainers.image.version";

pub(super) fn with_version(
    image: &Image,
    given: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = given.clone();
    all.entry(VERSION_KEY.to_owned()).or_insert_with(|| image.version.to_string());
    all
}

pub(super) fn image_config(
    image: &Image,
    build: &PlatformBuild,
    created: Timestamp,
    diff_ids: Vec<Digest>,
) -> ImageConfig {
    let given = &image.config;
    let created = created.to_string();
    let history = build.layers.iter().map(|layer| History {
        created: Some(created.clone()),
        created_by: Some(layer.comment.clone().unwrap_or_else(|| inputs_text(layer))),
        ..History::default()
    });
    let path_text = |path: &ImagePath| path.to_string();
    ImageConfig {
        created: Some(created.clone()),
        architecture: build.platform.architecture.clone(),
        os: build.platform.os.clone(),
        variant: build.platform.variant.clone(),
        os_version: build.os_version.clone(),
        config: RuntimeConfig {
            user: given.user.clone().unwrap_or_default(),
            exposed_ports: given.exposed_ports.iter().map(|p| (p.to_string(), Empty {})).collect(),
            env: given.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            entrypoint: given.entrypoint.clone(),
            cmd: given.cmd.clone(),
            volumes: given.volumes.iter().map(|path| (path.to_string(), Empty {})).collect(),
            working_dir: given.working_dir.as_ref().map(path_text).unwrap_or_default(),
            labels: with_version(image, &given.labels),
            stop_signal: given.stop_signal.clone().unwrap_or_default(),
            ..RuntimeConfig::default()
        },
        rootfs: RootFs { diff_ids, ..RootFs::default() },
        history: history.collect(),
    }
}

/// What a layer is made of, in one line.
pub(super) fn inputs_text(layer: &Layer) -> String {
    let texts: Vec<String> = layer.inputs.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
