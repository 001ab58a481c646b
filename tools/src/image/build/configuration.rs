//! The configuration of an image, and its annotations, from the offer.

use std::collections::BTreeMap;

use wharf_oci::{Digest, Timestamp};

use super::manifests::json;
use crate::image::base::{BaseError, BaseImage};
use crate::image::config::{Empty, History, ImageConfig, RootFs, RuntimeConfig};
use crate::offer::described::PREFIX;
use crate::offer::model::{Image, Layer, PlatformBuild};
use crate::offer::values::ImagePath;

/// The offer's values for labels and annotations of an image.
#[derive(Clone, Copy)]
pub(super) struct Described<'a> {
    pub(super) image: &'a Image,
    /// The time of the image.
    pub(super) created: Timestamp,
    /// The state of the source code, when the command line says it.
    pub(super) revision: Option<&'a str>,
}

impl Described<'_> {
    /// The given entries over the offer's own. The start of 1970 stands for an unset time, so no
    /// `created` is written for it.
    pub(super) fn with(&self, given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut all = self.image.described.clone();
        let mut say = |key: &str, value: String| {
            all.insert(format!("{PREFIX}{key}"), value);
        };
        say("version", self.image.version.to_string());
        if self.created != Timestamp::default() {
            say("created", self.created.to_string());
        }
        if let Some(revision) = self.revision {
            say("revision", revision.to_owned());
        }
        all.extend(given.clone());
        all
    }
}

/// The configuration of an image: the inherited part of its base, and the rest from the offer.
pub(super) fn configuration(
    described: &Described<'_>,
    build: &PlatformBuild,
    base: Option<&BaseImage>,
    diff_ids: Vec<Digest>,
) -> Result<Vec<u8>, BaseError> {
    let own = image_config(described, build, diff_ids);
    match base {
        None => Ok(json(&own)),
        Some(base) => base.inherit(&own, &described.image.config),
    }
}

/// The configuration of an adopted image with only the offer's values changed.
pub(super) fn adopted_configuration(
    image: &Image,
    build: &PlatformBuild,
    base: &BaseImage,
) -> Result<Vec<u8>, BaseError> {
    let described = Described { image, created: Timestamp::default(), revision: None };
    let mut own = image_config(&described, build, Vec::new());
    own.created = None;
    own.config.labels.clone_from(&image.config.labels);
    base.inherit(&own, &image.config)
}

pub(super) fn image_config(
    described: &Described<'_>,
    build: &PlatformBuild,
    diff_ids: Vec<Digest>,
) -> ImageConfig {
    let Described { image, created, .. } = *described;
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
            labels: described.with(&given.labels),
            stop_signal: given.stop_signal.clone().unwrap_or_default(),
            ..RuntimeConfig::default()
        },
        rootfs: RootFs { diff_ids, ..RootFs::default() },
        history: history.collect(),
    }
}

/// The inputs of a layer, in one line.
pub(super) fn inputs_text(layer: &Layer) -> String {
    let texts: Vec<String> = layer.inputs.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
