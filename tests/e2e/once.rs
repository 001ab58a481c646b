//! Write-once tags: one of many pushers puts the tag, and every other may put only the same
//! manifest. `wharfd` refuses without the upstream's answer, and an operator's override works once.
//! `once/kept.rs` has the content kept by a tag.

mod kept;

use std::time::Duration;

use http::Method;
use serde_json::Value;
use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::http::{Answer, Client};

use crate::fixture::{Said, Setup, Stage, Wharfd, code, command, eventually, message};

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

fn digest(word: &str) -> String {
    wharf_testkit::images::sha256(manifest(word).as_bytes())
}

async fn put(wharfd: &Wharfd, reference: &str, word: &str) -> Answer {
    wharfd.api.put_manifest(REPO, reference, TYPE, manifest(word)).await
}

fn assert_put(answer: &Answer) {
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// A refusal with the tag's name and its current digest.
fn assert_refused(answer: &Answer, tag: &str, there: &str) {
    assert_eq!((answer.status.as_u16(), code(answer).as_str()), (409, "DENIED"));
    let said = message(answer);
    for word in [&format!("{REPO}:{tag}"), there, "wharfd tags allow"] {
        assert!(said.contains(word), "no {word} in {said}");
    }
}

fn delete_path(reference: &str) -> String {
    format!("/v2/{REPO}/manifests/{reference}")
}

fn once(mut setup: Setup) -> Setup {
    setup.upstream.push_str("write_once_tags = [\"v*\"]\n");
    setup
}

fn locking(setup: Setup) -> Setup {
    let mut setup = once(setup);
    setup.upstream.push_str("lock_tags = true\n");
    setup
}

async fn allow(wharfd: &Wharfd, more: &[&str]) -> Said {
    let folder = tempfile::TempDir::new().unwrap();
    let mut command = command(["tags", "allow"]);
    command.args(more).arg("--store").arg(wharfd.store());
    let mut process =
        wharf_testkit::processes::Process::spawn("allow", &mut command, folder.path()).unwrap();
    let code = process.wait(crate::fixture::PATIENCE).await.unwrap().code().unwrap();
    Said { code, stdout: process.stdout(), stderr: process.stderr() }
}

/// The upstream's lock attributes of a tag or manifest.
async fn attributes(stage: &Stage, what: &str) -> Value {
    let url = format!("{}/acr/v1/{REPO}/{what}", stage.double.url());
    let answer = Client::new().get(url).basic("publisher", "a secret").send().await.unwrap();
    let json = answer.json().unwrap();
    let found = json["tag"].as_object().or(json["manifest"].as_object());
    found.unwrap_or_else(|| panic!("{json}"))["changeableAttributes"].clone()
}

fn is_locked(attributes: &Value) -> bool {
    attributes["writeEnabled"] == false && attributes["deleteEnabled"] == false
}

async fn a_tag_is_put_once(wharfd: &Wharfd) {
    assert_put(&put(wharfd, "v1", "first").await);
    assert_put(&put(wharfd, "v1", "first").await);
    assert_refused(&put(wharfd, "v1", "second").await, "v1", &digest("first"));
    // No tag of a request is touched when one of them may not be.
    assert_refused(&put(wharfd, "v2?tag=v1&tag=free", "second").await, "v1", &digest("first"));
    for tag in ["v2", "free"] {
        assert_eq!(wharfd.api.get_manifest(REPO, tag).await.status, 404, "{tag}");
    }
    let by_digest = format!("{}?tag=v1", digest("second"));
    assert_refused(&put(wharfd, &by_digest, "second").await, "v1", &digest("first"));
    assert_eq!(wharfd.api.get_manifest(REPO, "v1").await.body, manifest("first"));
    // Other tags move as ever.
    for word in ["first", "second"] {
        assert_put(&put(wharfd, "latest", word).await);
    }
    // Registries have manifests among their blobs.
    let as_blob = format!("/v2/{REPO}/blobs/{}", digest("first"));
    for path in [delete_path("v1"), delete_path(&digest("first")), as_blob] {
        let refused = wharfd.api.delete(&path).await;
        assert_refused(&refused, "v1", &digest("first"));
    }
    assert_eq!(wharfd.api.get_manifest(REPO, "v1").await.body, manifest("first"));
    assert_eq!(wharfd.api.delete(&delete_path(&digest("second"))).await.status, 202);
}

#[tokio::test]
async fn a_tag_is_put_once_and_stays_at_the_upstream() {
    let Some(stage) = Stage::start_with(once).await else { return };
    a_tag_is_put_once(&stage.wharfd).await;
    assert_eq!(stage.origin.get_manifest(REPO, "v1").await.body, manifest("first"));
}

#[tokio::test]
async fn a_tag_is_put_once_and_stays_in_a_registry_of_its_own() {
    let wharfd = Wharfd::with_config("write_once_tags = [\"v*\", \"other:*\"]\n").await;
    a_tag_is_put_once(&wharfd).await;
    let elsewhere = |word| wharfd.api.put_manifest("acme/other", "x", TYPE, manifest(word));
    for word in ["first", "second"] {
        assert_eq!(elsewhere(word).await.status, 201);
    }
    let mut wharfd = wharfd;
    wharfd.kill();
    wharfd.start_again().await;
    assert_refused(&put(&wharfd, "v1", "second").await, "v1", &digest("first"));
}

/// Of many pushers with different content for one new tag, exactly one gets 201.
async fn one_of_many_wins(wharfd: &Wharfd) -> String {
    let pushes = (0..32).map(|number| {
        let api = wharfd.api.clone();
        tokio::spawn(async move {
            let word = format!("pusher {number}");
            // Some name the tag beside another one, in either order.
            let reference = match number % 3 {
                0 => "v1".to_owned(),
                1 => format!("v1?tag=x{number}"),
                _ => format!("x{number}?tag=v1"),
            };
            let answer = api.put_manifest(REPO, &reference, TYPE, manifest(&word)).await;
            (word, answer)
        })
    });
    let mut winners = Vec::new();
    let mut refused = Vec::new();
    for push in pushes.collect::<Vec<_>>() {
        let (word, answer) = push.await.unwrap();
        if answer.status == 201 { winners.push(word) } else { refused.push(answer) }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    let winner = winners.remove(0);
    for answer in refused {
        assert_refused(&answer, "v1", &digest(&winner));
    }
    assert_eq!(wharfd.api.get_manifest(REPO, "v1").await.body, manifest(&winner));
    winner
}

#[tokio::test]
async fn one_of_many_concurrent_pushers_wins() {
    let Some(stage) = Stage::start_with(once).await else { return };
    let winner = one_of_many_wins(&stage.wharfd).await;
    assert_eq!(stage.origin.get_manifest(REPO, "v1").await.body, manifest(&winner));
    one_of_many_wins(&Wharfd::with_config("write_once_tags = [\"v*\"]\n").await).await;
}

#[tokio::test]
async fn a_pusher_who_goes_away_while_the_upstream_works_keeps_its_turn() {
    let Some(stage) = Stage::start_with(once).await else { return };
    stage.double.set_fault(FaultRule::next(Kind::ManifestPut, Fault::Hang));
    let api = stage.api().clone();
    let first = tokio::spawn(async move {
        api.put_manifest(REPO, "v1", TYPE, manifest("first")).await;
    });
    eventually("the push at the upstream", async || (stage.double.held() == 1).then_some(())).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let api = stage.api().clone();
    let second =
        tokio::spawn(async move { api.put_manifest(REPO, "v1", TYPE, manifest("second")).await });
    // The second waits; the first one's PUT still arrives.
    stage.double.release();
    assert_refused(&second.await.unwrap(), "v1", &digest("first"));
    assert_eq!(stage.origin.get_manifest(REPO, "v1").await.body, manifest("first"));
}

#[tokio::test]
async fn the_upstream_is_asked_and_not_what_is_remembered_here() {
    let Some(stage) = Stage::start_with(|setup| once(setup).tag_ttl(3600)).await else { return };
    // Pushed past the proxy.
    let planted = stage.origin.put_manifest(REPO, "v1", TYPE, manifest("past")).await;
    assert_put(&planted);
    assert_refused(&put(&stage.wharfd, "v1", "second").await, "v1", &digest("past"));
    // Known here, and deleted past the proxy.
    assert_put(&put(&stage.wharfd, "v2", "old").await);
    let gone = stage.origin.delete(&delete_path(&digest("old"))).await;
    assert_eq!(gone.status, 202);
    assert_put(&put(&stage.wharfd, "v2", "new").await);
    // An upstream without a digest in HEAD sends the manifest.
    let unsaid = FaultRule::next(Kind::ManifestHead, Fault::NoDigestHeader).during(HELD);
    stage.double.set_fault(unsaid);
    assert_put(&put(&stage.wharfd, "v2", "new").await);
    assert_refused(&put(&stage.wharfd, "v2", "newer").await, "v2", &digest("new"));
}

#[tokio::test]
async fn an_upstream_that_cannot_say_is_not_guessed_for() {
    let start = Stage::start_with(|setup| {
        let mut setup = once(setup);
        setup.upstream.push_str("answer_timeout_seconds = 1\n");
        setup
    });
    let Some(stage) = start.await else { return };
    assert_put(&put(&stage.wharfd, "v1", "first").await);
    for fault in [Fault::TooManyRequests { retry_after_s: 60 }, Fault::Unavailable] {
        stage.double.set_fault(FaultRule::next(Kind::ManifestHead, fault).during(HELD));
        for (tag, word) in [("v1", "second"), ("v2", "first")] {
            let undecided = put(&stage.wharfd, tag, word).await;
            assert_eq!(undecided.status, 429, "{fault:?}: {}", undecided.text());
            assert!(!undecided.header("retry-after").is_empty());
        }
        let undecided = stage.api().delete(&delete_path(&digest("first"))).await;
        assert_eq!(undecided.status, 429, "{fault:?}: {}", undecided.text());
        stage.double.clear_faults();
    }
    assert_eq!(stage.double.counts().answered(Kind::ManifestPut, 201), 1);
    assert_eq!(stage.origin.get_manifest(REPO, "v2").await.status, 404);
}

#[tokio::test]
async fn a_change_is_allowed_once_for_one_push_and_written_down() {
    let Some(stage) = Stage::start_with(locking).await else { return };
    let wharfd = &stage.wharfd;
    let tag = format!("{REPO}:v1");
    assert_put(&put(wharfd, "v1", "first").await);
    let said = allow(wharfd, &[&tag, "--reason", "wrong base image"]).await;
    assert_eq!((said.code, said.stdout.contains(&tag)), (0, true), "{}", said.stderr);
    // A push refused by the upstream consumes no override, and leaves the tag locked.
    let full = Fault::Status { code: 400, retry_after_s: None };
    stage.double.set_fault(FaultRule::next(Kind::ManifestPut, full));
    assert!(put(wharfd, "v1", "second").await.status.is_client_error());
    assert!(is_locked(&attributes(&stage, "_tags/v1").await));
    assert_put(&put(wharfd, "v1", "second").await);
    assert_refused(&put(wharfd, "v1", "third").await, "v1", &digest("second"));
    assert_eq!(stage.origin.get_manifest(REPO, "v1").await.body, manifest("second"));
    assert!(is_locked(&attributes(&stage, "_tags/v1").await));
    let log = wharfd.log();
    for (word, more) in [("granted", "wrong base image"), ("used", "127.0.0.1"), ("refused", "v1")]
    {
        let word = format!("audit=\"{word}\"");
        let line =
            log.lines().find(|line| line.contains(&word)).unwrap_or_else(|| panic!("{word}"));
        assert!(line.contains(REPO) && line.contains(more), "{line}");
    }
    // A deletion is a change too. The registry behind deletes no tags: then all is as before.
    assert_eq!(allow(wharfd, &[&tag, "--reason", "withdrawn", "--for", "1m"]).await.code, 0);
    assert_eq!(stage.api().delete(&delete_path("v1")).await.status, 400);
    assert!(is_locked(&attributes(&stage, "_tags/v1").await));
    assert_eq!(stage.api().get_manifest(REPO, "v1").await.body, manifest("second"));
}

#[tokio::test]
async fn a_change_whose_end_nobody_knows_is_locked_again_and_given_back_when_it_was_not_made() {
    let Some(stage) = Stage::start_with(locking).await else { return };
    let wharfd = &stage.wharfd;
    assert_put(&put(wharfd, "v1", "first").await);
    assert_eq!(allow(wharfd, &[&format!("{REPO}:v1"), "--reason", "because"]).await.code, 0);
    let broken = Fault::Status { code: 502, retry_after_s: None };
    stage.double.set_fault(FaultRule::next(Kind::ManifestPut, broken).during(HELD));
    let failed = put(wharfd, "v1", "second").await;
    assert_eq!(failed.status, 502, "{}", failed.text());
    assert!(is_locked(&attributes(&stage, "_tags/v1").await));
    let log = wharfd.log();
    let line = log.lines().find(|line| line.contains("audit=\"undone\"")).expect("audited");
    assert!(line.contains("not made") && line.contains(REPO), "{line}");
    stage.double.clear_faults();
    assert_put(&put(wharfd, "v1", "second").await);
    assert!(is_locked(&attributes(&stage, "_tags/v1").await));
    assert_refused(&put(wharfd, "v1", "third").await, "v1", &digest("second"));
}

#[tokio::test]
async fn of_two_tags_that_may_change_none_stays_unlocked_when_one_fails() {
    let Some(stage) = Stage::start_with(locking).await else { return };
    let wharfd = &stage.wharfd;
    assert_put(&put(wharfd, "v1?tag=v2", "first").await);
    for tag in ["v1", "v2"] {
        let tag = format!("{REPO}:{tag}");
        assert_eq!(allow(wharfd, &[&tag, "--reason", "because"]).await.code, 0);
    }
    let no = Fault::Status { code: 400, retry_after_s: None };
    // The second is not unlocked; then the second is not put.
    for kind in [Kind::Metadata, Kind::ManifestPut] {
        stage.double.set_fault(FaultRule::next(kind, no).after(1));
        let failed = put(wharfd, "v1?tag=v2", "second").await;
        assert_eq!(failed.status, 400, "{kind:?}: {}", failed.text());
        stage.double.clear_faults();
        for what in ["_tags/v1", "_tags/v2"] {
            assert!(is_locked(&attributes(&stage, what).await), "{kind:?}: {what}");
        }
    }
    // The successful put consumed its overrides, and the failed ones did not.
    assert_put(&put(wharfd, "v1?tag=v2", "second").await);
    for tag in ["v1", "v2"] {
        assert_refused(&put(wharfd, tag, "third").await, tag, &digest("second"));
    }
}

#[tokio::test]
async fn who_may_not_unlock_a_tag_is_refused_and_that_is_no_error_of_ours() {
    let Some(stage) = Stage::start_with(locking).await else { return };
    let wharfd = &stage.wharfd;
    assert_put(&put(wharfd, "v1", "first").await);
    assert_eq!(allow(wharfd, &[&format!("{REPO}:v1"), "--reason", "because"]).await.code, 0);
    let no = Fault::Status { code: 403, retry_after_s: None };
    stage.double.set_fault(FaultRule::next(Kind::Metadata, no).during(HELD));
    let refused = put(wharfd, "v1", "second").await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (403, "DENIED"));
    stage.double.clear_faults();
    let log = wharfd.log();
    assert_eq!(log.lines().find(|line| line.contains("ERROR")), None);
    assert!(is_locked(&attributes(&stage, "_tags/v1").await));
    // The override is still valid.
    assert_put(&put(wharfd, "v1", "second").await);
}

#[tokio::test]
async fn a_deletion_is_allowed_once_too() {
    let wharfd = Wharfd::with_config("write_once_tags = [\"v*\"]\n").await;
    assert_put(&put(&wharfd, "v1", "first").await);
    let said = allow(&wharfd, &[&format!("{REPO}:v1"), "--reason", "withdrawn"]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(wharfd.api.delete(&delete_path("v1")).await.status, 202);
    assert_eq!(wharfd.api.get_manifest(REPO, "v1").await.status, 404);
    assert_put(&put(&wharfd, "v1", "second").await);
    assert_refused(&wharfd.api.delete(&delete_path("v1")).await, "v1", &digest("second"));
}

#[tokio::test]
async fn what_cannot_be_allowed_is_said() {
    let mut wharfd = Wharfd::with_config("write_once_tags = [\"v*\"]\n").await;
    for (arguments, reason) in [
        (&["acme/web:latest", "--reason", "because"][..], "not write-once"),
        (&["acme/web:v1", "--reason", " "], "reason"),
        (&["acme/web:v1", "--reason", "because", "--for", "2d"], "24 h"),
        (&["acme/web", "--reason", "because"], "NAME:TAG"),
        (&["acme/web:v1"], "--reason"),
    ] {
        let said = allow(&wharfd, arguments).await;
        assert_eq!(said.code, 2, "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.contains(reason), "{arguments:?}: {}", said.stderr);
    }
    let allowed = ["acme/web:v1", "--reason", "because"];
    assert_put(&put(&wharfd, "v1", "first").await);
    assert_eq!(allow(&wharfd, &allowed).await.code, 0);
    // No override survives a restart, and the command needs a running server.
    wharfd.kill();
    let said = allow(&wharfd, &allowed).await;
    assert_eq!((said.code, said.stderr.contains("no server")), (5, true), "{}", said.stderr);
    wharfd.start_again().await;
    assert_refused(&put(&wharfd, "v1", "second").await, "v1", &digest("first"));
}

#[tokio::test]
async fn tags_and_manifests_are_locked_at_the_upstream_against_everybody() {
    let Some(stage) = Stage::start_with(locking).await else { return };
    assert_put(&put(&stage.wharfd, "free", "first").await);
    assert!(!is_locked(&attributes(&stage, "_tags/free").await));
    let answer = put(&stage.wharfd, &format!("{}?tag=v1", digest("first")), "first").await;
    assert_put(&answer);
    let manifest_path = format!("_manifests/{}", digest("first"));
    for what in ["_tags/v1", &manifest_path] {
        assert!(is_locked(&attributes(&stage, what).await), "{what}");
    }
    // No client moves it past the proxy.
    let path = format!("{}/v2/{REPO}/manifests/v1", stage.double.url());
    let call = Client::new();
    let call = call.call(Method::PUT, path).header("content-type", TYPE);
    let past = call.basic("publisher", "a secret").bytes(manifest("past")).send().await.unwrap();
    assert_eq!(past.status, 405, "{}", past.text());
    // Through it the same is put again in every way, although the upstream takes nothing.
    for reference in ["v1", "free?tag=v1", &digest("first"), &format!("{}?tag=v1", digest("first"))]
    {
        let again = put(&stage.wharfd, reference, "first").await;
        assert_eq!(again.status, 201, "{reference}: {}", again.text());
    }
    assert_put(&put(&stage.wharfd, "v2", "first").await);
    assert!(is_locked(&attributes(&stage, "_tags/v2").await));
}

#[tokio::test]
async fn a_push_that_could_not_be_locked_says_so_and_the_next_one_locks() {
    let Some(stage) = Stage::start_with(locking).await else { return };
    let no = Fault::Status { code: 403, retry_after_s: None };
    stage.double.set_fault(FaultRule::next(Kind::Metadata, no).during(HELD));
    let unlocked = put(&stage.wharfd, "v1", "first").await;
    assert_eq!(unlocked.status, 502, "{}", unlocked.text());
    assert!(message(&unlocked).contains("not locked"), "{}", unlocked.text());
    stage.double.clear_faults();
    assert!(!is_locked(&attributes(&stage, "_tags/v1").await));
    assert_refused(&put(&stage.wharfd, "v1", "second").await, "v1", &digest("first"));
    assert_put(&put(&stage.wharfd, "v1", "first").await);
    assert!(is_locked(&attributes(&stage, "_tags/v1").await));
}

#[tokio::test]
async fn a_stop_waits_until_what_was_pushed_is_locked() {
    let Some(mut stage) = Stage::start_with(locking).await else { return };
    stage.double.set_fault(FaultRule::next(Kind::Metadata, Fault::Hang));
    let api = stage.api().clone();
    let push = tokio::spawn(async move {
        api.put_manifest(REPO, "v1", TYPE, manifest("first")).await;
    });
    eventually("the lock at the upstream", async || (stage.double.held() == 1).then_some(())).await;
    push.abort();
    assert!(push.await.unwrap_err().is_cancelled());
    let Stage { wharfd, double, .. } = &mut stage;
    crate::stops::stop_and(wharfd, || double.release()).await;
    for what in ["_tags/v1", &format!("_manifests/{}", digest("first"))] {
        assert!(is_locked(&attributes(&stage, what).await), "{what}");
    }
}

#[tokio::test]
async fn of_several_tags_it_is_said_which_were_put() {
    let Some(stage) = Stage::start().await else { return };
    let no = Fault::Status { code: 400, retry_after_s: None };
    stage.double.set_fault(FaultRule::next(Kind::ManifestPut, no).after(2));
    let part = put(&stage.wharfd, "a?tag=b&tag=c&tag=d", "word").await;
    assert_eq!(part.status, 400, "{}", part.text());
    let said = message(&part);
    assert!(said.contains("as a, b, but not as c"), "{said}");
    for (tag, status) in [("a", 200), ("b", 200), ("c", 404), ("d", 404)] {
        assert_eq!(stage.origin.get_manifest(REPO, tag).await.status, status, "{tag}");
        assert_eq!(stage.api().get_manifest(REPO, tag).await.status, status, "{tag}");
    }
    let whole = put(&stage.wharfd, "a?tag=b&tag=c&tag=d", "word").await;
    assert_put(&whole);
    let tags: Vec<_> = whole.headers.get_all("oci-tag").iter().collect();
    assert_eq!(tags, ["b", "c", "d"]);
}
