//! Statements about a plan's image: gathered from the contents of its layers and from the offer,
//! put into the layout as referrers of each platform's manifest and of the index.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use wharf_oci::{Descriptor, Digest, MediaType, Platform, Timestamp};

use super::Builder;
use super::built::{Attested, BuiltPlatform, Referrer};
use super::error::{BuildError, layer_error};
use crate::image::attest::description::{
    Base, Description, ListedFile, ListedFiles, Packages, SbomPart, StatementSubject, System,
    path_text,
};
use crate::image::attest::licences::{self, PackageLicence};
use crate::image::attest::provenance::{BuildDependency, InputDigest, Provenance};
use crate::image::attest::referrer::{self, EMPTY};
use crate::image::attest::{self, Statement};
use crate::image::base::BaseImage;
use crate::image::contents::{ContentsError, LayerContents, OS_RELEASE};
use crate::image::debian::Control;
use crate::image::files::{File, FileKind, FileView, LayerFiles};
use crate::image::layer::{DebianPackage, PreparedLayer};
use crate::image::layout_write::{LayoutWriter, WriteError};
use crate::image::packages::{self, Manager, Package};
use crate::offer::model::{Attestation, LayerInput, PlanImage, PlatformBuild};

/// The contents of the layers read in this run, with the inputs of each.
pub(super) type ReadLayers = Vec<(Digest, Vec<LayerInput>, Arc<LayerContents>)>;

/// A platform with all its layers made.
pub(super) struct Made<'a> {
    pub(super) build: &'a PlatformBuild,
    /// Its place in the offer.
    pub(super) place: usize,
    /// The image it is made from, and the files of its layers as far as they were looked at.
    pub(super) base: Option<&'a BaseImage>,
    pub(super) below: &'a [Arc<LayerFiles>],
    pub(super) prepared: &'a [Arc<PreparedLayer>],
    /// The digests of its tars.
    pub(super) diff_ids: &'a [Digest],
    pub(super) manifest: &'a Descriptor,
    pub(super) platform: &'a Platform,
}

/// The files of an image, and the contents of its own layers.
struct Whole {
    view: FileView,
    /// How many layers are the base's.
    below: usize,
    contents: Vec<Arc<LayerContents>>,
}

impl Whole {
    /// The contents of a file's layer; `None` for layers of the base.
    fn contents(&self, file: &File<'_>) -> Option<&LayerContents> {
        Some(self.contents.get(file.layer().checked_sub(self.below)?)?.as_ref())
    }

    /// The text of a file with the image's own account of its parts.
    fn text(&self, file: &File<'_>) -> Option<Bytes> {
        match self.contents(file) {
            Some(contents) => contents.texts.get(file.path()).cloned(),
            None => file.content().text.clone(),
        }
    }
}

impl Builder<'_> {
    /// Writes the offer's statements about a platform's image; `None` if the offer asks for none.
    pub(super) fn attest_platform(
        &mut self,
        plan: &PlanImage,
        made: &Made<'_>,
        writer: &mut LayoutWriter<'_>,
    ) -> Result<Option<Attested>, BuildError> {
        let wanted = &plan.image.attestations;
        if wanted.is_empty() {
            return Ok(None);
        }
        let created = plan.image.created.unwrap_or(self.epoch);
        let contents = self.read_contents(plan, made)?;
        let own = made.prepared.iter().map(|layer| layer.files());
        let layers: Vec<Arc<LayerFiles>> = made.below.iter().chain(own).cloned().collect();
        let (view, below) = (FileView::merge(&layers), made.below.len());
        let whole = Whole { view, below, contents };
        let mut subject = subject(plan, made.manifest);
        subject.platform = Some(made.platform.clone());
        let description = Description {
            subject,
            created,
            system: system(&whole),
            base: made.base.map(base),
            packages: Packages::new(packages(&whole, made.prepared)),
            files: files(&whole),
            platforms: Vec::new(),
        };
        let dependencies = dependencies(made, &whole.contents);
        let provenance = Provenance {
            subject: description.subject.clone(),
            parameters: parameters(plan, Some(made.build), created),
            dependencies,
        };
        let statements = statements(wanted, &description, &provenance);
        let referrers = put(statements, made.manifest, created, writer)?;
        Ok(Some(Attested {
            subject: description.subject,
            system: description.system,
            packages: description.packages.listed().to_vec(),
            dependencies: provenance.dependencies,
            referrers,
        }))
    }

    /// All referrers of an image: those of its platforms, then those of the index.
    pub(super) fn attest_all(
        &self,
        plan: &PlanImage,
        index: &Descriptor,
        platforms: &[BuiltPlatform],
        writer: &mut LayoutWriter<'_>,
    ) -> Result<Vec<Referrer>, BuildError> {
        let platforms: Vec<&Attested> =
            platforms.iter().filter_map(|platform| platform.attested.as_ref()).collect();
        let of_index = self.attest_index(plan, index, &platforms, writer)?;
        let of_platforms = platforms.iter().flat_map(|platform| platform.referrers.iter().cloned());
        Ok(of_platforms.chain(of_index).collect())
    }

    /// The same for the index: its platforms, and all of their packages.
    fn attest_index(
        &self,
        plan: &PlanImage,
        index: &Descriptor,
        platforms: &[&Attested],
        writer: &mut LayoutWriter<'_>,
    ) -> Result<Vec<Referrer>, BuildError> {
        let wanted = &plan.image.attestations;
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let created = plan.image.created.unwrap_or(self.epoch);
        let systems: BTreeSet<Option<&System>> =
            platforms.iter().map(|platform| platform.system.as_ref()).collect();
        let system = systems.first().copied().flatten().filter(|_| systems.len() == 1);
        let packages = platforms.iter().flat_map(|platform| platform.packages.iter().cloned());
        let description = Description {
            subject: subject(plan, index),
            created,
            system: system.cloned(),
            base: None,
            packages: Packages::new(packages.collect()),
            files: ListedFiles::default(),
            platforms: platforms.iter().map(|platform| platform.subject.clone()).collect(),
        };
        let manifests = platforms.iter().enumerate().map(|(place, platform)| BuildDependency {
            name: format!("platforms[{place}]"),
            uri: attest::purl::of_image(&platform.subject),
            digest: InputDigest::Manifest(platform.subject.digest),
            annotations: BTreeMap::new(),
        });
        let inputs = platforms.iter().flat_map(|platform| platform.dependencies.iter().cloned());
        let provenance = Provenance {
            subject: description.subject.clone(),
            parameters: parameters(plan, None, created),
            dependencies: manifests.chain(inputs).collect(),
        };
        let statements = statements(wanted, &description, &provenance);
        Ok(put(statements, index, created, writer)?)
    }

    /// The contents of each layer; a layer already read for another platform or plan is not read
    /// again.
    fn read_contents(
        &mut self,
        plan: &PlanImage,
        made: &Made<'_>,
    ) -> Result<Vec<Arc<LayerContents>>, BuildError> {
        let mut all = Vec::new();
        let layers = made.build.layers.iter().zip(made.prepared).zip(made.diff_ids);
        for (index, ((layer, prepared), diff_id)) in layers.enumerate() {
            let same = |(digest, inputs, _): &&(Digest, Vec<LayerInput>, Arc<LayerContents>)| {
                digest == diff_id && *inputs == layer.inputs
            };
            if let Some((.., contents)) = self.read.iter().find(same) {
                all.push(Arc::clone(contents));
                continue;
            }
            let contents = LayerContents::read(prepared, &self.record, self.jobs);
            let contents = contents.map_err(|error| match error {
                ContentsError::Layer(source) => layer_error(plan, made.build, index, source),
                ContentsError::Read { path, source } => BuildError::Contents {
                    plan: plan.id.to_string(),
                    platform: made.build.platform.to_string(),
                    number: index + 1,
                    path,
                    source,
                },
            })?;
            let contents = Arc::new(contents);
            self.read.push((*diff_id, layer.inputs.clone(), Arc::clone(&contents)));
            all.push(contents);
        }
        Ok(all)
    }
}

fn subject(plan: &PlanImage, manifest: &Descriptor) -> StatementSubject {
    let repository = plan.image.repository.to_string();
    StatementSubject {
        digest: manifest.digest,
        name: repository.rsplit('/').next().unwrap_or_default().to_owned(),
        version: plan.image.version.to_string(),
        platform: None,
    }
}

fn statements<'a>(
    wanted: &'a [Attestation],
    description: &'a Description,
    provenance: &'a Provenance,
) -> impl Iterator<Item = Statement> + 'a {
    type Make = fn(&Description, &Provenance) -> Statement;
    let made = |kind: Attestation| -> &'static [Make] {
        match kind {
            Attestation::Sbom => &[
                |description, _| attest::cyclonedx::statement(description),
                |description, _| attest::spdx::statement(description),
            ],
            Attestation::Provenance => &[|_, provenance| provenance.statement()],
        }
    };
    let kinds = [Attestation::Sbom, Attestation::Provenance].into_iter();
    let kinds = kinds.filter(|kind| wanted.contains(kind));
    // One at a time: a list may have many megabytes.
    kinds.flat_map(made).map(move |make| make(description, provenance))
}

/// Puts statements into the layout, each with a manifest as its subject's referrer.
fn put(
    statements: impl Iterator<Item = Statement>,
    subject: &Descriptor,
    created: Timestamp,
    writer: &mut LayoutWriter<'_>,
) -> Result<Vec<Referrer>, WriteError> {
    let config = writer.add(MediaType::OCI_EMPTY, EMPTY)?;
    let mut referrers = Vec::new();
    for statement in statements {
        let kind = statement.media_type.parse().unwrap_or(MediaType::OCTET_STREAM);
        let layer = writer.add(kind, &statement.bytes)?;
        let manifest = referrer::manifest(&statement, subject, created, [&config, &layer]);
        let mut referrer = writer.add(MediaType::OCI_MANIFEST, &manifest)?;
        referrer.artifact_type = Some(statement.media_type.to_owned());
        referrer.annotations = referrer::annotations(&statement, created);
        referrers.push(Referrer {
            descriptor: referrer,
            subject: subject.digest,
            content_bytes: config.size + layer.size,
        });
    }
    Ok(referrers)
}

/// The base image, as a part. For an archive without a manifest the digest of the configuration is
/// its name.
fn base(base: &BaseImage) -> Base {
    let digest = if base.is_made { base.config.digest } else { base.manifest.digest };
    Base { name: base.name.clone().unwrap_or_else(|| base.said.clone()), digest }
}

/// The distribution an image says it is.
fn system(whole: &Whole) -> Option<System> {
    OS_RELEASE.iter().find_map(|path| {
        let file = whole.view.follow(path.as_bytes()).ok()?;
        System::parse(&whole.text(&file)?)
    })
}

/// The packages in the image's own lists, with their licences, and the packages unpacked into it.
fn packages(whole: &Whole, prepared: &[Arc<PreparedLayer>]) -> Vec<SbomPart> {
    let mut unpacked: Vec<&DebianPackage> =
        prepared.iter().flat_map(|layer| layer.packages()).collect();
    let listed = packages::of_texts(&whole.view, &|file| whole.text(file));
    let layers = whole.contents.iter().rev();
    let licence = |name: &str| layers.clone().find_map(|layer| layer.texts.licence(name));
    let mut parts = Vec::new();
    for package in listed {
        let is_it = |known: &&DebianPackage| {
            let Control { name, version, architecture, .. } = &known.control;
            (name, version, architecture)
                == (&package.name, &package.version, &package.architecture)
        };
        let place = unpacked.iter().position(is_it);
        let known = place.map(|place| unpacked.swap_remove(place));
        let stated = licence(&package.name).or_else(|| licence(&package.source)).cloned();
        parts.push(SbomPart {
            licence: stated.or_else(|| known.and_then(stated_licence)),
            archive: known.map(|known| known.digest),
            package,
        });
    }
    parts.extend(unpacked.into_iter().map(unlisted));
    parts
}

/// A package unpacked without a record of it in the image.
fn unlisted(known: &DebianPackage) -> SbomPart {
    let Control { name, version, architecture, source, .. } = known.control.clone();
    let package = Package { manager: Manager::Dpkg, name, architecture, version, source };
    SbomPart { package, licence: stated_licence(known), archive: Some(known.digest) }
}

fn stated_licence(known: &DebianPackage) -> Option<PackageLicence> {
    licences::read(known.copyright.as_deref()?)
}

/// The files of the layers made here.
fn files(whole: &Whole) -> ListedFiles {
    let is_own = |file: &File<'_>| file.kind() == FileKind::File && file.layer() >= whole.below;
    let listed = whole.view.iter().filter(is_own).filter_map(|file| {
        let digests = *whole.contents(&file)?.digests(file.path())?;
        Some(ListedFile { path: path_text(file.path()), digests })
    });
    ListedFiles::new(listed, whole.view.iter().filter(is_own).count())
}

/// The inputs of a platform's layers, by their places in the offer.
fn dependencies(made: &Made<'_>, contents: &[Arc<LayerContents>]) -> Vec<BuildDependency> {
    let mut all = Vec::new();
    if let Some(base) = made.base {
        let is_adopted = made.prepared.is_empty();
        all.push(BuildDependency {
            name: format!(
                "platforms[{}].{}",
                made.place,
                if is_adopted { "adopt" } else { "base" }
            ),
            uri: attest::purl::of_base(&self::base(base)),
            digest: InputDigest::Manifest(self::base(base).digest),
            annotations: BTreeMap::from([("image", base.said.clone())]),
        });
    }
    for (number, (layer, contents)) in made.build.layers.iter().zip(contents).enumerate() {
        for (place, (input, content)) in layer.inputs.iter().zip(&contents.inputs).enumerate() {
            let files = content.files.map(|files| ("files", files.to_string()));
            all.push(BuildDependency {
                name: format!("platforms[{}].layers[{number}].inputs[{place}]", made.place),
                uri: attest::purl::of_file(input.path().as_str()),
                digest: content.digest,
                annotations: [("input", input.key().to_owned())].into_iter().chain(files).collect(),
            });
        }
    }
    all
}

/// The requested build, as the offer writes it, without the keys that never reach the image.
fn parameters(
    plan: &PlanImage,
    platform: Option<&PlatformBuild>,
    created: Timestamp,
) -> BTreeMap<&'static str, Value> {
    let mut image = plan.written_image.clone();
    if let Value::Object(image) = &mut image {
        image.remove("repository");
        image.remove("publishedTags");
    }
    let mut all = BTreeMap::from([
        ("plan", json!(plan.id.as_str())),
        ("created", json!(created.to_string())),
        ("image", image),
    ]);
    if let Some(build) = platform {
        all.insert("platform", json!(build.full_platform().to_string()));
    }
    all
}
