//! From a plan of the offer to its image: layers, a configuration and a manifest per platform, one
//! index over them, and the roots that name the tags.
//!
//! Invariant: every digest follows from the offer and the build folders alone; no clock, no host
//! name and no number of threads goes in.

mod configuration;
mod error;
mod manifests;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use wharf_oci::{Descriptor, Digest, MediaType, Platform};

use self::configuration::{image_config, inputs_text, with_version};
pub use self::error::BuildError;
use self::manifests::{Manifest, child, json, roots};
use super::files::{FileView, LayerFiles};
use super::gzip::Compressed;
use super::layer::{self, Below, LayerError, Note, PreparedLayer, Setting};
use super::layout_write::{LayoutFolder, LayoutWriter, Outcome, WriteError};
use crate::offer::model::{Plan, PlatformBuild};
use crate::offer::timestamp::Timestamp;

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
    origin: Digest,
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
    /// What a person should know of its layers, with the number of each, from 1.
    #[serde(skip)]
    pub notes: Vec<(usize, Note)>,
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
        let mut notes = Vec::new();
        let mut lower: Vec<Arc<LayerFiles>> = Vec::new();
        let mut names: Vec<String> = Vec::new();
        let output = writer.folder_path().to_owned();
        let setting = Setting { offer_folder: self.offer_folder, output: &output, created };
        for (index, layer) in build.layers.iter().enumerate() {
            let failed = |error| match error {
                LayerOrWrite::Write(error) => BuildError::Write(error),
                LayerOrWrite::Layer(source) => BuildError::Layer {
                    plan: plan.id.to_string(),
                    platform: build.platform.to_string(),
                    number: index + 1,
                    source,
                },
            };
            let below = Below { files: &FileView::merge(&lower), names: &names };
            let prepared = layer::prepare(&setting, layer, &below)
                .and_then(|prepared| {
                    prepared.check_platform(&build.platform)?;
                    Ok(prepared)
                })
                .map_err(|error| failed(LayerOrWrite::Layer(error)))?;
            let made = self.layer(plan, &prepared, writer).map_err(failed)?;
            diff_ids.push(made.diff_id);
            layers.push(Descriptor::new(MediaType::OCI_LAYER_GZIP, made.digest, made.size_bytes));
            notes.extend(prepared.notes().iter().map(|note| (index + 1, note.clone())));
            lower.push(Arc::clone(prepared.files()));
            names.push(inputs_text(layer));
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
        Ok(BuiltPlatform { platform: build.full_platform(), manifest, size_bytes, layers, notes })
    }

    /// Makes a layer, or takes it from where it was made before.
    fn layer(
        &mut self,
        plan: &Plan,
        prepared: &PreparedLayer,
        writer: &mut LayoutWriter<'_>,
    ) -> Result<Compressed, LayerOrWrite> {
        let origin = prepared.origin().digest;
        let same = |made: &&MadeLayer| made.origin == origin;
        if let Some(made) = self.made.iter().find(same)
            && writer.reuse_layer(&made.compressed, &made.plan)?
        {
            return Ok(made.compressed);
        }
        let compressed =
            writer.add_layer(self.jobs, |out| prepared.write(out).map_err(LayerOrWrite::Layer))?;
        self.made.push(MadeLayer { origin, compressed, plan: plan.id.to_string() });
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

/// Platforms are shown as people type them.
fn as_text<S: serde::Serializer>(platform: &Platform, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(platform)
}

#[cfg(test)]
mod tests;
