//! Inflates layers while their bytes pass: the caller gives compressed bytes and a buffer for the
//! output.

mod gzip;
mod reader;
mod xz;
mod zstd;

pub use self::gzip::GzipUnpacker;
pub use self::reader::{CompressionFormat, UnpackReader};
pub use self::xz::XzUnpacker;
pub use self::zstd::ZstdUnpacker;

/// Why bytes do not inflate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// They are no valid stream.
    #[error("{0}")]
    Damaged(String),
    /// They may be right, but need more memory than they get here.
    #[error("{0}")]
    TooLarge(String),
}

/// How far one step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackStep {
    /// How many bytes of the input were taken.
    pub taken: usize,
    /// How many bytes of the output were written.
    pub written: usize,
}

/// Bytes behind the end of the compressed stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Behind {
    pub bytes: u64,
    /// Whether any of them is not zero.
    pub has_content: bool,
}

/// A decompressor.
pub trait Unpack {
    /// Takes as much of the input, and writes as much of the output, as it can. Without input and
    /// with room left in the output, the output is complete.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<UnpackStep, UnpackError>;

    /// Ends the input, and returns the bytes behind the stream.
    fn finish(&self) -> Result<Behind, UnpackError>;
}

fn cut() -> UnpackError {
    UnpackError::Damaged("it ends in the middle".to_owned())
}
