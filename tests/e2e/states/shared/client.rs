//! One of several clients in the same repositories: it sends random requests over HTTP, and records
//! the responses as histories of the objects in `objects.rs`.
//!
//! Invariant: every answer is an act of an object, or ends the test.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::json;
use wharf_oci::{Algorithm, Digest, Digester};
use wharf_testkit::dice::Dice;
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;

use super::history::Event;
use super::objects::{BlobAct, ManifestAct, Said, UploadAct};
use crate::fixture::{Api, code};

pub(super) const REPOS: usize = 2;
/// Contents begin in so many ways.
const WAYS: usize = 3;
/// All bytes of this one are the same: it can be added to without knowing how much is there.
const EVEN: usize = 0;
/// This one is pushed as sha512 only: the registry behind knows such content as sha256 besides.
const LONG: usize = 2;
/// A chunk, or the whole; longer than the compared part of two equal pushes.
const PART_BYTES: usize = 300_000;
const BLOB_BYTES_MAX: usize = 3 * PART_BYTES;
const TAGS: usize = 2;
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A content: how it begins, and how long it is.
pub(super) type Content = (usize, usize);

/// The history of each object.
type Histories<K, A> = Mutex<BTreeMap<K, Vec<Event<A>>>>;

/// The state shared by all clients of one round, and its history.
pub(super) struct Shared {
    api: Api,
    name: String,
    mode: Mode,
    contents: Vec<Bytes>,
    moments: AtomicU64,
    uploads: Mutex<Vec<Arc<Upload>>>,
    pub(super) of_uploads: Histories<String, UploadAct>,
    pub(super) of_blobs: Histories<(usize, Content), BlobAct>,
    pub(super) of_manifests: Histories<usize, ManifestAct>,
}

/// The setup behind `wharfd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Alone,
    Through,
    Staged,
}

/// An upload open to every client.
struct Upload {
    repo: usize,
    way: usize,
    location: String,
    /// Its size in the last response to any client.
    known: AtomicUsize,
}

/// Where a request begins and ends, as all clients count.
#[derive(Clone, Copy)]
struct Span(u64, u64);

impl Span {
    fn event<A>(self, act: A) -> Event<A> {
        Event { begun: self.0, ended: self.1, act }
    }
}

impl Shared {
    pub(super) fn new(api: Api, name: String, mode: Mode, noise: &Bytes) -> Self {
        let way = |way| match way {
            EVEN => Bytes::from(vec![7; 2 * BLOB_BYTES_MAX]),
            _ => [format!("{name} {way}\n").as_bytes(), &noise[..]].concat().into(),
        };
        let contents = (0..WAYS).map(way).collect();
        Self {
            api,
            name,
            mode,
            contents,
            moments: AtomicU64::default(),
            uploads: Mutex::default(),
            of_uploads: Mutex::default(),
            of_blobs: Mutex::default(),
            of_manifests: Mutex::default(),
        }
    }

    pub(super) fn repo(&self, repo: usize) -> String {
        format!("{}/{repo}", self.name)
    }

    pub(super) fn bytes(&self, (way, size): Content) -> Bytes {
        self.contents[way].slice(..size)
    }

    pub(super) fn digest(&self, content: Content) -> Digest {
        let algorithm = if content.0 == LONG { Algorithm::Sha512 } else { Algorithm::Sha256 };
        Digester::digest(algorithm, &self.bytes(content))
    }

    /// Manifests have one blob each, with a sha256 digest only.
    fn manifest(&self, manifest: usize) -> (Content, String) {
        let content = (manifest % LONG, PART_BYTES * (1 + manifest / LONG));
        let config = json!({
            "mediaType": "application/x", "digest": self.digest(content), "size": content.1,
        });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": [],
        });
        (content, manifest.to_string())
    }

    fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::SeqCst)
    }

    async fn timed<T>(&self, request: impl Future<Output = T>) -> (T, Span) {
        let begun = self.moment();
        let answer = request.await;
        (answer, Span(begun, self.moment()))
    }

    fn saw_upload(&self, upload: &Upload, span: Span, act: UploadAct) {
        if let Said::At(at) | Said::OutOfOrder(at) = act.said() {
            upload.known.store(at, Ordering::SeqCst);
        }
        let mut of = self.of_uploads.lock().unwrap();
        of.entry(upload.location.clone()).or_default().push(span.event(act));
    }

    fn saw_blob(&self, repo: usize, content: Content, span: Span, act: BlobAct) {
        let mut of = self.of_blobs.lock().unwrap();
        of.entry((repo, content)).or_default().push(span.event(act));
    }

    fn saw_manifest(&self, repo: usize, span: Span, act: ManifestAct) {
        self.of_manifests.lock().unwrap().entry(repo).or_default().push(span.event(act));
    }

    /// Cancels every upload ever opened; each is over then.
    pub(super) async fn give_up_all(&self) {
        let uploads = self.uploads.lock().unwrap().clone();
        for upload in uploads {
            self.cancel(&upload).await;
        }
    }

    /// Reads everything once more: the final content.
    pub(super) async fn look_at_all(&self) -> Vec<(usize, Content, bool)> {
        let all: Vec<_> = self.of_blobs.lock().unwrap().keys().copied().collect();
        let mut found = Vec::new();
        for (repo, content) in all {
            found.push((repo, content, self.get(repo, content).await));
        }
        for repo in 0..REPOS {
            for manifest in 0..2 * LONG {
                self.get_manifest(repo, manifest).await;
            }
            for tag in 0..TAGS {
                self.get_tag(repo, tag).await;
            }
        }
        found
    }

    async fn open(&self, repo: usize, way: usize) {
        let algorithm = self.digest((way, 0)).algorithm();
        let path = format!("/v2/{}/blobs/uploads/?digest-algorithm={algorithm}", self.repo(repo));
        let answer = self.api.post(&path).send().await.unwrap();
        self.opened(repo, way, &answer);
    }

    fn opened(&self, repo: usize, way: usize, answer: &Answer) {
        assert_eq!(answer.status, 202, "{}", answer.text());
        let (location, known) = (answer.header("location").to_owned(), AtomicUsize::new(0));
        self.uploads.lock().unwrap().push(Arc::new(Upload { repo, way, location, known }));
    }

    async fn patch(&self, upload: &Upload, first: Option<usize>) {
        let (at, size) = (first.unwrap_or(0), PART_BYTES);
        let call = self.api.patch(&upload.location);
        let call = call.bytes(self.contents[upload.way].slice(at..at + size));
        let call = match first {
            Some(first) => call.header("content-range", format!("{first}-{}", at + size - 1)),
            None => call,
        };
        let (answer, span) = self.timed(call.send()).await;
        let said = said(&answer.unwrap());
        self.saw_upload(upload, span, UploadAct::Patch { first, size, said });
    }

    /// Ends an upload with or without a last chunk, under the digest of its content from this
    /// client's view.
    async fn finish(&self, upload: &Upload, first: usize, size: usize) {
        let content = (upload.way, first + size);
        let path = format!("{}?digest={}", upload.location, self.digest(content));
        let call = self.api.put(&path);
        let call = call.bytes(self.contents[upload.way].slice(first..first + size));
        let call = match size {
            0 => call,
            _ => call.header("content-range", format!("{first}-{}", first + size - 1)),
        };
        let (answer, span) = self.timed(call.send()).await;
        let said = said(&answer.unwrap());
        let first = (size > 0).then_some(first);
        self.saw_upload(upload, span, UploadAct::Finish { first, size, whole: content.1, said });
        if said == Said::Ended {
            self.saw_blob(upload.repo, content, span, BlobAct::Created);
        }
    }

    async fn status(&self, upload: &Upload) {
        let (answer, span) = self.timed(self.api.get(&upload.location)).await;
        let said = match said(&answer) {
            Said::Ended => Said::At(range(&answer)),
            said => said,
        };
        self.saw_upload(upload, span, UploadAct::Status(said));
    }

    async fn cancel(&self, upload: &Upload) {
        let (answer, span) = self.timed(self.api.delete(&upload.location)).await;
        self.saw_upload(upload, span, UploadAct::Cancel(said(&answer)));
    }

    async fn whole(&self, repo: usize, content: Content) {
        let path =
            format!("/v2/{}/blobs/uploads/?digest={}", self.repo(repo), self.digest(content));
        let call = self.api.post(&path).bytes(self.bytes(content));
        let (answer, span) = self.timed(call.send()).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text());
        self.saw_blob(repo, content, span, BlobAct::Created);
    }

    async fn mount(&self, repo: usize, from: usize, content: Content) {
        let (to, digest) = (self.repo(repo), self.digest(content));
        let path = format!("/v2/{to}/blobs/uploads/?mount={digest}&from={}", self.repo(from));
        let (answer, span) = self.timed(self.api.post(&path).send()).await;
        let answer = answer.unwrap();
        let mounted = answer.status == 201;
        // Staged, a blob already in this repository decides nothing.
        let decides = match self.mode {
            Mode::Alone => true,
            // The backing registry does not mount a blob during the write of its link, and `wharfd`
            // never sends it a mount of a sha512 blob: then a 201 means the blob is in this
            // repository.
            Mode::Through => mounted && content.0 != LONG,
            Mode::Staged => !mounted,
        };
        if decides {
            self.saw_blob(from, content, span, BlobAct::Seen(mounted, "mount"));
        }
        if mounted {
            self.saw_blob(repo, content, span, BlobAct::Created);
        } else {
            self.opened(repo, content.0, &answer);
        }
    }

    async fn head(&self, repo: usize, content: Content) {
        let digest = self.digest(content).to_string();
        let (answer, span) = self.timed(self.api.head_blob(&self.repo(repo), &digest)).await;
        self.saw_blob(repo, content, span, BlobAct::Seen(there(&answer), "HEAD"));
    }

    async fn get(&self, repo: usize, content: Content) -> bool {
        let digest = self.digest(content).to_string();
        let (answer, span) = self.timed(self.api.get_blob(&self.repo(repo), &digest)).await;
        let there = there(&answer);
        assert!(!there || answer.body == self.bytes(content), "{digest} is served differently");
        self.saw_blob(repo, content, span, BlobAct::Seen(there, "GET"));
        there
    }

    async fn delete(&self, repo: usize, content: Content) {
        let path = format!("/v2/{}/blobs/{}", self.repo(repo), self.digest(content));
        let (answer, span) = self.timed(self.api.delete(&path)).await;
        let act = if deleted(&answer) { BlobAct::Deleted } else { BlobAct::Seen(false, "DELETE") };
        self.saw_blob(repo, content, span, act);
    }

    async fn put_manifest(&self, repo: usize, manifest: usize, tag: Option<usize>) {
        let (content, text) = self.manifest(manifest);
        let reference = tag.map_or_else(|| sha256(text.as_bytes()), |tag| format!("t{tag}"));
        let (to, api) = (self.repo(repo), &self.api);
        let (answer, span) =
            self.timed(api.put_manifest(&to, &reference, MANIFEST_TYPE, text)).await;
        // docker-registry answers this way during the write of the link; the request had no effect
        // then.
        let odd = answer.status == 400 && code(&answer) == "DIGEST_INVALID";
        if odd && self.mode != Mode::Alone {
            return;
        }
        let put = answer.status == 201;
        assert!(put || code(&answer) == "MANIFEST_BLOB_UNKNOWN", "{}", answer.text());
        self.saw_blob(repo, content, span, BlobAct::Seen(put, "manifest"));
        if put {
            self.saw_manifest(repo, span, ManifestAct::Put { tag, manifest });
        }
    }

    async fn get_manifest(&self, repo: usize, manifest: usize) {
        let (_, text) = self.manifest(manifest);
        let (from, reference) = (self.repo(repo), sha256(text.as_bytes()));
        let (answer, span) = self.timed(self.api.get_manifest(&from, &reference)).await;
        let there = there(&answer);
        assert!(!there || answer.body == text, "{reference} is served differently");
        self.saw_manifest(repo, span, ManifestAct::Digest { manifest, there });
    }

    async fn get_tag(&self, repo: usize, tag: usize) {
        let from = self.repo(repo);
        let (answer, span) = self.timed(self.api.get_manifest(&from, &format!("t{tag}"))).await;
        let named = there(&answer).then(|| {
            let is_it = |manifest: &usize| self.manifest(*manifest).1 == answer.text();
            (0..2 * LONG).find(is_it).expect("one of these manifests")
        });
        self.saw_manifest(repo, span, ManifestAct::Tag { tag, manifest: named });
    }

    async fn delete_manifest(&self, repo: usize, manifest: usize) {
        let reference = sha256(self.manifest(manifest).1.as_bytes());
        let path = format!("/v2/{}/manifests/{reference}", self.repo(repo));
        let (answer, span) = self.timed(self.api.delete(&path)).await;
        let was = deleted(&answer);
        self.saw_manifest(repo, span, ManifestAct::Removed { manifest, was });
    }

    async fn delete_tag(&self, repo: usize, tag: usize) {
        let path = format!("/v2/{}/manifests/t{tag}", self.repo(repo));
        let (answer, span) = self.timed(self.api.delete(&path)).await;
        let was = deleted(&answer);
        self.saw_manifest(repo, span, ManifestAct::Untagged { tag, was });
    }
}

/// So many acts of one client.
pub(super) async fn play(shared: Arc<Shared>, mut dice: Dice, acts: usize) {
    for _ in 0..acts {
        act(&shared, &mut dice).await;
    }
}

async fn act(shared: &Shared, dice: &mut Dice) {
    let (repo, way) = (dice.index(REPOS), dice.index(WAYS));
    let content = (way, PART_BYTES * (1 + dice.index(2)));
    match dice.below(100) {
        0..8 => shared.open(repo, way).await,
        8..45 => on_upload(shared, dice).await,
        45..53 => shared.whole(repo, content).await,
        53..61 => shared.mount(repo, (repo + 1) % REPOS, content).await,
        61..68 => shared.head(repo, content).await,
        68..74 => {
            shared.get(repo, content).await;
        }
        74..83 => shared.delete(repo, content).await,
        83..89 => {
            let tag = dice.percent(70).then(|| dice.index(TAGS));
            shared.put_manifest(repo, dice.index(2 * LONG), tag).await;
        }
        89..92 => shared.get_manifest(repo, dice.index(2 * LONG)).await,
        92..96 => shared.get_tag(repo, dice.index(TAGS)).await,
        96..98 => shared.delete_manifest(repo, dice.index(2 * LONG)).await,
        // The registry behind deletes no tags.
        _ if shared.mode == Mode::Alone => shared.delete_tag(repo, dice.index(TAGS)).await,
        _ => shared.get_tag(repo, dice.index(TAGS)).await,
    }
}

/// A random request about one of the last uploads, shared with other clients.
async fn on_upload(shared: &Shared, dice: &mut Dice) {
    let upload = {
        let uploads = shared.uploads.lock().unwrap();
        let last = dice.index(uploads.len().min(3));
        let Some(upload) = uploads.len().checked_sub(1 + last) else { return };
        Arc::clone(&uploads[upload])
    };
    let known = upload.known.load(Ordering::SeqCst).min(BLOB_BYTES_MAX);
    let at = if dice.percent(80) { known } else { PART_BYTES * dice.index(3) };
    match dice.below(37) {
        0..3 if upload.way == EVEN => shared.patch(&upload, None).await,
        0..16 => shared.patch(&upload, Some(at)).await,
        16..28 if at > 0 => shared.finish(&upload, at, 0).await,
        16..28 => shared.finish(&upload, at, PART_BYTES).await,
        28..34 => shared.status(&upload).await,
        _ => shared.cancel(&upload).await,
    }
}

/// The result of an upload request; for a status, `Ended` stands for an open upload.
fn said(answer: &Answer) -> Said {
    let why = if answer.status.is_success() { String::new() } else { code(answer) };
    match (answer.status.as_u16(), why.as_str()) {
        (202, _) => Said::At(range(answer)),
        (201 | 204, _) => Said::Ended,
        (416, "BLOB_UPLOAD_INVALID") => Said::OutOfOrder(range(answer)),
        (400, "DIGEST_INVALID") => Said::WrongDigest,
        (404, "BLOB_UPLOAD_UNKNOWN") => Said::Unknown,
        (409, "BLOB_UPLOAD_INVALID") => Said::Busy,
        (status, _) => panic!("{status} {}", answer.text()),
    }
}

/// How much an upload has; it never has one byte here.
fn range(answer: &Answer) -> usize {
    let last = answer.header("range").strip_prefix("0-").expect("a range");
    let last: usize = last.parse().unwrap();
    if last == 0 { 0 } else { last + 1 }
}

fn there(answer: &Answer) -> bool {
    assert!(matches!(answer.status.as_u16(), 200 | 404), "{} {}", answer.status, answer.text());
    answer.status == 200
}

fn deleted(answer: &Answer) -> bool {
    assert!(matches!(answer.status.as_u16(), 202 | 404), "{} {}", answer.status, answer.text());
    answer.status == 202
}
