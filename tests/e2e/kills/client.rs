//! A client that pushes images one after the other and tries again when something breaks, as real
//! ones do: from the start with HEAD, POST, PATCH and PUT, or now and then at the offset that the
//! status says.

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
/// More than what becomes durable at once.
const LARGE_LAYER_BYTES: u64 = 40 * 1024 * 1024;
const LARGE_PERCENT: u8 = 2;

/// What all clients know and count.
pub(super) struct Shared {
    /// Where `wharfd` listens now.
    api: Mutex<Api>,
    stop: AtomicBool,
    /// How often an image was begun, also again.
    pub(super) tries: AtomicU64,
    /// Uploads that may be open although their name never arrived.
    pub(super) unanswered_posts: AtomicU64,
    /// Uploads that went on where they were.
    pub(super) resumed: AtomicU64,
}

impl Shared {
    pub(super) fn new(api: Api) -> Self {
        Self {
            api: Mutex::new(api),
            stop: AtomicBool::new(false),
            tries: AtomicU64::new(0),
            unanswered_posts: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
        }
    }

    pub(super) fn moved(&self, api: Api) {
        *self.api.lock().unwrap() = api;
    }

    /// Everyone ends after the image that they push now.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    fn api(&self) -> Api {
        self.api.lock().unwrap().clone()
    }
}

/// An image that was answered 201.
pub(super) struct Pushed {
    pub(super) repo: String,
    pub(super) tag: String,
    pub(super) manifest: String,
    /// Of its blobs, each once.
    pub(super) size_bytes: u64,
}

pub(super) struct Pusher {
    number: u64,
    dice: Dice,
    shared: Arc<Shared>,
    /// The blob that was begun last, and where it can go on.
    session: Option<(String, String)>,
    abandoned: Vec<String>,
}

impl Pusher {
    pub(super) fn new(number: u64, dice: Dice, shared: Arc<Shared>) -> Self {
        Self { number, dice, shared, session: None, abandoned: Vec::new() }
    }

    /// Pushes until it is told to stop; what arrived, and the uploads that were given up.
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
        loop {
            self.shared.tries.fetch_add(1, Ordering::SeqCst);
            let Err(error) = self.attempt(&repo, &tag, &blobs, &manifest).await else { break };
            assert!(Instant::now() < deadline, "{tag} does not get through: {error:#}");
            sleep(RETRY_PAUSE).await;
        }
        let size_bytes = blobs.iter().map(|blob| blob.len() as u64).sum();
        Pushed { repo, tag, manifest, size_bytes }
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
            404 => {}
            other => anyhow::bail!("HEAD: {other}"),
        }
        let (location, offset) = match self.go_on(&api, &digest, content).await? {
            Some(there) => there,
            None => (self.open(&api, repo, &digest).await?, 0),
        };
        self.send(&api, location, content, offset).await?;
        let (_, location) = self.session.take().context("an upload that was just sent")?;
        let put = api.put(&format!("{location}?digest={digest}")).send().await;
        let answer = put.inspect_err(|_| self.abandoned.push(location.clone()))?;
        if answer.status != 201 {
            self.abandoned.push(location);
        }
        ensure!(answer.status == 201, "PUT: {} {}", answer.status, answer.text());
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

    /// Where an upload that broke off goes on, when there is one and this client would rather.
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
        mut location: String,
        content: &Bytes,
        offset: usize,
    ) -> anyhow::Result<()> {
        let rest = content.len() - offset;
        let step = if self.dice.percent(50) { rest } else { rest.div_ceil(3) };
        let mut at = offset;
        while at < content.len() {
            let end = (at + step).min(content.len());
            let call = api.patch(&location).header("content-range", format!("{at}-{}", end - 1));
            let answer = call.bytes(content.slice(at..end)).send().await?;
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
