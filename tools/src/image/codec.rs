//! The compression of layers: in independent blocks. Any number of threads can make the blocks, and
//! an earlier run's block can be used again.

use std::io;

use flate2::Crc;
use wharf_oci::MediaType;

use super::gzip::{self, GzipBlocks};
use super::zstd_blocks::{self, ZstdBlocks};
use crate::offer::layers::Compression;

/// The annotation for the compression of a layout's layers, on every root. It stands outside the
/// manifests, so it changes no digest of the image.
pub const CODEC: &str = "wharf.image.codec";

/// A way to compress layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Gzip; every engine takes it.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl From<Compression> for Codec {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::Gzip => Self::Gzip,
            Compression::Zstd => Self::Zstd,
        }
    }
}

impl Codec {
    /// All the bytes depend on besides the content: format, program, level, and the cuts of blocks.
    /// It changes whenever the same content gets other bytes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip/libdeflate/5/blocks-1",
            Self::Zstd => "zstd/zstd-1.5/3/blocks-1",
        }
    }

    /// The media type of a layer with this compression.
    #[must_use]
    pub const fn media_type(self) -> MediaType {
        match self {
            Self::Gzip => MediaType::OCI_LAYER_GZIP,
            Self::Zstd => MediaType::OCI_LAYER_ZSTD,
        }
    }

    /// The bytes before the first block.
    pub(super) const fn header(self) -> &'static [u8] {
        match self {
            Self::Gzip => &gzip::HEADER,
            Self::Zstd => &[],
        }
    }

    /// The bytes behind the last of so many blocks.
    pub(super) fn trailer(self, blocks: usize, crc: &Crc) -> Vec<u8> {
        match self {
            Self::Gzip => gzip::trailer(crc).to_vec(),
            Self::Zstd if blocks == 0 => zstd_blocks::EMPTY_FRAME.to_vec(),
            Self::Zstd => Vec::new(),
        }
    }
}

/// A thread's compressors, made at first use.
#[derive(Default)]
pub(super) struct Compressors {
    gzip: Option<GzipBlocks>,
    zstd: Option<ZstdBlocks>,
}

impl Compressors {
    /// The block compressed, as it stands in the stream.
    pub(super) fn compress(&mut self, codec: Codec, block: &[u8]) -> io::Result<Vec<u8>> {
        match codec {
            Codec::Gzip => self.gzip.get_or_insert_with(GzipBlocks::new).compress(block),
            Codec::Zstd => match &mut self.zstd {
                Some(zstd) => zstd.compress(block),
                none => none.insert(ZstdBlocks::new()?).compress(block),
            },
        }
    }
}
