//! `kill -9` of `wharfd` in the middle of pushes and pulls. The store opens again, every upload
//! with a 201 is there, half blobs are not, and all listed content hashes to its digest.
//! `resume.rs` has the continuation of a half push.

use std::sync::Arc;
use std::sync::Mutex;

use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use wharf_testkit::images::sha256;

use crate::fixture::{Api, Stage, Wharfd, code, eventually, noise};

const REPO: &str = "acme/web";
/// How much of a large blob becomes durable at once.
const RUN_BYTES: usize = 32 * 1024 * 1024;
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A list of all pages.
async fn list(api: &Api, first: String, field: &str) -> Vec<String> {
    let mut listed = Vec::new();
    let mut path = Some(first);
    while let Some(asked) = path {
        let page = api.get(&asked).await;
        let entries = page.json().unwrap()[field].as_array().cloned().unwrap_or_default();
        listed.extend(entries.iter().filter_map(|entry| Some(entry.as_str()?.to_owned())));
        path =
            page.header("link").strip_prefix('<').map(|l| l.split('>').next().unwrap().to_owned());
    }
    listed
}

/// Reads and hashes all listed content; returns the number of pieces.
async fn hash_everything(api: &Api) -> usize {
    let mut hashed = 0;
    for repo in list(api, "/v2/_catalog?n=3".to_owned(), "repositories").await {
        for tag in list(api, format!("/v2/{repo}/tags/list?n=3"), "tags").await {
            let manifest = api.get_manifest(&repo, &tag).await;
            assert_eq!(manifest.status, 200, "{repo}:{tag} is listed");
            assert_eq!(sha256(&manifest.body), manifest.header("docker-content-digest"));
            let json = manifest.json().unwrap();
            let layers = json["layers"].as_array().unwrap().iter();
            for blob in layers.chain([&json["config"]]) {
                let digest = blob["digest"].as_str().unwrap();
                let found = api.get_blob(&repo, digest).await;
                assert_eq!(found.status, 200, "{digest} of {repo}:{tag}");
                assert_eq!(sha256(&found.body), digest, "{repo}:{tag}");
                hashed += 1;
            }
            hashed += 1;
        }
    }
    hashed
}

/// Pushes an image of one layer under a tag. The error is a missing response.
async fn push_image(api: &Api, tag: &str, layer: Vec<u8>) -> anyhow::Result<()> {
    let (config, layer_digest) = (json!({ "tag": tag }).to_string(), sha256(&layer));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
        "config": { "mediaType": "application/json", "digest": sha256(config.as_bytes()), "size": config.len() },
        "layers": [{ "mediaType": "application/x", "digest": layer_digest, "size": layer.len() }],
    });
    api.try_push_blob(REPO, &layer_digest, layer).await?;
    api.try_push_blob(REPO, &sha256(config.as_bytes()), config).await?;
    let call = api.put(&format!("/v2/{REPO}/manifests/{tag}"));
    let call = call.header("content-type", MANIFEST_TYPE).bytes(manifest.to_string());
    let answer = call.send().await?;
    anyhow::ensure!(answer.status == 201, "{}", answer.text());
    Ok(())
}

/// Sends this many bytes of a longer PATCH, and waits until `wharfd` has taken them.
async fn half_a_push(wharfd: &Wharfd, location: &str, content: &[u8], sent: usize) -> TcpStream {
    let before = wharfd.metric("wharfd_received_bytes_total").await;
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n",
        wharfd.host(),
        content.len()
    );
    let mut client = TcpStream::connect(wharfd.host()).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&content[..sent]).await.unwrap();
    wharfd.metric_reaches("wharfd_received_bytes_total", before + sent as u64).await;
    client
}

#[tokio::test]
async fn a_push_that_is_killed_half_way_leaves_no_blob_and_can_be_made_again() {
    let mut wharfd = Wharfd::alone().await;
    push_image(&wharfd.api, "before", noise(1, 3_000_000)).await.unwrap();
    let content = noise(2, 80_000_000);
    let digest = sha256(&content);
    // Zero, less than a segment, several segments, just past one run on disk, and nearly all.
    for sent in [0, 1_000, 1_500_000, 68_000_000, 79_999_999] {
        let location = wharfd.api.open_upload(REPO).await;
        let client = half_a_push(&wharfd, &location, &content, sent).await;
        wharfd.kill();
        drop(client);
        wharfd.start_again().await;
        assert_eq!(hash_everything(&wharfd.api).await, 3, "after {sent} bytes");
        let half = wharfd.api.get_blob(REPO, &digest).await;
        assert_eq!((half.status.as_u16(), code(&half).as_str()), (404, "BLOB_UNKNOWN"));
        let mount = format!("/v2/team/other/blobs/uploads/?mount={digest}");
        assert_eq!(wharfd.api.post(&mount).send().await.unwrap().status, 202);
        // Only whole runs are durable. The last run may still have been on its way; the one before
        // it was complete.
        let offset = wharfd.api.upload_offset(&location).await.expect("the session survives");
        assert!(offset <= sent && offset.is_multiple_of(RUN_BYTES), "{offset} of {sent}");
        if sent == 79_999_999 {
            assert!(offset >= RUN_BYTES, "{offset} of {sent}");
        }
        assert_eq!(wharfd.api.delete(&location).await.status, 204);
        let session = wharfd.api.get(&location).await;
        assert_eq!(
            (session.status.as_u16(), code(&session).as_str()),
            (404, "BLOB_UPLOAD_UNKNOWN")
        );
    }
    push_image(&wharfd.api, "after", content).await.unwrap();
    wharfd.kill();
    wharfd.start_again().await;
    assert_eq!(hash_everything(&wharfd.api).await, 6);
}

#[tokio::test]
async fn the_space_of_half_pushes_is_given_back_when_they_are_cancelled() {
    let mut wharfd = Wharfd::alone().await;
    let content = noise(3, 70_000_000);
    for _ in 0..3 {
        let location = wharfd.api.open_upload(REPO).await;
        let client = half_a_push(&wharfd, &location, &content, 69_000_000).await;
        wharfd.kill();
        drop(client);
        wharfd.start_again().await;
        assert_eq!(wharfd.api.delete(&location).await.status, 204);
    }
    // RocksDB deletes the files of freed runs in its own time.
    let store = wharfd.store();
    // The reserve for a start on a full disk stays.
    let ballast = std::fs::metadata(store.join("ballast")).map_or(0, |about| about.len());
    let most = 20_000_000 + ballast;
    let small = async || (size_of(&store) < most).then_some(());
    eventually("the space of three half pushes to be given back", small).await;
}

fn size_of(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => size_of(&entry.path()),
        Ok(about) => about.len(),
        // It was deleted meanwhile.
        Err(_) => 0,
    };
    entries.map(size).sum()
}

#[tokio::test]
async fn a_pull_that_is_killed_half_way_leaves_nothing_and_can_be_made_again() {
    let Some(mut stage) = Stage::start().await else { return };
    let known = stage.origin.push_blob(REPO, noise(4, 2_000_000)).await;
    assert_eq!(stage.api().get_blob(REPO, &known).await.status, 200);
    stage.wharfd.fills_are_over().await;
    let content = noise(5, 80_000_000);
    let digest = stage.origin.push_blob(REPO, content.clone()).await;
    for held in [1, 300_000, 9_000_000, 70_000_000, 79_999_999] {
        stage.storage.hold_after(held);
        let api = stage.api().clone();
        let path = format!("/v2/{REPO}/blobs/{digest}");
        let client = tokio::spawn(async move {
            let mut received = 0;
            let answer = api.call(Method::GET, &path).start().await?;
            let mut body = answer.into_body();
            while let Some(frame) = body.frame().await {
                received += frame?.into_data().map_or(0, |data| data.len());
            }
            anyhow::Ok(received)
        });
        stage.wharfd.metric_reaches("wharfd_fills", 1).await;
        // The upstream has sent as much as the relay lets pass.
        let sent = async || (stage.storage.passed_bytes() >= held).then_some(());
        eventually("the first part to pass", sent).await;
        stage.wharfd.kill();
        assert!(client.await.unwrap().is_err(), "a client took half a blob for a whole one");
        stage.storage.release();
        stage.wharfd.start_again().await;
        let head = stage.api().head_blob(REPO, &digest).await;
        assert_eq!(head.header("wharf-cache"), "bypass", "after {held} bytes something is kept");
        let again = stage.api().get_blob(REPO, &known).await;
        assert_eq!((again.header("wharf-cache"), sha256(&again.body)), ("hit", known.clone()));
    }
    assert!(stage.api().get_blob(REPO, &digest).await.body == content);
    stage.wharfd.fills_are_over().await;
    stage.wharfd.kill();
    stage.wharfd.start_again().await;
    let kept = stage.api().get_blob(REPO, &digest).await;
    assert_eq!(kept.header("wharf-cache"), "hit");
    assert!(kept.body == content);
}

#[tokio::test]
async fn what_was_answered_201_survives_every_kill() {
    let mut wharfd = Wharfd::alone().await;
    let acknowledged = Arc::new(Mutex::new(Vec::<String>::new()));
    for round in 0..8_u64 {
        let already = acknowledged.lock().unwrap().len();
        let pushers: Vec<_> = (0..3_u64)
            .map(|pusher| {
                let (api, acknowledged) = (wharfd.api.clone(), Arc::clone(&acknowledged));
                tokio::spawn(async move {
                    for number in 0_u64.. {
                        let tag = format!("r{round}-p{pusher}-{number}");
                        let seed = (round << 32) + (pusher << 16) + number;
                        // Small and large blobs take different ways into the store.
                        let bytes = if number % 2 == 0 { 3_000 } else { 1_300_000 };
                        if push_image(&api, &tag, noise(seed, bytes)).await.is_err() {
                            return;
                        }
                        acknowledged.lock().unwrap().push(tag);
                    }
                })
            })
            .collect();
        // The kill comes after another number of pushes each time, in the middle of others.
        let wanted = already + 1 + usize::try_from(round).unwrap();
        let reached = async || (acknowledged.lock().unwrap().len() >= wanted).then_some(());
        eventually("some pushes", reached).await;
        wharfd.kill();
        for pusher in pushers {
            pusher.await.unwrap();
        }
        wharfd.start_again().await;
        let listed = list(&wharfd.api, format!("/v2/{REPO}/tags/list?n=7"), "tags").await;
        let tags = acknowledged.lock().unwrap().clone();
        for tag in &tags {
            assert!(listed.contains(tag), "{tag} was answered 201 and is gone");
        }
        // The kill can cut off the response to a listed image; all of its content must be whole.
        assert_eq!(hash_everything(&wharfd.api).await, 3 * listed.len());
    }
    let repositories = wharfd.api.get("/v2/_catalog").await.json().unwrap();
    assert_eq!(repositories["repositories"], Value::from(vec![REPO]));
}
