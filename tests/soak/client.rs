//! One client: its requests, and its checks of the responses. The client reads every body to its
//! end and checks it; an error is accepted only during announced trouble.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep};
use wharf_oci::{Algorithm, Digester};
use wharf_testkit::dice::Dice;
use wharf_testkit::http::{Answer, Call, Client, chunked};

use crate::acts;
use crate::counts::What;
use crate::world::{LARGE_BYTES, Layer, MANIFEST_TYPE, World};

/// How long one request may take; longer than any patience of `wharfd` with its upstream.
const PATIENCE: Duration = Duration::from_mins(4);
/// The size of a piece of content without a declared length.
const PIECE_BYTES: usize = 50_000;
/// The size of a blob's piece on its way to the client; the last piece waits for the proof of the
/// blob.
const SEGMENT_BYTES: usize = 256 * 1024;
/// The longest pause of a client after `Retry-After`.
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// The state of a client over its requests.
pub(crate) struct Visitor {
    pub(crate) world: Arc<World>,
    pub(crate) number: u64,
    pub(crate) dice: Dice,
    pub(crate) client: Client,
    /// Pushed and not yet deleted: tags of the client's repository with the digest of the manifest.
    pub(crate) pushed: Vec<(String, String, Vec<Layer>)>,
    pub(crate) pushes: u64,
}

/// A request, before it is sent.
#[derive(Clone)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    header: Option<(&'static str, String)>,
    content: Bytes,
    in_pieces: bool,
}

impl Ask {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), header: None, content: Bytes::new(), in_pieces: false }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn header(self, name: &'static str, value: impl Into<String>) -> Self {
        Self { header: Some((name, value.into())), ..self }
    }

    pub(crate) fn content(self, content: impl Into<Bytes>) -> Self {
        Self { content: content.into(), ..self }
    }

    /// Sends the content without saying how long it is.
    pub(crate) fn in_pieces(self, in_pieces: bool) -> Self {
        Self { in_pieces, ..self }
    }
}

/// The outcome of a request.
pub(crate) enum Went {
    /// The right response.
    Well(Answer),
    /// A refusal during announced trouble.
    Away,
}

/// Acts until it is time.
pub(crate) async fn run(
    world: Arc<World>,
    number: u64,
    dice: Dice,
    until: Instant,
) -> anyhow::Result<()> {
    let (client, pushed) = (Client::new(), Vec::new());
    let mut visitor = Visitor { world, number, dice, client, pushed, pushes: 0 };
    while Instant::now() < until {
        acts::next(&mut visitor).await.with_context(|| format!("client {number}"))?;
    }
    acts::tidy(&mut visitor).await.with_context(|| format!("client {number}"))
}

impl Visitor {
    fn call(&self, ask: Ask) -> Call<'_> {
        let call = self.client.call(ask.method, self.world.url(&ask.path));
        let call = call.header("authorization", self.world.shown(self.number));
        let call = match ask.header {
            Some((name, value)) => call.header(name, value),
            None => call,
        };
        if ask.in_pieces {
            let parts = ask.content.chunks(PIECE_BYTES).map(Bytes::copy_from_slice);
            return call.body(chunked(parts.collect()));
        }
        call.bytes(ask.content)
    }

    /// Sends a request and reads its response: one of these statuses, or an announced error.
    pub(crate) async fn send(&mut self, ask: Ask, right: &[u16]) -> anyhow::Result<Went> {
        let (began, what) = (Instant::now(), format!("{} {}", ask.method, ask.path));
        let sent = tokio::time::timeout(PATIENCE, self.call(ask).send()).await;
        let sent = sent.with_context(|| format!("no answer to {what}"))?;
        match sent {
            Ok(answer) if right.contains(&answer.status.as_u16()) => Ok(Went::Well(answer)),
            Ok(answer) => {
                let after = answer.header("retry-after").to_owned();
                let away = self.turned_away(answer.status, &after, &answer.text(), began).await;
                away.context(what)?;
                Ok(Went::Away)
            }
            Err(error) => {
                self.broken(began, error)?;
                Ok(Went::Away)
            }
        }
    }

    /// Accepts a refusal if it was announced, else fails.
    async fn turned_away(
        &mut self,
        status: StatusCode,
        retry_after: &str,
        text: &str,
        began: Instant,
    ) -> anyhow::Result<()> {
        let counts = &self.world.counts;
        match status.as_u16() {
            429 => {
                let seconds: u64 = retry_after.parse().context("429 without Retry-After")?;
                counts.one(What::Shed);
                sleep(Duration::from_secs(seconds).min(PAUSE_MAX)).await;
            }
            507 => counts.one(What::Full),
            500 => bail!("500: {text}"),
            501.. if self.world.is_announced(began) => {
                counts.one(What::Announced);
                sleep(Duration::from_millis(100 + self.dice.below(400))).await;
            }
            other => bail!("{other} {text}"),
        }
        Ok(())
    }

    /// Accepts a broken connection if it was announced, else fails.
    fn broken(&self, began: Instant, error: anyhow::Error) -> anyhow::Result<()> {
        if !self.world.is_announced(began) {
            return Err(error.context("a connection broke"));
        }
        self.world.counts.one(What::Announced);
        Ok(())
    }

    /// Reads a blob, or a part of it, and checks each byte; `stop` breaks it off after so many.
    pub(crate) async fn read_blob(
        &mut self,
        repo: &str,
        blob: &Layer,
        part: Option<(usize, usize)>,
        stop: Option<usize>,
    ) -> anyhow::Result<bool> {
        let world = Arc::clone(&self.world);
        let _turn = match blob.size {
            LARGE_BYTES.. => Some(world.large.acquire().await?),
            _ => None,
        };
        let began = Instant::now();
        let mut ask = Ask::get(format!("/v2/{repo}/blobs/{}", blob.digest));
        if let Some((first, last)) = part {
            ask = ask.header("range", format!("bytes={first}-{last}"));
        }
        let started = tokio::time::timeout(PATIENCE, self.call(ask).start()).await;
        let started = started.context("no answer")?;
        let answer = match started {
            Ok(answer) => answer,
            Err(error) => return self.broken(began, error).map(|()| false),
        };
        let right = if part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        if answer.status() != right {
            let status = answer.status();
            let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
            let after = after.unwrap_or_default().to_owned();
            let body = answer.into_body().collect().await.map(http_body_util::Collected::to_bytes);
            let text = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
            self.turned_away(status, &after, &text, began).await?;
            return Ok(false);
        }
        let read = self.check_body(answer, blob, part, stop);
        match tokio::time::timeout(PATIENCE, read).await.context("a body stands still")? {
            Ok(whole) => Ok(whole),
            Err(Wrong::Bytes(why)) => bail!("{} of {repo}: {why}", blob.digest),
            Err(Wrong::Broken(error)) => self.broken(began, error).map(|()| false),
        }
    }

    /// A blob is passed on while it arrives, before it is proven: wrong bytes of the upstream may come,
    /// but then the body breaks off before its end. Not so a part, or a blob of one segment.
    async fn check_body(
        &self,
        answer: Response<Incoming>,
        blob: &Layer,
        part: Option<(usize, usize)>,
        stop: Option<usize>,
    ) -> Result<bool, Wrong> {
        let (first, last) = part.unwrap_or((0, blob.size - 1));
        let right = last - first + 1;
        let mut digester = Digester::new(Algorithm::Sha256);
        let (mut body, mut received, mut other) = (answer.into_body(), 0, None);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Wrong::Broken(error.into()))?;
            let data = frame.into_data().unwrap_or_default();
            if other.is_none() && !self.world.is_part(blob, first + received, &data) {
                let why = format!("other bytes at {}", first + received);
                if part.is_some() || blob.size <= SEGMENT_BYTES {
                    return Err(Wrong::Bytes(why));
                }
                other = Some(why);
            }
            digester.update(&data);
            received += data.len();
            self.world.counts.add(What::Bytes, data.len() as u64);
            if stop.is_some_and(|stop| received >= stop) {
                // Its end is not seen, so it counts as broken off.
                return other.map_or(Ok(false), |why| Err(Wrong::Broken(anyhow!(why))));
            }
        }
        if let Some(why) = other {
            return Err(Wrong::Bytes(format!("a whole body with {why}")));
        }
        if received != right {
            return Err(Wrong::Bytes(format!("{received} of {right} bytes")));
        }
        if part.is_none() && digester.finish().digest.to_string() != blob.digest {
            return Err(Wrong::Bytes("another digest".to_owned()));
        }
        Ok(true)
    }

    /// A manifest, byte for byte.
    pub(crate) async fn read_manifest(
        &mut self,
        repo: &str,
        reference: &str,
        right: &Bytes,
    ) -> anyhow::Result<bool> {
        let path = format!("/v2/{repo}/manifests/{reference}");
        let ask = Ask::get(&path).header("accept", MANIFEST_TYPE);
        let Went::Well(answer) = self.send(ask, &[200]).await? else { return Ok(false) };
        ensure!(answer.body == *right, "{path}: another manifest: {}", answer.text());
        self.world.counts.add(What::Bytes, right.len() as u64);
        Ok(true)
    }
}

enum Wrong {
    /// Wrong bytes.
    Bytes(String),
    /// It did not all come.
    Broken(anyhow::Error),
}
