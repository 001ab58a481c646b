//! Reads the decompressed bytes of a source.
//!
//! Invariant: an end is reported only at a possible end of the compressed stream; a cut stream is
//! an error.

use std::io::{self, Read};

use super::{GzipUnpacker, Unpack, UnpackError, UnpackStep, XzUnpacker, ZstdUnpacker, gzip, xz};
use crate::image::zstd;

/// How much is read at once.
const BUFFER_BYTES: usize = 128 * 1024;

/// First bytes of bzip2; this module does not inflate it.
const BZIP2_MAGIC: &[u8] = b"BZh";

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionFormat {
    /// They are not.
    None,
    Gzip,
    Zstd,
    Xz,
    /// Bzip2, recognised and not inflated.
    Bzip2,
}

impl CompressionFormat {
    /// How many first bytes tell.
    pub const HEAD_BYTES: usize = 6;

    /// By the first bytes, never by a name.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        if head.starts_with(&gzip::MAGIC) {
            Self::Gzip
        } else if head.starts_with(&zstd::MAGIC) || zstd::is_skippable(head) {
            Self::Zstd
        } else if head.starts_with(&xz::MAGIC) {
            Self::Xz
        } else if head.starts_with(BZIP2_MAGIC) {
            Self::Bzip2
        } else {
            Self::None
        }
    }

    /// A reader of the source's decompressed bytes.
    ///
    /// An error of the kind `Unsupported` names a compression this module does not inflate.
    pub fn reader<'a, R: Read + 'a>(self, source: R) -> io::Result<Box<dyn Read + 'a>> {
        let unpacker: Box<dyn Unpack + Send> = match self {
            Self::None => return Ok(Box::new(source)),
            Self::Gzip => Box::new(GzipUnpacker::new()),
            Self::Zstd => Box::new(ZstdUnpacker::new().map_err(|error| explain(&error))?),
            Self::Xz => Box::new(XzUnpacker::new()),
            Self::Bzip2 => {
                let reason = "it is compressed with bzip2, which is not read; compress it with \
                              gzip, xz or zstd";
                return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
            }
        };
        Ok(Box::new(UnpackReader::new(source, unpacker)))
    }
}

/// The content of a compressed source. Zeros behind its end are passed over, other bytes are an error.
///
/// An error of the kind `Unsupported` means the bytes may be right, but need more memory than
/// they get here.
pub struct UnpackReader<R> {
    source: R,
    unpacker: Box<dyn Unpack + Send>,
    buffer: Vec<u8>,
    /// The unread bytes of the buffer.
    left: std::ops::Range<usize>,
    is_ended: bool,
}

impl<R: Read> UnpackReader<R> {
    /// A reader at the first byte of a stream.
    pub fn new(source: R, unpacker: Box<dyn Unpack + Send>) -> Self {
        Self { source, unpacker, buffer: vec![0; BUFFER_BYTES], left: 0..0, is_ended: false }
    }
}

impl<R: Read> Read for UnpackReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let input = self.buffer.get(self.left.clone()).unwrap_or_default();
            let UnpackStep { taken, written } =
                self.unpacker.step(input, buffer).map_err(|error| explain(&error))?;
            self.left.start += taken;
            if written > 0 || buffer.is_empty() {
                return Ok(written);
            }
            if !self.left.is_empty() {
                continue;
            }
            if self.is_ended {
                let behind = self.unpacker.finish().map_err(|error| explain(&error))?;
                if behind.has_content {
                    let reason = "other bytes stand behind it".to_owned();
                    return Err(explain(&UnpackError::Damaged(reason)));
                }
                return Ok(0);
            }
            let length = self.source.read(&mut self.buffer)?;
            self.left = 0..length;
            self.is_ended = length == 0;
        }
    }
}

fn explain(error: &UnpackError) -> io::Error {
    let kind = match error {
        UnpackError::TooLarge(_) => io::ErrorKind::Unsupported,
        UnpackError::Damaged(_) => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error.to_string())
}
