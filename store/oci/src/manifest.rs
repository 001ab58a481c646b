//! `Manifest`: the exact bytes of a manifest, and the few fields of it in use. A manifest is never
//! serialised again, because its digest is the digest of its bytes.
//!
//! Invariant: a `Manifest` has at most 4 MiB, and every digest in it parsed. The reader chooses how
//! strictly the specification applies: [`Manifest::parse`] to every field, [`Manifest::accept`] to
//! digests and references, [`Manifest::read`] to none.
//!
//! Registries read an outline: descriptors without their annotations. Its memory is bounded by
//! [`Manifest::outline_bytes`], for any content.

mod kind;
mod outline;
mod reading;
mod signed;

use std::collections::BTreeMap;

use bytes::Bytes;

use kind::Detail;
pub use kind::ManifestKind;

use crate::limits::{MANIFEST_SIZE_BYTES_MAX, REFERRER_BYTES_MAX};
use crate::members::Faults;
use crate::{Algorithm, Descriptor, Digest, Digester, MediaType, Mismatch, ParseError};

/// A manifest: its bytes, and the fields read from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    bytes: Bytes,
    digest: Digest,
    media_type: MediaType,
    is_object: bool,
    kind: ManifestKind,
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
    /// The annotations of an outline, as JSON text.
    unread: Option<Bytes>,
    /// The signed payload, where the digest is of the payload instead of the bytes.
    payload: Option<signed::Payload>,
}

impl Manifest {
    /// Reads a manifest strictly after the specification; `declared` is its `Content-Type`.
    ///
    /// Refused: more than 4 MiB, everything [`Self::accept`] refuses, and fields missing or of
    /// another kind.
    pub fn parse(bytes: Bytes, declared: Option<&MediaType>) -> Result<Self, ParseError> {
        let (manifest, faults) = Self::draft(bytes, declared, Detail::All)?;
        refuse(manifest, faults.into_any())
    }

    /// Reads a manifest as registries take it: its outline.
    ///
    /// Refused: more than 4 MiB, not JSON, a `mediaType` unlike the declared one, an unknown kind
    /// (schema 1 among them), fields of two kinds at once, an image without a configuration, and a
    /// descriptor without a digest.
    pub fn accept(bytes: Bytes, declared: Option<&MediaType>) -> Result<Self, ParseError> {
        let (manifest, faults) = Self::draft(bytes, declared, Detail::Outline)?;
        refuse(manifest, faults.into_wrong())
    }

    /// Reads a manifest held by a registry as far as possible; unreadable fields are skipped.
    ///
    /// Refused: more than 4 MiB.
    pub fn read(bytes: Bytes, declared: Option<&MediaType>) -> Result<Self, ParseError> {
        Self::draft(bytes, declared, Detail::All).map(|(manifest, _)| manifest)
    }

    /// Reads the outline of a manifest held by a registry: as [`Self::read`], without annotations,
    /// and of its descriptors only type, digest, size and the first address.
    ///
    /// Refused: more than 4 MiB.
    pub fn read_outline(bytes: Bytes, declared: Option<&MediaType>) -> Result<Self, ParseError> {
        Self::draft(bytes, declared, Detail::Outline).map(|(manifest, _)| manifest)
    }

    /// Upper bound of the memory for the outline of these bytes, in bytes: without the bytes
    /// themselves, with the records a registry derives from it.
    #[must_use]
    pub fn outline_bytes(bytes: &[u8]) -> u64 {
        outline::memory_bytes(bytes)
    }

    fn draft(
        bytes: Bytes,
        declared: Option<&MediaType>,
        detail: Detail,
    ) -> Result<(Self, Faults), ParseError> {
        let size_bytes = bytes.len() as u64;
        if size_bytes > MANIFEST_SIZE_BYTES_MAX {
            let limit_bytes = MANIFEST_SIZE_BYTES_MAX;
            return Err(ParseError::ManifestTooLarge { size_bytes, limit_bytes });
        }
        let draft = reading::draft(&bytes, declared, detail);
        let manifest = Self {
            digest: hash(&bytes, draft.payload.as_ref(), Algorithm::Sha256),
            bytes,
            media_type: draft.media_type,
            is_object: draft.is_object,
            kind: draft.kind,
            subject: draft.subject,
            artifact_type: draft.artifact_type,
            annotations: draft.annotations,
            unread: draft.unread,
            payload: draft.payload,
        };
        Ok((manifest, draft.faults))
    }

    /// The exact bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The manifest's SHA-256 digest: of the bytes, or of their signed payload (Docker's schema 1).
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The digest by another algorithm.
    #[must_use]
    pub fn digest_by(&self, algorithm: Algorithm) -> Digest {
        match algorithm {
            Algorithm::Sha256 => self.digest,
            Algorithm::Sha512 => hash(&self.bytes, self.payload.as_ref(), algorithm),
        }
    }

    /// Whether `expected` is the manifest's digest, by the algorithm of `expected`: of the bytes,
    /// or of their signed payload.
    pub fn prove(&self, expected: &Digest) -> Result<(), Mismatch> {
        if self.payload.is_some() && self.digest_by(expected.algorithm()) == *expected {
            return Ok(());
        }
        let mut digester = Digester::new(expected.algorithm());
        digester.update(&self.bytes);
        digester.finish().expect(expected)
    }

    /// Whether the bytes are JSON with a stated type, so nothing but a manifest.
    #[must_use]
    pub fn says_what_it_is(&self) -> bool {
        self.is_object && !self.media_type.is_generic()
    }

    /// The value for `Content-Type`.
    #[must_use]
    pub const fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// The parts of the manifest.
    #[must_use]
    pub const fn kind(&self) -> &ManifestKind {
        &self.kind
    }

    /// The manifest's subject.
    #[must_use]
    pub const fn subject(&self) -> Option<&Descriptor> {
        self.subject.as_ref()
    }

    /// The annotations; none of an outline.
    #[must_use]
    pub const fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// The annotations for a list of referrers, perhaps more than fit into it.
    pub(crate) fn listed_annotations(&self) -> BTreeMap<String, String> {
        match &self.unread {
            Some(unread) => outline::annotations(unread, REFERRER_BYTES_MAX),
            None => self.annotations.clone(),
        }
    }

    /// The artifact type: stated by the manifest, else the media type of its configuration
    /// (distribution-spec, "Listing Referrers").
    #[must_use]
    pub fn artifact_type(&self) -> Option<&str> {
        match (&self.artifact_type, &self.kind) {
            (Some(own), _) => Some(own),
            (None, ManifestKind::Image { config: Some(config), .. }) => {
                Some(config.media_type.as_str())
            }
            (None, _) => None,
        }
    }

    /// The blobs a registry needs before the manifest: configuration and layers; none for an index.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, layers): (Option<&Descriptor>, &[Descriptor]) = match &self.kind {
            ManifestKind::Image { config, layers } => (config.as_ref(), layers),
            ManifestKind::Index { .. } | ManifestKind::Opaque => (None, &[]),
        };
        config.into_iter().chain(layers)
    }

    /// The entries of an index, mostly manifests; none for an image.
    #[must_use]
    pub fn children(&self) -> &[Descriptor] {
        match &self.kind {
            ManifestKind::Index { manifests } => manifests,
            ManifestKind::Image { .. } | ManifestKind::Opaque => &[],
        }
    }

    /// Every digest named by the manifest; for an opaque one, every text in the form of a digest.
    #[must_use]
    pub fn named(&self) -> Vec<Digest> {
        match &self.kind {
            ManifestKind::Opaque => digests_in(&self.bytes),
            ManifestKind::Image { .. } | ManifestKind::Index { .. } => {
                self.blobs().chain(self.children()).map(|descriptor| descriptor.digest).collect()
            }
        }
    }

    /// A descriptor of the manifest.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest, self.bytes.len() as u64)
    }
}

fn refuse(manifest: Manifest, fault: Option<String>) -> Result<Manifest, ParseError> {
    match fault {
        None => Ok(manifest),
        Some(reason) => Err(ParseError::Manifest { reason }),
    }
}

fn hash(bytes: &Bytes, payload: Option<&signed::Payload>, algorithm: Algorithm) -> Digest {
    let mut digester = Digester::new(algorithm);
    match payload {
        None => digester.update(bytes),
        Some(payload) => payload.hash(bytes, &mut digester),
    }
    digester.finish().digest
}

/// Every text in the form of a digest.
fn digests_in(bytes: &[u8]) -> Vec<Digest> {
    let at = |start: usize, length: usize| {
        std::str::from_utf8(bytes.get(start..start + length)?).ok()?.parse().ok()
    };
    let starts = bytes.windows(3).enumerate().filter(|(_, window)| window == b"sha");
    starts
        .filter_map(|(start, _)| {
            at(start, "sha256:".len() + 64).or_else(|| at(start, "sha512:".len() + 128))
        })
        .collect()
}

#[cfg(test)]
mod tests;
