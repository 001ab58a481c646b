//! The packing of a layer's bytes: by its media type, by its first bytes, and the engines' refusal
//! of a difference between the two (facts of docker, podman and containerd given each case).

use wharf_oci::MediaType;

use crate::image::facts::EngineRefusal;
use crate::image::zstd;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How the bytes of a layer are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// `None` for any type but a tar's, and for an encrypted tar.
    pub(super) fn of_type(media_type: &MediaType) -> Option<Self> {
        let text = media_type.as_str();
        if !text.contains(".tar") || text.contains("+encrypted") {
            return None;
        }
        Some(match text.rsplit(['+', '.']).next() {
            Some("gzip") => Self::Gzip,
            Some("zstd") => Self::Zstd,
            _ => Self::Plain,
        })
    }

    pub(super) fn of_bytes(start: &[u8]) -> Self {
        if start.starts_with(&GZIP_MAGIC) {
            Self::Gzip
        } else if start.starts_with(&zstd::MAGIC) || zstd::is_skippable(start) {
            Self::Zstd
        } else {
            Self::Plain
        }
    }

    /// The engines' refusal of bytes with this packing under a type of the other.
    pub(super) const fn refused_as(self, said: Self) -> EngineRefusal {
        match (said, self) {
            // Engines look at the first bytes and ignore the type.
            (Self::Gzip, Self::Plain) => EngineRefusal::None,
            _ => EngineRefusal::Some,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "not compressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Whether two types, of OCI and of Docker perhaps, mean the same packing.
pub(super) fn same_packing(one: &MediaType, other: &MediaType) -> bool {
    Packing::of_type(one) == Packing::of_type(other)
}
