//! `Manifest`: the exact bytes with the few fields that we read. Never serialised again: what came
//! in is what goes out, because its digest is of those bytes.
//!
//! Invariant: a `Manifest` has at most 4 MiB, and every digest in it parsed. How much of the rest has
//! to be as the specification says is the choice of who reads it: all of it ([`Manifest::parse`]),
//! what makes a digest or a reference ([`Manifest::accept`]), or nothing ([`Manifest::read`]).
//!
//! Registries read an outline: what points at something, and nothing that is said about it. It takes no
//! more than [`Manifest::outline_bytes`] says, whatever somebody wrote.

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

/// A manifest as it came, and what we read of it.
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
    /// The same of an outline, as they stand there.
    unread: Option<Bytes>,
    /// What the digest is of, when that is not the bytes.
    payload: Option<signed::Payload>,
}

impl Manifest {
    /// Reads a manifest that has to be as the specification says; `declared` is the `Content-Type`
    /// that it came with.
    ///
    /// Refused: more than 4 MiB, whatever [`Self::accept`] refuses, and fields that are missing or of
    /// another kind.
    pub fn parse(bytes: Bytes, declared: Option<&MediaType>) -> Result<Self, ParseError> {
        let (manifest, faults) = Self::draft(bytes, declared, Detail::All)?;
        refuse(manifest, faults.into_any())
    }

    /// Reads a manifest as registries take it: its outline.
    ///
    /// Refused: more than 4 MiB, not JSON, a `mediaType` that differs from the declared one, a kind
    /// that we do not know (schema 1 among them), fields of two kinds at once, an image without a
    /// configuration, and a descriptor without a digest.
    pub fn accept(bytes: Bytes, declared: Option<&MediaType>) -> Result<Self, ParseError> {
        let (manifest, faults) = Self::draft(bytes, declared, Detail::Outline)?;
        refuse(manifest, faults.into_wrong())
    }

    /// Reads a manifest that a registry has: what can be understood of it is, and the rest is let be.
    ///
    /// Refused: more than 4 MiB.
    pub fn read(bytes: Bytes, declared: Option<&MediaType>) -> Result<Self, ParseError> {
        Self::draft(bytes, declared, Detail::All).map(|(manifest, _)| manifest)
    }

    /// Reads the outline of a manifest that a registry has: like [`Self::read`], without annotations, and
    /// of its descriptors no more than type, digest, size and the first address.
    ///
    /// Refused: more than 4 MiB.
    pub fn read_outline(bytes: Bytes, declared: Option<&MediaType>) -> Result<Self, ParseError> {
        Self::draft(bytes, declared, Detail::Outline).map(|(manifest, _)| manifest)
    }

    /// How much memory the outline of these bytes takes at most beside them, with what a registry makes of
    /// it to keep it.
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

    /// The SHA-256 digest that it is known by: of those bytes, or of what is signed in them (Docker's
    /// schema 1).
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The same by another algorithm.
    #[must_use]
    pub fn digest_by(&self, algorithm: Algorithm) -> Digest {
        match algorithm {
            Algorithm::Sha256 => self.digest,
            Algorithm::Sha512 => hash(&self.bytes, self.payload.as_ref(), algorithm),
        }
    }

    /// Whether it is what a digest stands for, by the digest's own algorithm: its bytes, or what is
    /// signed in them.
    pub fn prove(&self, expected: &Digest) -> Result<(), Mismatch> {
        if self.payload.is_some() && self.digest_by(expected.algorithm()) == *expected {
            return Ok(());
        }
        let mut digester = Digester::new(expected.algorithm());
        digester.update(&self.bytes);
        digester.finish().expect(expected)
    }

    /// Whether it is JSON of a type that somebody named, and so can be nothing but a manifest.
    #[must_use]
    pub fn says_what_it_is(&self) -> bool {
        self.is_object && !self.media_type.is_generic()
    }

    /// What to send as `Content-Type`.
    #[must_use]
    pub const fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// What it is made of.
    #[must_use]
    pub const fn kind(&self) -> &ManifestKind {
        &self.kind
    }

    /// The manifest that this one refers to.
    #[must_use]
    pub const fn subject(&self) -> Option<&Descriptor> {
        self.subject.as_ref()
    }

    /// The annotations; none of an outline.
    #[must_use]
    pub const fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// Those that fit into a list of referrers, and perhaps more.
    pub(crate) fn listed_annotations(&self) -> BTreeMap<String, String> {
        match &self.unread {
            Some(unread) => outline::annotations(unread, REFERRER_BYTES_MAX),
            None => self.annotations.clone(),
        }
    }

    /// What kind of artifact it is: its own word, or the media type of its configuration
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

    /// The blobs that must exist before it: configuration and layers; none for an index.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, layers): (Option<&Descriptor>, &[Descriptor]) = match &self.kind {
            ManifestKind::Image { config, layers } => (config.as_ref(), layers),
            ManifestKind::Index { .. } | ManifestKind::Opaque => (None, &[]),
        };
        config.into_iter().chain(layers)
    }

    /// What an index lists, mostly manifests; nothing for an image.
    #[must_use]
    pub fn children(&self) -> &[Descriptor] {
        match &self.kind {
            ManifestKind::Index { manifests } => manifests,
            ManifestKind::Image { .. } | ManifestKind::Opaque => &[],
        }
    }

    /// Every digest that it names; of one that is not interpreted, whatever looks like one in it.
    #[must_use]
    pub fn named(&self) -> Vec<Digest> {
        match &self.kind {
            ManifestKind::Opaque => digests_in(&self.bytes),
            ManifestKind::Image { .. } | ManifestKind::Index { .. } => {
                self.blobs().chain(self.children()).map(|descriptor| descriptor.digest).collect()
            }
        }
    }

    /// How others point at it.
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

/// Whatever in a text has the form of a digest.
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
