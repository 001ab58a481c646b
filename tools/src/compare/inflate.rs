//! The tar in a blob of any packing: its first bytes tell.

use std::io::{self, Read};

use crate::image::unpack::{GzipUnpacker, Unpack, UnpackError, ZstdUnpacker};
use crate::image::zstd;

/// How much of a blob is held.
const BUFFER_BYTES: usize = 64 * 1024;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How a blob is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlobCompression {
    Gzip,
    Zstd,
    Plain,
}

impl BlobCompression {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Plain => "no compression",
        }
    }
}

/// Reads the tar of a blob.
pub(super) struct Inflated<R> {
    blob: R,
    unpacker: Option<Box<dyn Unpack>>,
    codec: BlobCompression,
    input: Vec<u8>,
    /// The start of the unread input.
    from: usize,
    to: usize,
    is_ended: bool,
}

impl<R: Read> Inflated<R> {
    pub(super) fn new(mut blob: R) -> io::Result<Self> {
        let mut input = vec![0; BUFFER_BYTES];
        let mut to = 0;
        while to < 4 {
            match blob.read(input.get_mut(to..).unwrap_or_default())? {
                0 => break,
                length => to += length,
            }
        }
        let start = input.get(..to).unwrap_or_default();
        let (codec, unpacker): (_, Option<Box<dyn Unpack>>) = if start.starts_with(&GZIP_MAGIC) {
            (BlobCompression::Gzip, Some(Box::new(GzipUnpacker::new())))
        } else if start.starts_with(&zstd::MAGIC) || zstd::is_skippable(start) {
            (BlobCompression::Zstd, Some(Box::new(ZstdUnpacker::new().map_err(failed)?)))
        } else {
            (BlobCompression::Plain, None)
        };
        Ok(Self { blob, unpacker, codec, input, from: 0, to, is_ended: false })
    }

    pub(super) const fn codec(&self) -> BlobCompression {
        self.codec
    }

    fn refill(&mut self) -> io::Result<()> {
        if self.from == self.to && !self.is_ended {
            (self.from, self.to) = (0, self.blob.read(&mut self.input)?);
            self.is_ended = self.to == 0;
        }
        Ok(())
    }
}

impl<R: Read> Read for Inflated<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        loop {
            self.refill()?;
            let input = self.input.get(self.from..self.to).unwrap_or_default();
            let Some(unpacker) = &mut self.unpacker else {
                let length = input.len().min(output.len());
                let (target, _) = output.split_at_mut(length);
                target.copy_from_slice(input.get(..length).unwrap_or_default());
                self.from += length;
                return Ok(length);
            };
            let step = unpacker.step(input, output).map_err(failed)?;
            self.from += step.taken;
            if step.written > 0 || output.is_empty() {
                return Ok(step.written);
            }
            if self.is_ended {
                unpacker.finish().map_err(failed)?;
                return Ok(0);
            }
            if step.taken == 0 && self.from < self.to {
                return Err(io::Error::other("it does not go on"));
            }
        }
    }
}

fn failed(error: UnpackError) -> io::Error {
    io::Error::other(error)
}
