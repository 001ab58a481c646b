//! From a plan of the offer to its image: layers, a configuration and a manifest per platform, one
//! index over them, and the roots that name the tags.
//!
//! Invariant: every digest follows from the offer and the build folders alone; no clock, no host
//! name and no number of threads goes in.

mod adopted;
mod attestations;
mod based;
mod built;
mod configuration;
mod error;
mod manifests;
mod schedule;

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use wharf_oci::{Descriptor, MediaType, Timestamp};

use self::attestations::{Made, ReadLayers};
use self::based::{base_layers, platform};
pub use self::built::{BuiltImage, BuiltLayer, BuiltPlatform, LayerOrigin, Referrer};
use self::configuration::{Described, configuration, inputs_text};
pub use self::error::BuildError;
use self::error::{base_error, layer_error};
use self::manifests::{Manifest, child, json, roots};
pub use self::schedule::LayoutDestination;
use self::schedule::{BegunLayer, LayerOrWrite, Layers, Recipe, Stage};
use super::base::{BaseImage, Bases, NoBases};
use super::codec::Codec;
use super::compress::with_pool;
use super::contents::ContentsRecord;
use super::files::{FileView, LayerFiles};
use super::known_blocks::KnownBlocks;
use super::layer::{self, Below, Note, PreparedLayer, Setting};
use super::layout_write::{LayoutCount, LayoutResult, LayoutWriter};
use super::progress::{Progress, tar_bytes};
use crate::offer::model::{MadeFrom, PlanImage, PlatformBuild};

/// The common inputs of all plans of one run.
pub struct Builder<'a> {
    /// Where the paths of the offer start.
    offer_folder: &'a Path,
    /// Where layouts are written to; never input.
    output: &'a Path,
    /// The time of images without one.
    epoch: Timestamp,
    jobs: NonZeroUsize,
    progress: &'a dyn Progress,
    /// The images others are made from.
    bases: &'a dyn Bases,
    /// The state of the source code, when the command line says it.
    revision: Option<&'a str>,
    /// The digests of files by an earlier run.
    record: ContentsRecord,
    /// The contents of the layers made and read in this run.
    read: ReadLayers,
}

impl<'a> Builder<'a> {
    /// A builder for the offer in a folder, and the folder of its layouts, which is never input.
    #[must_use]
    pub fn new(
        offer_folder: &'a Path,
        output: &'a Path,
        epoch: Timestamp,
        jobs: NonZeroUsize,
        progress: &'a dyn Progress,
    ) -> Self {
        let (bases, revision) = (&NoBases, None);
        let (record, read) = (ContentsRecord::unkept(), Vec::new());
        Self { offer_folder, output, epoch, jobs, progress, bases, revision, record, read }
    }

    /// The same with a folder for the record of file digests, to speed up the next run.
    #[must_use]
    pub fn remembering(self, folder: &Path) -> Self {
        Self { record: ContentsRecord::open(folder), ..self }
    }

    /// The same, with images to start from.
    #[must_use]
    pub fn with_bases(self, bases: &'a dyn Bases) -> Self {
        Self { bases, ..self }
    }

    /// The same, for this state of the source code; it overrides the offer's.
    #[must_use]
    pub fn with_revision(self, revision: Option<&'a str>) -> Self {
        Self { revision, ..self }
    }

    fn described<'p>(&self, plan: &'p PlanImage) -> Described<'p>
    where
        'a: 'p,
    {
        let created = plan.image.created.unwrap_or(self.epoch);
        Described { image: &plan.image, created, revision: self.revision }
    }

    /// Builds the image of a plan.
    pub fn build(
        &mut self,
        plan: &PlanImage,
        destination: LayoutDestination<'_>,
    ) -> Result<BuiltImage, BuildError> {
        let mut built = None;
        self.build_all(&[plan], destination, &mut |_, image| built = Some(image))?;
        Ok(built.expect("one plan was built, or the build failed"))
    }

    /// Builds the images of plans, beside one another; `done` gets each once it is in its place, in
    /// the order of the plans. Equal layers are made once.
    pub fn build_all(
        &mut self,
        plans: &[&PlanImage],
        destination: LayoutDestination<'_>,
        done: &mut dyn FnMut(&PlanImage, BuiltImage),
    ) -> Result<(), BuildError> {
        let known = match destination {
            LayoutDestination::Folder(folder) => Some(KnownBlocks::open(folder.path())),
            LayoutDestination::Counted => None,
        };
        let stage = Stage::begin(destination)?;
        let (jobs, progress) = (self.jobs, self.progress);
        with_pool(jobs, known.as_ref(), |pool| {
            thread::scope(|scope| {
                let mut layers = Layers::new(scope, pool, &stage, jobs, progress);
                let built = self.each_plan(plans, destination, &mut layers, done);
                if built.is_err() {
                    pool.stop();
                }
                built
            })
        })?;
        stage.record();
        Ok(())
    }

    /// The layers of a plan are begun before those of the plan before it are waited for.
    fn each_plan(
        &mut self,
        plans: &[&PlanImage],
        destination: LayoutDestination<'_>,
        layers: &mut Layers<'_, '_>,
        done: &mut dyn FnMut(&PlanImage, BuiltImage),
    ) -> Result<(), BuildError> {
        let mut begun: Option<BegunImage<'_, '_>> = None;
        for plan in plans.iter().map(Some).chain([None]) {
            let next = plan.map(|plan| self.begin(plan, destination, layers)).transpose();
            if let Some(image) = begun.take() {
                let plan = image.plan;
                done(plan, self.finish(image, layers)?);
                self.progress.plan_done(plan.id.as_str());
            }
            begun = next?;
        }
        Ok(())
    }

    /// Looks at all inputs of an image, and has its layers made.
    fn begin<'p, 'f>(
        &mut self,
        plan: &'p PlanImage,
        destination: LayoutDestination<'f>,
        layers: &mut Layers<'_, '_>,
    ) -> Result<BegunImage<'p, 'f>, BuildError>
    where
        'a: 'p,
    {
        self.progress.plan_begun(plan.id.as_str());
        let mut writer = match destination {
            LayoutDestination::Folder(folder) => LayoutWriter::begin(folder, plan.id.as_str())?,
            LayoutDestination::Counted => LayoutWriter::counted(),
        };
        let mut platforms = Vec::new();
        for (place, build) in plan.image.platforms.iter().enumerate() {
            let base = self.base(plan, build)?;
            platforms.push(match (base, MadeFrom::of(&plan.image, build)) {
                (Some(base), MadeFrom::Adopt(_)) => BegunPlatform::Adopted(Box::new(self.adopt(
                    plan,
                    place,
                    build,
                    base,
                    &mut writer,
                )?)),
                _ => BegunPlatform::Made(self.begin_platform(
                    plan,
                    place,
                    build,
                    base,
                    layers,
                    &mut writer,
                )?),
            });
        }
        Ok(BegunImage { plan, platforms, writer })
    }

    /// Looks at the layers of a platform, and has them made.
    fn begin_platform<'p>(
        &self,
        plan: &'p PlanImage,
        place: usize,
        build: &'p PlatformBuild,
        base: Option<&'p BaseImage>,
        layers: &mut Layers<'_, '_>,
        writer: &mut LayoutWriter<'_>,
    ) -> Result<MadePlatform<'p>, BuildError> {
        let codec = Codec::from(plan.image.compression);
        let below = self.lay_base(plan, build, base, writer)?;
        let prepared = self.prepare(plan, build, base, below.clone())?;
        let expected = prepared.iter().map(|layer| tar_bytes(layer.files())).sum();
        self.progress.expected(expected);
        let prepared: Vec<Arc<PreparedLayer>> = prepared.into_iter().map(Arc::new).collect();
        let mut begun = Vec::new();
        let mut notes = Vec::new();
        for (number, prepared) in (1..).zip(&prepared) {
            notes.extend(prepared.notes().iter().map(|note| (number, note.clone())));
            let recipe = Recipe::new(codec, prepared);
            begun.push(layers.begin(recipe, Arc::clone(prepared)));
        }
        Ok(MadePlatform { place, build, base, below, prepared, layers: begun, notes })
    }

    /// Waits for the layers of an image, and puts it in its place.
    fn finish(
        &mut self,
        image: BegunImage<'_, '_>,
        layers: &mut Layers<'_, '_>,
    ) -> Result<BuiltImage, BuildError> {
        let BegunImage { plan, platforms: begun, mut writer } = image;
        let mut platforms = Vec::new();
        for platform in begun {
            platforms.push(match platform {
                BegunPlatform::Adopted(platform) => *platform,
                BegunPlatform::Made(platform) => {
                    self.finish_platform(plan, platform, layers, &mut writer)?
                }
            });
        }
        let children: Vec<Descriptor> = platforms.iter().map(child).collect();
        let index = Manifest {
            schema_version: 2,
            media_type: MediaType::OCI_INDEX,
            config: None,
            layers: None,
            manifests: Some(&children),
            annotations: self.described(plan).with(&plan.image.annotations),
        };
        let index = writer.add(MediaType::OCI_INDEX, &json(&index))?;
        let mut roots = roots(&plan.image, &index, &children);
        let referrers = self.attest_all(plan, &index, &platforms, &mut writer)?;
        let listed: Vec<Descriptor> = referrers.iter().map(|at| at.descriptor.clone()).collect();
        let (outcome, counted) = match writer.finish(&roots, &listed)? {
            LayoutResult::Placed(outcome) => (Some(outcome), LayoutCount::default()),
            LayoutResult::Counted(counted) => (None, counted),
        };
        roots.extend(listed);
        self.record.save();
        Ok(BuiltImage { index, platforms, roots, referrers, outcome, counted })
    }

    /// Writes the tar of a layer once more: of the platform and the layer at these places, from 0.
    pub fn write_layer(
        &self,
        plan: &PlanImage,
        platform: usize,
        number: usize,
        out: &mut dyn Write,
    ) -> Result<(), BuildError> {
        let Some(build) = plan.image.platforms.get(platform) else { return Ok(()) };
        let base = self.base(plan, build)?;
        // The base's layers come first, and their tars are not made here.
        let below = base.map_or(0, |base| base.layers.len());
        let Some(number) = number.checked_sub(below) else { return Ok(()) };
        let below = self.lay_base(plan, build, base, &mut LayoutWriter::counted())?;
        let prepared = self.prepare(plan, build, base, below)?;
        let Some(layer) = prepared.get(number) else { return Ok(()) };
        layer.write(out).map_err(|source| layer_error(plan, build, number, source))
    }

    /// Looks at the layers of a platform, bottom first, each with the layers below it: the files of
    /// its base first.
    pub(super) fn prepare(
        &self,
        plan: &PlanImage,
        build: &PlatformBuild,
        base: Option<&BaseImage>,
        mut lower: Vec<Arc<LayerFiles>>,
    ) -> Result<Vec<PreparedLayer>, BuildError> {
        let created = plan.image.created.unwrap_or(self.epoch);
        let of_base = |number: usize| {
            base.map_or_else(String::new, |base| format!("layer {number} of {}", base.said))
        };
        let mut names: Vec<String> = (1..=lower.len()).map(of_base).collect();
        let setting = Setting { offer_folder: self.offer_folder, output: self.output, created };
        let mut all = Vec::new();
        for (index, layer) in build.layers.iter().enumerate() {
            let below = Below { files: &FileView::merge(&lower), names: &names };
            let prepared = layer::prepare(&setting, layer, &below)
                .and_then(|prepared| {
                    prepared.check_platform(&build.platform)?;
                    Ok(prepared)
                })
                .map_err(|source| layer_error(plan, build, index, source))?;
            lower.push(Arc::clone(prepared.files()));
            names.push(inputs_text(layer));
            all.push(prepared);
        }
        Ok(all)
    }

    fn finish_platform(
        &mut self,
        plan: &PlanImage,
        begun: MadePlatform<'_>,
        making: &mut Layers<'_, '_>,
        writer: &mut LayoutWriter<'_>,
    ) -> Result<BuiltPlatform, BuildError> {
        let MadePlatform { place, build, base, below, prepared, layers: waiting, notes } = begun;
        let codec = Codec::from(plan.image.compression);
        let mut layers = base.map(base_layers).unwrap_or_default();
        let mut diff_ids = Vec::new();
        for (index, (layer, begun)) in build.layers.iter().zip(waiting).enumerate() {
            let made = making.wait(begun.ticket).map_err(|error| match error {
                LayerOrWrite::Write(error) => BuildError::Write(error),
                LayerOrWrite::Layer(source) => layer_error(plan, build, index, source),
            })?;
            writer.add_layer(made)?;
            let made = made.compressed;
            diff_ids.push(made.diff_id);
            layers.push(BuiltLayer {
                descriptor: Descriptor::new(codec.media_type(), made.digest, made.size_bytes),
                diff_id: made.diff_id,
                tar_bytes: Some(made.uncompressed_bytes),
                source: inputs_text(layer),
                origin: begun.origin,
            });
        }
        let described = self.described(plan);
        let config = configuration(&described, build, base, diff_ids.clone())
            .map_err(|source| base_error(plan, build, source))?;
        let config = writer.add(MediaType::OCI_CONFIG, &config)?;
        let descriptors: Vec<Descriptor> =
            layers.iter().map(|layer| layer.descriptor.clone()).collect();
        let size_bytes = config.size + descriptors.iter().map(|layer| layer.size).sum::<u64>();
        let manifest = Manifest {
            schema_version: 2,
            media_type: MediaType::OCI_MANIFEST,
            config: Some(&config),
            layers: Some(&descriptors),
            manifests: None,
            annotations: described.on_base(base),
        };
        let manifest = writer.add(MediaType::OCI_MANIFEST, &json(&manifest))?;
        let platform = platform(build, base);
        let made = Made {
            build,
            place,
            base,
            below: &below,
            prepared: &prepared,
            diff_ids: &diff_ids,
            manifest: &manifest,
            platform: &platform,
        };
        let attested = self.attest_platform(plan, &made, writer)?;
        Ok(BuiltPlatform { platform, manifest, size_bytes, layers, notes, attested })
    }
}

/// An image with layers under way.
struct BegunImage<'p, 'f> {
    plan: &'p PlanImage,
    platforms: Vec<BegunPlatform<'p>>,
    writer: LayoutWriter<'f>,
}

enum BegunPlatform<'p> {
    /// Taken over: there is nothing to wait for.
    Adopted(Box<BuiltPlatform>),
    Made(MadePlatform<'p>),
}

/// A platform with all its layers made.
struct MadePlatform<'p> {
    /// Its place in the offer.
    place: usize,
    build: &'p PlatformBuild,
    base: Option<&'p BaseImage>,
    /// The files of the base, as far as they were looked at.
    below: Vec<Arc<LayerFiles>>,
    prepared: Vec<Arc<PreparedLayer>>,
    layers: Vec<BegunLayer>,
    notes: Vec<(usize, Note)>,
}

#[cfg(test)]
mod tests;
