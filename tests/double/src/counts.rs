//! The requests to the double: counts by kind, status and digest, and a bounded journal.
//!
//! The double records a request before its response leaves, so a client with its response finds the
//! request counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use http::header::RANGE;
use http::{HeaderMap, Method, Uri};
use serde::{Deserialize, Serialize};

use super::credentials::{Authorization, Credentials};
use super::kind::Kind;

/// Digests counted one by one; those beyond are counted by kind only.
const DIGESTS_MAX: usize = 4096;
/// Entries the journal keeps; older ones leave.
const JOURNAL_MAX: usize = 4096;

/// One request and the status it was answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The kind of the request.
    pub kind: Kind,
    /// The HTTP method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// The digest it named, if any.
    pub digest: Option<String>,
    /// How it named its caller.
    pub credentials: Credentials,
    /// The user behind valid credentials.
    #[serde(default)]
    pub caller: Option<String>,
    /// Its Range header, if any.
    #[serde(default)]
    pub range: Option<String>,
    /// The client's name for itself in `X-Meta-Source-Client`.
    #[serde(default)]
    pub source_client: Option<String>,
    /// The status of the answer; 0 when there was none.
    pub status: u16,
}

impl Entry {
    /// A request without its response yet.
    pub(crate) fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Self {
            kind: Kind::Other,
            method: method.to_string(),
            path: uri.path().to_owned(),
            digest: None,
            credentials: Authorization::of(headers).credentials(),
            caller: None,
            range: headers.get(RANGE).map(text),
            source_client: headers.get("x-meta-source-client").map(text),
            status: 0,
        }
    }
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
    /// The number of requests of this kind, with any response.
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

    /// The number of all requests.
    pub fn sum(&self) -> u64 {
        self.by_kind.values().flat_map(BTreeMap::values).sum()
    }

    /// Bytes of blob content from clients, repeated ones included.
    pub fn upload_bytes(&self) -> u64 {
        self.upload_bytes
    }

    /// Bytes of blob content from the storage port to its connections.
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

/// The direction of counted content bytes.
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

/// The record of requests at both ports. Request tasks and counting bodies write it.
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

    /// Records a request as unanswered, unless the response comes in time.
    pub(crate) fn unless_answered(self: &Arc<Self>, entry: Entry) -> Abandoned {
        Abandoned { recorder: Arc::clone(self), entry: Some(entry) }
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

/// A request whose client may leave before its response; the drop of this guard then records it.
#[derive(Debug)]
pub(crate) struct Abandoned {
    recorder: Arc<Recorder>,
    entry: Option<Entry>,
}

impl Abandoned {
    /// The answer comes after all, and will be recorded with it.
    pub(crate) fn answered(mut self) {
        self.entry = None;
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.recorder.record(entry);
        }
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
            caller: None,
            range: None,
            source_client: None,
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
