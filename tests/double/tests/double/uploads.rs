//! Each habit of ACR's uploads.

use bytes::Bytes;
use wharf_double::{Habits, Kind};
use wharf_testkit::http::{Answer, chunked};
use wharf_testkit::images::sha256;

use super::{REPOSITORY, Stage, code};

const MIB: usize = 1024 * 1024;

/// An upload in progress, driven request by request.
struct Upload<'a> {
    stage: &'a Stage,
    token: String,
    location: String,
}

impl<'a> Upload<'a> {
    async fn start(stage: &'a Stage) -> Self {
        let token = stage.push_token().await;
        let url = stage.url(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
        let answer = stage.client.post(url).bearer(&token).send().await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        let location = answer.header("location").to_owned();
        Self { stage, token, location }
    }

    async fn patch(&self, location: &str, content: &'static [u8], range: Option<&str>) -> Answer {
        let call = self.stage.client.patch(self.stage.url(location)).bearer(&self.token);
        let call = match range {
            Some(range) => call.header("content-range", range),
            None => call,
        };
        call.bytes(content).send().await.unwrap()
    }

    async fn put(&self, location: &str, digest: &str, content: Bytes) -> Answer {
        let url = self.stage.url(&format!("{location}&digest={digest}"));
        self.stage.client.put(url).bearer(&self.token).bytes(content).send().await.unwrap()
    }
}

async fn with_habits(change: impl FnOnce(&mut Habits)) -> Option<Stage> {
    Stage::start_with(|mut config| {
        change(&mut config.habits);
        config
    })
    .await
}

#[tokio::test]
async fn chunks_are_taken_one_after_the_other_each_at_a_fresh_location() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let upload = Upload::start(&stage).await;
    let start = upload.location.clone();
    assert!(start.starts_with(&format!("/v2/{REPOSITORY}/blobs/uploads/")), "{start}");
    assert!(start.contains("_nouploadcache=false") && start.contains("_state="), "{start}");

    let first = upload.patch(&start, b"01234", Some("0-4")).await;
    assert_eq!(first.status, 202, "{}", first.text());
    assert_eq!(first.header("range"), "0-4");
    assert_ne!(first.header("location"), start);
    let second = upload.patch(first.header("location"), b"56789", None).await;
    assert_eq!(second.header("range"), "0-9");

    let digest = sha256(b"0123456789ab");
    let ended = upload.put(second.header("location"), &digest, Bytes::from_static(b"ab")).await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert_eq!(ended.header("location"), format!("/v2/{REPOSITORY}/blobs/{digest}"));
    assert_eq!(ended.header("docker-content-digest"), digest);
    assert_eq!(stage.planted(&digest).await.unwrap(), "0123456789ab");
    let counts = stage.double.counts();
    assert_eq!(counts.served(Kind::UploadPut, &digest), 1);
    assert_eq!(counts.upload_bytes(), 12);
    // The upload is over; its Location opens nothing any more.
    let again = upload.put(second.header("location"), &digest, Bytes::new()).await;
    assert_eq!((again.status.as_u16(), code(&again).as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
}

#[tokio::test]
async fn an_outdated_location_is_refused_unless_that_is_switched_off() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let upload = Upload::start(&stage).await;
    let first = upload.patch(&upload.location, b"01234", None).await;
    let outdated = upload.patch(&upload.location, b"56789", None).await;
    assert_eq!((outdated.status.as_u16(), code(&outdated).as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
    let fresh = upload.patch(first.header("location"), b"56789", None).await;
    assert_eq!((fresh.status.as_u16(), fresh.header("range")), (202, "0-9"));

    let Some(lenient) = with_habits(|habits| habits.strict_location = false).await else {
        return;
    };
    let upload = Upload::start(&lenient).await;
    upload.patch(&upload.location, b"01234", None).await;
    let outdated = upload.patch(&upload.location, b"56789", None).await;
    assert_eq!((outdated.status.as_u16(), outdated.header("range")), (202, "0-9"));
}

#[tokio::test]
async fn content_range_is_taken_in_the_short_form_only() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let upload = Upload::start(&stage).await;
    for range in ["bytes 0-4/*", "bytes=0-4", "0-5", "four"] {
        let refused = upload.patch(&upload.location, b"01234", Some(range)).await;
        assert_eq!(refused.status, 400, "{range}");
    }
    let taken = upload.patch(&upload.location, b"01234", Some("0-4")).await;
    assert_eq!(taken.status, 202, "a refused chunk leaves the upload as it was");
}

#[tokio::test]
async fn a_chunk_out_of_order_is_416_and_the_upload_goes_on() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let upload = Upload::start(&stage).await;
    let first = upload.patch(&upload.location, b"01234", Some("0-4")).await;
    let gap = upload.patch(first.header("location"), b"789", Some("7-9")).await;
    assert_eq!((gap.status.as_u16(), gap.header("range")), (416, "0-4"));
    let status = stage.client.get(stage.url(gap.header("location"))).bearer(&upload.token);
    let status = status.send().await.unwrap();
    assert_eq!((status.status.as_u16(), status.header("range")), (204, "0-4"));
    let next = upload.patch(status.header("location"), b"56789", Some("5-9")).await;
    let digest = sha256(b"0123456789");
    let ended = upload.put(next.header("location"), &digest, Bytes::new()).await;
    assert_eq!(ended.status, 201, "{}", ended.text());
}

#[tokio::test]
async fn content_without_a_length_is_refused_unless_that_is_switched_off() {
    let parts = || chunked(vec![Bytes::from_static(b"01234"), Bytes::from_static(b"56789")]);
    let digest = sha256(b"0123456789");
    let Some(stage) = Stage::start().await else {
        return;
    };
    let upload = Upload::start(&stage).await;
    let patch = stage.client.patch(stage.url(&upload.location)).bearer(&upload.token);
    let patch = patch.body(parts()).send().await.unwrap();
    assert_eq!((patch.status.as_u16(), code(&patch).as_str()), (400, "CONTENT_LENGTH_INVALID"));
    let put = stage.url(&format!("{}&digest={digest}", upload.location));
    let put = stage.client.put(put).bearer(&upload.token).body(parts()).send().await.unwrap();
    assert_eq!((put.status.as_u16(), code(&put).as_str()), (400, "CONTENT_LENGTH_INVALID"));

    let Some(lenient) = with_habits(|habits| habits.refuse_chunked = false).await else {
        return;
    };
    let upload = Upload::start(&lenient).await;
    let patch = lenient.client.patch(lenient.url(&upload.location)).bearer(&upload.token);
    let patch = patch.body(parts()).send().await.unwrap();
    assert_eq!((patch.status.as_u16(), patch.header("range")), (202, "0-9"));
    let ended = upload.put(patch.header("location"), &digest, Bytes::new()).await;
    assert_eq!(ended.status, 201, "{}", ended.text());
}

#[tokio::test]
async fn a_put_above_twenty_mebibytes_is_413_and_smaller_ones_arrive() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let upload = Upload::start(&stage).await;
    let large = Bytes::from(vec![7; 20 * MIB + 1]);
    let refused = upload.put(&upload.location, &sha256(&large), large.clone()).await;
    assert_eq!(refused.status, 413);
    let fits = large.slice(1..);
    let taken = upload.put(&upload.location, &sha256(&fits), fits.clone()).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    assert_eq!(stage.planted(&sha256(&fits)).await.unwrap(), fits);

    let Some(open) = with_habits(|habits| habits.put_bytes_max = None).await else {
        return;
    };
    let upload = Upload::start(&open).await;
    assert_eq!(upload.put(&upload.location, &sha256(&large), large.clone()).await.status, 201);
}

#[tokio::test]
async fn a_chunk_above_the_configured_limit_is_413() {
    let Some(stage) = with_habits(|habits| habits.patch_bytes_max = Some(4)).await else {
        return;
    };
    let upload = Upload::start(&stage).await;
    assert_eq!(upload.patch(&upload.location, b"01234", None).await.status, 413);
    assert_eq!(upload.patch(&upload.location, b"0123", None).await.status, 202);
}

#[tokio::test]
async fn a_wrong_digest_is_refused_by_the_backing_registry_and_nothing_is_kept() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let upload = Upload::start(&stage).await;
    let claimed = sha256(b"something else");
    let ended = upload.put(&upload.location, &claimed, Bytes::from_static(b"content")).await;
    assert_eq!((ended.status.as_u16(), code(&ended).as_str()), (400, "DIGEST_INVALID"));
    assert_eq!(stage.planted(&claimed).await, None);
    assert_eq!(stage.planted(&sha256(b"content")).await, None);
}

#[tokio::test]
async fn a_cancelled_upload_is_gone() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let upload = Upload::start(&stage).await;
    let url = stage.url(&upload.location);
    let cancel = stage.client.call(http::Method::DELETE, &url).bearer(&upload.token);
    assert_eq!(cancel.send().await.unwrap().status, 204);
    let status = stage.client.get(&url).bearer(&upload.token).send().await.unwrap();
    assert_eq!((status.status.as_u16(), code(&status).as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
}

#[tokio::test]
async fn a_mount_without_a_source_or_of_an_unknown_blob_becomes_an_upload() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let digest = sha256(b"never pushed");
    let scopes = ["repository:acme/web:pull,push", "repository:acme/other:pull"];
    let token = stage.token(&scopes).await;
    for query in [format!("mount={digest}"), format!("mount={digest}&from=acme/other")] {
        let url = stage.url(&format!("/v2/{REPOSITORY}/blobs/uploads/?{query}"));
        let answer = stage.client.post(url).bearer(&token).send().await.unwrap();
        assert_eq!(answer.status, 202, "{query}");
        assert!(answer.header("location").contains("_state="));
    }
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let upload = Upload::start(&stage).await;
    let token = stage.token(&["repository:acme/other:pull,push"]).await;
    let stolen = upload.location.replace(REPOSITORY, "acme/other");
    let call = stage.client.patch(stage.url(&stolen)).bearer(&token).bytes("x");
    assert_eq!(call.send().await.unwrap().status, 404);
}
