//! A client with a series of image pushes. After a break it tries again as real ones do: from the
//! start with HEAD, POST, PATCH and PUT, or now and then at the offset in the upload's status. The
//! client checks every 201 of `wharfd`, at once and after every kill.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use serde_json::json;
use tokio::time::{Instant, sleep};
use wharf_testkit::dice::Dice;
use wharf_testkit::images::sha256;

use crate::fixture::{Api, noise};

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// How long one image may take, with every try.
const IMAGE_TIME: Duration = Duration::from_mins(2);
const RETRY_PAUSE: Duration = Duration::from_millis(30);
const LAYER_BYTES_MIN: u64 = 1_000;
const LAYER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// More than the bytes made durable at once.
const LARGE_LAYER_BYTES: u64 = 40 * 1024 * 1024;
const LARGE_PERCENT: u8 = 2;

/// The state shared by all clients.
pub(super) struct Shared {
    /// Where `wharfd` listens now.
    api: Mutex<Api>,
    /// The registry behind everything.
    behind: Api,
    /// Blobs are answered before they are there.
    staged: bool,
    stop: AtomicBool,
    /// How often an image was begun, also again.
    pub(super) tries: AtomicU64,
    /// Possibly open uploads, because the response with their name was lost.
    pub(super) unanswered_posts: AtomicU64,
    /// Uploads continued at their offset.
    pub(super) resumed: AtomicU64,
    /// Steps with the begin or end of an upload at `wharfd`, perhaps not in its list yet.
    steps_begun: AtomicU64,
    steps_ended: AtomicU64,
}

/// Such a step, until it is dropped.
struct Step(Arc<Shared>);

impl Drop for Step {
    fn drop(&mut self) {
        self.0.steps_ended.fetch_add(1, Ordering::SeqCst);
    }
}

impl Shared {
    pub(super) fn new(api: Api, behind: Api, staged: bool) -> Self {
        Self {
            api: Mutex::new(api),
            behind,
            staged,
            stop: AtomicBool::new(false),
            tries: AtomicU64::new(0),
            unanswered_posts: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
            steps_begun: AtomicU64::new(0),
            steps_ended: AtomicU64::new(0),
        }
    }

    /// How many steps were begun, and how many ended.
    pub(super) fn steps(&self) -> (u64, u64) {
        // In this order, so no step ends before its begin.
        let ended = self.steps_ended.load(Ordering::SeqCst);
        (self.steps_begun.load(Ordering::SeqCst), ended)
    }

    fn step(self: &Arc<Self>) -> Step {
        self.steps_begun.fetch_add(1, Ordering::SeqCst);
        Step(Arc::clone(self))
    }

    pub(super) fn moved(&self, api: Api) {
        *self.api.lock().unwrap() = api;
    }

    /// Every client ends after its current image.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    fn api(&self) -> Api {
        self.api.lock().unwrap().clone()
    }
}

/// An image with a 201 for its push.
pub(super) struct Pushed {
    pub(super) repo: String,
    pub(super) tag: String,
    pub(super) manifest: String,
    /// Its blobs, each with its digest.
    pub(super) blobs: Vec<(String, Bytes)>,
}

impl Pushed {
    pub(super) fn size_bytes(&self) -> u64 {
        self.blobs.iter().map(|(_, blob)| blob.len() as u64).sum()
    }
}

pub(super) struct Pusher {
    number: u64,
    dice: Dice,
    shared: Arc<Shared>,
    /// The last begun blob, and the Location for its continuation.
    session: Option<(String, String)>,
    abandoned: Vec<String>,
    /// Blobs of this image with a 201.
    answered: BTreeSet<String>,
}

impl Pusher {
    pub(super) fn new(number: u64, dice: Dice, shared: Arc<Shared>) -> Self {
        Self {
            number,
            dice,
            shared,
            session: None,
            abandoned: Vec::new(),
            answered: BTreeSet::new(),
        }
    }

    /// Pushes until the stop; returns the pushed images and the given-up uploads.
    pub(super) async fn run(mut self) -> (Vec<Pushed>, Vec<String>) {
        let mut pushed = Vec::new();
        while !self.shared.stop.load(Ordering::SeqCst) {
            pushed.push(self.image(pushed.len()).await);
        }
        self.abandon();
        (pushed, self.abandoned)
    }

    async fn image(&mut self, count: usize) -> Pushed {
        let (repo, tag) =
            (format!("kills/{}", self.number % 3), format!("p{}-{count}", self.number));
        let mut blobs: Vec<Bytes> = Vec::new();
        for layer in 0..=self.dice.below(2) {
            let size = if self.dice.percent(LARGE_PERCENT) {
                LARGE_LAYER_BYTES
            } else {
                self.dice.size(LAYER_BYTES_MIN, LAYER_BYTES_MAX)
            };
            let head = format!("{tag} layer {layer}\n").into_bytes();
            let rest = noise(self.number, usize::try_from(size).unwrap());
            blobs.push([head, rest].concat().into());
        }
        let described = |blob: &Bytes| json!({ "mediaType": "application/x", "digest": sha256(blob), "size": blob.len() });
        let layers: Vec<_> = blobs.iter().map(described).collect();
        let config = Bytes::from(json!({ "tag": tag }).to_string());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
            "layers": layers, "config": described(&config),
        });
        blobs.push(config);
        let manifest = manifest.to_string();
        let deadline = Instant::now() + IMAGE_TIME;
        self.answered.clear();
        loop {
            self.shared.tries.fetch_add(1, Ordering::SeqCst);
            let Err(error) = self.attempt(&repo, &tag, &blobs, &manifest).await else { break };
            assert!(Instant::now() < deadline, "{tag} does not get through: {error:#}");
            sleep(RETRY_PAUSE).await;
        }
        let blobs: Vec<_> = blobs.into_iter().map(|blob| (sha256(&blob), blob)).collect();
        self.assert_there(&repo, &tag, &blobs).await;
        Pushed { repo, tag, manifest, blobs }
    }

    /// The manifest's push was answered, so the backing registry has the manifest and all of its
    /// blobs.
    async fn assert_there(&self, repo: &str, tag: &str, blobs: &[(String, Bytes)]) {
        let behind = &self.shared.behind;
        assert_eq!(behind.head_manifest(repo, tag).await.status, 200, "{tag} is not behind");
        for (digest, _) in blobs {
            let head = behind.head_blob(repo, digest).await;
            assert_eq!(head.status, 200, "{digest} of {tag} is not behind");
        }
    }

    async fn attempt(
        &mut self,
        repo: &str,
        tag: &str,
        blobs: &[Bytes],
        manifest: &str,
    ) -> anyhow::Result<()> {
        for blob in blobs {
            self.blob(repo, blob).await?;
        }
        let put = self.shared.api();
        let put = put.put(&format!("/v2/{repo}/manifests/{tag}"));
        let put = put.header("content-type", MANIFEST_TYPE).bytes(manifest.to_owned());
        let answer = put.send().await?;
        ensure!(answer.status == 201, "manifest: {} {}", answer.status, answer.text());
        Ok(())
    }

    async fn blob(&mut self, repo: &str, content: &Bytes) -> anyhow::Result<()> {
        let (api, digest) = (self.shared.api(), sha256(content));
        let head = api.call(http::Method::HEAD, &format!("/v2/{repo}/blobs/{digest}"));
        match head.send().await?.status.as_u16() {
            200 => return Ok(()),
            404 => {
                assert!(!self.answered.contains(&digest), "{digest} of {repo} was lost after 201");
            }
            other => anyhow::bail!("HEAD: {other}"),
        }
        let step = self.shared.step();
        if let Some(there) = self.go_on(&api, &digest, content).await? {
            // The first chunk reopens a suspended upload.
            self.send(&api, there, content, Some(step)).await?;
        } else {
            let location = self.open(&api, repo, &digest).await?;
            drop(step);
            self.send(&api, (location, 0), content, None).await?;
        }
        let (_, location) = self.session.take().context("an upload that was just sent")?;
        let _step = self.shared.step();
        let put = api.put(&format!("{location}?digest={digest}")).send().await;
        let answer = put.inspect_err(|_| self.abandoned.push(location.clone()))?;
        if answer.status != 201 {
            self.abandoned.push(location);
        }
        ensure!(answer.status == 201, "PUT: {} {}", answer.status, answer.text());
        if !self.shared.staged {
            let head = self.shared.behind.head_blob(repo, &digest).await;
            assert_eq!(head.status, 200, "{digest} was answered and is not behind");
        }
        self.answered.insert(digest);
        Ok(())
    }

    async fn open(&mut self, api: &Api, repo: &str, digest: &str) -> anyhow::Result<String> {
        self.abandon();
        let opened = api.post(&format!("/v2/{repo}/blobs/uploads/")).send().await;
        let opened = opened.inspect_err(|_| {
            self.shared.unanswered_posts.fetch_add(1, Ordering::SeqCst);
        })?;
        ensure!(opened.status == 202, "POST: {} {}", opened.status, opened.text());
        let location = opened.header("location").to_owned();
        self.session = Some((digest.to_owned(), location.clone()));
        Ok(location)
    }

    /// The Location and offset of a broken upload, if there is one and this client chooses to
    /// continue it.
    async fn go_on(
        &mut self,
        api: &Api,
        digest: &str,
        content: &Bytes,
    ) -> anyhow::Result<Option<(String, usize)>> {
        let begun = self.session.clone().filter(|(of, _)| of == digest && !self.dice.percent(30));
        let Some((_, location)) = begun else { return Ok(None) };
        let status = api.call(http::Method::GET, &location).send().await?;
        if status.status != 204 {
            return Ok(None);
        }
        let range = status.header("range");
        let last: usize = range.strip_prefix("0-").context("a range")?.parse()?;
        let offset = if last == 0 { 0 } else { last + 1 };
        ensure!(offset <= content.len(), "{offset} of {} bytes", content.len());
        self.shared.resumed.fetch_add(1, Ordering::SeqCst);
        Ok(Some((location, offset)))
    }

    /// The rest of the content, in one body or in chunks.
    async fn send(
        &mut self,
        api: &Api,
        (mut location, offset): (String, usize),
        content: &Bytes,
        mut step: Option<Step>,
    ) -> anyhow::Result<()> {
        let rest = content.len() - offset;
        let size = if self.dice.percent(50) { rest } else { rest.div_ceil(3) };
        let mut at = offset;
        while at < content.len() {
            let end = (at + size).min(content.len());
            let call = api.patch(&location).header("content-range", format!("{at}-{}", end - 1));
            let answer = call.bytes(content.slice(at..end)).send().await?;
            drop(step.take());
            ensure!(answer.status == 202, "PATCH: {} {}", answer.status, answer.text());
            answer.header("location").clone_into(&mut location);
            if let Some((_, there)) = &mut self.session {
                there.clone_from(&location);
            }
            at = end;
        }
        Ok(())
    }

    fn abandon(&mut self) {
        self.abandoned.extend(self.session.take().map(|(_, location)| location));
    }
}
