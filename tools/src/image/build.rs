//! From a plan of the offer to its image: layers, a configuration and a manifest per platform, one
//! index over them, and the roots that name the tags.
//!
//! Invariant: every digest follows from the offer and the build folders alone; no clock, no host
//! name and no number of threads goes in.

mod configuration;
mod error;
mod manifests;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use wharf_oci::{Descriptor, Digest, MediaType, Platform};

use self::configuration::{image_config, inputs_text, with_version};
pub use self::error::BuildError;
use self::manifests::{Manifest, child, json, roots};
use super::compress::Compressed;
use super::files::{FileView, LayerFiles};
use super::layer::{self, LayerError, Note, PreparedLayer};
use super::layout_write::{Finished, LayoutFolder, LayoutWriter, Outcome, WriteError};
use super::progress::{Progress, Told, tar_bytes};
use crate::offer::model::{LayerInput, Plan, PlatformBuild};
use crate::offer::timestamp::Timestamp;

/// What stays the same for all plans of one run.
pub struct Builder<'a> {
    /// Where the paths of the offer start.
    offer_folder: &'a Path,
    /// The time of images that set none.
    epoch: Timestamp,
    jobs: NonZeroUsize,
    progress: &'a dyn Progress,
    /// The layers made so far, each with the plan that has it: plans often share their base.
    made: Vec<MadeLayer>,
}

struct MadeLayer {
    inputs: Vec<LayerInput>,
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
    /// What became of the layout; nothing when it was only counted.
    pub outcome: Option<Outcome>,
    /// The manifests and configurations of an image that was only counted.
    #[serde(skip)]
    pub small: BTreeMap<Digest, Vec<u8>>,
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
    pub layers: Vec<BuiltLayer>,
    /// What a person should know of its layers, with the number of each, from 1.
    #[serde(skip)]
    pub notes: Vec<(usize, Note)>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltLayer {
    /// As the manifest lists it.
    pub descriptor: Descriptor,
    /// The digest of its tar.
    #[serde(rename = "diffID")]
    pub diff_id: Digest,
    /// The size of its tar, where the layer was made here.
    pub tar_bytes: Option<u64>,
    /// What it is made of, in one line.
    pub source: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a layer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// It was made.
    Made,
    /// It was made earlier: for another platform or plan, or by a run before.
    Reused,
    /// It is a layer of the base, or of the image that was adopted.
    Base,
}

/// Where an image goes.
#[derive(Debug, Clone, Copy)]
pub enum Destination<'a> {
    /// Into the layout with the plan's name.
    Folder(&'a LayoutFolder),
    /// Nowhere: only the digests and sizes are wanted, and nothing is written.
    Counted,
}

impl<'a> Builder<'a> {
    /// A builder for the offer in this folder.
    #[must_use]
    pub const fn new(
        offer_folder: &'a Path,
        epoch: Timestamp,
        jobs: NonZeroUsize,
        progress: &'a dyn Progress,
    ) -> Self {
        Self { offer_folder, epoch, jobs, progress, made: Vec::new() }
    }

    /// Builds the image of a plan.
    pub fn build(
        &mut self,
        plan: &Plan,
        destination: Destination<'_>,
    ) -> Result<BuiltImage, BuildError> {
        self.progress.plan_begun(plan.id.as_str());
        let mut writer = match destination {
            Destination::Folder(folder) => LayoutWriter::begin(folder, plan.id.as_str())?,
            Destination::Counted => LayoutWriter::counted(),
        };
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
        let (outcome, small) = match writer.finish(&roots)? {
            Finished::Placed(outcome) => (Some(outcome), BTreeMap::new()),
            Finished::Counted { small } => (None, small),
        };
        self.progress.plan_done(plan.id.as_str());
        Ok(BuiltImage { index, platforms, roots, outcome, small })
    }

    /// Looks at the layers of a platform, bottom first, each with what stands below it.
    pub(super) fn prepare(
        &self,
        plan: &Plan,
        build: &PlatformBuild,
    ) -> Result<Vec<PreparedLayer>, BuildError> {
        let created = plan.image.created.unwrap_or(self.epoch);
        let mut lower: Vec<Arc<LayerFiles>> = Vec::new();
        let mut all = Vec::new();
        for (index, layer) in build.layers.iter().enumerate() {
            let below = FileView::merge(&lower);
            let prepared = layer::prepare(self.offer_folder, layer, created, &below)
                .map_err(|source| layer_error(plan, build, index, source))?;
            lower.push(Arc::clone(prepared.files()));
            all.push(prepared);
        }
        Ok(all)
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
        let prepared = self.prepare(plan, build)?;
        let expected: Vec<u64> = prepared.iter().map(|layer| tar_bytes(layer.files())).collect();
        self.progress.expected(expected.iter().sum());
        for (index, (layer, prepared)) in build.layers.iter().zip(&prepared).enumerate() {
            let made = self.layer(plan, &layer.inputs, prepared, writer);
            let (made, origin) = made.map_err(|error| match error {
                LayerOrWrite::Write(error) => BuildError::Write(error),
                LayerOrWrite::Layer(source) => layer_error(plan, build, index, source),
            })?;
            diff_ids.push(made.diff_id);
            layers.push(BuiltLayer {
                descriptor: Descriptor::new(
                    MediaType::OCI_LAYER_GZIP,
                    made.digest,
                    made.size_bytes,
                ),
                diff_id: made.diff_id,
                tar_bytes: Some(made.uncompressed_bytes),
                source: inputs_text(layer),
                origin,
            });
            notes.extend(prepared.notes().iter().map(|note| (index + 1, note.clone())));
        }
        let config = image_config(&plan.image, build, created, diff_ids);
        let config = writer.add(MediaType::OCI_CONFIG, &json(&config))?;
        let descriptors: Vec<Descriptor> =
            layers.iter().map(|layer| layer.descriptor.clone()).collect();
        let size_bytes = config.size + descriptors.iter().map(|layer| layer.size).sum::<u64>();
        let manifest = Manifest {
            schema_version: 2,
            media_type: MediaType::OCI_MANIFEST,
            config: Some(&config),
            layers: Some(&descriptors),
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
        inputs: &[LayerInput],
        prepared: &PreparedLayer,
        writer: &mut LayoutWriter<'_>,
    ) -> Result<(Compressed, Origin), LayerOrWrite> {
        let created = plan.image.created.unwrap_or(self.epoch);
        let same = |made: &&MadeLayer| made.inputs == inputs && made.created == created;
        if let Some(made) = self.made.iter().find(same)
            && writer.reuse_layer(&made.compressed, &made.plan)?
        {
            self.progress.spared(tar_bytes(prepared.files()));
            return Ok((made.compressed, Origin::Reused));
        }
        let compressed = writer.add_layer(self.jobs, |out| {
            prepared.write(&mut Told::new(out, self.progress)).map_err(LayerOrWrite::Layer)
        })?;
        let (inputs, plan) = (inputs.to_vec(), plan.id.to_string());
        self.made.push(MadeLayer { inputs, created, compressed, plan });
        Ok((compressed, Origin::Made))
    }
}

fn layer_error(plan: &Plan, build: &PlatformBuild, index: usize, source: LayerError) -> BuildError {
    BuildError::Layer {
        plan: plan.id.to_string(),
        platform: build.platform.to_string(),
        number: index + 1,
        source,
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
