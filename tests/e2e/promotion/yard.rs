//! Two registries, images in one of them, and `wharf promote` between the two.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_double::{Account, AcrDouble, DoubleConfig, Habits, Redirects, Referrers};
use wharf_testkit::http::Client;
use wharf_testkit::images::sha256;
use wharf_testkit::processes::product;
use wharf_testkit::registry::Registry;

use crate::fixture::noise;
use crate::sources::{Said, shell};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const USER: &str = "publisher";
const PASSWORD: &str = "a secret";

/// Whether the images stay in their registry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sides {
    One,
    Two,
}

/// The registries, the images and a folder for plans.
pub(crate) struct Yard {
    pub(crate) source: AcrDouble,
    other: Option<AcrDouble>,
    source_backing: Registry,
    other_backing: Option<Registry>,
    client: Client,
    folder: TempDir,
    images: Vec<Image>,
    /// How often a plan was made: each has a file of its own.
    plans: Cell<u32>,
}

/// An image of two platforms, the second with a tag of its own.
struct Image {
    blobs: BTreeMap<String, Bytes>,
    /// The blobs of each platform: those of both count twice.
    index: String,
}

impl Yard {
    /// Registries without a referrers API and without redirects, as docker-registry.
    pub(crate) async fn start(images: usize, sides: Sides) -> Option<Self> {
        let layers: Vec<usize> = vec![30_000; images];
        Self::with_layers(&layers, sides).await
    }

    /// One image for each of these sizes of a layer of its own.
    pub(crate) async fn with_layers(layers: &[usize], sides: Sides) -> Option<Self> {
        let source_backing = Registry::start().await.unwrap()?;
        let other_backing = match sides {
            Sides::One => None,
            Sides::Two => Some(Registry::start().await.unwrap()?),
        };
        let source = double(&source_backing, Account::admin(USER, PASSWORD)).await;
        let other = match &other_backing {
            Some(backing) => Some(double(backing, Account::admin(USER, PASSWORD)).await),
            None => None,
        };
        let (client, folder) = (Client::new(), TempDir::with_prefix("promotion-").unwrap());
        let (images, plans) = (Vec::new(), Cell::new(0));
        let mut yard =
            Self { source, other, source_backing, other_backing, client, folder, images, plans };
        for (number, bytes) in layers.iter().enumerate() {
            yard.add(number, *bytes).await;
        }
        let mut images = "images:\n".to_owned();
        for number in 0..layers.len() {
            let _ = writeln!(
                images,
                "  - {{ repository: team/image-{number}, tags: ['1.0-arm64', '1.0', latest], to: \
                 [shop/image-{number}] }}"
            );
        }
        yard.write_images(&images);
        let login = |host: String| {
            let pair = base64::Engine::encode(
                &base64::engine::general_purpose::STANDARD,
                format!("{USER}:{PASSWORD}"),
            );
            (host, json!({ "auth": pair }))
        };
        let hosts = [yard.source.addr(), yard.destination().addr()];
        let auths: BTreeMap<String, Value> =
            hosts.into_iter().map(|addr| login(addr.to_string())).collect();
        fs::write(yard.path("auth.json"), json!({ "auths": auths }).to_string()).unwrap();
        Some(yard)
    }

    pub(crate) fn destination(&self) -> &AcrDouble {
        self.other.as_ref().unwrap_or(&self.source)
    }

    fn destination_backing(&self) -> &Registry {
        self.other_backing.as_ref().unwrap_or(&self.source_backing)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file of images, after its registries.
    pub(crate) fn write_images(&self, images: &str) {
        let (source, destination) = (self.source.addr(), self.destination().addr());
        let text = format!(
            "version: 1\nregistries:\n  staging: {{ loginServer: \"{source}\", plainHttp: true }}\n  \
             production: {{ loginServer: \"{destination}\", plainHttp: true }}\n{images}"
        );
        fs::write(self.path("images.yaml"), text).unwrap();
    }

    /// Puts an image straight into the source.
    async fn add(&mut self, number: usize, layer_bytes: usize) {
        let repo = format!("team/image-{number}");
        let base = Bytes::from(noise(1, 50_000));
        let own = Bytes::from(noise(1000 + number as u64, layer_bytes));
        let mut blobs = BTreeMap::new();
        let mut children = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let config = json!({"architecture": architecture, "os": "linux", "n": number});
            let config = Bytes::from(config.to_string());
            let described = |media_type: &str, blob: &Bytes| json!({"mediaType": media_type, "digest": sha256(blob), "size": blob.len()});
            let manifest = json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "config": described(CONFIG, &config),
                "layers": [described(LAYER, &base), described(LAYER, &own)],
            });
            for blob in [&config, &base, &own] {
                if blobs.insert(sha256(blob), blob.clone()).is_none() {
                    self.put_blob(&repo, blob).await;
                }
            }
            let manifest = manifest.to_string();
            let digest = self.put_manifest(&repo, None, MANIFEST, &manifest).await;
            if architecture == "arm64" {
                self.put_manifest(&repo, Some("1.0-arm64"), MANIFEST, &manifest).await;
            }
            children.push(json!({
                "mediaType": MANIFEST, "digest": digest, "size": manifest.len(),
                "platform": {"os": "linux", "architecture": architecture},
            }));
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children});
        let index = index.to_string();
        for tag in ["1.0", "latest"] {
            self.put_manifest(&repo, Some(tag), INDEX, &index).await;
        }
        self.images.push(Image { blobs, index });
    }

    async fn put_blob(&self, repo: &str, blob: &Bytes) {
        let base = self.source_backing.url();
        let opened = self.client.post(format!("{base}/v2/{repo}/blobs/uploads/")).send().await;
        let location = opened.unwrap().header("location").to_owned();
        let address = format!("{location}&digest={}", sha256(blob));
        let put = self.client.put(address).bytes(blob.clone()).send().await.unwrap();
        assert_eq!(put.status.as_u16(), 201, "{}", put.text());
    }

    async fn put_manifest(&self, repo: &str, tag: Option<&str>, kind: &str, text: &str) -> String {
        self.put_manifest_on(&self.source_backing, (repo, tag), kind, text).await
    }

    async fn put_manifest_on(
        &self,
        registry: &Registry,
        (repo, tag): (&str, Option<&str>),
        kind: &str,
        text: &str,
    ) -> String {
        let digest = sha256(text.as_bytes());
        let reference = tag.unwrap_or(&digest);
        let url = format!("{}/v2/{repo}/manifests/{reference}", registry.url());
        let put = self.client.put(url).header("content-type", kind).bytes(text.to_owned());
        let put = put.send().await.unwrap();
        assert_eq!(put.status.as_u16(), 201, "{}", put.text());
        digest
    }

    /// Points a tag of the destination at something else.
    pub(crate) async fn point_elsewhere(&self, repo: &str, tag: &str) -> String {
        let empty = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string();
        self.put_manifest_on(self.destination_backing(), (repo, Some(tag)), INDEX, &empty).await
    }

    /// Deletes a blob or manifest of the source, past the double.
    pub(crate) async fn delete_from_source(&self, path: &str) {
        let url = format!("{}/v2/{path}", self.source_backing.url());
        let deleted = self.client.call(Method::DELETE, url).send().await.unwrap();
        assert_eq!(deleted.status.as_u16(), 202, "{}", deleted.text());
    }

    /// The digests of the blobs of one image.
    pub(crate) fn digests_of(&self, number: usize) -> Vec<String> {
        self.images[number].blobs.keys().cloned().collect()
    }

    /// The digests of all blobs.
    pub(crate) fn digests(&self) -> BTreeSet<String> {
        self.images.iter().flat_map(|image| image.blobs.keys().cloned()).collect()
    }

    pub(crate) fn distinct_blobs(&self) -> u64 {
        self.digests().len() as u64
    }

    /// The blobs of each image: a blob of two images counts twice.
    pub(crate) fn blobs_of_images(&self) -> u64 {
        self.images.iter().map(|image| image.blobs.len() as u64).sum()
    }

    pub(crate) fn distinct_bytes(&self) -> u64 {
        let all: BTreeMap<&String, &Bytes> = self.images.iter().flat_map(|at| &at.blobs).collect();
        all.values().map(|blob| blob.len() as u64).sum()
    }

    /// The digest of the child with this index in an image.
    pub(crate) fn child(&self, number: usize, child: usize) -> String {
        let index: Value = serde_json::from_str(&self.images[number].index).unwrap();
        index["manifests"][child]["digest"].as_str().unwrap().to_owned()
    }

    pub(crate) fn reset_counts(&self) {
        self.source.reset_counts();
        self.destination().reset_counts();
    }

    fn words(&self, words: &[&str], more: &[&str]) -> Vec<String> {
        let auth = self.path("auth.json").to_str().unwrap().to_owned();
        let mut all = vec!["--authfile".to_owned(), auth];
        all.extend(words.iter().chain(more).map(|word| (*word).to_owned()));
        all
    }

    async fn wharf(&self, words: &[String]) -> Said {
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        shell("exec \"$0\" \"$@\" </dev/null", &words).await
    }

    fn plan_file(&self) -> String {
        self.path(&format!("plan-{}.json", self.plans.get())).to_str().unwrap().to_owned()
    }

    pub(crate) fn ledger(&self) -> String {
        format!("{}.ledger", self.plan_file())
    }

    /// Makes a plan in a file of its own.
    pub(crate) async fn plan(&self, more: &[&str]) -> Said {
        self.plans.set(self.plans.get() + 1);
        let (images, plan) = (self.path("images.yaml"), self.plan_file());
        let images = images.to_str().unwrap();
        let words = ["promote", "plan", "--images", images, "--from", "staging", "--to"];
        let words = [&words[..], &["production", "--output", &plan]].concat();
        self.wharf(&self.words(&words, more)).await
    }

    pub(crate) fn apply_words(&self, more: &[&str]) -> Vec<String> {
        self.words(&["promote", "apply", &self.plan_file()], more)
    }

    pub(crate) async fn apply(&self, more: &[&str]) -> Said {
        self.wharf(&self.apply_words(more)).await
    }

    pub(crate) async fn of_ledger(&self, what: &str) -> Said {
        let words = self.words(&["promote", what, &self.ledger()], &["--output-format", "json"]);
        self.wharf(&words).await
    }

    /// Starts an apply, for a test to end it.
    pub(crate) fn start_apply(&self, more: &[&str]) -> tokio::process::Child {
        let mut command = tokio::process::Command::new(product("wharf").unwrap());
        command.args(self.apply_words(more)).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Whether the upload that the ledger names last has so many bytes.
    pub(crate) async fn has_session_of(&self, bytes: u64) -> bool {
        let ledger = fs::read_to_string(self.ledger()).unwrap_or_default();
        let mut lines = ledger.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let Some(session) = lines.rfind(|line| line["event"] == "session") else {
            return false;
        };
        let location = session["location"].as_str().unwrap();
        let asked = self.client.get(location).basic(USER, PASSWORD).send().await.unwrap();
        asked.header("range") == format!("0-{}", bytes - 1)
    }

    /// Plans and applies everything.
    pub(crate) async fn promote(&self) {
        let planned = self.plan(&[]).await;
        assert_eq!(planned.code, 0, "{}", planned.stderr);
        let applied = self.apply(&[]).await;
        assert_eq!(applied.code, 0, "{}\n{}", applied.stdout, applied.stderr);
    }

    /// Where a tag of the destination points.
    pub(crate) async fn tag(&self, repo: &str, tag: &str) -> Option<String> {
        let found = self.manifest(repo, tag).await?;
        Some(sha256(&found))
    }

    async fn manifest(&self, repo: &str, reference: &str) -> Option<Bytes> {
        let url = format!("{}/v2/{repo}/manifests/{reference}", self.destination_backing().url());
        let accept = format!("{INDEX},{MANIFEST}");
        let got = self.client.get(url).header("accept", accept).send().await.unwrap();
        (got.status.as_u16() == 200).then_some(got.body)
    }

    /// Every image is whole at the destination, byte for byte.
    pub(crate) async fn assert_promoted(&self) {
        for number in 0..self.images.len() {
            self.assert_image(number).await;
        }
    }

    pub(crate) async fn assert_image(&self, number: usize) {
        let repo = format!("shop/image-{number}");
        for tag in ["1.0", "latest"] {
            let index = self.manifest(&repo, tag).await.unwrap_or_else(|| panic!("{repo}:{tag}"));
            assert_eq!(index, self.images[number].index);
        }
        for tag in ["1.0-arm64", "1.0", "latest"] {
            self.assert_whole(&repo, tag).await;
        }
    }

    /// What a tag points at has all its parts.
    pub(crate) async fn assert_whole(&self, repo: &str, tag: &str) {
        let mut waiting = vec![tag.to_owned()];
        while let Some(reference) = waiting.pop() {
            let found = self.manifest(repo, &reference).await;
            let found = found.unwrap_or_else(|| panic!("{repo} has no {reference}"));
            let manifest: Value = serde_json::from_slice(&found).unwrap();
            let digest = |part: &Value| part["digest"].as_str().unwrap().to_owned();
            let parts = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
            waiting.extend(parts("manifests").iter().map(digest));
            let config = manifest.get("config").cloned();
            for part in parts("layers").iter().chain(&config) {
                let base = self.destination_backing().url();
                let url = format!("{base}/v2/{repo}/blobs/{}", digest(part));
                let got = self.client.head(url).send().await.unwrap();
                assert_eq!(got.status.as_u16(), 200, "{repo} {}", digest(part));
            }
        }
    }

    /// Every tag that is there has all its parts.
    pub(crate) async fn assert_no_half_tag(&self) {
        for number in 0..self.images.len() {
            let repo = format!("shop/image-{number}");
            for tag in ["1.0-arm64", "1.0", "latest"] {
                if self.tag(&repo, tag).await.is_some() {
                    self.assert_whole(&repo, tag).await;
                }
            }
        }
    }
}

async fn double(backing: &Registry, account: Account) -> AcrDouble {
    let config = DoubleConfig::new(backing.url()).account(account);
    let habits = Habits {
        basic_only: true,
        redirects: Redirects::Never,
        referrers: Referrers::Absent,
        ..Habits::default()
    };
    AcrDouble::start(DoubleConfig { habits, ..config }).await.unwrap()
}
