//! How layers are compressed: in blocks that know nothing of one another, so they can be made
//! on any number of threads, and one that was made before can stand for itself.

use std::io;

use flate2::Crc;
use wharf_oci::MediaType;

use super::gzip::{self, GzipBlocks};
use super::zstd_blocks::{self, ZstdBlocks};
use crate::offer::layers::Compression;

/// The annotation of every root of a layout that says how its layers are compressed. It stands where
/// it changes no digest of the image.
pub const CODEC: &str = "wharf.image.codec";

/// A way to compress layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Gzip, which every engine takes.
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
    /// What the bytes depend on besides the content: format, program, level, and how blocks are cut.
    /// It changes whenever the same content gets other bytes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip/libdeflate/5/blocks-1",
            Self::Zstd => "zstd/zstd-1.5/3/blocks-1",
        }
    }

    /// The type of a layer that is compressed this way.
    #[must_use]
    pub const fn media_type(self) -> MediaType {
        match self {
            Self::Gzip => MediaType::OCI_LAYER_GZIP,
            Self::Zstd => MediaType::OCI_LAYER_ZSTD,
        }
    }

    /// What stands before the first block.
    pub(super) const fn header(self) -> &'static [u8] {
        match self {
            Self::Gzip => &gzip::HEADER,
            Self::Zstd => &[],
        }
    }

    /// What stands behind the last of so many blocks.
    pub(super) fn trailer(self, blocks: usize, crc: &Crc) -> Vec<u8> {
        match self {
            Self::Gzip => gzip::trailer(crc).to_vec(),
            Self::Zstd if blocks == 0 => zstd_blocks::EMPTY_FRAME.to_vec(),
            Self::Zstd => Vec::new(),
        }
    }
}

/// What a thread compresses with; made when it is first needed.
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
