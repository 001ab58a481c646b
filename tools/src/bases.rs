//! The images that plans are made from, found in their sources and read from there: what a plan and
//! a platform mean is picked out here, and layers are brought with proof.
//!
//! Invariant: a layer is fetched once in a run, whichever plans have it, unless its bytes are wrong.

mod bring;
mod pick;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use wharf_oci::{Descriptor, Digest, ManifestKind, Platform};

pub use self::pick::PickError;
use self::pick::Picked;
use crate::image::base::{BaseError, BaseImage, Bases, LayerRequest};
use crate::image::config::ImageConfig;
use crate::image::files::LayerFiles;
use crate::image::layout::REF_NAME;
use crate::image::layout_write;
use crate::offer::model::ImageSource;
use crate::offer::values::ImageId;
use crate::rules::image::size;
use crate::source::{Source, Target};
use crate::verify::ReadBudget;

/// The images the plans of one run are made from.
#[derive(Debug, Default)]
pub struct OpenBases {
    sources: BTreeMap<String, Opened>,
    images: BTreeMap<ImageId, Vec<(Platform, BaseImage)>>,
    /// What was seen of layers; each cell is held while its layer is fetched.
    layers: Mutex<BTreeMap<Digest, Cell>>,
    room: ReadBudget,
    /// A folder of layouts that may have some of the layers.
    near: Option<PathBuf>,
    notes: Vec<String>,
}

/// The files of one layer, once somebody looked.
type Cell = Arc<Mutex<Option<Arc<LayerFiles>>>>;

#[derive(Debug)]
struct Opened {
    source: Source,
    /// The reference, without a digest, of an image on a registry.
    reference: Option<String>,
    /// Whether only a tag says which image is meant.
    is_by_tag: bool,
}

impl OpenBases {
    /// None yet; layers that layouts in this folder have are not fetched.
    #[must_use]
    pub fn near(folder: &Path) -> Self {
        Self { near: Some(folder.to_owned()), ..Self::default() }
    }

    /// Whether the source of an image was opened before.
    #[must_use]
    pub fn has_source(&self, said: &ImageSource) -> bool {
        self.sources.contains_key(&said.text)
    }

    /// Takes the opened source of an image, and what its text means.
    pub fn add_source(&mut self, said: &ImageSource, target: &Target, source: Source) {
        let image = match target {
            Target::Image(image) => Some(image),
            Target::Path { .. } | Target::Stdin => None,
        };
        let reference = image.map(|image| {
            let tag = image.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
            format!("{}/{}{tag}", image.registry, image.repository)
        });
        let is_by_tag = image.is_some_and(|image| image.digest.is_none());
        self.sources.insert(said.text.clone(), Opened { source, reference, is_by_tag });
    }

    /// Finds the image for a platform of a plan, in a source that was opened before.
    pub fn add(
        &mut self,
        plan: &ImageId,
        platform: &Platform,
        said: &ImageSource,
    ) -> Result<(), PickError> {
        let opened = self.sources.get(&said.text).ok_or(PickError::Empty)?;
        let picked = pick::pick(&opened.source, platform)?;
        pick::compare_digest(said.digest.as_ref(), &picked)?;
        let mut notes = Vec::new();
        if opened.is_by_tag && said.digest.is_none() {
            notes.push(format!(
                "`{}` is a tag, and tags move; pin what it is now: {{ image: \"{}\", digest: \"{}\" }}",
                said.text, said.text, picked.root.digest
            ));
        }
        if picked.attached > 0 {
            notes.push(format!(
                "`{}` has {} attestations or other things attached, which are of another image \
                 than the one that is made, and stay behind",
                said.text, picked.attached
            ));
        }
        let base = base_image(said, opened, picked, platform)?;
        notes.extend(plain_layers(&base));
        for note in notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self.images.entry(plan.clone()).or_default().push((platform.clone(), base));
        Ok(())
    }

    /// What a person should know of the images that were found.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn copy_of(&self, layer: &Descriptor) -> Option<File> {
        layout_write::copy_of(self.near.as_deref()?, layer)
    }

    fn cell(&self, digest: Digest) -> Cell {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(layers.entry(digest).or_default())
    }
}

/// Layers an archive has as plain tars are kept so, because their digests are.
fn plain_layers(base: &BaseImage) -> Option<String> {
    let plain = |layer: &&Descriptor| layer.media_type.as_str().rsplit('.').next() == Some("tar");
    let sizes = base.layers.iter().filter(plain).map(|layer| layer.size);
    let (count, bytes) =
        sizes.fold((0_usize, 0_u64), |(count, sum), size| (count + 1, sum.saturating_add(size)));
    let what = if count == 1 { "a layer that is" } else { "layers that are" };
    (count > 0).then(|| {
        format!(
            "`{}` has {what} not compressed, {} in all; kept as it is, with its digest",
            base.said,
            size(bytes)
        )
    })
}

fn base_image(
    said: &ImageSource,
    opened: &Opened,
    picked: Picked,
    platform: &Platform,
) -> Result<BaseImage, PickError> {
    let Picked { root, manifest, descriptor, .. } = picked;
    let (config, layers) = match manifest.kind() {
        ManifestKind::Image { config: Some(config), layers } => (config.clone(), layers.clone()),
        _ => return Err(PickError::Empty),
    };
    let config_bytes = opened.source.small_blob(&config)?;
    let read = read_config(&config_bytes)?;
    let diff_ids = read.rootfs.diff_ids.clone();
    if diff_ids.len() != layers.len() {
        return Err(PickError::DiffIds { layers: layers.len(), diff_ids: diff_ids.len() });
    }
    let own = pick::platform_of(&read);
    pick::compare_platforms(platform, descriptor.platform.as_ref(), &own)?;
    let from_archive = root.annotations.get(REF_NAME).filter(|name| name.contains('/'));
    Ok(BaseImage {
        said: said.text.clone(),
        name: opened.reference.clone().or_else(|| from_archive.cloned()),
        manifest: Descriptor { annotations: BTreeMap::new(), ..descriptor },
        manifest_bytes: manifest.bytes().clone(),
        annotations: manifest.annotations().clone(),
        is_made: opened.source.makes_manifests(),
        config,
        config_bytes,
        layers,
        diff_ids,
        platform: own,
    })
}

fn read_config(bytes: &Bytes) -> Result<ImageConfig, PickError> {
    serde_json::from_slice(bytes).map_err(|error| PickError::Config(error.to_string()))
}

impl Bases for OpenBases {
    fn of(&self, plan: &ImageId, platform: &Platform) -> Option<&BaseImage> {
        let images = self.images.get(plan)?;
        images.iter().find(|(known, _)| known == platform).map(|(_, base)| base)
    }

    fn layer(
        &self,
        base: &BaseImage,
        place: usize,
        wanted: LayerRequest<'_>,
    ) -> Result<Option<Arc<LayerFiles>>, BaseError> {
        let (Some(layer), Some(diff_id), Some(opened)) =
            (base.layers.get(place), base.diff_ids.get(place), self.sources.get(&base.said))
        else {
            return Ok(None);
        };
        let cell = self.cell(layer.digest);
        let mut known = cell.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.out.is_none() && (known.is_some() || !wanted.look) {
            return Ok(known.clone());
        }
        let look = wanted.look && known.is_none();
        let job =
            bring::Job { source: &opened.source, layer, diff_id, room: look.then_some(&self.room) };
        let found = job.run(self.copy_of(layer), wanted.out).map_err(|error| match error {
            bring::BringError::Write(source) => {
                BaseError::Write { said: base.said.clone(), source }
            }
            bring::BringError::Wrong(source) => BaseError::Layer {
                said: base.said.clone(),
                number: place + 1,
                digest: layer.digest,
                source,
            },
        })?;
        if found.is_some() {
            known.clone_from(&found);
        }
        Ok(if wanted.look { known.clone() } else { None })
    }
}

#[cfg(test)]
mod tests;
