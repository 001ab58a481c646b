//! The stage: `wharfd` before the double before `docker-registry`, the permanent images, and the
//! periods of announced errors.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use wharf_double::{Account, AcrDouble, DoubleConfig};
use wharf_testkit::http::Client;
use wharf_testkit::images::{noise, sha256};
use wharf_testkit::processes::{Process, product};
use wharf_testkit::registry::Registry;

use crate::config::{PASSWORD, PASSWORD_VARIABLE, STORE_LIMIT, USER, config_text, write_access};
use crate::counts::Counts;
use crate::mib;
use crate::vitals::Vitals;

pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

const IMAGES: u64 = 24;
/// Sizes of the layers of every image: small ones are records in the store, large ones are runs.
const LAYER_BYTES: [usize; 3] = [40_000, 1_500_000, 16_000_000];
/// Layers of this size or more are read by so many clients at once.
pub(crate) const LARGE_BYTES: usize = 10_000_000;
const LARGE_AT_ONCE: usize = 6;
/// Pushes choose among this many contents, so the backing registry stays bounded.
pub(crate) const PUSHED_CONTENTS: u64 = 384;
pub(crate) const PUSHED_BYTES_MAX: usize = 600_000;

/// How long after a time of trouble errors are still its own: breakers, pauses, links.
const ECHO: Duration = Duration::from_secs(6);
const START: Duration = Duration::from_mins(1);
/// How long transfers and connections may take to end when the clients have gone.
const REST: Duration = Duration::from_mins(1);

/// The state shared by all clients.
pub(crate) struct World {
    pub(crate) counts: Counts,
    pub(crate) images: Vec<Image>,
    pub(crate) double: AcrDouble,
    process: Mutex<Process>,
    addr: SocketAddr,
    admin: SocketAddr,
    folder: TempDir,
    noise: Bytes,
    /// The credentials of the clients.
    shown: Vec<String>,
    /// Permits to read a large layer. A layer cannot be evicted during a read, so more readers than
    /// the store can hold would make `wharfd` bypass the store.
    pub(crate) large: Semaphore,
    troubles: Mutex<Vec<(Instant, Instant)>>,
    registry: Registry,
}

/// A permanent image.
pub(crate) struct Image {
    pub(crate) repo: String,
    pub(crate) manifest: Bytes,
    pub(crate) blobs: Vec<Layer>,
}

/// A blob with reproducible content.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) title: String,
    pub(crate) size: usize,
    pub(crate) digest: String,
}

impl Layer {
    fn json(&self) -> Value {
        json!({ "mediaType": "application/x", "digest": self.digest, "size": self.size })
    }
}

/// A manifest of these blobs; the first one is the config.
pub(crate) fn manifest(blobs: &[Layer], note: u64) -> String {
    let (config, layers) = blobs.split_first().expect("an image has a config");
    let layers: Vec<Value> = layers.iter().map(Layer::json).collect();
    json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config.json(), "layers": layers,
        "annotations": { "note": note.to_string() },
    })
    .to_string()
}

impl World {
    /// `None` without `docker-registry`; `Registry::start` has reported it.
    pub(crate) async fn build() -> anyhow::Result<Option<Self>> {
        let Some(registry) = Registry::start().await? else { return Ok(None) };
        let config = DoubleConfig::new(registry.url()).account(Account::admin(USER, PASSWORD));
        let double = AcrDouble::start(config).await?;
        let folder = TempDir::with_prefix("soak-")?;
        let shown = write_access(folder.path())?;
        let text = config_text(folder.path(), &double.url(), 0);
        fs::write(folder.path().join("wharfd.toml"), text)?;
        let mut command = Command::new(product("wharfd")?);
        command.args(["serve", "--config"]).arg(folder.path().join("wharfd.toml"));
        command.env(PASSWORD_VARIABLE, PASSWORD).env("WHARFD_LOG", "warn,wharfd=info");
        let mut process = Process::spawn("wharfd", &mut command, folder.path())?;
        let address = |words: &'static str| {
            move |line: &str| line.split_once(words)?.1.trim().parse::<SocketAddr>().ok()
        };
        let addr = process.wait_for_line(START, address("listening on ")).await?;
        let admin = process.wait_for_line(START, address("admin on ")).await?;
        let mut bytes = Vec::new();
        std::io::copy(
            &mut noise(1, LAYER_BYTES.iter().max().copied().unwrap_or(0) as u64),
            &mut bytes,
        )?;
        let mut world = Self {
            counts: Counts::default(),
            images: Vec::new(),
            double,
            process: Mutex::new(process),
            addr,
            admin,
            folder,
            noise: bytes.into(),
            shown,
            large: Semaphore::new(LARGE_AT_ONCE),
            troubles: Mutex::default(),
            registry,
        };
        world.plant().await?;
        Ok(Some(world))
    }

    /// Pushes the images past `wharfd`, so its store starts empty.
    async fn plant(&mut self) -> anyhow::Result<()> {
        let (client, base) = (Client::new(), self.registry.url());
        for number in 0..IMAGES {
            let repo = format!("always/{number}");
            let mut blobs = vec![self.layer(format!("config of {repo}\n"), 400)];
            for size in LAYER_BYTES {
                blobs.push(self.layer(format!("{size} bytes of {repo}\n"), size));
            }
            for blob in &blobs {
                let url = format!("{base}/v2/{repo}/blobs/uploads/");
                let opened = client.post(url).send().await?;
                let location = opened.header("location").to_owned();
                let joint = if location.contains('?') { '&' } else { '?' };
                let url = format!("{location}{joint}digest={}", blob.digest);
                let put = client.put(url).bytes(self.content(blob)).send().await?;
                ensure!(put.status == 201, "planting: {}", put.text());
            }
            let manifest = Bytes::from(manifest(&blobs, number));
            let call = client.put(format!("{base}/v2/{repo}/manifests/v1"));
            let call = call.header("content-type", MANIFEST_TYPE).bytes(manifest.clone());
            let put = call.send().await?;
            ensure!(put.status == 201, "planting: {}", put.text());
            self.images.push(Image { repo, manifest, blobs });
        }
        Ok(())
    }

    /// A layer of this title; its content is the title and noise.
    pub(crate) fn layer(&self, title: String, size: usize) -> Layer {
        let mut layer = Layer { title, size, digest: String::new() };
        layer.digest = sha256(&self.content(&layer));
        layer
    }

    pub(crate) fn content(&self, layer: &Layer) -> Bytes {
        let rest = self.noise.get(layer.title.len()..layer.size).unwrap_or_default();
        [layer.title.as_bytes(), rest].concat().into()
    }

    /// Whether these bytes are those of a layer from there on; nothing is copied.
    pub(crate) fn is_part(&self, layer: &Layer, at: usize, data: &[u8]) -> bool {
        let titled = data.len().min(layer.title.len().saturating_sub(at));
        let (in_title, rest) = data.split_at(titled);
        let from = at + titled;
        layer
            .title
            .as_bytes()
            .get(at.min(layer.title.len())..)
            .unwrap_or_default()
            .starts_with(in_title)
            && from + rest.len() <= layer.size
            && self.noise.get(from..from + rest.len()) == Some(rest)
    }

    pub(crate) fn content_bytes(&self) -> u64 {
        self.images.iter().flat_map(|image| &image.blobs).map(|blob| blob.size as u64).sum()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn host(&self) -> String {
        self.addr.to_string()
    }

    /// The credentials of the client with this number.
    pub(crate) fn shown(&self, number: u64) -> &str {
        let index = usize::try_from(number).unwrap_or(0) % self.shown.len();
        &self.shown[index]
    }

    /// The folder of the store.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Writes another right configuration.
    pub(crate) fn reconfigure(&self, number: u64) -> anyhow::Result<()> {
        let text = config_text(self.folder.path(), &self.double.url(), number);
        Ok(fs::write(self.folder.path().join("wharfd.toml"), text)?)
    }

    /// Writes a wrong configuration.
    pub(crate) fn misconfigure(&self, number: u64) -> anyhow::Result<()> {
        let text = config_text(self.folder.path(), &self.double.url(), number);
        let text = format!("no_such_key = {number}\n{text}");
        Ok(fs::write(self.folder.path().join("wharfd.toml"), text)?)
    }

    /// Asks `wharfd` to read its configuration again.
    pub(crate) fn hang_up(&self) -> anyhow::Result<()> {
        self.lock().signal(wharf_testkit::processes::Signal::HUP)
    }

    /// Starts a period of announced errors; the drop of the returned guard ends it.
    pub(crate) fn trouble(&self) -> Trouble<'_> {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        troubles.push((now, now + START));
        Trouble { world: self, index: troubles.len() - 1 }
    }

    /// Whether an error of a request begun at this time is announced.
    pub(crate) fn is_announced(&self, began: Instant) -> bool {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.last().is_some_and(|(_, end)| began <= *end + ECHO)
    }

    pub(crate) fn log_tail(&self) -> String {
        let log = self.lock().stderr();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(40)..).unwrap_or_default().join("\n")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let text = self.metrics().await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.with_context(|| format!("no metric {name}"))?.parse().with_context(|| name.to_owned())
    }

    async fn metrics(&self) -> anyhow::Result<String> {
        let url = format!("http://{}/metrics", self.admin);
        Ok(Client::new().get(url).send().await?.text())
    }

    /// The resources of `wharfd` without requests, after its connections have closed.
    pub(crate) async fn at_rest(&self) -> anyhow::Result<Vitals> {
        let (pid, deadline) = (self.lock().pid(), Instant::now() + REST);
        loop {
            let busy = self.metric("wharfd_fills").await? + self.metric("wharfd_uploads").await?;
            if busy == 0 {
                break;
            }
            ensure!(Instant::now() < deadline, "{busy} fills and uploads go on without clients");
            sleep(Duration::from_millis(50)).await;
        }
        let mut best = Vitals::of(pid)?;
        let mut calm = 0;
        while calm < 10 && Instant::now() < deadline {
            sleep(Duration::from_millis(200)).await;
            let next = Vitals::of(pid)?;
            calm = if next.sockets < best.sockets { 0 } else { calm + 1 };
            best = next;
        }
        Ok(best)
    }

    /// Reports the figures of the store and of the upstream.
    pub(crate) async fn report(&self) -> anyhow::Result<()> {
        let text = self.metrics().await?;
        let interesting = [
            "wharfd_reads_total",
            "wharfd_requests_total",
            "wharfd_failures_total",
            "wharfd_store_evicted_blobs_total",
            "wharfd_store_quarantined_blobs",
            "wharfd_store_disk_bytes",
        ];
        for line in
            text.lines().filter(|line| interesting.iter().any(|name| line.starts_with(name)))
        {
            println!("  {line}");
        }
        let evicted = self.metric("wharfd_store_evicted_blobs_total").await?;
        ensure!(evicted > 0, "nothing was evicted from a store of {STORE_LIMIT}");
        let quarantined = self.metric("wharfd_store_quarantined_blobs").await?;
        ensure!(quarantined == 0, "{quarantined} blobs are damaged");
        println!("  {} at rest in the store", mib(self.metric("wharfd_store_disk_bytes").await?));
        Ok(())
    }
}

/// While this lives, errors are announced.
pub(crate) struct Trouble<'a> {
    world: &'a World,
    index: usize,
}

impl Drop for Trouble<'_> {
    fn drop(&mut self) {
        let mut troubles = self.world.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, end)) = troubles.get_mut(self.index) {
            *end = Instant::now();
        }
    }
}
