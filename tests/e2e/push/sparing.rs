//! The unsent bytes of a push: blobs at the upstream, blobs in another of its repositories, blobs
//! sent by another client at the same time.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use wharf_double::{Account, Counts, Fault, FaultRule, Kind};
use wharf_testkit::images::sha256;

use super::{REPO, assert_upstream_has};
use crate::fixture::{Api, PASSWORD, Stage, USER, eventually, noise};

const MIB: usize = 1024 * 1024;

/// A POST of everything at once.
async fn push_whole(stage: &Stage, repo: &str, content: &[u8]) -> u16 {
    let path = format!("/v2/{repo}/blobs/uploads/?digest={}", sha256(content));
    let answer = stage.api().post(&path).bytes(content.to_vec()).send().await.unwrap();
    answer.status.as_u16()
}

/// How often it was asked for a blob, with the right token.
fn asked(counts: &Counts) -> u64 {
    counts.total(Kind::BlobHead) - counts.answered(Kind::BlobHead, 401)
}

/// An upload in one PATCH with only a part sent so far, as docker streams it.
struct Slow {
    location: String,
    client: TcpStream,
    content: Vec<u8>,
    at: usize,
}

impl Slow {
    async fn start(stage: &Stage, repo: &str, content: &[u8], first: usize) -> Self {
        let location = stage.api().open_upload(repo).await;
        let host = stage.wharfd.host();
        let head = format!(
            "PATCH {location} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n",
            content.len()
        );
        let mut client = TcpStream::connect(host).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        let mut slow = Self { location, client, content: content.to_vec(), at: 0 };
        slow.send(first).await;
        slow
    }

    async fn send(&mut self, bytes: usize) {
        let end = (self.at + bytes).min(self.content.len());
        self.client.write_all(&self.content[self.at..end]).await.unwrap();
        self.at = end;
    }

    /// The rest and the PUT; its status.
    async fn finish(mut self, api: Api) -> u16 {
        self.send(self.content.len()).await;
        eventually("the end of the PATCH", async || {
            let status = api.get(&self.location).await;
            (status.header("range") == format!("0-{}", self.content.len() - 1)).then_some(())
        })
        .await;
        let digest = sha256(&self.content);
        let ended = api.end_upload(&self.location, &digest, "").await;
        ended.status.as_u16()
    }
}

#[tokio::test]
async fn a_blob_that_the_upstream_has_costs_one_question_and_no_bytes() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(30, 3 * MIB);
    stage.origin.push_blob(REPO, content.clone()).await;
    assert_eq!(push_whole(&stage, REPO, &content).await, 201);
    let counts = stage.double.counts();
    assert_eq!((counts.upload_bytes(), counts.total(Kind::UploadPost)), (0, 0));
    assert_eq!(asked(&counts), 1);
    // It is here, too.
    assert!(stage.api().get_blob(REPO, &sha256(&content)).await.body == content);
    assert_eq!(stage.double.counts().total(Kind::BlobGet), 0);
    // In two requests the session is opened before the digest is known.
    stage.double.reset_counts();
    stage.api().push_blob(REPO, content).await;
    let counts = stage.double.counts();
    assert_eq!((counts.upload_bytes(), asked(&counts)), (0, 1));
    let known =
        format!("wharfd_upstream_pushed_total{{upstream=\"{}\",way=\"known\"}}", stage.front.url());
    assert_eq!(stage.wharfd.metric(&known).await, 2);
}

#[tokio::test]
async fn content_that_is_not_what_its_name_says_is_refused_though_the_upstream_has_the_name() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(31, MIB);
    stage.origin.push_blob(REPO, content.clone()).await;
    let other = noise(32, MIB);
    let path = format!("/v2/{REPO}/blobs/uploads/?digest={}", sha256(&content));
    let answer = stage.api().post(&path).bytes(other).send().await.unwrap();
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[tokio::test]
async fn a_client_that_has_just_asked_is_not_asked_for_again() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(33, 200_000);
    let digest = sha256(&content);
    assert_eq!(stage.api().head_blob(REPO, &digest).await.status, 404);
    stage.api().push_blob(REPO, content.clone()).await;
    assert_eq!(stage.double.counts().answered(Kind::BlobHead, 404), 1);
    assert_upstream_has(&stage, &digest, &content).await;
}

#[tokio::test]
async fn what_another_repository_of_the_upstream_has_is_mounted_once_it_is_proven() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(34, 3 * MIB);
    stage.api().push_blob("acme/base", content.clone()).await;
    stage.double.reset_counts();
    assert_eq!(push_whole(&stage, REPO, &content).await, 201);
    assert_eq!(stage.double.counts().upload_bytes(), 0);
    assert_upstream_has(&stage, &sha256(&content), &content).await;
    // Naming a digest is not having it.
    let digest = sha256(&content);
    let path = format!("/v2/acme/third/blobs/uploads/?digest={digest}");
    let wrong = stage.api().post(&path).bytes(noise(35, MIB)).send().await.unwrap();
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    let path = format!("/v2/acme/third/blobs/uploads/?mount={digest}");
    assert_eq!(stage.api().post(&path).send().await.unwrap().status, 202);
    assert_eq!(stage.origin.head_blob("acme/third", &digest).await.status, 404);
}

#[tokio::test]
async fn a_mount_without_a_source_is_made_when_the_repository_has_the_blob() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(36, 100_000);
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    let path = format!("/v2/{REPO}/blobs/uploads/?mount={digest}");
    assert_eq!(stage.api().post(&path).send().await.unwrap().status, 201);
    assert!(stage.api().get_blob(REPO, &digest).await.body == content);
    let absent = sha256(b"absent");
    let path = format!("/v2/{REPO}/blobs/uploads/?mount={absent}");
    let started = stage.api().post(&path).send().await.unwrap();
    assert_eq!(started.status, 202);
    let ended = stage.api().end_upload(started.header("location"), &absent, "absent").await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    // A mount without a source is an upload.
    let path = format!("/v2/{REPO}/blobs/uploads/?mount={}&from=acme/none", sha256(b"none"));
    assert_eq!(stage.api().post(&path).send().await.unwrap().status, 202);
}

#[tokio::test]
async fn a_blob_that_was_mounted_is_no_longer_taken_for_missing() {
    let Some(stage) = Stage::start().await else { return };
    let digest = stage.origin.push_blob("acme/base", noise(9, 50_000)).await;
    assert_eq!(stage.api().head_blob(REPO, &digest).await.status, 404);
    for source in ["&from=acme/base", ""] {
        let path = format!("/v2/{REPO}/blobs/uploads/?mount={digest}{source}");
        let mounted = stage.api().post(&path).send().await.unwrap();
        assert_eq!(mounted.status, 201, "{source}: {}", mounted.text());
    }
    let mounts = stage.wharfd.metrics().await;
    assert!(mounts.lines().any(|line| line.contains("way=\"mounted\"") && line.ends_with(" 1")));
}

#[tokio::test]
async fn clients_that_push_the_same_layer_at_the_same_time_send_it_upstream_once() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(37, 20 * MIB);
    let mut slows = Vec::new();
    for repo in [REPO, REPO, "acme/other", REPO] {
        slows.push(Slow::start(&stage, repo, &content, 2 * MIB).await);
    }
    for turn in 0..9 {
        let count = slows.len();
        for at in 0..count {
            slows[(turn + at) % count].send(2 * MIB).await;
        }
    }
    let ends = slows.into_iter().map(|slow| slow.finish(stage.api().clone()));
    let [one, two, three, four] = <[_; 4]>::try_from(ends.collect::<Vec<_>>()).ok().unwrap();
    let (one, two, three, four) = tokio::join!(one, two, three, four);
    assert_eq!([one, two, three, four], [201; 4]);
    assert_eq!(stage.double.counts().upload_bytes(), content.len() as u64);
    let digest = sha256(&content);
    assert_upstream_has(&stage, &digest, &content).await;
    assert_eq!(stage.origin.head_blob("acme/other", &digest).await.status, 200);
    // No session is left there.
    eventually("the spare sessions to be cancelled", async || {
        (stage.double.counts().answered(Kind::UploadCancel, 204) == 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_push_goes_on_when_the_one_that_it_waits_for_is_given_up() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(38, 12 * MIB);
    let first = Slow::start(&stage, REPO, &content, 10 * MIB).await;
    eventually("the first chunk", async || {
        (stage.double.counts().upload_bytes() >= 8 * MIB as u64).then_some(())
    })
    .await;
    let second = Slow::start(&stage, REPO, &content, 10 * MIB).await;
    let Slow { location, client, .. } = first;
    drop(client);
    eventually("the first upload to be cancelled", async || {
        (stage.api().delete(&location).await.status == 204).then_some(())
    })
    .await;
    assert_eq!(second.finish(stage.api().clone()).await, 201);
    assert_upstream_has(&stage, &sha256(&content), &content).await;
}

#[tokio::test]
async fn layers_that_only_begin_alike_are_both_sent() {
    let Some(stage) = Stage::start().await else { return };
    let one = noise(39, 6 * MIB);
    let mut other = one.clone();
    other[5 * MIB] ^= 1;
    let first = Slow::start(&stage, REPO, &one, 3 * MIB).await;
    let second = Slow::start(&stage, REPO, &other, 3 * MIB).await;
    let (first, second) =
        tokio::join!(first.finish(stage.api().clone()), second.finish(stage.api().clone()));
    assert_eq!((first, second), (201, 201));
    for content in [one, other] {
        assert_upstream_has(&stage, &sha256(&content), &content).await;
    }
}

#[tokio::test]
async fn a_quick_client_does_not_wait_for_a_slow_one() {
    let Some(stage) = Stage::start().await else { return };
    let content = noise(40, 48 * MIB);
    let slow = Slow::start(&stage, REPO, &content, MIB).await;
    let digest = sha256(&content);
    let push = stage.api().try_push_blob(REPO, &digest, content.clone());
    let pushed = tokio::time::timeout(Duration::from_mins(1), push).await;
    assert_eq!(pushed.unwrap().unwrap().status, 201);
    assert_eq!(slow.finish(stage.api().clone()).await, 201);
}

#[tokio::test]
async fn larger_chunks_are_used_where_they_are_taken() {
    let Some(stage) = Stage::start().await else { return };
    // The upstream is slow at first, so the two uploads overlap.
    let stall = Fault::Slow { bytes_per_s: 8 * MIB as u64 };
    stage.double.set_fault(FaultRule::next(Kind::UploadPatch, stall));
    let content = noise(41, 80 * MIB);
    let digest = stage.api().push_blob(REPO, content.clone()).await;
    assert_upstream_has(&stage, &digest, &content).await;
    let counts = stage.double.counts();
    assert_eq!(counts.upload_bytes(), content.len() as u64);
    assert!(counts.total(Kind::UploadPatch) < 8, "{}", counts.total(Kind::UploadPatch));
}

#[tokio::test]
async fn a_mount_that_the_upstream_refuses_is_an_ordinary_upload() {
    let start = Stage::start_with(|mut setup| {
        // There is a repository without the right to read.
        let login = Account::admin(USER, PASSWORD).only([REPO, "team/open"]);
        setup.double.accounts = vec![login];
        setup
    });
    let Some(stage) = start.await else { return };
    let content = noise(40, 300_000);
    stage.origin.push_blob("team/secret", content.clone()).await;
    let digest = stage.origin.push_blob("team/open", content.clone()).await;
    let mount = format!("/v2/{REPO}/blobs/uploads/?mount={digest}");
    let (secret, open) = (format!("{mount}&from=team/secret"), format!("{mount}&from=team/open"));
    let no = |code| Fault::Status { code, retry_after_s: None };
    for (path, fault) in [
        (&secret, None),
        (&open, Some((Kind::UploadPost, no(405)))),
        (&mount, Some((Kind::BlobHead, no(403)))),
    ] {
        if let Some((kind, fault)) = fault {
            stage.double.set_fault(FaultRule::next(kind, fault));
        }
        let session = stage.api().post(path).send().await.unwrap();
        assert_eq!(session.status, 202, "{path}: {}", session.text());
        let location = session.header("location").to_owned();
        assert_eq!(stage.origin.head_blob(REPO, &digest).await.status, 404);
        let ended = stage.api().end_upload(&location, &digest, content.clone()).await;
        assert_eq!(ended.status, 201, "{}", ended.text());
        assert!(stage.origin.get_blob(REPO, &digest).await.body == content);
        let gone = stage.api().delete(&format!("/v2/{REPO}/blobs/{digest}")).await;
        assert_eq!(gone.status, 202, "{}", gone.text());
    }
}
