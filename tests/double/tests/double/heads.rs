//! Wrong heads: lengths, ranges, digests, types, addresses.

use wharf_double::{Fault, FaultRule, Kind};

use super::{MANIFEST_TYPE, REPOSITORY, Stage, Trap, broken};

const CONTENT: &[u8] = b"0123456789";

#[tokio::test]
async fn an_ignored_range_is_answered_with_the_whole_body() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.set(Kind::StorageGet, Fault::RangeIgnored);
    assert_eq!(trap.fetch().await.unwrap().body, CONTENT);
    let waiting = trap.stage.double.waiting_faults();
    assert_eq!(waiting.len(), 1, "a request without a range does not use it up");
    let whole = trap.part("bytes=4-").await.unwrap();
    assert_eq!((whole.status.as_u16(), &whole.body[..]), (200, CONTENT));
    assert_eq!(whole.header("content-range"), "");
    trap.is_over().await;
}

#[tokio::test]
async fn another_range_than_asked_for_says_so() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.set(Kind::StorageGet, Fault::OtherRange { by: 2 });
    let other = trap.part("bytes=4-").await.unwrap();
    assert_eq!((other.status.as_u16(), &other.body[..]), (206, &CONTENT[6..]));
    assert_eq!(other.header("content-range"), "bytes 6-9/10");
    trap.is_over().await;
}

#[tokio::test]
async fn a_content_range_lies_about_start_and_total_or_is_missing() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    for (fault, said) in [
        (Fault::WrongRangeStart { by: 3 }, "bytes 5-7/10"),
        (Fault::WrongRangeTotal { by: 90 }, "bytes 2-4/100"),
        (Fault::NoContentRange, ""),
    ] {
        trap.set(Kind::StorageGet, fault);
        let lie = trap.part("bytes=2-4").await.unwrap();
        assert_eq!((lie.status.as_u16(), &lie.body[..]), (206, &CONTENT[2..5]), "{fault:?}");
        assert_eq!(lie.header("content-range"), said);
    }
    trap.is_over().await;
}

#[tokio::test]
async fn a_content_length_lies_to_both_sides_and_on_head() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    trap.set(Kind::StorageGet, Fault::WrongLength { bytes: 7 });
    let less = trap.fetch().await.unwrap();
    assert_eq!((less.header("content-length"), &less.body[..]), ("7", &CONTENT[..7]));
    trap.set(Kind::StorageGet, Fault::WrongLength { bytes: 11 });
    assert_eq!(broken(trap.fetch().await), CONTENT);
    trap.set(Kind::StorageHead, Fault::WrongLength { bytes: 11 });
    let head = trap.stage.client.head(trap.link().await).send().await.unwrap();
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, "11"));
    trap.set(Kind::StorageGet, Fault::NoLength);
    let chunked = trap.fetch().await.unwrap();
    assert_eq!((chunked.header("content-length"), &chunked.body[..]), ("", CONTENT));
    trap.is_over().await;
}

#[tokio::test]
async fn digest_type_and_encoding_of_a_blob_lie() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    for (fault, name, said) in [
        (Fault::WrongContentType, "content-type", "text/html"),
        (Fault::FalseGzip, "content-encoding", "gzip"),
        (Fault::WrongDigestHeader, "docker-content-digest", &*format!("sha256:{:064}", 0)),
    ] {
        trap.set(Kind::StorageGet, fault);
        let lie = trap.fetch().await.unwrap();
        assert_eq!((lie.header(name), &lie.body[..]), (said, CONTENT), "{fault:?}");
    }
    for (kind, fault, said) in [
        (Kind::BlobGet, Fault::WrongDigestHeader, format!("sha256:{:064}", 0)),
        (Kind::BlobGet, Fault::NoDigestHeader, String::new()),
    ] {
        trap.set(kind, fault);
        let lie = trap.stage.client.get(trap.url()).bearer(&trap.token).send().await.unwrap();
        assert_eq!(lie.status, 307);
        assert_eq!(lie.header("docker-content-digest"), said);
    }
    trap.is_over().await;
}

#[tokio::test]
async fn digest_and_type_of_a_manifest_lie_on_get_and_head() {
    let Some(stage) = Stage::start().await else { return };
    let bytes = super::reads::plant_tags(&stage, std::iter::once("v1".to_owned())).await;
    let url = stage.url(&format!("/v2/{REPOSITORY}/manifests/v1"));
    let token = stage.pull_token().await;
    for (kind, method) in
        [(Kind::ManifestGet, http::Method::GET), (Kind::ManifestHead, http::Method::HEAD)]
    {
        let ask = async |fault| {
            stage.double.set_fault(FaultRule::next(kind, fault));
            let call = stage.client.call(method.clone(), &url).bearer(&token);
            let answer = call.header("accept", MANIFEST_TYPE).send().await.unwrap();
            assert_eq!(answer.status, 200, "{fault:?}");
            answer
        };
        let lie = ask(Fault::WrongDigestHeader).await;
        assert_eq!(lie.header("docker-content-digest"), format!("sha256:{:064}", 0));
        assert_eq!(ask(Fault::NoDigestHeader).await.header("docker-content-digest"), "");
        assert_eq!(ask(Fault::WrongContentType).await.header("content-type"), "text/html");
        let long = ask(Fault::LongBody { bytes: 1 }).await;
        assert_eq!(long.header("content-length"), (bytes.len() + 1).to_string());
    }
    assert!(stage.double.waiting_faults().is_empty());
}

#[tokio::test]
async fn a_location_is_malformed_or_missing_on_redirects_and_uploads() {
    let Some(trap) = Trap::with(CONTENT).await else { return };
    let token = trap.stage.push_token().await;
    let uploads = trap.stage.url(&format!("/v2/{REPOSITORY}/blobs/uploads/"));
    for (fault, said) in [(Fault::BadLocation, "http://[/"), (Fault::NoLocation, "")] {
        trap.set(Kind::BlobGet, fault);
        let lie = trap.stage.client.get(trap.url()).bearer(&token).send().await.unwrap();
        assert_eq!((lie.status.as_u16(), lie.header("location")), (307, said));
        trap.stage.double.set_fault(FaultRule::next(Kind::UploadPost, fault));
        let lie = trap.stage.client.post(&uploads).bearer(&token).send().await.unwrap();
        assert_eq!((lie.status.as_u16(), lie.header("location")), (202, said));
    }
    assert!(said_is_no_address("http://[/"));
    trap.is_over().await;
}

fn said_is_no_address(text: &str) -> bool {
    text.parse::<http::Uri>().is_err()
}
