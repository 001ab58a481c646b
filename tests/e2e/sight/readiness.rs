//! `/healthz` and `/readyz`.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::REPO;
use crate::fixture::{Wharfd, eventually, noise};

#[tokio::test]
async fn a_server_that_can_write_is_ready() {
    let wharfd = Wharfd::alone().await;
    let ready = wharfd.admin("/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.text().as_str()), (200, "ready\n"));
    assert_eq!(wharfd.admin("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_store_that_takes_nothing_is_named_and_health_stays_green() {
    let wharfd = Wharfd::alone().await;
    assert_eq!(wharfd.admin("/readyz").await.status, 200);
    // As when its disk is taken away.
    std::fs::remove_dir_all(wharfd.store()).unwrap();
    let unready = async || Some(wharfd.admin("/readyz").await).filter(|a| a.status == 503);
    let unready = eventually("the store to be missed", unready).await;
    assert!(unready.text().starts_with("store: "), "{}", unready.text());
    assert_eq!(wharfd.admin("/healthz").await.status, 200);
    assert!(wharfd.log().contains("not ready"));
}

#[tokio::test]
async fn a_server_that_drains_is_not_ready_and_ends_its_transfers() {
    let mut wharfd = Wharfd::alone().await;
    let content = noise(5, 32 << 20);
    let digest = wharfd.api.push_blob(REPO, content.clone()).await;
    let mut stream = TcpStream::connect(wharfd.host()).await.unwrap();
    let head = format!(
        "GET /v2/{REPO}/blobs/{digest} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut received = vec![0; 1000];
    stream.read_exact(&mut received).await.unwrap();
    wharfd.terminate();
    let unready = async || Some(wharfd.admin("/readyz").await).filter(|a| a.status == 503);
    let unready = eventually("the server to drain", unready).await;
    assert_eq!(unready.text(), "draining\n");
    assert_eq!(wharfd.admin("/healthz").await.status, 200);
    stream.read_to_end(&mut received).await.unwrap();
    assert!(received.ends_with(&content), "a transfer was cut off");
}
