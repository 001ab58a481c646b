//! Sends the model's acts over HTTP, and compares the responses.

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, sleep};
use wharf_oci::Algorithm;
use wharf_testkit::http::{Answer, Call, chunked};

use super::model::{Act, Content, Contents, Model, Named, Place, Right};
use crate::fixture::{Api, PATIENCE, code};

const POLL: Duration = Duration::from_millis(2);

/// The repositories of one run, as they are and as they should be.
pub(super) struct World {
    api: Api,
    /// Whether an upstream is behind.
    beyond: bool,
    name: String,
    contents: Contents,
    model: Model,
}

fn expect(answer: &Answer, right: Right) -> anyhow::Result<()> {
    let said = if right.code.is_empty() { String::new() } else { code(answer) };
    ensure!(
        (answer.status.as_u16(), said.as_str()) == (right.status, right.code),
        "{} {} instead of {right:?}",
        answer.status,
        answer.text()
    );
    Ok(())
}

fn ok(answer: &Answer, status: u16) -> anyhow::Result<()> {
    expect(answer, Right { status, code: "" })
}

impl World {
    pub(super) fn new(api: Api, beyond: bool, name: String, contents: Contents) -> Self {
        Self { api, beyond, name, contents, model: Model::default() }
    }

    fn repo(&self, repo: usize) -> String {
        format!("{}/{repo}", self.name)
    }

    pub(super) async fn act(&mut self, act: &Act) -> anyhow::Result<()> {
        let upload = match *act {
            Act::Open { repo, way, algorithm } => return self.open(repo, way, algorithm).await,
            Act::Whole { repo, way, size, named } => {
                return self.whole(repo, Content { way, size }, named).await;
            }
            Act::Mount { repo, blob, from } => return self.mount(repo, blob, from).await,
            Act::Head { repo, blob } => return self.head(repo, self.model.blob(blob)).await,
            Act::Get { repo, blob } => return self.get(repo, self.model.blob(blob)).await,
            Act::Patch { upload, .. }
            | Act::Broken { upload, .. }
            | Act::Busy { upload, .. }
            | Act::Finish { upload, .. }
            | Act::Status { upload, .. }
            | Act::Cancel { upload, .. } => upload,
        };
        let Some(upload) = self.model.upload(upload) else { return Ok(()) };
        let is_open = self.model.uploads[upload].open;
        match *act {
            Act::Patch { size, place, chunked, .. } => {
                self.patch(upload, size, place, chunked).await
            }
            Act::Broken { size, .. } if is_open => self.broken(upload, size).await,
            Act::Busy { size, .. } if is_open => self.busy(upload, size).await,
            Act::Finish { size, place, named, .. } => self.finish(upload, size, place, named).await,
            Act::Status { foreign, .. } => self.status(upload, foreign).await,
            Act::Cancel { foreign, .. } => self.cancel(upload, foreign).await,
            _ => Ok(()),
        }
    }

    /// Cancels the open uploads; every pushed blob is served.
    pub(super) async fn end(&mut self) -> anyhow::Result<()> {
        for upload in 0..self.model.uploads.len() {
            self.cancel(upload, false).await?;
        }
        for (repo, content, algorithm) in self.model.everything() {
            self.get(repo, (content, algorithm)).await.context("in the end")?;
        }
        Ok(())
    }

    async fn open(
        &mut self,
        repo: usize,
        way: usize,
        algorithm: Option<Algorithm>,
    ) -> anyhow::Result<()> {
        let query = algorithm.map(|algorithm| format!("?digest-algorithm={algorithm}"));
        let query = query.unwrap_or_default();
        let path = format!("/v2/{}/blobs/uploads/{query}", self.repo(repo));
        let answer = self.api.post(&path).send().await?;
        self.opened(repo, way, &answer)
    }

    fn opened(&mut self, repo: usize, way: usize, answer: &Answer) -> anyhow::Result<()> {
        ok(answer, 202)?;
        ensure!(answer.header("range") == "0-0", "range {:?}", answer.header("range"));
        let location = answer.header("location").to_owned();
        ensure!(location.starts_with("/v2/"), "location {location:?}");
        self.model.opened(repo, way, location);
        Ok(())
    }

    /// The bytes to add, the header for them, and their place in the model.
    fn addition(&self, upload: usize, size: usize, place: Place) -> (Bytes, Option<String>, Place) {
        let content = self.model.uploads[upload].content;
        let size = self.model.added(upload, size);
        let whole = Content { size: content.size + size, ..content };
        let bytes = Bytes::copy_from_slice(&self.contents.bytes(whole)[content.size..]);
        let at = content.size;
        let (place, first) = match place {
            // Nothing has no first and no last byte.
            _ if size == 0 && place != Place::Malformed => (Place::Nothing, at),
            Place::Behind if at == 0 => (Place::Nothing, at),
            Place::Behind => (place, at - 1),
            Place::Ahead => (place, at + 1),
            place => (place, at),
        };
        let range = match place {
            Place::Nothing => None,
            Place::Malformed => Some(format!("bytes {first}-{}/*", first + size)),
            Place::WrongSize => Some(format!("{first}-{}", first + size)),
            Place::Right | Place::Ahead | Place::Behind => {
                Some(format!("{first}-{}", first + size - 1))
            }
        };
        (bytes, range, place)
    }

    async fn patch(
        &mut self,
        upload: usize,
        size: usize,
        place: Place,
        in_chunks: bool,
    ) -> anyhow::Result<()> {
        let (bytes, range, place) = self.addition(upload, size, place);
        let (added, right) = (bytes.len(), self.model.refused(upload, place));
        let mut call = self.api.patch(&self.model.uploads[upload].location);
        // Without a length a wrong size shows only when all was taken.
        call = if in_chunks && place != Place::WrongSize {
            call.body(chunked(bytes.chunks(100_000).map(Bytes::copy_from_slice).collect()))
        } else {
            call.bytes(bytes)
        };
        let answer = ranged(call, range).send().await?;
        if let Some(right) = right {
            expect(&answer, right)?;
        } else {
            ok(&answer, 202)?;
            self.model.uploads[upload].content.size += added;
        }
        self.check_progress(upload, &answer)
    }

    /// A response to an open upload has its Location and its range.
    fn check_progress(&mut self, upload: usize, answer: &Answer) -> anyhow::Result<()> {
        if matches!(answer.status.as_u16(), 202 | 204 | 416) {
            let (range, right) = (answer.header("range"), self.model.range(upload));
            ensure!(range == right, "range {range:?} instead of {right:?}");
            let location = answer.header("location");
            ensure!(!location.is_empty(), "no location");
            location.clone_into(&mut self.model.uploads[upload].location);
        }
        Ok(())
    }

    /// A PATCH with a length of `promised`, and these bytes.
    async fn begin_patch(
        &self,
        upload: usize,
        promised: usize,
        bytes: &[u8],
    ) -> anyhow::Result<TcpStream> {
        let (location, host) = (&self.model.uploads[upload].location, self.api.host());
        let head = format!(
            "PATCH {location} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {promised}\r\n\
             connection: close\r\n\r\n"
        );
        let mut stream = TcpStream::connect(host).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(bytes).await?;
        Ok(stream)
    }

    /// Asks with an empty chunk until the upload is, or is not, in the hands of another request.
    async fn until_busy(&self, upload: usize, busy: bool) -> anyhow::Result<Answer> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let probe = self.api.patch(&self.model.uploads[upload].location).bytes("");
            let answer = probe.send().await?;
            match answer.status.as_u16() {
                409 | 202 if (answer.status == 409) == busy => return Ok(answer),
                409 | 202 => ensure!(Instant::now() < deadline, "busy: never {busy}"),
                other => bail!("{other} {}", answer.text()),
            }
            sleep(POLL).await;
        }
    }

    /// The same, once it has the upload.
    async fn held_patch(
        &self,
        upload: usize,
        promised: usize,
        bytes: &[u8],
    ) -> anyhow::Result<TcpStream> {
        loop {
            let stream = self.begin_patch(upload, promised, bytes).await?;
            tokio::select! {
                found = self.until_busy(upload, true) => {
                    expect(&found?, Right { status: 409, code: "BLOB_UPLOAD_INVALID" })?;
                    return Ok(stream);
                }
                // The question had the upload when this came, and it was turned away.
                readable = stream.readable() => readable?,
            }
        }
    }

    async fn broken(&mut self, upload: usize, size: usize) -> anyhow::Result<()> {
        let (bytes, ..) = self.addition(upload, size, Place::Nothing);
        drop(self.held_patch(upload, bytes.len() + 1, &bytes).await?);
        let answer = self.until_busy(upload, false).await?;
        let range = answer.header("range").strip_prefix("0-").context("a range")?;
        let (last, before) = (range.parse::<usize>()?, self.model.uploads[upload].content.size);
        let now = if last == 0 { before } else { last + 1 };
        // One byte more than nothing looks like nothing.
        let now = if before == 0 && bytes.len() == 1 { self.size_now(upload).await? } else { now };
        ensure!((before..=before + bytes.len()).contains(&now), "{now} after {before}");
        self.model.uploads[upload].content.size = now;
        Ok(())
    }

    /// The size of an upload with one byte or none.
    async fn size_now(&self, upload: usize) -> anyhow::Result<usize> {
        let call = self.api.patch(&self.model.uploads[upload].location);
        let answer = call.header("content-range", "5-5").bytes("x").send().await?;
        ok(&answer, 416)?;
        Ok(usize::from(answer.text().contains("has 1 bytes")))
    }

    async fn busy(&mut self, upload: usize, size: usize) -> anyhow::Result<()> {
        let (bytes, ..) = self.addition(upload, size, Place::Nothing);
        let (first, last) = bytes.split_at(bytes.len() / 2);
        let promised = bytes.len() + 1;
        let mut stream = self.held_patch(upload, promised, first).await?;
        let busy = Right { status: 409, code: "BLOB_UPLOAD_INVALID" };
        let location = self.model.uploads[upload].location.clone();
        expect(&self.api.delete(&location).await, busy)?;
        let digest = self.contents.digest(self.model.uploads[upload].content, Algorithm::Sha256);
        expect(&self.api.end_upload(&location, &digest.to_string(), "").await, busy)?;
        self.status(upload, false).await.context("while another writes")?;
        // All of it, and the next byte of the content after it.
        let content = self.model.uploads[upload].content;
        let whole = Content { size: content.size + promised, ..content };
        stream.write_all(last).await?;
        stream.write_all(&self.contents.bytes(whole)[whole.size - 1..]).await?;
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await?;
        let said = String::from_utf8_lossy(&said);
        ensure!(said.starts_with("HTTP/1.1 202"), "{said}");
        self.model.uploads[upload].content = whole;
        self.status(upload, false).await
    }

    fn digest_query(&self, blob: Content, named: Named) -> String {
        match named {
            Named::Right(algorithm) => format!("digest={}", self.contents.digest(blob, algorithm)),
            Named::Wrong => {
                let other = Content { way: (blob.way + 1) % self.contents.0.len(), size: 77 };
                format!("digest={}", self.contents.digest(other, Algorithm::Sha256))
            }
            Named::Malformed => "digest=sha256:12".to_owned(),
            Named::Missing => "x=y".to_owned(),
        }
    }

    /// The backing registry keeps a sha512 blob under its own name, and no model foresees it.
    fn foreseen(&self, named: Named) -> Named {
        match named {
            Named::Right(_) if self.beyond => Named::Right(Algorithm::Sha256),
            named => named,
        }
    }

    async fn finish(
        &mut self,
        upload: usize,
        size: usize,
        place: Place,
        named: Named,
    ) -> anyhow::Result<()> {
        let named = self.foreseen(named);
        let (bytes, range, place) = self.addition(upload, size, place);
        let (repo, content) = (self.model.uploads[upload].repo, self.model.uploads[upload].content);
        let whole = Content { size: content.size + bytes.len(), ..content };
        let location = &self.model.uploads[upload].location;
        let joint = if location.contains('?') { '&' } else { '?' };
        let path = format!("{location}{joint}{}", self.digest_query(whole, named));
        let answer = ranged(self.api.put(&path).bytes(bytes), range).send().await?;
        let refused = self.model.refused(upload, place);
        // A repeated end finds its result, for a while and until a restart.
        let ended = self.model.uploads[upload].ended;
        let is_there = ended.is_some_and(|ended| self.model.has(repo, ended));
        let found = |algorithm| is_there && ended == Some((whole, algorithm));
        match (named, refused) {
            (Named::Right(algorithm), Some(_)) if found(algorithm) && answer.status == 201 => {
                self.created(&answer, repo, (whole, algorithm))?;
                return Ok(());
            }
            (Named::Malformed, _) => {
                expect(&answer, Right { status: 400, code: "DIGEST_INVALID" })?;
            }
            (Named::Missing, _) => expect(&answer, Right { status: 400, code: "UNSUPPORTED" })?,
            (_, Some(right)) => expect(&answer, right)?,
            (Named::Wrong, None) => {
                expect(&answer, Right { status: 400, code: "DIGEST_INVALID" })?;
                self.model.uploads[upload].open = false;
            }
            (Named::Right(algorithm), None) => {
                self.created(&answer, repo, (whole, algorithm))?;
                self.model.uploads[upload].open = false;
                self.model.uploads[upload].ended = Some((whole, algorithm));
            }
        }
        self.check_progress(upload, &answer)
    }

    fn created(
        &mut self,
        answer: &Answer,
        repo: usize,
        blob: (Content, Algorithm),
    ) -> anyhow::Result<()> {
        ok(answer, 201)?;
        let digest = self.contents.digest(blob.0, blob.1).to_string();
        let (location, said) = (answer.header("location"), answer.header("docker-content-digest"));
        let right = format!("/v2/{}/blobs/{digest}", self.repo(repo));
        ensure!(location == right && said == digest, "{location:?} {said:?}");
        self.model.created(repo, blob);
        Ok(())
    }

    async fn whole(&mut self, repo: usize, content: Content, named: Named) -> anyhow::Result<()> {
        let named = self.foreseen(named);
        let query = self.digest_query(content, named);
        let path = format!("/v2/{}/blobs/uploads/?{query}", self.repo(repo));
        let bytes = Bytes::copy_from_slice(self.contents.bytes(content));
        let answer = self.api.post(&path).bytes(bytes).send().await?;
        match named {
            Named::Right(algorithm) => self.created(&answer, repo, (content, algorithm)),
            Named::Wrong | Named::Malformed => {
                expect(&answer, Right { status: 400, code: "DIGEST_INVALID" })
            }
            // Without a digest in the request the content is not checked.
            Named::Missing => self.opened(repo, content.way, &answer),
        }
    }

    async fn mount(&mut self, repo: usize, blob: usize, from: Option<usize>) -> anyhow::Result<()> {
        let blob = self.model.blob(blob);
        let digest = self.contents.digest(blob.0, blob.1);
        let source = from.map(|from| format!("&from={}", self.repo(from))).unwrap_or_default();
        let path = format!("/v2/{}/blobs/uploads/?mount={digest}{source}", self.repo(repo));
        let answer = self.api.post(&path).send().await?;
        let mounts = match (from, self.beyond) {
            (Some(from), _) => self.model.has(from, blob),
            // An upstream is asked for this repository only.
            (None, true) => self.model.has(repo, blob),
            (None, false) => self.model.somebody_has(blob),
        };
        if mounts {
            self.created(&answer, repo, blob)
        } else {
            self.opened(repo, blob.0.way, &answer)
        }
    }

    async fn head(&self, repo: usize, blob: (Content, Algorithm)) -> anyhow::Result<()> {
        let digest = self.contents.digest(blob.0, blob.1).to_string();
        let answer = self.api.head_blob(&self.repo(repo), &digest).await;
        if !self.model.has(repo, blob) {
            return ok(&answer, 404);
        }
        ok(&answer, 200)?;
        let length = answer.header("content-length");
        ensure!(length == blob.0.size.to_string(), "content-length {length:?}");
        Ok(())
    }

    async fn get(&self, repo: usize, blob: (Content, Algorithm)) -> anyhow::Result<()> {
        let digest = self.contents.digest(blob.0, blob.1).to_string();
        let answer = self.api.get_blob(&self.repo(repo), &digest).await;
        if !self.model.has(repo, blob) {
            return ok(&answer, 404);
        }
        ok(&answer, 200)?;
        ensure!(answer.body == self.contents.bytes(blob.0), "{digest} is served differently");
        Ok(())
    }

    async fn status(&mut self, upload: usize, foreign: bool) -> anyhow::Result<()> {
        let answer = self.api.get(&self.location(upload, foreign)).await;
        expect(&answer, self.model.about(upload, foreign))?;
        self.check_progress(upload, &answer)
    }

    async fn cancel(&mut self, upload: usize, foreign: bool) -> anyhow::Result<()> {
        let answer = self.api.delete(&self.location(upload, foreign)).await;
        expect(&answer, self.model.about(upload, foreign))?;
        self.model.uploads[upload].open &= foreign;
        Ok(())
    }

    /// Where an upload is, or would be in another repository.
    fn location(&self, upload: usize, foreign: bool) -> String {
        let location = &self.model.uploads[upload].location;
        if foreign { location.replacen(&self.name, "states/foreign", 1) } else { location.clone() }
    }
}

fn ranged(call: Call<'_>, range: Option<String>) -> Call<'_> {
    match range {
        Some(range) => call.header("content-range", range),
        None => call,
    }
}
