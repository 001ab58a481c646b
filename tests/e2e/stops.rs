//! Half-done work at a SIGTERM: requests in progress at the upstream are finished, or suspended
//! with every received byte; no client is told of a wrong request.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;

use crate::fixture::{Stage, Wharfd, eventually, noise};

const REPO: &str = "acme/web";
const SOON: &str = "shutdown_deadline_seconds = 1\n";

/// A complete upload with its closing PUT hanging at the upstream.
async fn hanging_end(stage: &Stage, content: &[u8]) -> (String, tokio::task::JoinHandle<Answer>) {
    let location = stage.api().open_upload(REPO).await;
    let sent = stage.api().patch(&location).bytes(content.to_vec()).send().await.unwrap();
    assert_eq!(sent.status, 202, "{}", sent.text());
    stage.double.set_fault(FaultRule::next(Kind::UploadPut, Fault::Hang));
    let (api, path, digest) = (stage.api().clone(), location.clone(), sha256(content));
    let end = tokio::spawn(async move { api.end_upload(&path, &digest, "").await });
    eventually("the end at the upstream", async || (stage.double.held() == 1).then_some(())).await;
    (location, end)
}

/// Stops `wharfd`, and calls `then` once it takes no more connections.
pub(crate) async fn stop_and(wharfd: &mut Wharfd, then: impl FnOnce()) {
    let host = wharfd.host();
    let refused = async {
        let refused = async || TcpStream::connect(&host).await.is_err().then_some(());
        eventually("the listener to be closed", refused).await;
        then();
    };
    let (status, ()) = tokio::join!(wharfd.stop(), refused);
    assert!(status.success(), "{}", wharfd.log());
}

#[tokio::test]
async fn the_end_of_an_upload_that_the_upstream_works_on_is_finished() {
    let Some(mut stage) = Stage::start_with(|setup| setup.lines(SOON)).await else { return };
    let content = noise(1, 1_234_567);
    let (location, end) = hanging_end(&stage, &content).await;
    // No client waits for it any more.
    end.abort();
    assert!(end.await.unwrap_err().is_cancelled());
    let Stage { wharfd, double, .. } = &mut stage;
    stop_and(wharfd, || double.release()).await;
    let there = stage.origin.get_blob(REPO, &sha256(&content)).await;
    assert!(there.status == 200 && there.body == content, "{}", there.status);
    stage.wharfd.start_again().await;
    let here = stage.api().get_blob(REPO, &sha256(&content)).await;
    assert!(here.header("wharf-cache") == "hit" && here.body == content, "{}", here.status);
    assert_eq!(stage.api().upload_offset(&location).await, None);
}

#[tokio::test]
async fn an_upload_whose_end_the_upstream_does_not_answer_rests_with_all_of_it() {
    let Some(mut stage) = Stage::start_with(|setup| setup.lines(SOON)).await else { return };
    let content = noise(2, 1_234_567);
    let (location, end) = hanging_end(&stage, &content).await;
    assert!(stage.wharfd.stop().await.success(), "{}", stage.wharfd.log());
    let told = end.await.unwrap();
    assert_eq!(told.status, 429, "{}", told.text());
    assert!(!told.header("retry-after").is_empty());
    stage.double.clear_faults();
    stage.wharfd.start_again().await;
    assert_eq!(stage.api().upload_offset(&location).await, Some(content.len()));
    let ended = stage.api().end_upload(&location, &sha256(&content), "").await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    let there = stage.origin.get_blob(REPO, &sha256(&content)).await;
    assert!(there.status == 200 && there.body == content, "{}", there.status);
}

#[tokio::test]
async fn a_chunk_that_a_stop_cuts_is_told_to_come_again() {
    let mut wharfd = Wharfd::with_config(SOON).await;
    let location = wharfd.api.open_upload(REPO).await;
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: {}\r\ncontent-length: 10\r\n\r\n12345",
        wharfd.host()
    );
    let mut client = TcpStream::connect(wharfd.host()).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    wharfd.metric_reaches("wharfd_received_bytes_total", 5).await;
    assert!(wharfd.stop().await.success(), "{}", wharfd.log());
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer:?}");
    assert!(answer.contains("\r\nretry-after: "), "{answer}");
    wharfd.start_again().await;
    assert_eq!(wharfd.api.upload_offset(&location).await, Some(5));
    let ended = wharfd.api.end_upload(&location, &sha256(b"1234567890"), "67890").await;
    assert_eq!(ended.status, 201, "{}", ended.text());
}
