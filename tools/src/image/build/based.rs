//! An image on a base: the base's layers below its own, and the manifest's annotations about the
//! base.

use std::collections::BTreeMap;
use std::sync::Arc;

use wharf_oci::Platform;

use super::Builder;
use super::built::{BuiltLayer, LayerOrigin};
use super::configuration::Described;
use super::error::{BuildError, base_error};
use crate::image::base::{BaseError, BaseImage, as_oci, lay};
use crate::image::files::LayerFiles;
use crate::image::layout_write::LayoutWriter;
use crate::offer::model::{MadeFrom, PlanImage, PlatformBuild};

/// Annotations of an image on a base (image-spec, "Annotations").
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// Most layers engines stack.
const LAYERS_MAX: usize = 127;

impl<'a> Builder<'a> {
    /// The image a platform of a plan is made from.
    pub(super) fn base(
        &self,
        plan: &PlanImage,
        build: &PlatformBuild,
    ) -> Result<Option<&'a BaseImage>, BuildError> {
        if MadeFrom::of(&plan.image, build) == MadeFrom::Scratch {
            return Ok(None);
        }
        let base = self.bases.of(&plan.id, &build.full_platform());
        base.map(Some).ok_or_else(|| base_error(plan, build, BaseError::NotOpened))
    }

    /// Brings the layers of the base; their files only where layers come on top.
    pub(super) fn lay_base(
        &self,
        plan: &PlanImage,
        build: &PlatformBuild,
        base: Option<&BaseImage>,
        writer: &mut LayoutWriter<'_>,
    ) -> Result<Vec<Arc<LayerFiles>>, BuildError> {
        let Some(base) = base else { return Ok(Vec::new()) };
        let failed = |source| base_error(plan, build, source);
        let (below, above) = (base.layers.len(), build.layers.len());
        if below + above > LAYERS_MAX {
            let (said, max) = (base.said.clone(), LAYERS_MAX);
            return Err(failed(BaseError::TooManyLayers { said, below, above, max }));
        }
        lay(self.bases, base, above > 0, writer).map_err(failed)
    }
}

impl Described<'_> {
    /// The annotations of the manifest of an image on a base.
    pub(super) fn on_base(&self, base: Option<&BaseImage>) -> BTreeMap<String, String> {
        let mut all = self.with(&self.image.annotations);
        let Some(base) = base else { return all };
        let digest = (!base.is_made).then(|| base.manifest.digest.to_string());
        for (key, value) in [(BASE_NAME, base.name.clone()), (BASE_DIGEST, digest)] {
            if let Some(value) = value {
                all.entry(key.to_owned()).or_insert(value);
            }
        }
        all
    }
}

/// The layers of a base, as the manifest of an image on it lists them.
pub(super) fn base_layers(base: &BaseImage) -> Vec<BuiltLayer> {
    let layers = base.layers.iter().zip(&base.diff_ids);
    let built = layers.map(|(layer, diff_id)| BuiltLayer {
        descriptor: as_oci(layer),
        diff_id: *diff_id,
        tar_bytes: None,
        source: base.said.clone(),
        origin: LayerOrigin::Base,
    });
    built.collect()
}

/// The platform of an image: the offer's, with the version of Windows of its base.
pub(super) fn platform(build: &PlatformBuild, base: Option<&BaseImage>) -> Platform {
    let mut platform = build.full_platform();
    if platform.os_version.is_none() {
        platform.os_version = base.and_then(|base| base.platform.os_version.clone());
    }
    platform
}
