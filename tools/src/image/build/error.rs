//! Why a plan cannot be built.

use std::path::PathBuf;

use crate::image::base::BaseError;
use crate::image::layer::LayerError;
use crate::image::layout_write::WriteError;

/// Why a plan cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A layer of it.
    #[error("plan {plan}, {platform}, layer {number}")]
    Layer {
        plan: String,
        platform: String,
        /// The layer's number, from 1.
        number: usize,
        source: LayerError,
    },
    /// A file of a layer, read once more for the statements about the image.
    #[error("plan {plan}, {platform}, layer {number}: cannot read {path} for its SBOM")]
    Contents {
        plan: String,
        platform: String,
        /// The layer's number, from 1.
        number: usize,
        path: PathBuf,
        source: std::io::Error,
    },
    /// The image it is made from.
    #[error("plan {plan}, {platform}")]
    Base { plan: String, platform: String, source: BaseError },
    /// The layout of the image.
    #[error(transparent)]
    Write(#[from] WriteError),
}
