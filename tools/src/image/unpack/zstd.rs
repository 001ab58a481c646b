//! Zstd (RFC 8878): frames one after another, skippable frames between them, with a bound on the
//! window a frame may ask memory for.

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

use super::{Behind, Unpack, UnpackError, UnpackStep, cut};
use crate::image::zstd::{WINDOW_BYTES_LOG_MAX, WINDOW_BYTES_MAX};

/// The library's message for a frame with a larger window.
const WINDOW_TOO_LARGE: &str = "Frame requires too much memory for decoding";

/// Inflates all frames of a stream.
pub struct ZstdUnpacker {
    decoder: Decoder<'static>,
    /// Whether the last frame is complete.
    is_between: bool,
    frames: u64,
}

impl ZstdUnpacker {
    /// At the first byte. An error means there is no memory.
    pub fn new() -> Result<Self, UnpackError> {
        let failed = |error: std::io::Error| UnpackError::TooLarge(error.to_string());
        let mut decoder = Decoder::new().map_err(failed)?;
        let window = DParameter::WindowLogMax(WINDOW_BYTES_LOG_MAX);
        decoder.set_parameter(window).map_err(failed)?;
        Ok(Self { decoder, is_between: true, frames: 0 })
    }
}

impl Unpack for ZstdUnpacker {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<UnpackStep, UnpackError> {
        if input.is_empty() && self.is_between {
            return Ok(UnpackStep { taken: 0, written: 0 });
        }
        let mut from = InBuffer::around(input);
        let mut to = OutBuffer::around(output);
        let left = self.decoder.run(&mut from, &mut to).map_err(|error| {
            let reason = error.to_string();
            if reason == WINDOW_TOO_LARGE {
                return UnpackError::TooLarge(format!(
                    "a frame has a window of more than the {WINDOW_BYTES_MAX} bytes that are held"
                ));
            }
            if self.is_between && self.frames > 0 {
                return UnpackError::Damaged("other bytes than zstd stand behind it".to_owned());
            }
            UnpackError::Damaged(reason)
        })?;
        let step = UnpackStep { taken: from.pos(), written: to.pos() };
        self.is_between = left == 0;
        self.frames += u64::from(self.is_between);
        Ok(step)
    }

    fn finish(&self) -> Result<Behind, UnpackError> {
        if self.is_between && self.frames > 0 { Ok(Behind::default()) } else { Err(cut()) }
    }
}
