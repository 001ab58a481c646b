//! One download for many clients: the upstream sends a blob once, for any number of clients at any
//! time. A relay holds the download, so "meanwhile" is certain.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use wharf_double::{Fault, FaultRule, Kind};

use crate::fixture::{Api, Stage, code, eventually, message, noise};

const REPO: &str = "acme/web";
const MIB: usize = 1024 * 1024;
const JOINS: &str = "wharfd_reads_total{outcome=\"join\"}";

/// A blob of so many MiB in the registry behind.
async fn plant(stage: &Stage, seed: u64, mib: usize) -> (Bytes, String) {
    let content = Bytes::from(noise(seed, mib * MIB));
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    (content, digest)
}

/// The body of a blob during its download.
async fn open(api: &Api, digest: &str) -> Incoming {
    let call = api.call(http::Method::GET, &format!("/v2/{REPO}/blobs/{digest}"));
    let answer = call.start().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body()
}

/// Reads at least so many bytes of a body.
async fn read(body: &mut Incoming, bytes: usize) -> BytesMut {
    let mut received = BytesMut::new();
    while received.len() < bytes {
        let frame = body.frame().await.expect("the body goes on").unwrap();
        received.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    received
}

/// The upstream sent this blob once, whole and not a byte more.
fn assert_sent_once(stage: &Stage, digest: &str, content: &[u8]) {
    let counts = stage.double.counts();
    assert_eq!(counts.served(Kind::BlobGet, digest), 1);
    assert_eq!(counts.served(Kind::StorageGet, digest), 1);
    assert_eq!(counts.storage_bytes(), content.len() as u64);
}

#[tokio::test]
async fn thirty_two_clients_of_one_cold_blob_cause_one_download() {
    let Some(stage) = Stage::start().await else { return };
    let (content, digest) = plant(&stage, 1, 24).await;
    stage.storage.hold_after(2 * MIB as u64);
    let clients = (0..32).map(|_| {
        // Each with connections of its own.
        let api = Api::new(stage.api().base().to_owned(), wharf_testkit::http::Client::new());
        let digest = digest.clone();
        tokio::spawn(async move { api.get_blob(REPO, &digest).await })
    });
    let clients: Vec<_> = clients.collect();
    stage.wharfd.metric_reaches(JOINS, 31).await;
    assert_eq!(stage.wharfd.metric("wharfd_fills").await, 1);
    stage.storage.release();
    let mut outcomes = Vec::new();
    for client in clients {
        let answer = client.await.unwrap();
        assert!(answer.body == content, "a client got other bytes");
        outcomes.push(answer.header("wharf-cache").to_owned());
    }
    outcomes.sort();
    assert_eq!(outcomes[0], "fill");
    assert!(outcomes[1..].iter().all(|outcome| outcome == "join"), "{outcomes:?}");
    assert_sent_once(&stage, &digest, &content);
    assert_eq!(stage.api().get_blob(REPO, &digest).await.header("wharf-cache"), "hit");
}

#[tokio::test]
async fn a_download_outlives_the_client_that_caused_it() {
    let Some(stage) = Stage::start().await else { return };
    let (content, digest) = plant(&stage, 2, 8).await;
    stage.storage.hold_after(4 * MIB as u64);
    let mut first = open(stage.api(), &digest).await;
    read(&mut first, MIB).await;
    let mut second = open(stage.api(), &digest).await;
    drop(first);
    stage.storage.release();
    assert!(read(&mut second, content.len()).await == content);
    stage.wharfd.fills_are_over().await;
    assert_sent_once(&stage, &digest, &content);
}

#[tokio::test]
async fn a_download_ends_well_when_nobody_waits_for_it() {
    let Some(stage) = Stage::start().await else { return };
    let (content, digest) = plant(&stage, 3, 8).await;
    stage.storage.hold_after(4 * MIB as u64);
    let mut only = open(stage.api(), &digest).await;
    read(&mut only, MIB).await;
    drop(only);
    stage.storage.release();
    stage.wharfd.fills_are_over().await;
    let later = stage.api().get_blob(REPO, &digest).await;
    assert_eq!(later.header("wharf-cache"), "hit");
    assert!(later.body == content);
    assert_sent_once(&stage, &digest, &content);
}

#[tokio::test]
async fn a_late_joiner_gets_the_blob_from_its_first_byte_and_a_range_joins_too() {
    let Some(stage) = Stage::start().await else { return };
    let (content, digest) = plant(&stage, 4, 24).await;
    stage.storage.hold_after(20 * MIB as u64);
    let mut first = open(stage.api(), &digest).await;
    let mut received = read(&mut first, 18 * MIB).await;
    // The range has arrived, but the blob is not verified yet: the range's body ends after the
    // blob's.
    let (api, wanted) = (stage.api().clone(), digest.clone());
    let range =
        tokio::spawn(async move { api.get_range(REPO, &wanted, "bytes=9000000-9999999").await });
    let mut late = open(stage.api(), &digest).await;
    let mut late_received = read(&mut late, 18 * MIB).await;
    let api = stage.api().clone();
    let wanted = digest.clone();
    // The rest of a broken download, as clients resume.
    let rest = format!("bytes={}-", content.len() - 1000);
    let tail = tokio::spawn(async move { api.get_range(REPO, &wanted, &rest).await });
    stage.wharfd.metric_reaches(JOINS, 3).await;
    stage.storage.release();
    received.unsplit(read(&mut first, content.len() - received.len()).await);
    late_received.unsplit(read(&mut late, content.len() - late_received.len()).await);
    assert!(received == content && late_received == content);
    assert!(tail.await.unwrap().body == content[content.len() - 1000..]);
    let range = range.await.unwrap();
    assert_eq!((range.status.as_u16(), range.header("wharf-cache")), (206, "join"));
    assert!(range.body == content[9_000_000..10_000_000]);
    assert_sent_once(&stage, &digest, &content);
}

#[tokio::test]
async fn a_client_that_does_not_read_slows_nobody() {
    let Some(stage) = Stage::start().await else { return };
    let (content, digest) = plant(&stage, 5, 24).await;
    let idle = open(stage.api(), &digest).await;
    let busy = stage.api().get_blob(REPO, &digest).await;
    assert!(busy.body == content);
    stage.wharfd.fills_are_over().await;
    assert_sent_once(&stage, &digest, &content);
    let mut idle = idle;
    assert!(read(&mut idle, content.len()).await == content);
}

#[tokio::test]
async fn a_download_for_one_repository_is_joined_by_another_only_if_it_has_the_blob() {
    let Some(stage) = Stage::start().await else { return };
    let (content, digest) = plant(&stage, 6, 8).await;
    stage.origin.push_blob("team/same", content.clone()).await;
    stage.storage.hold_after(4 * MIB as u64);
    let mut first = open(stage.api(), &digest).await;
    read(&mut first, MIB).await;
    let stranger = stage.api().get_blob("team/other", &digest).await;
    assert_eq!((stranger.status.as_u16(), code(&stranger).as_str()), (404, "BLOB_UNKNOWN"));
    let (api, wanted) = (stage.api().clone(), digest.clone());
    let same = tokio::spawn(async move { api.get_blob("team/same", &wanted).await });
    stage.wharfd.metric_reaches(JOINS, 1).await;
    stage.storage.release();
    let same = same.await.unwrap();
    // A client must not learn of another client's fill.
    assert_eq!(same.header("wharf-cache"), "fill");
    assert!(same.body == content);
    assert_sent_once(&stage, &digest, &content);
    stage.wharfd.fills_are_over().await;
    assert_eq!(stage.api().get_blob("team/same", &digest).await.header("wharf-cache"), "hit");
    assert_eq!(stage.api().get_blob("team/other", &digest).await.status, 404);
}

/// A client with access to its own repository alone blocks no other client's blob, and learns no
/// other repository's name.
#[tokio::test]
async fn what_fails_for_one_repository_is_nothing_to_another() {
    let Some(stage) = Stage::start().await else { return };
    let (content, digest) = plant(&stage, 8, 1).await;
    stage.double.set_fault(FaultRule::next(Kind::BlobGet, Fault::Hang));
    let get = |repo: &'static str| {
        let (api, digest) = (stage.api().clone(), digest.clone());
        tokio::spawn(async move { api.get_blob(repo, &digest).await })
    };
    let stranger = get("mallory/x");
    eventually("the question to hang", async || (stage.double.held() > 0).then_some(())).await;
    let (owner, other) = (get(REPO), get("secret/name"));
    // Long enough for both to wait for the stranger's request; the test passes in either case.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    stage.double.release();
    let owner = owner.await.unwrap();
    assert!(owner.status == 200 && owner.body == content, "{}", owner.text());
    for (repo, answer) in [("mallory/x", stranger), ("secret/name", other)] {
        let answer = answer.await.unwrap();
        assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (404, "BLOB_UNKNOWN"));
        assert!(message(&answer).contains(repo), "{}", answer.text());
    }
    assert_eq!(stage.api().get_blob(REPO, &digest).await.status, 200);
}

#[tokio::test]
async fn many_clients_of_one_cold_tag_cause_one_question() {
    let Some(stage) = Stage::start_with(|setup| setup.tag_ttl(3600)).await else { return };
    let folder = tempfile::TempDir::new().unwrap();
    let recipe = wharf_testkit::images::Recipe::new(7, &[100]);
    let layout = recipe.write(folder.path(), "v1").unwrap();
    stage.origin.push_layout(REPO, &layout).await;
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let api = stage.api().clone();
            tokio::spawn(async move { api.get_manifest(REPO, "v1").await })
        })
        .collect();
    for client in clients {
        assert_eq!(client.await.unwrap().header("docker-content-digest"), layout.top.digest);
    }
    assert_eq!(stage.double.counts().answered(Kind::ManifestGet, 200), 1);
    assert_eq!(stage.double.counts().answered(Kind::Token, 200), 1);
}
