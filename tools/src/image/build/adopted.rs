//! An image adopted as it is: its manifest, configuration and layers, byte for byte. Only values
//! the offer sets over its configuration or its annotations are written anew.

use wharf_oci::{Algorithm, Descriptor, MediaType};

use super::Builder;
use super::attestations::Made;
use super::based::{base_layers, platform};
use super::built::BuiltPlatform;
use super::configuration::adopted_configuration;
use super::error::{BuildError, base_error};
use super::manifests::{Manifest, json};
use crate::image::base::{BaseError, BaseImage, lay};
use crate::image::layout_write::LayoutWriter;
use crate::offer::model::{Attestation, ContainerConfig, Image, PlanImage, PlatformBuild};

impl Builder<'_> {
    pub(super) fn adopt(
        &mut self,
        plan: &PlanImage,
        place: usize,
        build: &PlatformBuild,
        base: &BaseImage,
        writer: &mut LayoutWriter<'_>,
    ) -> Result<BuiltPlatform, BuildError> {
        let failed = |source| base_error(plan, build, source);
        let look = plan.image.attestations.contains(&Attestation::Sbom);
        let below = lay(self.bases, base, look, writer).map_err(failed)?;
        let image = &plan.image;
        let config = if image.config == ContainerConfig::default() {
            add_as_it_is(&base.config, &base.config_bytes, writer).map_err(failed)?
        } else {
            let config = adopted_configuration(image, build, base).map_err(failed)?;
            writer.add(MediaType::OCI_CONFIG, &config)?
        };
        let layers = base_layers(base);
        let manifest = if config.digest == base.config.digest && image.annotations.is_empty() {
            writer.add(base.manifest.media_type.clone(), &base.manifest_bytes)?
        } else {
            let layers: Vec<Descriptor> =
                layers.iter().map(|layer| layer.descriptor.clone()).collect();
            writer.add(MediaType::OCI_MANIFEST, &new_manifest(image, base, &config, &layers))?
        };
        let sizes = layers.iter().map(|layer| layer.descriptor.size);
        let size_bytes = sizes.fold(config.size, u64::saturating_add);
        let platform = platform(build, Some(base));
        let made = Made {
            build,
            place,
            base: Some(base),
            below: &below,
            prepared: &[],
            diff_ids: &[],
            manifest: &manifest,
            platform: &platform,
        };
        let attested = self.attest_platform(plan, &made, writer)?;
        Ok(BuiltPlatform { platform, manifest, size_bytes, layers, notes: Vec::new(), attested })
    }
}

fn new_manifest(
    image: &Image,
    base: &BaseImage,
    config: &Descriptor,
    layers: &[Descriptor],
) -> Vec<u8> {
    let mut annotations = base.annotations.clone();
    annotations.extend(image.annotations.clone());
    let config = Descriptor { media_type: MediaType::OCI_CONFIG, ..config.clone() };
    json(&Manifest {
        schema_version: 2,
        media_type: MediaType::OCI_MANIFEST,
        config: Some(&config),
        layers: Some(layers),
        manifests: None,
        annotations,
    })
}

/// Adds a configuration under the digest it has.
fn add_as_it_is(
    config: &Descriptor,
    bytes: &[u8],
    writer: &mut LayoutWriter<'_>,
) -> Result<Descriptor, BaseError> {
    if config.digest.algorithm() == Algorithm::Sha256 {
        writer.add(config.media_type.clone(), bytes)?;
    } else {
        writer.add_proven(config, bytes)?;
    }
    Ok(config.clone())
}
