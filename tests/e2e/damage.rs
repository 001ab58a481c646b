//! Bits flipped on the disk: `wharfd` fetches an upstream's blob anew, refuses a blob without
//! another copy, and never serves wrong bytes.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use wharf_testkit::images::sha256;

use crate::fixture::{Api, Stage, Wharfd, eventually, noise};

const REPO: &str = "acme/web";
const BLOB_BYTES: usize = 9_000_000;

/// The file with the segments of the one large stored blob.
fn run_file(store: &Path) -> PathBuf {
    let files = std::fs::read_dir(store.join("db")).unwrap().map(|entry| entry.unwrap().path());
    let runs = files.filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
    let run = runs.max_by_key(|path| path.metadata().unwrap().len()).expect("a run file");
    assert!(run.metadata().unwrap().len() >= BLOB_BYTES as u64, "{}", run.display());
    run
}

/// Flips one bit of a blob on disk; segments lie in their order.
fn flip_a_bit(store: &Path, at: u64) {
    let path = run_file(store);
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// A pull, perhaps broken off or refused; returns a complete body.
async fn pull(api: &Api, digest: &str) -> Option<(String, Vec<u8>)> {
    let answer = api.call(http::Method::GET, &format!("/v2/{REPO}/blobs/{digest}")).send().await;
    let answer = answer.ok()?;
    if answer.status != 200 {
        assert_eq!(answer.status, 404, "{}", answer.text());
        return None;
    }
    Some((answer.header("wharf-cache").to_owned(), answer.body.to_vec()))
}

/// `wharfd` with a cached blob; one bit of the blob was flipped during a stop.
async fn rotten(seed: u64, at: u64) -> Option<(Stage, String, Vec<u8>)> {
    let mut stage = Stage::start().await?;
    let content = noise(seed, BLOB_BYTES);
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    assert!(stage.api().get_blob(REPO, &digest).await.body == content);
    stage.wharfd.fills_are_over().await;
    assert!(stage.wharfd.stop().await.success());
    flip_a_bit(&stage.wharfd.store(), at);
    stage.wharfd.start_again().await;
    Some((stage, digest, content))
}

#[tokio::test]
async fn a_cached_blob_that_rots_is_fetched_anew_before_anyone_notices() {
    let Some((stage, digest, content)) = rotten(1, 100_000).await else { return };
    let (outcome, body) = pull(stage.api(), &digest).await.expect("no client sees the damage");
    assert!(body == content, "wrong bytes were served");
    assert_eq!(outcome, "fill");
    stage.wharfd.fills_are_over().await;
    assert_eq!(stage.wharfd.metric("wharfd_store_quarantined_blobs").await, 1);
    assert!(stage.wharfd.log().contains("corrupt"), "{}", stage.wharfd.log());
    let (outcome, body) = pull(stage.api(), &digest).await.unwrap();
    assert!(outcome == "hit" && body == content, "{outcome}");
    let said = stage.wharfd.store_command("evict", &["--quarantined"]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(stage.wharfd.metric("wharfd_store_quarantined_blobs").await, 0);
    assert!(pull(stage.api(), &digest).await.unwrap().1 == content);
}

#[tokio::test]
async fn damage_in_the_middle_breaks_one_pull_at_most() {
    let Some((stage, digest, content)) = rotten(2, 6_000_000).await else { return };
    assert!(pull(stage.api(), &digest).await.is_none(), "a damaged blob came whole");
    let (outcome, body) = pull(stage.api(), &digest).await.expect("the second pull is whole");
    assert!(body == content, "wrong bytes were served");
    assert_eq!(outcome, "fill");
    stage.wharfd.fills_are_over().await;
    assert_eq!(stage.wharfd.metric("wharfd_store_quarantined_blobs").await, 1);
}

#[tokio::test]
async fn a_range_of_damaged_bytes_is_fetched_anew() {
    let Some((stage, digest, content)) = rotten(3, 6_000_000).await else { return };
    let early = stage.api().get_range(REPO, &digest, "bytes=10-19").await;
    assert_eq!((early.status.as_u16(), early.header("wharf-cache")), (206, "hit"));
    let late = stage.api().get_range(REPO, &digest, "bytes=5900000-").await;
    assert_eq!((late.status.as_u16(), late.header("wharf-cache")), (206, "fill"));
    assert!(late.body == content[5_900_000..], "wrong bytes were served");
}

#[tokio::test]
async fn what_only_this_registry_has_is_not_served_damaged_and_can_be_pushed_again() {
    for at in [100_000, 6_000_000] {
        let mut wharfd = Wharfd::alone().await;
        let content = noise(4, BLOB_BYTES);
        let digest = wharfd.api.push_blob(REPO, content.clone()).await;
        assert!(wharfd.stop().await.success());
        flip_a_bit(&wharfd.store(), at);
        wharfd.start_again().await;
        assert!(pull(&wharfd.api, &digest).await.is_none(), "a damaged blob came whole");
        let gone =
            async || (wharfd.metric("wharfd_store_quarantined_blobs").await == 1).then_some(());
        eventually("the blob to be put aside", gone).await;
        assert_eq!(wharfd.api.head_blob(REPO, &digest).await.status, 404);
        assert_eq!(wharfd.api.push_blob(REPO, content.clone()).await, digest);
        assert!(pull(&wharfd.api, &digest).await.unwrap().1 == content);
    }
}

#[tokio::test]
async fn a_scrub_finds_what_nobody_reads_and_the_server_does_so_by_itself() {
    let mut wharfd = Wharfd::alone().await;
    let (good, bad) = (noise(5, 700_000), noise(6, BLOB_BYTES));
    let good = wharfd.api.push_blob(REPO, good).await;
    let digest = sha256(&bad);
    assert_eq!(wharfd.api.push_blob(REPO, bad.clone()).await, digest);
    assert!(wharfd.stop().await.success());
    flip_a_bit(&wharfd.store(), 3_000_000);
    // Verifying changes nothing, so it can be said twice.
    for _ in 0..2 {
        let said = wharfd.store_command("verify", &["--output-format", "json"]).await;
        assert_eq!(said.code, 1, "{} {}", said.stdout, said.stderr);
        assert_eq!(said.json()["damage"][0]["digest"], digest.as_str());
    }
    let said = wharfd.store_command("scrub", &["--report-only"]).await;
    assert_eq!(said.code, 1, "{} {}", said.stdout, said.stderr);
    assert!(said.stdout.contains(&format!("damaged: {digest}")), "{}", said.stdout);
    wharfd.reconfigure("scrub_rate = \"100MiB\"\n");
    wharfd.start_again().await;
    wharfd.metric_reaches("wharfd_store_quarantined_blobs", 1).await;
    let logged = async || wharfd.log().contains("the scrub found damage").then_some(());
    eventually("the damage in the log", logged).await;
    assert_eq!(wharfd.api.get_blob(REPO, &digest).await.status, 404);
    assert_eq!(wharfd.api.get_blob(REPO, &good).await.status, 200);
    // A scrub beside the running server gets its turn, and finds the rest whole.
    let said = wharfd.store_command("scrub", &["--from-start", "--output-format", "json"]).await;
    assert_eq!((said.code, said.json()["complete"].as_bool()), (0, Some(true)), "{}", said.stderr);
}
