//! What reached the double: counts by kind, status and digest, and a bounded journal.
//!
//! A request is recorded before its answer leaves, so a client that has its answer finds it counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Digests counted one by one; those beyond are counted by kind only.
const DIGESTS_MAX: usize = 4096;
/// Entries the journal keeps; older ones leave.
const JOURNAL_MAX: usize = 4096;

/// What a request is about, as faults and counts name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `/v2/`
    Version,
    /// `/oauth2/token`
    Token,
    /// `/oauth2/exchange`
    Exchange,
    /// `/v2/_catalog`
    Catalog,
    /// Tag lists.
    Tags,
    /// Referrers lists.
    Referrers,
    /// GET of a manifest.
    ManifestGet,
    /// HEAD of a manifest.
    ManifestHead,
    /// PUT of a manifest.
    ManifestPut,
    /// DELETE of a manifest or tag.
    ManifestDelete,
    /// GET of a blob at the facade, which redirects.
    BlobGet,
    /// HEAD of a blob at the facade, which redirects too.
    BlobHead,
    /// DELETE of a blob.
    BlobDelete,
    /// The start of an upload, mounts included.
    UploadPost,
    /// A chunk of an upload.
    UploadPatch,
    /// The end of an upload.
    UploadPut,
    /// The status of an upload.
    UploadStatus,
    /// The cancelling of an upload.
    UploadCancel,
    /// GET of a blob's bytes at the storage port.
    StorageGet,
    /// HEAD of a blob at the storage port.
    StorageHead,
    /// Anything else.
    Other,
}

/// How a request named its caller. The credentials themselves are never kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credentials {
    /// No `Authorization` header.
    None,
    /// `Basic`.
    Basic,
    /// `Bearer`.
    Bearer,
    /// Any other scheme.
    Unknown,
}

/// One request and the status it was answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What the request was about.
    pub kind: Kind,
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// The digest it named, if any.
    pub digest: Option<String>,
    /// How it named its caller.
    pub credentials: Credentials,
    /// The status of the answer; 0 when the connection was reset in place of one.
    pub status: u16,
}

/// A picture of the counts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    by_kind: BTreeMap<Kind, BTreeMap<u16, u64>>,
    by_digest: BTreeMap<String, BTreeMap<Kind, u64>>,
    upload_bytes: u64,
    storage_bytes: u64,
}

impl Counts {
    /// How many requests of this kind came, whatever they were answered.
    pub fn total(&self, kind: Kind) -> u64 {
        self.by_kind.get(&kind).map_or(0, |statuses| statuses.values().sum())
    }

    /// How many requests of this kind were answered with this status.
    pub fn answered(&self, kind: Kind, status: u16) -> u64 {
        self.by_kind.get(&kind).and_then(|statuses| statuses.get(&status)).copied().unwrap_or(0)
    }

    /// How many requests of this kind named this digest and were not refused (status below 400).
    pub fn served(&self, kind: Kind, digest: &str) -> u64 {
        self.by_digest.get(digest).and_then(|kinds| kinds.get(&kind)).copied().unwrap_or(0)
    }

    /// All requests.
    pub fn sum(&self) -> u64 {
        self.by_kind.values().flat_map(BTreeMap::values).sum()
    }

    /// Bytes of blob content that clients sent, repeated ones included.
    pub fn upload_bytes(&self) -> u64 {
        self.upload_bytes
    }

    /// Bytes of blob content that the storage port handed to its connections.
    pub fn storage_bytes(&self) -> u64 {
        self.storage_bytes
    }

    fn add(&mut self, entry: &Entry) {
        *self.by_kind.entry(entry.kind).or_default().entry(entry.status).or_default() += 1;
        let Some(digest) = entry.digest.as_ref().filter(|_| (1..400).contains(&entry.status))
        else {
            return;
        };
        if self.by_digest.contains_key(digest) || self.by_digest.len() < DIGESTS_MAX {
            *self.by_digest.entry(digest.clone()).or_default().entry(entry.kind).or_default() += 1;
        }
    }
}

/// Which way counted content bytes went.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flow {
    /// From a client into an upload.
    Upload,
    /// From the storage port to a client.
    Storage,
}

#[derive(Debug, Default)]
struct Books {
    counts: Counts,
    journal: VecDeque<Entry>,
}

/// Where both ports write down what came. Written by request tasks and counting bodies.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    books: Mutex<Books>,
}

impl Recorder {
    pub(crate) fn record(&self, entry: Entry) {
        self.with(|books| {
            books.counts.add(&entry);
            if books.journal.len() == JOURNAL_MAX {
                books.journal.pop_front();
            }
            books.journal.push_back(entry);
        });
    }

    pub(crate) fn add_bytes(&self, flow: Flow, bytes: u64) {
        self.with(|books| match flow {
            Flow::Upload => books.counts.upload_bytes += bytes,
            Flow::Storage => books.counts.storage_bytes += bytes,
        });
    }

    pub(crate) fn counts(&self) -> Counts {
        self.with(|books| books.counts.clone())
    }

    pub(crate) fn journal(&self) -> Vec<Entry> {
        self.with(|books| books.journal.iter().cloned().collect())
    }

    pub(crate) fn reset(&self) {
        self.with(|books| *books = Books::default());
    }

    /// Counting never panics half-way, so a poisoned lock still guards whole books.
    fn with<T>(&self, act: impl FnOnce(&mut Books) -> T) -> T {
        act(&mut self.books.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn entry(kind: Kind, status: u16, digest: Option<&str>) -> Entry {
        Entry {
            kind,
            method: "GET".to_owned(),
            path: "/".to_owned(),
            digest: digest.map(str::to_owned),
            credentials: Credentials::None,
            status,
        }
    }

    #[test]
    fn a_refused_request_is_counted_but_serves_no_digest() {
        let recorder = Recorder::default();
        recorder.record(entry(Kind::BlobGet, 401, Some("sha256:a")));
        recorder.record(entry(Kind::BlobGet, 307, Some("sha256:a")));
        let counts = recorder.counts();
        assert_eq!(counts.total(Kind::BlobGet), 2);
        assert_eq!(counts.answered(Kind::BlobGet, 401), 1);
        assert_eq!(counts.served(Kind::BlobGet, "sha256:a"), 1);
        assert_eq!(counts.sum(), 2);
    }

    #[test]
    fn the_journal_and_the_digests_are_bounded() {
        let recorder = Recorder::default();
        for number in 0..JOURNAL_MAX + 10 {
            recorder.record(entry(Kind::BlobGet, 307, Some(&format!("sha256:{number}"))));
        }
        let journal = recorder.journal();
        assert_eq!(journal.len(), JOURNAL_MAX);
        assert_eq!(journal[0].digest.as_deref(), Some("sha256:10"));
        assert_eq!(recorder.counts().by_digest.len(), DIGESTS_MAX);
        assert_eq!(recorder.counts().total(Kind::BlobGet), (JOURNAL_MAX + 10) as u64);
    }
}
