//! From a plan of the offer to its image: layers, a configuration and a manifest per platform, one
//! index over them, and the roots that name the tags.
//!
//! Invariant: every digest follows from the offer and the build folders alone; no clock, no host
//! name and no number of threads goes in.

mod configuration;
mod error;
mod manifests;
mod schedule;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use serde::Serialize;
use wharf_oci::{Descriptor, Digest, MediaType, Platform};

use self::configuration::{image_config, inputs_text, with_version};
pub use self::error::BuildError;
use self::manifests::{Manifest, child, json, roots};
use self::schedule::{BegunLayer, LayerOrWrite, Layers, Recipe, Stage};
use super::codec::Codec;
use super::compress::with_pool;
use super::files::{FileView, LayerFiles};
use super::known_blocks::KnownBlocks;
use super::layer::{self, Below, LayerError, Note, PreparedLayer, Setting};
use super::layout_write::{Finished, LayoutFolder, LayoutWriter, Outcome};
use super::progress::{Progress, tar_bytes};
use crate::offer::model::{Plan, PlatformBuild};
use crate::offer::timestamp::Timestamp;

/// What stays the same for all plans of one run.
pub struct Builder<'a> {
    /// Where the paths of the offer start.
    offer_folder: &'a Path,
    /// Where layouts go: never input.
    output: &'a Path,
    /// The time of images that set none.
    epoch: Timestamp,
    jobs: NonZeroUsize,
    progress: &'a dyn Progress,
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
    /// A builder for the offer in this folder. What is in `output`, where layouts go, is never
    /// input, also when nothing is written there.
    #[must_use]
    pub const fn new(
        (offer_folder, output): (&'a Path, &'a Path),
        epoch: Timestamp,
        jobs: NonZeroUsize,
        progress: &'a dyn Progress,
    ) -> Self {
        Self { offer_folder, output, epoch, jobs, progress }
    }

    /// Builds the image of a plan.
    pub fn build(
        &self,
        plan: &Plan,
        destination: Destination<'_>,
    ) -> Result<BuiltImage, BuildError> {
        let mut built = None;
        self.build_all(&[plan], destination, &mut |_, image| built = Some(image))?;
        Ok(built.expect("one plan was built, or the build failed"))
    }

    /// Builds the images of plans, beside one another; `done` gets each once it is in its place, in
    /// the order of the plans. Layers that are the same are made once.
    pub fn build_all(
        &self,
        plans: &[&Plan],
        destination: Destination<'_>,
        done: &mut dyn FnMut(&Plan, BuiltImage),
    ) -> Result<(), BuildError> {
        let known = match destination {
            Destination::Folder(folder) => Some(KnownBlocks::open(folder.path())),
            Destination::Counted => None,
        };
        let stage = Stage::begin(destination)?;
        with_pool(self.jobs, known.as_ref(), |pool| {
            thread::scope(|scope| {
                let mut layers = Layers::new(scope, pool, &stage, self.jobs, self.progress);
                let built = self.each_plan(plans, destination, &mut layers, done);
                if built.is_err() {
                    pool.stop();
                }
                built
            })
        })?;
        stage.tidy();
        Ok(())
    }

    /// The layers of a plan are begun before those of the plan before it are waited for.
    fn each_plan(
        &self,
        plans: &[&Plan],
        destination: Destination<'_>,
        layers: &mut Layers<'_, '_>,
        done: &mut dyn FnMut(&Plan, BuiltImage),
    ) -> Result<(), BuildError> {
        let mut begun: Option<BegunImage<'_>> = None;
        for plan in plans.iter().map(Some).chain([None]) {
            let next = plan.map(|plan| self.begin(plan, layers)).transpose();
            if let Some(image) = begun.take() {
                let plan = image.plan;
                done(plan, self.finish(image, destination, layers)?);
                self.progress.plan_done(plan.id.as_str());
            }
            begun = next?;
        }
        Ok(())
    }

    /// Looks at all that goes into an image, and has its layers made.
    fn begin<'p>(
        &self,
        plan: &'p Plan,
        layers: &mut Layers<'_, '_>,
    ) -> Result<BegunImage<'p>, BuildError> {
        self.progress.plan_begun(plan.id.as_str());
        let codec = Codec::from(plan.image.compression);
        let mut platforms = Vec::new();
        for build in &plan.image.platforms {
            let prepared = self.prepare(plan, build)?;
            let expected = prepared.iter().map(|layer| tar_bytes(layer.files())).sum();
            self.progress.expected(expected);
            let mut begun = BegunPlatform { build, layers: Vec::new(), notes: Vec::new() };
            for (number, prepared) in (1..).zip(prepared) {
                let notes = prepared.notes().iter().map(|note| (number, note.clone()));
                begun.notes.extend(notes);
                let recipe = Recipe { layer: prepared.origin().digest, codec };
                begun.layers.push(layers.begin(recipe, prepared));
            }
            platforms.push(begun);
        }
        Ok(BegunImage { plan, platforms })
    }

    /// Waits for the layers of an image, and puts it in its place.
    fn finish(
        &self,
        image: BegunImage<'_>,
        destination: Destination<'_>,
        layers: &mut Layers<'_, '_>,
    ) -> Result<BuiltImage, BuildError> {
        let plan = image.plan;
        let mut writer = match destination {
            Destination::Folder(folder) => LayoutWriter::begin(folder, plan.id.as_str())?,
            Destination::Counted => LayoutWriter::counted(),
        };
        let mut platforms = Vec::new();
        for platform in image.platforms {
            platforms.push(self.finish_platform(plan, platform, layers, &mut writer)?);
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
        let mut names: Vec<String> = Vec::new();
        let (offer_folder, output) = (self.offer_folder, self.output);
        let setting = Setting { offer_folder, output, created };
        let mut all = Vec::new();
        for (index, layer) in build.layers.iter().enumerate() {
            let below = Below { files: &FileView::merge(&lower), names: &names };
            let prepared = layer::prepare(&setting, layer, &below)
                .map_err(|source| layer_error(plan, build, index, source))?;
            lower.push(Arc::clone(prepared.files()));
            names.push(inputs_text(layer));
            all.push(prepared);
        }
        Ok(all)
    }

    fn finish_platform(
        &self,
        plan: &Plan,
        begun: BegunPlatform<'_>,
        layers: &mut Layers<'_, '_>,
        writer: &mut LayoutWriter<'_>,
    ) -> Result<BuiltPlatform, BuildError> {
        let BegunPlatform { build, layers: waiting, notes } = begun;
        let created = plan.image.created.unwrap_or(self.epoch);
        let codec = Codec::from(plan.image.compression);
        let mut all = Vec::new();
        let mut diff_ids = Vec::new();
        for (index, (layer, begun)) in build.layers.iter().zip(waiting).enumerate() {
            let made = layers.wait(begun.ticket).map_err(|error| match error {
                LayerOrWrite::Write(error) => BuildError::Write(error),
                LayerOrWrite::Layer(source) => layer_error(plan, build, index, source),
            })?;
            writer.add_layer(made)?;
            let made = made.compressed;
            diff_ids.push(made.diff_id);
            all.push(BuiltLayer {
                descriptor: Descriptor::new(codec.media_type(), made.digest, made.size_bytes),
                diff_id: made.diff_id,
                tar_bytes: Some(made.uncompressed_bytes),
                source: inputs_text(layer),
                origin: begun.origin,
            });
        }
        let layers = all;
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
}

fn layer_error(plan: &Plan, build: &PlatformBuild, index: usize, source: LayerError) -> BuildError {
    BuildError::Layer {
        plan: plan.id.to_string(),
        platform: build.platform.to_string(),
        number: index + 1,
        source,
    }
}

/// An image whose layers are made.
struct BegunImage<'p> {
    plan: &'p Plan,
    platforms: Vec<BegunPlatform<'p>>,
}

struct BegunPlatform<'p> {
    build: &'p PlatformBuild,
    layers: Vec<BegunLayer>,
    notes: Vec<(usize, Note)>,
}

/// Platforms are shown as people type them.
fn as_text<S: serde::Serializer>(platform: &Platform, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(platform)
}

#[cfg(test)]
mod tests;
