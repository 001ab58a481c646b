//! How the bytes of a layer are packed: what its media type says, what its first bytes say, and who
//! refuses it when they differ (facts of docker, podman and containerd given each case).

use wharf_oci::MediaType;

use crate::image::facts::Refusal;
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
    /// `None` for what is no tar, or an encrypted one.
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

    /// Who refuses bytes that are packed like this under a type that says something else.
    pub(super) const fn refused_as(self, said: Self) -> Refusal {
        match (said, self) {
            // They look at the first bytes, whatever the type says.
            (Self::Gzip, Self::Plain) => Refusal::None,
            _ => Refusal::Some,
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

/// Whether two types, of OCI and of Docker perhaps, mean bytes that are packed alike.
pub(super) fn same_packing(one: &MediaType, other: &MediaType) -> bool {
    Packing::of_type(one) == Packing::of_type(other)
}
