//! `ManifestKind`: the parts of a manifest; `Detail`: how many fields of it are read.

use crate::Descriptor;

/// The parts of a manifest.
#[expect(clippy::large_enum_variant, reason = "one per manifest, and most are images")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestKind {
    /// One image or artifact: its configuration and its layers. The old artifact manifest has no
    /// configuration; its `blobs` are here as layers.
    Image {
        /// The configuration.
        config: Option<Descriptor>,
        /// The layers, base first.
        layers: Vec<Descriptor>,
    },
    /// A manifest of manifests.
    Index {
        /// Its children, in their order.
        manifests: Vec<Descriptor>,
    },
    /// Not interpreted: of an unknown type, or not JSON.
    Opaque,
}

/// The fields to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    All,
    Outline,
}
