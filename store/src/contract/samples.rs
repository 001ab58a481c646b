//! Content and manifests for the contract, and helpers to write and read them.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use wharf_oci::{Algorithm, Digest, Digester, Manifest, MediaType, RepoName};

use crate::blob::{BlobReader, BlobStore, BlobWriter};
use crate::blob_info::Retention;
use crate::in_flight::{InFlight, Tail};
use crate::journal::{Destination, Errand};
use crate::limits::{SEGMENT_BYTES, SMALL_BLOB_SEGMENTS_MAX};

/// Sizes at the borders of segments, small blobs and runs.
#[must_use]
pub fn telling_sizes() -> Vec<usize> {
    let small = SMALL_BLOB_SEGMENTS_MAX * SEGMENT_BYTES;
    vec![
        0,
        1,
        SEGMENT_BYTES - 1,
        SEGMENT_BYTES,
        SEGMENT_BYTES + 1,
        small,
        small + 1,
        5 * SEGMENT_BYTES,
        20 * SEGMENT_BYTES + 17,
    ]
}

/// Bytes without a pattern, the same for the same seed (xorshift).
#[must_use]
pub fn noise(size: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    Bytes::from(bytes)
}

/// An errand into `repo`.
#[must_use]
pub fn errand(repo: &RepoName, id: u64) -> Errand {
    let to = Destination {
        upstream: "https://acme.azurecr.io".to_owned(),
        repo: "there".parse().expect("a name"),
        from: None,
    };
    Errand { repo: repo.clone(), id, since_ms: 1000 + id, to }
}

/// Appends in pieces of `piece` bytes, verifies and publishes.
pub fn put(store: &dyn BlobStore, content: &Bytes, piece: usize) -> Digest {
    let digest = Digester::digest(Algorithm::Sha256, content);
    let mut writer = store.begin().expect("begin");
    append_all(&mut writer, content, piece);
    let ready = writer.verify(&digest).expect("verify").expect("the digest is right");
    ready.publish(Retention::Kept).expect("publish");
    digest
}

pub(super) fn append_all(writer: &mut BlobWriter, content: &Bytes, piece: usize) {
    let mut rest = content.clone();
    while !rest.is_empty() {
        writer.append(rest.split_to(piece.min(rest.len()))).expect("append");
    }
}

/// All bytes of a reader.
pub fn read_all(mut reader: BlobReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(segment) = reader.next_segment().expect("read") {
        bytes.extend_from_slice(&segment);
    }
    bytes
}

pub(super) fn read(store: &dyn BlobStore, digest: &Digest) -> Option<Vec<u8>> {
    store.open(digest).expect("open").map(read_all)
}

pub(super) fn poll(in_flight: &InFlight, offset: u64) -> Poll<Tail> {
    in_flight.poll_read(offset, &mut Context::from_waker(Waker::noop()))
}

/// Reads the visible bytes from `offset`.
pub(super) fn drain(in_flight: &InFlight, mut offset: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let part = match poll(in_flight, offset) {
            Poll::Ready(Tail::Bytes(part)) => part,
            Poll::Ready(Tail::Stored) => in_flight.read_stored(offset).expect("read"),
            Poll::Ready(Tail::End | Tail::Abandoned(_)) | Poll::Pending => return bytes,
        };
        offset += part.len() as u64;
        bytes.extend_from_slice(&part);
    }
}

pub(super) fn manifest(subject: Option<&Digest>, note: &str) -> Manifest {
    let digest = Digester::digest(Algorithm::Sha256, b"{}");
    let descriptor = |digest: &Digest| serde_json::json!({"mediaType": "text/plain", "digest": digest.to_string(), "size": 2});
    let mut value = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST.as_str(),
        "artifactType": "application/note",
        "config": descriptor(&digest),
        "layers": [],
        "annotations": {"note": note},
    });
    if let (Some(subject), Some(fields)) = (subject, value.as_object_mut()) {
        fields.insert("subject".to_owned(), descriptor(subject));
    }
    Manifest::parse(Bytes::from(value.to_string()), None).expect("a manifest")
}
