//! Any sequence of operations on uploads, on a store and on a model of it: the input of a fuzz
//! target and its corpus.
//!
//! Invariant: an upload has exactly its appended bytes, at rest too; only an upload with a proven
//! digest leaves a blob.

use bytes::Bytes;
use wharf_oci::{Algorithm, Digester, RepoName, UploadId};

use super::samples::read;
use crate::blob::{BlobStore, BlobWriter};
use crate::blob_info::Retention;
use crate::limits::SEGMENT_BYTES;
use crate::sessions::{NewUpload, UploadStore};

/// Uploads at once.
const UPLOADS: usize = 3;
/// Acts of one input.
const ACTS_MAX: usize = 200;
/// Most bytes of an upload; past it an act appends nothing.
const UPLOAD_BYTES_MAX: usize = 5 * SEGMENT_BYTES;

enum State {
    Open(BlobWriter),
    Resting,
}

/// The model of an upload.
struct Upload {
    id: UploadId,
    content: Vec<u8>,
    state: State,
}

/// Carries out one act for each two bytes: operation, upload and size.
///
/// # Panics
/// When the store differs from the model.
pub fn uploads(store: &impl UploadStore, input: &[u8]) {
    let repo: RepoName = "acts/of-uploads".parse().expect("a name");
    let mut all: [Option<Upload>; UPLOADS] = [const { None }; UPLOADS];
    for (number, act) in (0_u128..).zip(input.chunks_exact(2).take(ACTS_MAX)) {
        let &[what, much] = act else { continue };
        let slot = usize::from(what >> 4) % UPLOADS;
        let Some(upload) = all.get_mut(slot) else { continue };
        *upload = match upload.take() {
            None => Some(begun(store, &repo, UploadId::from_u128(number + 1))),
            Some(upload) => next(store, upload, what & 15, much),
        };
        check(store, &all);
    }
    // Dropped writers forget their uploads, so no upload is left.
    for upload in all.into_iter().flatten() {
        let id = upload.id;
        drop(upload);
        store.forget_upload(id).expect("forget");
    }
    assert!(store.saved_uploads().expect("saved").is_empty());
}

fn begun(store: &impl UploadStore, repo: &RepoName, id: UploadId) -> Upload {
    let writer = store.begin_upload(NewUpload::unowned(id, repo)).expect("begin");
    Upload { id, content: Vec::new(), state: State::Open(writer) }
}

/// Carries out one act; returns the rest of the upload.
fn next(store: &impl UploadStore, upload: Upload, what: u8, much: u8) -> Option<Upload> {
    let Upload { id, mut content, state } = upload;
    let state = match (state, what) {
        (State::Open(mut writer), 0..=5) => {
            // Up to a little more than a segment, and often its border.
            let size = usize::from(much) * SEGMENT_BYTES / 128 + usize::from(much & 1);
            if content.len() + size <= UPLOAD_BYTES_MAX {
                let bytes: Vec<u8> = (0..size).map(|at| much ^ at.to_le_bytes()[0]).collect();
                content.extend_from_slice(&bytes);
                writer.append(Bytes::from(bytes)).expect("append");
            }
            State::Open(writer)
        }
        (State::Open(writer), 6..=8) => {
            writer.suspend().expect("suspend");
            State::Resting
        }
        (State::Open(writer), 9..=12) => {
            let right = what < 12;
            let algorithm = if what == 9 { Algorithm::Sha512 } else { Algorithm::Sha256 };
            ended(store, writer, &content, algorithm, right);
            return None;
        }
        (State::Open(writer), _) => {
            drop(writer);
            return None;
        }
        (State::Resting, 13..) => {
            assert!(store.forget_upload(id).expect("forget"));
            return None;
        }
        (State::Resting, _) => {
            State::Open(store.resume_upload(id).expect("resume").expect("it rests"))
        }
    };
    Some(Upload { id, content, state })
}

/// Ends an upload: under its digest it becomes a blob, under another it is forgotten.
fn ended(
    store: &impl BlobStore,
    writer: BlobWriter,
    content: &[u8],
    algorithm: Algorithm,
    right: bool,
) {
    let digest = Digester::digest(algorithm, content);
    let named = if right { digest } else { Digester::digest(algorithm, b"of something else") };
    match writer.verify(&named).expect("verify") {
        Ok(ready) => {
            assert!(right, "a wrong digest was proven");
            ready.publish(Retention::Kept).expect("publish");
            assert_eq!(read(store, &digest).as_deref(), Some(content));
        }
        Err(mismatch) => {
            assert!(!right, "{mismatch}");
            assert_eq!(mismatch.actual, digest);
            assert!(read(store, &named).is_none());
        }
    }
}

/// Compares every upload of the store with the model.
fn check(store: &impl UploadStore, all: &[Option<Upload>; UPLOADS]) {
    let saved = store.saved_uploads().expect("saved");
    for upload in all.iter().flatten() {
        let offset = saved.iter().find(|saved| saved.id == upload.id).map(|saved| saved.offset);
        let bytes = upload.content.len() as u64;
        match &upload.state {
            State::Open(writer) => {
                assert_eq!(writer.size_bytes(), bytes);
                assert!(offset.unwrap_or(0) <= bytes, "more is durable than there is");
            }
            State::Resting => assert_eq!(offset, Some(bytes)),
        }
    }
    let known = |id| all.iter().flatten().any(|upload| upload.id == id);
    assert!(saved.iter().all(|saved| known(saved.id)), "an upload that is over is still saved");
}
