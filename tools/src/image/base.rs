//! The image a plan's image is made from: what is known of it once it was found, and what is
//! taken over from it. Where it is read from is not known here.
//!
//! Invariant: nothing of it lands in a layout that is not what its digest says.

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
use crate::offer::words::ImageId;

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
    /// Whether the manifest was only made because a docker-archive has none: nobody knows its digest.
    pub is_made: bool,
    /// How its configuration is pointed at.
    pub config: Descriptor,
    pub config_bytes: Bytes,
    /// Its layers, bottom first.
    pub layers: Vec<Descriptor>,
    /// What they inflate to; as many as there are layers.
    pub diff_ids: Vec<Digest>,
    /// What it runs on, as it says itself.
    pub platform: Platform,
}

impl BaseImage {
    /// Its configuration with what an image on it says over that. The layers and the history of `own`
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
pub struct Wanted<'a> {
    /// Where its bytes go, from the start of the file.
    pub out: Option<&'a mut File>,
    /// Whether its files are looked at.
    pub look: bool,
}

/// Where images are that others are made from.
pub trait Bases: Sync {
    /// The image a platform of a plan is made from, if it is made from one.
    fn of(&self, plan: &ImageId, platform: &Platform) -> Option<&BaseImage>;

    /// Brings a layer, by its place. Its bytes are proven by its digest, and by its diffID when its
    /// files are looked at. Each is fetched once, whoever asks.
    fn layer(
        &self,
        base: &BaseImage,
        place: usize,
        wanted: Wanted<'_>,
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
        _: Wanted<'_>,
    ) -> Result<Option<Arc<LayerFiles>>, BaseError> {
        Ok(None)
    }
}

/// Why nothing can be made from an image.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// Nobody looked for it.
    #[error("the image that it is made from was not opened")]
    NotOpened,
    /// A layer of it cannot be read.
    #[error("layer {number} of `{said}` ({digest}) cannot be used")]
    Layer {
        said: String,
        /// Which layer, from 1.
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
