//! Wrong, slow and broken bodies, whole ones and parts.

use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wharf_double::{Fault, FaultRule, Kind};

use super::{REPOSITORY, Stage, Trap, broken, code, held};

const CONTENT: &[u8] = b"0123456789";

#[tokio::test]
async fn one_wrong_byte_is_where_it_was_ordered() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.set(Kind::StorageGet, Fault::WrongByteAt { offset: 7 });
    let lie = trap.fetch().await.unwrap();
    assert_eq!(lie.header("content-length"), "10");
    assert_eq!((&lie.body[..7], &lie.body[8..]), (&CONTENT[..7], &CONTENT[8..]));
    assert_eq!(lie.body[7], b'7' ^ 0xff);
    trap.is_over().await;
}

#[tokio::test]
async fn every_fault_of_bodies_breaks_a_part_too() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    let part = async |fault| {
        trap.set(Kind::StorageGet, fault);
        trap.part("bytes=2-8").await
    };
    let lie = part(Fault::WrongByteAt { offset: 1 }).await.unwrap();
    assert_eq!((lie.status.as_u16(), lie.header("content-range")), (206, "bytes 2-8/10"));
    assert_eq!(&lie.body[..], b"2\xcc45678");
    let short = part(Fault::ShortBody { bytes: 3 }).await.unwrap();
    assert_eq!((short.header("content-length"), &short.body[..]), ("4", &b"2345"[..]));
    let long = part(Fault::LongBody { bytes: 2 }).await.unwrap();
    assert_eq!((long.header("content-length"), &long.body[..]), ("9", &b"2345678\0\0"[..]));
    assert_eq!(broken(part(Fault::CutBody { after: 3 }).await), "234");
    assert_eq!(broken(part(Fault::Reset { after: 3 }).await), "234");
    assert_eq!(broken(part(Fault::ExpireAndCut { after: 3 }).await), "234");
    let journal = trap.stage.double.journal();
    let parts = journal.iter().filter(|entry| entry.kind == Kind::StorageGet);
    assert!(parts.clone().count() == 6, "{journal:?}");
    assert!(parts.clone().all(|entry| entry.range.as_deref() == Some("bytes=2-8")));
}

#[tokio::test]
async fn an_endless_body_without_a_length_goes_on_behind_its_content() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.set(Kind::StorageGet, Fault::Endless { length_header: false });
    let endless = trap.stage.client.get(trap.link().await).start().await.unwrap();
    assert!(endless.headers().get("content-length").is_none());
    assert_eq!(endless.headers()["transfer-encoding"], "chunked");
    let (mut body, mut seen) = (endless.into_body(), Vec::new());
    while seen.len() < 3_000_000 {
        let frame = body.frame().await.expect("it has no end").unwrap();
        seen.extend_from_slice(frame.data_ref().unwrap());
    }
    assert_eq!(&seen[..10], CONTENT);
    assert!(seen[10..].iter().all(|byte| *byte == 0));
    drop(body);
    trap.is_over().await;
}

/// Sends a GET by hand and returns the connection, because a client hides the surplus bytes.
async fn raw_get(url: &str) -> TcpStream {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let head = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn an_endless_body_with_the_right_length_floods_the_connection_behind_it() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.set(Kind::StorageGet, Fault::Endless { length_header: true });
    let mut stream = raw_get(&trap.link().await).await;
    let mut seen = vec![0; 2_000_000];
    stream.read_exact(&mut seen).await.unwrap();
    let head = seen.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let text = String::from_utf8_lossy(&seen[..head]).to_ascii_lowercase();
    assert!(text.contains("content-length: 10\r\n"), "{text}");
    assert_eq!(&seen[head..head + 10], CONTENT);
    assert!(seen[head + 10..].iter().all(|byte| *byte == 0));
    drop(stream);
    trap.is_over().await;

    // A client stops at the header's length, so it gets the right body.
    trap.set(Kind::StorageGet, Fault::Endless { length_header: true });
    assert_eq!(trap.fetch().await.unwrap().body, CONTENT);
}

#[tokio::test]
async fn a_stalled_body_goes_on_when_the_test_says_so() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.set(Kind::StorageGet, Fault::Stall { after: 4 });
    let answer = trap.stage.client.get(trap.link().await).start().await.unwrap();
    let mut body = answer.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), CONTENT[..4]);
    held(&trap.stage.double, 1).await;
    trap.stage.double.release();
    assert_eq!(body.collect().await.unwrap().to_bytes(), CONTENT[4..]);
    held(&trap.stage.double, 0).await;
    trap.is_over().await;
}

#[tokio::test]
async fn a_stalled_body_is_forgotten_when_its_client_goes() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.set(Kind::StorageGet, Fault::Stall { after: 0 });
    let answer = trap.stage.client.get(trap.link().await).start().await.unwrap();
    held(&trap.stage.double, 1).await;
    drop(answer);
    held(&trap.stage.double, 0).await;
    trap.is_over().await;
}

#[tokio::test]
async fn a_slow_body_comes_in_small_pieces_and_whole() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.set(Kind::StorageGet, Fault::Slow { bytes_per_s: 60 });
    let answer = trap.stage.client.get(trap.link().await).start().await.unwrap();
    assert_eq!(answer.headers()["content-length"], "10");
    let (mut body, mut pieces) = (answer.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        pieces.push(frame.unwrap().into_data().unwrap());
    }
    assert_eq!(pieces.concat(), CONTENT);
    assert!(pieces.len() > 1, "{pieces:?}");
    trap.is_over().await;
}

#[tokio::test]
async fn everything_expires_in_the_middle_of_a_body() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    let link = trap.link().await;
    trap.set(Kind::StorageGet, Fault::ExpireAndCut { after: 6 });
    let cut = trap.stage.client.get(&link).send().await;
    assert_eq!(broken(cut), CONTENT[..6]);
    assert_eq!(trap.stage.client.get(&link).send().await.unwrap().status, 403);
    let registry = trap.stage.client.get(trap.url()).bearer(&trap.token).send().await.unwrap();
    assert_eq!(registry.status, 401);
    let fresh = trap.stage.pull_token().await;
    assert_eq!(trap.stage.fetch(&fresh, &trap.digest).await.unwrap().body, CONTENT);
}

#[tokio::test]
async fn the_registry_itself_can_serve_a_blob_and_parts_of_it() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.set(Kind::BlobGet, Fault::NoRedirect);
    let whole = trap.stage.client.get(trap.url()).bearer(&trap.token).send().await.unwrap();
    assert_eq!((whole.status.as_u16(), &whole.body[..]), (200, CONTENT));
    assert_eq!(whole.header("docker-content-digest"), trap.digest);
    trap.set(Kind::BlobGet, Fault::NoRedirect);
    let part = trap.stage.client.get(trap.url()).bearer(&trap.token).header("range", "bytes=4-");
    let part = part.send().await.unwrap();
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &CONTENT[4..]));
    trap.set(Kind::BlobHead, Fault::NoRedirect);
    let head = trap.stage.client.head(trap.url()).bearer(&trap.token).send().await.unwrap();
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, "10"));
    assert_eq!(trap.stage.double.counts().total(Kind::StorageGet), 0);
    trap.is_over().await;
}

/// An upload, and where its first chunk goes.
async fn upload(stage: &Stage) -> (String, String) {
    let token = stage.push_token().await;
    let url = stage.url(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
    let started = stage.client.post(url).bearer(&token).send().await.unwrap();
    (token, stage.url(started.header("location")))
}

#[tokio::test]
async fn a_stalled_upload_is_taken_whole_after_its_release() {
    let Some(stage) = Stage::start().await else { return };
    let (token, location) = upload(&stage).await;
    stage.double.set_fault(FaultRule::next(Kind::UploadPatch, Fault::Stall { after: 4 }));
    let (client, double) = (stage.client.clone(), &stage.double);
    let patch = client.patch(&location).bearer(&token).bytes(CONTENT).send();
    let (answer, ()) = tokio::join!(patch, async {
        held(double, 1).await;
        double.release();
    });
    let answer = answer.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("range")), (202, "0-9"));
    let slow = Fault::Slow { bytes_per_s: 100 };
    stage.double.set_fault(FaultRule::next(Kind::UploadPatch, slow));
    let location = stage.url(answer.header("location"));
    let answer = client.patch(location).bearer(&token).bytes(CONTENT).send().await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("range")), (202, "0-19"));
}

#[tokio::test]
async fn everything_expires_in_the_middle_of_an_upload() {
    let Some(stage) = Stage::start().await else { return };
    let (token, location) = upload(&stage).await;
    let expire = Fault::ExpireAndCut { after: 10 };
    stage.double.set_fault(FaultRule::next(Kind::UploadPatch, expire));
    let cut = stage.client.patch(&location).bearer(&token).bytes(CONTENT).send().await;
    assert!(cut.is_err(), "{cut:?}");
    let refused = stage.client.get(&location).bearer(&token).send().await.unwrap();
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (401, "UNAUTHORIZED"));
    let fresh = stage.push_token().await;
    let status = stage.client.get(&location).bearer(&fresh).send().await.unwrap();
    assert_eq!((status.status.as_u16(), status.header("range")), (204, "0-0"));
}
