//! The freshness of tags: the trusted time of a tag, and the response during an outage.

use std::time::Duration;

use http::Method;
use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;

use crate::fixture::{Stage, code, eventually, message};

const REPO: &str = "acme/web";
const TYPE: &str = "application/vnd.oci.image.index.v1+json";
const HELD: Duration = Duration::from_hours(1);

/// An index of nothing, different for each word.
fn manifest(word: &str) -> String {
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{TYPE}\",\"manifests\":[],\
         \"annotations\":{{\"word\":\"{word}\"}}}}"
    )
}

async fn plant(stage: &Stage, tag: &str, word: &str) -> String {
    let put = stage.origin.put_manifest(REPO, tag, TYPE, manifest(word)).await;
    assert_eq!(put.status, 201, "{}", put.text());
    put.header("docker-content-digest").to_owned()
}

fn seen(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.header("wharf-cache"))
}

#[tokio::test]
async fn a_tag_that_is_not_there_is_asked_for_once_until_it_is_pushed() {
    let start = Stage::start_with(|mut setup| {
        setup.upstream.push_str("negative_ttl_seconds = 3600\n");
        setup
    });
    let Some(stage) = start.await else { return };
    for _ in 0..3 {
        let absent = stage.api().get_manifest(REPO, "v1").await;
        assert_eq!((absent.status.as_u16(), code(&absent).as_str()), (404, "MANIFEST_UNKNOWN"));
    }
    assert_eq!(stage.double.counts().answered(Kind::ManifestGet, 404), 1);
    // Another name is another question.
    assert_eq!(stage.api().get_manifest(REPO, "v2").await.status, 404);
    assert_eq!(stage.double.counts().answered(Kind::ManifestGet, 404), 2);
    let put = stage.api().put_manifest(REPO, "v1", TYPE, manifest("v1")).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let found = stage.api().get_manifest(REPO, "v1").await;
    assert_eq!((found.status.as_u16(), found.body), (200, manifest("v1").into()));
    // A tag missing a moment ago may exist by now.
    plant(&stage, "v2", "v2").await;
    assert_eq!(stage.api().get_manifest(REPO, "v2").await.status, 200);
}

#[tokio::test]
async fn tags_of_a_pattern_are_believed_for_as_long_as_it_says() {
    let start = Stage::start_with(|mut setup| {
        setup.upstream.push_str(
            "tag_ttl_seconds = 0\n[[upstream.tag_ttl]]\npattern = \"v*\"\nseconds = 3600\n",
        );
        setup
    });
    let Some(stage) = start.await else { return };
    for (tag, asked) in [("v1", 0), ("latest", 3)] {
        let old = plant(&stage, tag, "old").await;
        let first = stage.api().get_manifest(REPO, tag).await;
        assert_eq!(first.header("docker-content-digest"), old);
        stage.double.reset_counts();
        for _ in 0..3 {
            assert_eq!(seen(&stage.api().get_manifest(REPO, tag).await), (200, "hit"));
        }
        assert_eq!(stage.double.counts().total(Kind::ManifestHead), asked, "{tag}");
    }
}

#[tokio::test]
async fn a_tag_that_is_still_asked_for_near_its_end_is_refreshed_behind_the_answer() {
    let Some(stage) = Stage::start_with(|setup| setup.tag_ttl(12)).await else { return };
    plant(&stage, "v1", "old").await;
    assert_eq!(seen(&stage.api().get_manifest(REPO, "v1").await), (200, "fill"));
    let new = plant(&stage, "v1", "new").await;
    stage.double.set_fault(FaultRule::next(Kind::ManifestHead, Fault::Hang));
    // While the question is held, everybody still gets the old answer, at once.
    eventually("the question behind the answer", async || {
        let answer = stage.api().get_manifest(REPO, "v1").await;
        assert_eq!(seen(&answer), (200, "hit"));
        assert_eq!(answer.body, manifest("old"));
        (stage.double.held() == 1).then_some(())
    })
    .await;
    assert_eq!(seen(&stage.api().get_manifest(REPO, "v1").await), (200, "hit"));
    stage.double.release();
    eventually("the new tag", async || {
        let answer = stage.api().get_manifest(REPO, "v1").await;
        assert_eq!(seen(&answer), (200, "hit"), "nobody has to wait for it");
        (answer.header("docker-content-digest") == new).then_some(())
    })
    .await;
    assert_eq!(stage.double.counts().total(Kind::ManifestHead), 1);
}

#[tokio::test]
async fn a_known_tag_is_served_stale_with_a_warning_whatever_kind_of_outage_there_is() {
    let start = Stage::start_with(|mut setup| {
        setup.upstream.push_str("tag_ttl_seconds = 0\nanswer_timeout_seconds = 1\n");
        setup
    });
    let Some(stage) = start.await else { return };
    let outages = [
        ("unavailable", Fault::Unavailable),
        ("hang", Fault::Hang),
        ("gateway", Fault::Status { code: 504, retry_after_s: None }),
        ("reset", Fault::HangUp { reset: true }),
        // Last: it keeps all questions away for a while.
        ("busy", Fault::TooManyRequests { retry_after_s: 60 }),
    ];
    for (tag, _) in outages {
        plant(&stage, tag, tag).await;
        assert_eq!(stage.api().get_manifest(REPO, tag).await.status, 200);
    }
    for (tag, fault) in outages {
        stage.double.set_fault(FaultRule::next(Kind::ManifestHead, fault).during(HELD));
        let old = stage.api().get_manifest(REPO, tag).await;
        assert_eq!(seen(&old), (200, "stale"), "{fault:?}");
        assert!(old.header("warning").starts_with("299 - "), "{fault:?}");
        assert_eq!(old.body, manifest(tag));
        stage.double.clear_faults();
    }
    // The upstream counts manifest pulls, and none is sent: a pull of cached content needs no
    // quota.
    let asked = stage.double.counts().sum();
    assert_eq!(seen(&stage.api().get_manifest(REPO, "unavailable").await), (200, "stale"));
    assert_eq!(stage.double.counts().sum(), asked);
    // There is no listener any more.
    let Stage { wharfd, double, .. } = stage;
    double.stop().await;
    assert_eq!(seen(&wharfd.api.get_manifest(REPO, "hang").await), (200, "stale"));
}

/// Fallback tags about this subject, read by clients to write them back.
fn written_back(subject: &str) -> [String; 5] {
    let tag = sha256(subject.as_bytes()).replace(':', "-");
    let sha512 = format!("sha512-{}", &tag["sha256-".len()..]);
    [tag.clone(), sha512, format!("{tag}.sig"), format!("{tag}.att"), format!("{tag}.sbom")]
}

#[tokio::test]
async fn a_tag_that_is_read_to_be_written_back_is_what_it_is_at_that_moment() {
    let start = Stage::start_with(|mut setup| {
        setup.upstream.push_str("tag_ttl_seconds = 3600\nnegative_ttl_seconds = 3600\n");
        setup
    });
    let Some(stage) = start.await else { return };
    for tag in written_back("subject") {
        assert_eq!(stage.api().get_manifest(REPO, &tag).await.status, 404, "{tag}");
        for word in ["one", "two", "three"] {
            // Past `wharfd`, as any other client does.
            let digest = plant(&stage, &tag, word).await;
            for method in [Method::HEAD, Method::GET] {
                let path = format!("/v2/{REPO}/manifests/{tag}");
                let read = stage.api().call(method, &path).header("accept", TYPE).send().await;
                assert_eq!(read.unwrap().header("docker-content-digest"), digest, "{tag}");
            }
        }
        let last = format!("/v2/{REPO}/manifests/{}", sha256(manifest("three").as_bytes()));
        assert_eq!(stage.origin.delete(&last).await.status, 202);
        assert_eq!(stage.api().get_manifest(REPO, &tag).await.status, 404, "{tag}");
    }
}

#[tokio::test]
async fn nobody_joins_an_older_question_for_a_tag_that_is_written_back() {
    let Some(stage) = Stage::start_with(|setup| setup.tag_ttl(3600)).await else { return };
    let [tag, ..] = written_back("subject");
    plant(&stage, &tag, "old").await;
    assert_eq!(stage.api().get_manifest(REPO, &tag).await.status, 200);
    stage.double.set_fault(FaultRule::next(Kind::ManifestHead, Fault::Hang));
    let api = stage.api().clone();
    let of = tag.clone();
    let first = tokio::spawn(async move { api.get_manifest(REPO, &of).await });
    eventually("the first question", async || (stage.double.held() == 1).then_some(())).await;
    let new = plant(&stage, &tag, "new").await;
    let second = stage.api().get_manifest(REPO, &tag).await;
    assert_eq!(second.header("docker-content-digest"), new);
    stage.double.release();
    assert_eq!(first.await.unwrap().status, 200);
}

#[tokio::test]
async fn what_was_read_in_an_outage_is_not_written_back_over_what_came_since() {
    let Some(stage) = Stage::start_with(|setup| setup.tag_ttl(3600)).await else { return };
    let [tag, ..] = written_back("subject");
    let put = async |word: &str| stage.api().put_manifest(REPO, &tag, TYPE, manifest(word)).await;
    let outage = async || {
        let down = FaultRule::next(Kind::ManifestHead, Fault::Unavailable);
        stage.double.set_fault(down.during(HELD));
        let old = stage.api().get_manifest(REPO, &tag).await;
        assert_eq!(seen(&old), (200, "stale"));
        assert!(old.header("warning").starts_with("299 - "));
        stage.double.clear_faults();
    };
    plant(&stage, &tag, "old").await;
    assert_eq!(stage.api().get_manifest(REPO, &tag).await.status, 200);
    outage().await;
    // No other client has changed the list, so a list made from the stale copy is right.
    assert_eq!(put("old and mine").await.status, 201);
    outage().await;
    let theirs = plant(&stage, &tag, "old and theirs").await;
    let refused = put("old and mine again").await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (412, "PRECONDITION_FAILED"));
    assert!(message(&refused).contains("read it again"), "{}", refused.text());
    assert_eq!(
        stage.origin.head_manifest(REPO, &tag).await.header("docker-content-digest"),
        theirs
    );
    // Read again, it is known, and the next change goes on from there.
    let read = stage.api().get_manifest(REPO, &tag).await;
    assert_eq!(read.header("docker-content-digest"), theirs);
    assert_eq!(put("theirs and mine").await.status, 201);
    // Other tags are put as ever.
    assert_eq!(stage.api().put_manifest(REPO, "v1", TYPE, manifest("v1")).await.status, 201);
}

#[tokio::test]
async fn an_upstream_that_says_no_is_believed_at_once() {
    let Some(stage) = Stage::start_with(|setup| setup.tag_ttl(0)).await else { return };
    for (said, shown) in [(401, 403), (403, 403), (404, 404)] {
        let tag = format!("t{said}");
        plant(&stage, &tag, &tag).await;
        assert_eq!(stage.api().get_manifest(REPO, &tag).await.status, 200);
        let no = Fault::Status { code: said, retry_after_s: None };
        for kind in [Kind::ManifestHead, Kind::ManifestGet] {
            stage.double.set_fault(FaultRule::next(kind, no).during(HELD));
        }
        let refused = stage.api().get_manifest(REPO, &tag).await;
        assert_eq!(seen(&refused), (shown, ""), "after {said}");
        stage.double.clear_faults();
    }
}

#[tokio::test]
async fn whoever_has_it_already_is_told_so() {
    let Some(stage) = Stage::start_with(|setup| setup.tag_ttl(3600)).await else { return };
    let digest = plant(&stage, "v1", "v1").await;
    let blob = stage.origin.push_blob(REPO, "content").await;
    let same = format!("\"{digest}\"");
    let of_blob = format!("W/\"{blob}\", \"other\"");
    for (path, tag) in [
        (format!("/v2/{REPO}/manifests/v1"), &same),
        (format!("/v2/{REPO}/manifests/{digest}"), &same),
        (format!("/v2/{REPO}/blobs/{blob}"), &of_blob),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let ask = |tag: &str| {
                let call = stage.api().call(method.clone(), &path).header("if-none-match", tag);
                call.header("accept", TYPE).send()
            };
            let known = ask(tag).await.unwrap();
            assert_eq!((known.status.as_u16(), known.body.len()), (304, 0), "{method} {path}");
            assert!(!known.header("etag").is_empty());
            assert_eq!(ask("\"another\"").await.unwrap().status, 200, "{method} {path}");
        }
    }
}
