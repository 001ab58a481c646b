//! From a plan of the offer to its image: layers, a configuration and a manifest per platform, one
//! index over them, and the roots that name the tags.
//!
//! Invariant: every digest follows from the offer and the build folders alone; no clock, no host
//! name and no number of threads goes in.

use std::num::NonZeroUsize;
use std::path::Path;

use serde::Serialize;
use wharf_oci::{Descriptor, Digest, MediaType, Platform};

use super::config::{Empty, History, ImageConfig, RootFs, RuntimeConfig};
use super::gzip::Compressed;
use super::inputs::{self, INPUTS};
use super::layer::{self, LayerError};
use super::layout::REF_NAME;
use super::layout_write::{LayoutFolder, LayoutWriter, Outcome, WriteError};
use crate::offer::model::{Image, Layer, LayerSource, Plan, PlatformBuild};
use crate::offer::tags::TagTarget;
use crate::offer::timestamp::Timestamp;

/// The annotation and label that carries the version when the offer does not set it.
const VERSION_KEY: &str = "org.opencontainers.image.version";

/// Why a plan cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A layer of it.
    #[error("plan {plan}, {platform}, layer {number}")]
    Layer {
        /// The plan.
        plan: String,
        /// The platform.
        platform: String,
        /// Which layer, from 1.
        number: usize,
        /// Why.
        source: LayerError,
    },
    /// Its layout.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What stays the same for all plans of one run.
pub struct Builder<'a> {
    /// Where the paths of the offer start.
    offer_folder: &'a Path,
    /// The time of images that set none.
    epoch: Timestamp,
    jobs: NonZeroUsize,
    /// The layers made so far, each with the plan that has it: plans often share their base.
    made: Vec<MadeLayer>,
}

struct MadeLayer {
    source: LayerSource,
    created: Timestamp,
    compressed: Compressed,
    plan: String,
}

/// An image in its layout.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltImage {
    /// The index over all platforms.
    pub index: Descriptor,
    /// The platforms in the order of the offer.
    pub platforms: Vec<BuiltPlatform>,
    /// What `index.json` lists: one descriptor per tag.
    #[serde(skip)]
    pub roots: Vec<Descriptor>,
    /// What became of the layout; nothing when it was only built to be compared.
    pub outcome: Option<Outcome>,
}

/// The image of one platform.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltPlatform {
    /// Which.
    #[serde(serialize_with = "as_text")]
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Descriptor,
    /// Configuration and layers together, compressed.
    pub size_bytes: u64,
    /// Its layers, bottom first.
    pub layers: Vec<Descriptor>,
}

/// What to do with the layout once it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// Put it in its place.
    Place,
    /// Throw it away: only the digests were wanted.
    Discard,
}

impl<'a> Builder<'a> {
    /// A builder for the offer in this folder.
    #[must_use]
    pub const fn new(offer_folder: &'a Path, epoch: Timestamp, jobs: NonZeroUsize) -> Self {
        Self { offer_folder, epoch, jobs, made: Vec::new() }
    }

    /// Builds the image of a plan into the layout with the plan's name.
    pub fn build(
        &mut self,
        plan: &Plan,
        folder: &LayoutFolder,
        finish: Finish,
    ) -> Result<BuiltImage, BuildError> {
        let mut writer = LayoutWriter::begin(folder, plan.id.as_str())?;
        let mut platforms = Vec::new();
        for build in &plan.image.platforms {
            platforms.push(self.build_platform(plan, build, &mut writer)?);
        }
        let children: Vec<Descriptor> = platforms.iter().map(child).collect();
        let index = Manifest {
            schema_version: 2,
            media_type: MediaType::OCI_INDEX,
            config: None,
            layers: None,
            manifests: Some(&children),
            annotations: with_version(&plan.image, &plan.image.annotations),
        };
        let index = writer.add(MediaType::OCI_INDEX, &json(&index))?;
        let roots = roots(&plan.image, &index, &children);
        let outcome = match finish {
            Finish::Place => Some(writer.finish(&roots)?),
            Finish::Discard => None,
        };
        Ok(BuiltImage { index, platforms, roots, outcome })
    }

    fn build_platform(
        &mut self,
        plan: &Plan,
        build: &PlatformBuild,
        writer: &mut LayoutWriter<'_>,
    ) -> Result<BuiltPlatform, BuildError> {
        let created = plan.image.created.unwrap_or(self.epoch);
        let mut layers = Vec::new();
        let mut diff_ids = Vec::new();
        for (index, layer) in build.layers.iter().enumerate() {
            let made = self.layer(plan, layer, created, writer).map_err(|error| match error {
                LayerOrWrite::Write(error) => BuildError::Write(error),
                LayerOrWrite::Layer(source) => BuildError::Layer {
                    plan: plan.id.to_string(),
                    platform: build.platform.to_string(),
                    number: index + 1,
                    source,
                },
            })?;
            diff_ids.push(made.diff_id);
            layers.push(Descriptor::new(MediaType::OCI_LAYER_GZIP, made.digest, made.size_bytes));
        }
        let config = image_config(&plan.image, build, created, diff_ids);
        let config = writer.add(MediaType::OCI_CONFIG, &json(&config))?;
        let size_bytes = config.size + layers.iter().map(|layer| layer.size).sum::<u64>();
        let manifest = Manifest {
            schema_version: 2,
            media_type: MediaType::OCI_MANIFEST,
            config: Some(&config),
            layers: Some(&layers),
            manifests: None,
            annotations: with_version(&plan.image, &plan.image.annotations),
        };
        let manifest = writer.add(MediaType::OCI_MANIFEST, &json(&manifest))?;
        Ok(BuiltPlatform { platform: build.full_platform(), manifest, size_bytes, layers })
    }

    /// Makes a layer, or takes it from where it was made before.
    fn layer(
        &mut self,
        plan: &Plan,
        layer: &Layer,
        created: Timestamp,
        writer: &mut LayoutWriter<'_>,
    ) -> Result<Compressed, LayerOrWrite> {
        let same = |made: &&MadeLayer| made.source == layer.source && made.created == created;
        if let Some(made) = self.made.iter().find(same)
            && writer.reuse_layer(&made.compressed, &made.plan)?
        {
            return Ok(made.compressed);
        }
        let compressed = writer.add_layer(self.jobs, |out| {
            layer::write(self.offer_folder, &layer.source, created, out)
                .map_err(LayerOrWrite::Layer)
        })?;
        let plan = plan.id.to_string();
        self.made.push(MadeLayer { source: layer.source.clone(), created, compressed, plan });
        Ok(compressed)
    }
}

/// What can fail while a layer goes into a layout.
enum LayerOrWrite {
    Layer(LayerError),
    Write(WriteError),
}

impl From<std::io::Error> for LayerOrWrite {
    fn from(error: std::io::Error) -> Self {
        Self::Layer(LayerError::Write(error))
    }
}

impl From<WriteError> for LayerOrWrite {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

/// A manifest or an index, in the order in which its fields are written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u8,
    media_type: MediaType,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'a Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<&'a [Descriptor]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifests: Option<&'a [Descriptor]>,
    annotations: std::collections::BTreeMap<String, String>,
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("maps with text keys always serialise")
}

/// The descriptor of a platform's manifest, as the index lists it.
fn child(built: &BuiltPlatform) -> Descriptor {
    Descriptor { platform: Some(built.platform.clone()), ..built.manifest.clone() }
}

/// One descriptor per tag, in the order in which tags are written.
fn roots(image: &Image, index: &Descriptor, children: &[Descriptor]) -> Vec<Descriptor> {
    let inputs = inputs::digest_of(image).to_string();
    let named = |tag: &wharf_oci::Tag, target: &Descriptor| {
        let mut root = target.clone();
        root.annotations.insert(REF_NAME.to_owned(), tag.to_string());
        root.annotations.insert(INPUTS.to_owned(), inputs.clone());
        root
    };
    image
        .expanded_tags
        .iter()
        .filter_map(|expanded| match expanded.target {
            TagTarget::Index => Some(named(&expanded.tag, index)),
            TagTarget::Platform(place) => {
                children.get(place).map(|child| named(&expanded.tag, child))
            }
        })
        .collect()
}

fn with_version(
    image: &Image,
    given: &std::collections::BTreeMap<String, String>,
) -> std::collections::BTreeMap<String, String> {
    let mut all = given.clone();
    all.entry(VERSION_KEY.to_owned()).or_insert_with(|| image.version.to_string());
    all
}

fn image_config(
    image: &Image,
    build: &PlatformBuild,
    created: Timestamp,
    diff_ids: Vec<Digest>,
) -> ImageConfig {
    let given = &image.config;
    let created = created.to_string();
    let history = build.layers.iter().map(|layer| History {
        created: Some(created.clone()),
        created_by: Some(layer.comment.clone().unwrap_or_else(|| match &layer.source {
            LayerSource::Dir(dir) => format!("dir {}", dir.path),
            LayerSource::Tar(path) => format!("tar {path}"),
        })),
        ..History::default()
    });
    let path_text = |path: &crate::offer::words::ImagePath| path.to_string();
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

/// Platforms are shown as people type them.
fn as_text<S: serde::Serializer>(platform: &Platform, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(platform)
}

#[cfg(test)]
mod tests;
