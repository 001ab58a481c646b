//! Why a plan cannot be built.

use std::path::PathBuf;

use crate::image::base::BaseError;
use crate::image::layer::LayerError;
use crate::image::layout_write::WriteError;
use crate::offer::model::{PlanImage, PlatformBuild};

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

pub(super) fn base_error(plan: &PlanImage, build: &PlatformBuild, source: BaseError) -> BuildError {
    let (plan, platform) = (plan.id.to_string(), build.platform.to_string());
    BuildError::Base { plan, platform, source }
}

pub(super) fn layer_error(
    plan: &PlanImage,
    build: &PlatformBuild,
    index: usize,
    source: LayerError,
) -> BuildError {
    BuildError::Layer {
        plan: plan.id.to_string(),
        platform: build.platform.to_string(),
        number: index + 1,
        source,
    }
}
