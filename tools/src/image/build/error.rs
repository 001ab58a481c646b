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
        /// The plan.
        plan: String,
        /// The platform.
        platform: String,
        /// Which layer, from 1.
        number: usize,
        /// Why.
        source: LayerError,
    },
    /// A file of a layer, read once more for what is said of the image.
    #[error("plan {plan}, {platform}, layer {number}: cannot read {path} for its SBOM")]
    Contents {
        /// The plan.
        plan: String,
        /// The platform.
        platform: String,
        /// Which layer, from 1.
        number: usize,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The image that it is made from.
    #[error("plan {plan}, {platform}")]
    Base {
        /// The plan.
        plan: String,
        /// The platform.
        platform: String,
        /// Why.
        source: BaseError,
    },
    /// Its layout.
    #[error(transparent)]
    Write(#[from] WriteError),
}
