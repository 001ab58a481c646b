//! Why a plan cannot be built.

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
    /// Its layout.
    #[error(transparent)]
    Write(#[from] WriteError),
}
