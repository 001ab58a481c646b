//! Bounds on what a layer may cost.

use crate::image::unpack::UnpackError;

/// Bounds on the cost of a layer, and the optional work.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest tar in bytes, inflated; a larger one counts as a bomb.
    pub inflated_bytes_max: u64,
    /// How many times its own size a layer may inflate to, once it is over [`RATIO_FROM_BYTES`].
    pub ratio_max: u64,
    /// Whether the content of every file is hashed too, for the comparison of images: SHA-256 once
    /// more over every tar.
    pub hash_contents: bool,
}

/// The smallest tar for the ratio: a small layer of zeros costs little.
pub const RATIO_FROM_BYTES: u64 = 4 << 30;

impl Default for Limits {
    /// 64 GiB, four times the limit of the largest image for container instances.
    fn default() -> Self {
        Self { inflated_bytes_max: 64 << 30, ratio_max: 500, hash_contents: false }
    }
}

impl Limits {
    /// Whether so many bytes may come of so many.
    pub(super) fn allow(self, read_bytes: u64, inflated_bytes: u64) -> Result<(), UnpackError> {
        let Self { inflated_bytes_max: max, ratio_max, .. } = self;
        if inflated_bytes > max {
            return Err(UnpackError::TooLarge(format!("it inflates to more than {max} bytes")));
        }
        if inflated_bytes > RATIO_FROM_BYTES && inflated_bytes / ratio_max > read_bytes {
            let message = format!("it inflates to more than {ratio_max} times its size");
            return Err(UnpackError::TooLarge(message));
        }
        Ok(())
    }
}
