//! The content kept by a write-once tag: children, configurations and layers of its manifest cannot
//! be deleted during the tag's life, and can be afterwards.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use wharf_double::{AcrDouble, Fault, FaultRule, Kind};
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;
use wharf_testkit::registry::Registry;

use super::{REPO, TYPE as INDEX, allow, assert_put, assert_refused, delete_path, once};
use crate::fixture::{Api, Stage, USER, Wharfd, code, double_config, eventually, upstream_lines};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const RULE: &str = "write_once_tags = [\"v*\"]\n";
/// How often a push and a deletion go for the same.
const ROUNDS: usize = 12;

fn descriptor(media_type: &str, content: &str) -> Value {
    json!({ "mediaType": media_type, "digest": sha256(content.as_bytes()), "size": content.len() })
}

fn index(children: &[(&str, &str)]) -> String {
    let children: Vec<_> =
        children.iter().map(|(media_type, content)| descriptor(media_type, content)).collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children }).to_string()
}

/// An index of an index of an image.
struct Nested {
    config: String,
    layer: String,
    image: String,
    middle: String,
    top: String,
}

impl Nested {
    /// Different for each word.
    fn new(word: &str) -> Self {
        Self::of(format!("config of {word}"), format!("layer of {word}"))
    }

    fn of(config: String, layer: String) -> Self {
        let image = json!({
            "schemaVersion": 2, "mediaType": IMAGE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        });
        let image = image.to_string();
        let middle = index(&[(IMAGE, &image)]);
        let top = index(&[(INDEX, &middle)]);
        Self { config, layer, image, middle, top }
    }

    async fn push_content(&self, api: &Api) {
        for blob in [&self.config, &self.layer] {
            api.push_blob(REPO, blob.clone()).await;
        }
        for (kind, manifest) in [(IMAGE, &self.image), (INDEX, &self.middle)] {
            let digest = sha256(manifest.as_bytes());
            assert_put(&api.put_manifest(REPO, &digest, kind, manifest.clone()).await);
        }
    }

    async fn push_top(&self, api: &Api, reference: &str) -> Answer {
        api.put_manifest(REPO, reference, INDEX, self.top.clone()).await
    }

    /// The paths of all parts, the image itself last.
    fn paths(&self) -> [String; 5] {
        let blobs = [&self.config, &self.layer]
            .map(|blob| format!("/v2/{REPO}/blobs/{}", sha256(blob.as_bytes())));
        let manifests = [&self.image, &self.middle, &self.top]
            .map(|manifest| delete_path(&sha256(manifest.as_bytes())));
        let ([config, layer], [image, middle, top]) = (blobs, manifests);
        [config, layer, image, middle, top]
    }
}

async fn assert_kept(api: &Api, nested: &Nested, tag: &str) {
    for path in nested.paths() {
        assert_refused(&api.delete(&path).await, tag, &sha256(nested.top.as_bytes()));
        let there = api.call(Method::GET, &path).header("accept", INDEX).header("accept", IMAGE);
        assert_eq!(there.send().await.unwrap().status, 200, "{path}");
    }
}

async fn all_is_kept(wharfd: &Wharfd) -> Nested {
    let (api, nested) = (&wharfd.api, Nested::new("kept"));
    nested.push_content(api).await;
    assert_put(&nested.push_top(api, "v1?tag=free").await);
    assert_kept(api, &nested, "v1").await;
    // Content outside of such a tag is deletable as ever, also beside a shared part.
    let other = Nested::of("another config".to_owned(), nested.layer.clone());
    other.push_content(api).await;
    assert_put(&other.push_top(api, "latest").await);
    for path in other.paths().iter().rev().filter(|path| !nested.paths().contains(path)) {
        let deleted = api.delete(path).await;
        assert_eq!(deleted.status, 202, "{path}: {}", deleted.text());
    }
    assert_kept(api, &nested, "v1").await;
    nested
}

#[tokio::test]
async fn what_a_tag_reaches_is_kept_in_a_registry_of_its_own_until_the_tag_is_gone() {
    let mut wharfd = Wharfd::with_config(RULE).await;
    let nested = all_is_kept(&wharfd).await;
    let log = wharfd.log();
    let refused = log.lines().filter(|line| line.contains("audit=\"refused\"")).count();
    assert_eq!(refused, 10, "each refusal is in the audit log");
    wharfd.kill();
    wharfd.start_again().await;
    assert_kept(&wharfd.api, &nested, "v1").await;
    let said = allow(&wharfd, &[&format!("{REPO}:v1"), "--reason", "withdrawn"]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(wharfd.api.delete(&delete_path("v1")).await.status, 202);
    for path in nested.paths() {
        let deleted = wharfd.api.delete(&path).await;
        assert_eq!(deleted.status, 202, "{path}: {}", deleted.text());
    }
}

#[tokio::test]
async fn what_a_tag_reached_before_it_was_moved_is_not_kept() {
    let wharfd = Wharfd::with_config(RULE).await;
    let (old, new) = (Nested::new("old"), Nested::new("new"));
    for nested in [&old, &new] {
        nested.push_content(&wharfd.api).await;
    }
    assert_put(&old.push_top(&wharfd.api, "v1").await);
    let said = allow(&wharfd, &[&format!("{REPO}:v1"), "--reason", "wrong base image"]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_put(&new.push_top(&wharfd.api, "v1").await);
    assert_kept(&wharfd.api, &new, "v1").await;
    for path in old.paths().iter().rev() {
        let deleted = wharfd.api.delete(path).await;
        assert_eq!(deleted.status, 202, "{path}: {}", deleted.text());
    }
    assert_kept(&wharfd.api, &new, "v1").await;
}

#[tokio::test]
async fn what_a_tag_reaches_is_kept_under_every_name_of_its_repository() {
    let Some(registry) = Registry::start().await.unwrap() else { return };
    let double = AcrDouble::start(double_config(&registry)).await.unwrap();
    let upstream = upstream_lines(&double.url(), USER);
    let config = format!("{upstream}{RULE}{upstream}{RULE}prefix = \"other\"\n");
    let wharfd = Wharfd::with_config(&config).await;
    let (api, nested) = (&wharfd.api, Nested::new("names"));
    nested.push_content(api).await;
    assert_put(&nested.push_top(api, "v1").await);
    for path in nested.paths() {
        let by_the_other = path.replacen("/v2/", "/v2/other/", 1);
        let refused = api.delete(&by_the_other).await;
        assert_eq!(refused.status, 409, "{by_the_other}: {}", refused.text());
    }
    assert_kept(api, &nested, "v1").await;
}

#[tokio::test]
async fn what_a_tag_reaches_is_kept_at_the_upstream() {
    for push in ["", "push = \"staged\"\n"] {
        let start = Stage::start_with(|setup| {
            let mut setup = once(setup);
            setup.upstream.push_str(push);
            setup
        });
        let Some(stage) = start.await else { return };
        let nested = all_is_kept(&stage.wharfd).await;
        for path in nested.paths() {
            let there = stage.origin.call(Method::GET, &path);
            let there = there.header("accept", INDEX).header("accept", IMAGE).send().await.unwrap();
            assert_eq!(there.status, 200, "{path} at the upstream");
        }
        // The tag is deleted past the proxy, and its protection with it.
        let gone = stage.origin.delete(&nested.paths()[4]).await;
        assert_eq!(gone.status, 202, "{}", gone.text());
        for path in &nested.paths()[..4] {
            let deleted = stage.api().delete(path).await;
            assert_eq!(deleted.status, 202, "{path}: {}", deleted.text());
        }
    }
}

#[tokio::test]
async fn what_was_pulled_is_known_as_what_was_pushed() {
    let Some(stage) = Stage::start_with(once).await else { return };
    let nested = Nested::new("past");
    nested.push_content(&stage.origin).await;
    assert_put(&nested.push_top(&stage.origin, "v1").await);
    for path in &nested.paths()[2..] {
        let got = stage.api().call(Method::GET, path);
        let got = got.header("accept", INDEX).header("accept", IMAGE).send().await.unwrap();
        assert_eq!(got.status, 200, "{}", got.text());
    }
    for path in nested.paths() {
        let refused = stage.api().delete(&path).await;
        assert_refused(&refused, "v1", &sha256(nested.top.as_bytes()));
    }
}

/// A push under a write-once tag and a concurrent deletion of one of its parts: one of them is
/// refused.
async fn one_of_both_wins(wharfd: &Wharfd) {
    for round in 0..ROUNDS {
        let (api, nested) = (&wharfd.api, Nested::new(&format!("round {round}")));
        nested.push_content(api).await;
        let (tag, [_, layer, _, middle, _]) = (format!("v{round}"), nested.paths());
        // An index and its child, or an image and its layer.
        let (kind, content, path) = match round % 2 {
            0 => (INDEX, nested.top.clone(), middle),
            _ => (IMAGE, nested.image.clone(), layer),
        };
        let put = api.put_manifest(REPO, &tag, kind, content);
        let (put, gone) = tokio::join!(put, api.delete(&path));
        let tagged = api.get_manifest(REPO, &tag).await.status;
        let part = api.call(Method::GET, &path).header("accept", INDEX).send().await.unwrap();
        let there = (tagged.as_u16(), part.status.as_u16());
        match (put.status.as_u16(), gone.status.as_u16()) {
            (201, 409) => assert_eq!(there, (200, 200)),
            (404, 202) => {
                assert_eq!((code(&put).as_str(), there), ("MANIFEST_BLOB_UNKNOWN", (404, 404)));
            }
            (put, gone) => panic!("round {round}: {put} and {gone}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_and_a_deletion_of_what_it_names_cannot_both_succeed() {
    one_of_both_wins(&Wharfd::with_config(RULE).await).await;
    let Some(stage) = Stage::start_with(once).await else { return };
    one_of_both_wins(&stage.wharfd).await;
}

/// Not answered while the other is under way.
async fn assert_waits(answer: &mut JoinHandle<Answer>) {
    let early = tokio::time::timeout(Duration::from_millis(700), answer).await;
    assert!(early.is_err(), "{:?}", early.map(|answer| answer.unwrap().status));
}

#[tokio::test]
async fn a_deletion_waits_for_a_push_that_is_under_way_and_a_push_for_a_deletion() {
    let Some(stage) = Stage::start_with(once).await else { return };
    for (number, first) in [Kind::ManifestPut, Kind::ManifestDelete].into_iter().enumerate() {
        let nested = Nested::new(&format!("{first:?}"));
        nested.push_content(stage.api()).await;
        let (put_api, delete_api) = (stage.api().clone(), stage.api().clone());
        let (top, tag) = (nested.top.clone(), format!("v{number}"));
        let put = async move { put_api.put_manifest(REPO, &tag, INDEX, top).await };
        let path = nested.paths()[3].clone();
        let delete = async move { delete_api.delete(&path).await };
        stage.double.set_fault(FaultRule::next(first, Fault::Hang));
        let is_held = async || (stage.double.held() == 1).then_some(());
        let (put, gone) = if first == Kind::ManifestPut {
            let put = tokio::spawn(put);
            eventually("the push at the upstream", is_held).await;
            let mut gone = tokio::spawn(delete);
            assert_waits(&mut gone).await;
            stage.double.release();
            (put.await.unwrap(), gone.await.unwrap())
        } else {
            let gone = tokio::spawn(delete);
            eventually("the deletion at the upstream", is_held).await;
            let mut put = tokio::spawn(put);
            assert_waits(&mut put).await;
            stage.double.release();
            (put.await.unwrap(), gone.await.unwrap())
        };
        let expected = if first == Kind::ManifestPut { (201, 409) } else { (404, 202) };
        let answers = (put.status.as_u16(), gone.status.as_u16());
        assert_eq!(answers, expected, "{} {}", put.text(), gone.text());
    }
}
