//! The good party: rounds of a fixed mix, each on a connection of its own, as a client of a registry makes
//! one for each pull and push.
//!
//! A round: `/v2/`, HEAD and GET of a small manifest, a hot blob of 1 MiB, a push of an image with
//! a layer of 256 KiB, and a fresh blob and a fresh manifest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};
use wharf_testkit::http::{Answer, Body, empty, full};
use wharf_testkit::images::sha256;

use super::content::{Cold, HOT_BYTES, INDEX_TYPE, SMALL_TAG};
use super::ground::Scene;
use super::line::{Line, Party};
use crate::fixture::noise;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER_BYTES: usize = 256 * 1024;
/// The pause after a failed round; a polite client does not hurry then.
const PAUSE: Duration = Duration::from_millis(50);

/// The party with its content and its progress.
pub(super) struct Good {
    party: Party,
    repo: String,
    hot: String,
    cold: Arc<Cold>,
    layer: Vec<u8>,
    round: usize,
    number: usize,
    slowest: (Duration, &'static str),
}

/// The figures of some rounds.
pub(super) struct Measured {
    rounds: usize,
    took: Duration,
    /// The errors, and their numbers.
    pub(super) errors: BTreeMap<String, usize>,
    /// The slowest step, and its time.
    pub(super) slowest: (Duration, &'static str),
}

impl Measured {
    /// Whole rounds in a second.
    pub(super) fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.rounds).unwrap_or(u32::MAX)) / self.took.as_secs_f64()
    }
}

impl Good {
    pub(super) fn new(scene: &Scene) -> Self {
        Self {
            party: scene.good.clone(),
            repo: scene.content.repo.clone(),
            hot: scene.content.hot.clone(),
            cold: Arc::clone(&scene.cold),
            layer: noise(7_000 + scene.number as u64, LAYER_BYTES),
            round: 0,
            number: scene.number,
            slowest: Default::default(),
        }
    }

    /// One unmeasured round; it caches the hot content.
    pub(super) async fn warm(&mut self) {
        self.round().await.unwrap();
    }

    /// Round after round, for so long; the last one to its end.
    pub(super) async fn measure(&mut self, time: Duration) -> Measured {
        let began = Instant::now();
        let (mut rounds, mut errors) = (0, BTreeMap::new());
        self.slowest = Default::default();
        while began.elapsed() < time {
            match self.round().await {
                Ok(()) => rounds += 1,
                Err(error) => {
                    *errors.entry(format!("{error:#}")).or_default() += 1;
                    sleep(PAUSE).await;
                }
            }
        }
        Measured { rounds, took: began.elapsed(), errors, slowest: self.slowest }
    }

    async fn round(&mut self) -> anyhow::Result<()> {
        self.round += 1;
        let mut line = Line::open(&self.party).await.context("connecting")?;
        let done = self.work(&mut line).await;
        self.slowest = self.slowest.max(line.slowest);
        done
    }

    async fn work(&mut self, line: &mut Line) -> anyhow::Result<()> {
        self.read(line).await?;
        self.push(line).await?;
        self.read_cold(line).await
    }

    async fn read(&self, line: &mut Line) -> anyhow::Result<()> {
        let repo = &self.repo;
        ask(line, "/v2/", Method::GET, "/v2/", 200).await?;
        let manifest = format!("/v2/{repo}/manifests/{SMALL_TAG}");
        ask(line, "HEAD manifest", Method::HEAD, &manifest, 200).await?;
        ask(line, "GET manifest", Method::GET, &manifest, 200).await?;
        let blob = format!("/v2/{repo}/blobs/{}", self.hot);
        let answer = ask(line, "GET blob", Method::GET, &blob, 200).await?;
        ensure!(answer.body.len() == HOT_BYTES, "GET blob: a part");
        Ok(())
    }

    async fn push(&mut self, line: &mut Line) -> anyhow::Result<()> {
        let serial = (self.number as u64) << 32 | self.round as u64;
        self.layer[..8].copy_from_slice(&serial.to_be_bytes());
        let layer = Bytes::copy_from_slice(&self.layer);
        let config = Bytes::from(json!({ "image": serial }).to_string());
        let (layer, config) = (self.blob(line, layer).await?, self.blob(line, config).await?);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": [layer], "config": config,
        });
        let path = format!("/v2/{}/manifests/r{}", self.repo, self.round);
        let headers = [("content-type", MANIFEST_TYPE)];
        let body = full(manifest.to_string());
        send(line, ("PUT manifest", Method::PUT, &path), &headers, body, 201).await.map(drop)
    }

    /// Pushes a blob; returns its descriptor.
    async fn blob(&self, line: &mut Line, content: Bytes) -> anyhow::Result<serde_json::Value> {
        let path = format!("/v2/{}/blobs/uploads/", self.repo);
        let answer = ask(line, "POST upload", Method::POST, &path, 202).await?;
        let (location, digest) = (answer.header("location").to_owned(), sha256(&content));
        let joint = if location.contains('?') { '&' } else { '?' };
        let (path, size) = (format!("{location}{joint}digest={digest}"), content.len());
        send(line, ("PUT upload", Method::PUT, &path), &[], full(content), 201).await?;
        Ok(json!({ "mediaType": "application/x", "digest": digest, "size": size }))
    }

    async fn read_cold(&self, line: &mut Line) -> anyhow::Result<()> {
        let item = &self.cold.items[self.round % self.cold.items.len()];
        let (repo, blob, manifest) = (&item.repo, &item.blob, &item.manifest);
        let path = format!("/v2/{repo}/manifests/{manifest}");
        ask(line, "GET cold manifest", Method::GET, &path, 200).await?;
        let path = format!("/v2/{repo}/blobs/{blob}");
        ask(line, "GET cold blob", Method::GET, &path, 200).await.map(drop)
    }
}

async fn ask(
    line: &mut Line,
    what: &'static str,
    method: Method,
    path: &str,
    expected: u16,
) -> anyhow::Result<Answer> {
    let accept = [("accept", INDEX_TYPE), ("accept", MANIFEST_TYPE)];
    let headers = if path.contains("/manifests/") { &accept[..] } else { &[] };
    send(line, (what, method, path), headers, empty(), expected).await
}

async fn send(
    line: &mut Line,
    (what, method, path): (&'static str, Method, &str),
    headers: &[(&str, &str)],
    body: Body,
    expected: u16,
) -> anyhow::Result<Answer> {
    let request = line.request(method, path);
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let began = Instant::now();
    let answer = line.send(request.body(body)?).await.with_context(|| what.to_owned());
    line.slowest = line.slowest.max((began.elapsed(), what));
    let answer = answer?;
    let status = answer.status.as_u16();
    ensure!(status == expected, "{what}: {status} {}", answer.text().trim());
    Ok(answer)
}
