//! `ManifestKind`: the parts of a manifest, and how much of them a reader keeps.

use crate::Descriptor;

/// What a manifest is made of.
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
    /// Something that is not interpreted: of a type that we do not know, or not JSON.
    Opaque,
}

/// How much of it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    All,
    Outline,
}
