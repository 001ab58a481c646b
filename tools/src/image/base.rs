//! The base image of a plan: the facts known once it was found, and the parts an image inherits.
//! Its source, a registry or an archive, is unknown here.
//!
//! Invariant: no byte of it lands in a layout without the proof of its digest.

mod inherit;
mod layers;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use wharf_oci::{Descriptor, Digest, Platform};

pub(super) use self::layers::{as_oci, lay};
use super::config::ImageConfig;
use super::files::LayerFiles;
use super::layout_write::WriteError;
use crate::offer::model::ContainerConfig;
use crate::offer::values::ImageId;

/// An image for one platform, found and read but for its layers.
#[derive(Debug, Clone)]
pub struct BaseImage {
    /// As the offer names it.
    pub said: String,
    /// The reference others know it by, without a digest; of an archive it may have none.
    pub name: Option<String>,
    /// How its manifest is pointed at.
    pub manifest: Descriptor,
    pub manifest_bytes: Bytes,
    /// The annotations of its manifest.
    pub annotations: BTreeMap<String, String>,
    /// Whether wharf made the manifest because a docker-archive has none: its digest is then no
    /// name for the image elsewhere.
    pub is_made: bool,
    /// How its configuration is pointed at.
    pub config: Descriptor,
    pub config_bytes: Bytes,
    /// Its layers, bottom first.
    pub layers: Vec<Descriptor>,
    /// The digests of the uncompressed layers; one for each layer.
    pub diff_ids: Vec<Digest>,
    /// The platform of its configuration.
    pub platform: Platform,
}

impl BaseImage {
    /// Its configuration, under the values of the image above. The layers and the history of `own`
    /// come on top.
    pub fn inherit(
        &self,
        own: &ImageConfig,
        given: &ContainerConfig,
    ) -> Result<Vec<u8>, BaseError> {
        inherit::inherit(&self.config_bytes, own, given)
            .map_err(|reason| BaseError::Config { said: self.said.clone(), reason })
    }
}

/// How a layer is wanted.
pub struct LayerRequest<'a> {
    /// Where its bytes go, from the start of the file.
    pub out: Option<&'a mut File>,
    /// Whether its files are looked at.
    pub look: bool,
}

/// The source of base images.
pub trait Bases: Sync {
    /// The image a platform of a plan is made from, if it is made from one.
    fn of(&self, plan: &ImageId, platform: &Platform) -> Option<&BaseImage>;

    /// Brings a layer, by its place. Its digest proves its bytes, and its diffID proves them too
    /// once its files are looked at. Each layer is fetched once for all callers.
    fn layer(
        &self,
        base: &BaseImage,
        place: usize,
        wanted: LayerRequest<'_>,
    ) -> Result<Option<Arc<LayerFiles>>, BaseError>;
}

/// No images to start from.
#[derive(Debug, Clone, Copy)]
pub struct NoBases;

impl Bases for NoBases {
    fn of(&self, _: &ImageId, _: &Platform) -> Option<&BaseImage> {
        None
    }

    fn layer(
        &self,
        _: &BaseImage,
        _: usize,
        _: LayerRequest<'_>,
    ) -> Result<Option<Arc<LayerFiles>>, BaseError> {
        Ok(None)
    }
}

/// Why nothing can be made from an image.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// The base image was not opened before the build.
    #[error("the image that it is made from was not opened")]
    NotOpened,
    /// A layer of it cannot be read.
    #[error("layer {number} of `{said}` ({digest}) cannot be used")]
    Layer {
        said: String,
        /// The layer's number, from 1.
        number: usize,
        digest: Digest,
        source: Box<dyn Error + Send + Sync>,
    },
    /// Its configuration cannot be inherited.
    #[error("the configuration of `{said}` cannot be used: {reason}")]
    Config { said: String, reason: String },
    /// There would be more layers than engines take.
    #[error(
        "`{said}` has {below} layers, and {above} more are too many: engines take {max} in all; \
         join some"
    )]
    TooManyLayers {
        said: String,
        below: usize,
        /// How many come on top.
        above: usize,
        /// How many there may be.
        max: usize,
    },
    /// The copy of a layer cannot be written.
    #[error("cannot write a layer of `{said}`")]
    Write { said: String, source: io::Error },
    /// The layout cannot be written.
    #[error(transparent)]
    Layout(#[from] WriteError),
}
