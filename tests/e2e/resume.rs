//! Uploads across restarts of `wharfd`: after a kill they go on at the durable offset, after a stop
//! at exactly their offset, alone and before an upstream.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use wharf_double::{Fault, FaultRule, Kind};
use wharf_oci::{Algorithm, Digester};
use wharf_testkit::images::sha256;

use crate::fixture::{Api, Stage, Wharfd, code, eventually, noise};

const REPO: &str = "acme/web";
const CHUNK_BYTES: usize = 5 * 1024 * 1024;
/// How much of a large blob becomes durable at once, while as much again is written.
const RUN_BYTES: usize = 32 * 1024 * 1024;
const SEGMENT_BYTES: usize = 256 * 1024;

/// Sends `content` from `from` up to `to`, in chunks with a `Content-Range`.
async fn send_chunks(api: &Api, location: &str, content: &[u8], from: usize, to: usize) {
    let mut at = from;
    while at < to {
        let end = (at + CHUNK_BYTES).min(to);
        let call = api.patch(location).header("content-range", format!("{at}-{}", end - 1));
        let answer = call.bytes(content[at..end].to_vec()).send().await.unwrap();
        assert_eq!(answer.status, 202, "{at}-{end}: {}", answer.text());
        assert_eq!(answer.header("range"), format!("0-{}", end - 1));
        at = end;
    }
}

/// Sends a part of a longer PATCH; `wharfd` has taken every sent byte on return.
async fn half_a_chunk(wharfd: &Wharfd, location: &str, at: usize, content: &[u8]) -> TcpStream {
    let before = wharfd.metric("wharfd_received_bytes_total").await;
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: {}\r\ncontent-range: {at}-{}\r\ncontent-length: {}\r\n\r\n",
        wharfd.host(),
        at + content.len(),
        content.len() + 1
    );
    let mut client = TcpStream::connect(wharfd.host()).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(content).await.unwrap();
    wharfd.metric_reaches("wharfd_received_bytes_total", before + content.len() as u64).await;
    client
}

/// Uploads in chunks through two kills, and ends it; each time the status says where to go on.
async fn upload_through_kills(wharfd: &mut Wharfd, content: &[u8]) {
    let location = wharfd.api.open_upload(REPO).await;
    let mut at = 0;
    for killed_at in [16 * CHUNK_BYTES, 27 * CHUNK_BYTES] {
        send_chunks(&wharfd.api, &location, content, at, killed_at).await;
        let half = &content[killed_at..killed_at + 1_234_567];
        let client = half_a_chunk(wharfd, &location, killed_at, half).await;
        wharfd.kill();
        drop(client);
        wharfd.start_again().await;
        assert_eq!(wharfd.metric("wharfd_uploads_resting").await, 1);
        // The client's offset is wrong: the refusal has the right one.
        let range = format!("{killed_at}-{}", killed_at + 9);
        let call = wharfd.api.patch(&location).header("content-range", range);
        let offset = wharfd.api.upload_offset(&location).await.expect("the session survives");
        assert!(offset <= killed_at + half.len() && offset % SEGMENT_BYTES == 0, "{offset}");
        // A run becomes durable while the next is written, or sooner when memory is short.
        assert!(offset + 2 * RUN_BYTES >= killed_at, "{offset} of {killed_at}");
        if offset != killed_at {
            let refused = call.bytes(vec![0; 10]).send().await.unwrap();
            assert_eq!(
                (refused.status.as_u16(), code(&refused).as_str()),
                (416, "BLOB_UPLOAD_INVALID")
            );
            assert_eq!(refused.header("range"), format!("0-{}", offset - 1));
        }
        at = offset;
    }
    send_chunks(&wharfd.api, &location, content, at, content.len()).await;
    let ended = wharfd.api.end_upload(&location, &sha256(content), "").await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert!(wharfd.api.get_blob(REPO, &sha256(content)).await.body == content);
    assert_eq!(wharfd.api.upload_offset(&location).await, None);
    assert_eq!(wharfd.metric("wharfd_uploads_resting").await, 0);
}

#[tokio::test]
async fn a_chunked_upload_goes_on_after_every_kill() {
    let mut wharfd = Wharfd::alone().await;
    upload_through_kills(&mut wharfd, &noise(1, 150_000_000)).await;
    // Nothing of the session is left to be found by the next process.
    wharfd.kill();
    wharfd.start_again().await;
    assert_eq!(wharfd.metric("wharfd_uploads_resting").await, 0);
}

#[tokio::test]
async fn a_chunked_upload_goes_on_after_every_kill_and_is_whole_at_the_upstream() {
    let Some(mut stage) = Stage::start().await else { return };
    let content = noise(2, 150_000_000);
    upload_through_kills(&mut stage.wharfd, &content).await;
    let there = stage.origin.get_blob(REPO, &sha256(&content)).await;
    assert!(there.status == 200 && there.body == content, "{}", there.status);
}

/// Uploads through stops at these offsets, and ends it; each time it goes on exactly where it was.
async fn upload_through_stops(wharfd: &mut Wharfd, content: &[u8], stops: &[usize]) {
    let location = wharfd.api.open_upload(REPO).await;
    let mut at = 0;
    for stop in stops {
        send_chunks(&wharfd.api, &location, content, at, *stop).await;
        assert!(wharfd.stop().await.success(), "{}", wharfd.log());
        wharfd.start_again().await;
        assert_eq!(wharfd.api.upload_offset(&location).await, Some(*stop), "{}", wharfd.log());
        at = *stop;
    }
    let ended = wharfd.api.end_upload(&location, &sha256(content), content[at..].to_vec()).await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert!(wharfd.api.get_blob(REPO, &sha256(content)).await.body == content);
}

/// Nothing, less than a segment, its border, several with a rest, and more than a run.
const STOPS: [usize; 5] = [0, 100_000, SEGMENT_BYTES, 1_000_001, 70_000_003];

#[tokio::test]
async fn an_upload_goes_on_exactly_where_a_stop_found_it() {
    let mut wharfd = Wharfd::alone().await;
    upload_through_stops(&mut wharfd, &noise(3, 80_000_000), &STOPS).await;
}

#[tokio::test]
async fn an_upload_through_goes_on_exactly_where_a_stop_found_it() {
    let Some(mut stage) = Stage::start().await else { return };
    let content = noise(4, 80_000_000);
    upload_through_stops(&mut stage.wharfd, &content, &STOPS).await;
    let there = stage.origin.get_blob(REPO, &sha256(&content)).await;
    assert!(there.status == 200 && there.body == content, "{}", there.status);
    // Every session at the upstream but the last was given back.
    let cancelled = async || {
        let counts = stage.double.counts();
        let (opened, cancelled) =
            (counts.answered(Kind::UploadPost, 202), counts.total(Kind::UploadCancel));
        (opened > 1 && cancelled == opened - 1).then_some(())
    };
    eventually("the sessions at the upstream to be cancelled", cancelled).await;
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_chunk_keeps_what_was_taken() {
    let mut wharfd = Wharfd::with_config("shutdown_deadline_seconds = 1\n").await;
    let content = noise(5, 3_000_000);
    let location = wharfd.api.open_upload(REPO).await;
    let client = half_a_chunk(&wharfd, &location, 0, &content[..2_345_678]).await;
    assert!(wharfd.stop().await.success(), "{}", wharfd.log());
    drop(client);
    wharfd.start_again().await;
    assert_eq!(wharfd.api.upload_offset(&location).await, Some(2_345_678));
    send_chunks(&wharfd.api, &location, &content, 2_345_678, content.len()).await;
    let ended = wharfd.api.end_upload(&location, &sha256(&content), "").await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert!(wharfd.api.get_blob(REPO, &sha256(&content)).await.body == content);
}

#[tokio::test]
async fn a_kill_after_a_stop_goes_back_to_the_stop() {
    let mut wharfd = Wharfd::alone().await;
    let content = noise(8, 3_000_000);
    let location = wharfd.api.open_upload(REPO).await;
    send_chunks(&wharfd.api, &location, &content, 0, 1_000_001).await;
    assert!(wharfd.stop().await.success());
    for _ in 0..2 {
        wharfd.start_again().await;
        assert_eq!(wharfd.api.upload_offset(&location).await, Some(1_000_001));
        // Less than a run: nothing of it is durable.
        send_chunks(&wharfd.api, &location, &content, 1_000_001, 2_500_000).await;
        wharfd.kill();
    }
    wharfd.start_again().await;
    send_chunks(&wharfd.api, &location, &content, 1_000_001, content.len()).await;
    let ended = wharfd.api.end_upload(&location, &sha256(&content), "").await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert!(wharfd.api.get_blob(REPO, &sha256(&content)).await.body == content);
}

#[tokio::test]
async fn an_upload_that_goes_on_may_end_as_sha512_whether_announced_or_not() {
    let mut wharfd = Wharfd::alone().await;
    for (seed, query) in [(9, ""), (10, "?digest-algorithm=sha512")] {
        let content = noise(seed, 2_000_000);
        let digest = Digester::digest(Algorithm::Sha512, &content).to_string();
        let opened = wharfd.api.post(&format!("/v2/{REPO}/blobs/uploads/{query}"));
        let location = opened.send().await.unwrap().header("location").to_owned();
        send_chunks(&wharfd.api, &location, &content, 0, 1_234_567).await;
        assert!(wharfd.stop().await.success());
        wharfd.start_again().await;
        send_chunks(&wharfd.api, &location, &content, 1_234_567, content.len()).await;
        let ended = wharfd.api.end_upload(&location, &digest, "").await;
        assert_eq!(ended.status, 201, "{query}: {}", ended.text());
        assert!(wharfd.api.get_blob(REPO, &digest).await.body == content);
    }
}

#[tokio::test]
async fn a_session_at_rest_is_cancelled_in_its_own_repository_only() {
    let mut wharfd = Wharfd::alone().await;
    let location = wharfd.api.open_upload(REPO).await;
    send_chunks(&wharfd.api, &location, &noise(6, 1_000), 0, 1_000).await;
    assert!(wharfd.stop().await.success());
    wharfd.start_again().await;
    let foreign = location.replace(REPO, "team/other");
    assert_eq!(wharfd.api.get(&foreign).await.status, 404);
    assert_eq!(wharfd.api.patch(&foreign).bytes("x").send().await.unwrap().status, 404);
    assert_eq!(wharfd.api.delete(&foreign).await.status, 404);
    // Asking for it takes nothing.
    assert_eq!(wharfd.api.upload_offset(&location).await, Some(1_000));
    assert_eq!(wharfd.metric("wharfd_uploads_resting").await, 1);
    assert_eq!(wharfd.api.delete(&location).await.status, 204);
    assert_eq!(wharfd.api.upload_offset(&location).await, None);
    wharfd.kill();
    wharfd.start_again().await;
    assert_eq!(wharfd.api.upload_offset(&location).await, None);
}

#[tokio::test]
async fn an_upstream_that_fails_when_an_upload_goes_on_is_no_matter_of_its_client() {
    let Some(mut stage) = Stage::start().await else { return };
    let content = noise(7, 2_000_000);
    let location = stage.api().open_upload(REPO).await;
    send_chunks(stage.api(), &location, &content, 0, 1_500_000).await;
    assert!(stage.wharfd.stop().await.success());
    stage.wharfd.start_again().await;
    stage.double.set_fault(FaultRule::next(Kind::UploadPost, Fault::Unavailable).times(100));
    send_chunks(stage.api(), &location, &content, 1_500_000, content.len()).await;
    assert_eq!(stage.wharfd.metric("wharfd_uploads_resting").await, 0);
    let refused =
        async || (stage.double.counts().answered(Kind::UploadPost, 503) > 0).then_some(());
    eventually("a refusal of the upstream", refused).await;
    stage.double.clear_faults();
    let ended = stage.api().end_upload(&location, &sha256(&content), "").await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert!(stage.origin.get_blob(REPO, &sha256(&content)).await.body == content);
}
