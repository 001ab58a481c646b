//! The clients' attachments to an image, sent through `wharfd`, are visible at the upstream,
//! through the same `wharfd` and through another one, with and without a referrers API at the
//! upstream. An attachment deleted by a client is gone in all three places.

use std::fmt::Write as _;

use serde_json::json;
use tempfile::TempDir;
use wharf_double::Referrers;
use wharf_testkit::clients::{self, Client};
use wharf_testkit::images::{Recipe, sha256};

use super::run;
use crate::fixture::{Stage, USER, Wharfd, upstream_lines};

const REPO: &str = "clients/signed";
const TAG: &str = "1.0";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The two kinds of upstreams.
const UPSTREAMS: [Referrers; 2] = [Referrers::Absent, Referrers::Kept];

/// An image at the upstream, and two ways to it.
struct Scene {
    stage: Stage,
    other: Wharfd,
    subject: String,
    folder: TempDir,
}

impl Scene {
    async fn set(referrers: Referrers, push: &str) -> Option<Self> {
        let start = Stage::start_with(|mut setup| {
            let _ = writeln!(setup.upstream, "push = \"{push}\"");
            setup.double.habits.referrers = referrers;
            setup.double.anonymous_pull = true;
            // Long enough to expose any stale response.
            setup.tag_ttl(3600)
        });
        let stage = start.await?;
        let folder = TempDir::with_prefix("clients-").unwrap();
        let layout = Recipe::new(1, &[20_000]).write(&folder.path().join("in"), TAG).unwrap();
        stage.api().push_layout(REPO, &layout).await;
        std::fs::write(folder.path().join("note.txt"), "a note").unwrap();
        let other =
            format!("{}tag_ttl_seconds = 3600\n", upstream_lines(&stage.double.url(), USER));
        let other = Wharfd::with_config(&other).await;
        Some(Self { stage, other, subject: layout.top.digest, folder })
    }

    /// `HOST:PORT` of the upstream, of the `wharfd` for pushes, of another one.
    fn places(&self) -> [String; 3] {
        let upstream = self.stage.double.url().trim_start_matches("http://").to_owned();
        [upstream, self.stage.wharfd.host(), self.other.host()]
    }

    /// The image at a place.
    fn image(&self, place: &str) -> String {
        format!("{place}/{REPO}@{}", self.subject)
    }

    fn note(&self) -> String {
        self.folder.path().join("note.txt").display().to_string()
    }

    /// oras finds exactly these digests at each place, and regctl finds as many, so the result does
    /// not depend on one client.
    async fn assert_found(&self, oras: &Client, regctl: &Client, expected: &[&String]) {
        for place in self.places() {
            let image = self.image(&place);
            let found = ["discover", "--plain-http", "--format", "json", &image];
            let found: serde_json::Value = serde_json::from_str(&run(oras, &found).await).unwrap();
            let found = found["referrers"].as_array().or(found["manifests"].as_array()).cloned();
            let mut found: Vec<_> = found
                .unwrap_or_default()
                .iter()
                .map(|entry| entry["digest"].as_str().unwrap().to_owned())
                .collect();
            let mut expected: Vec<_> = expected.iter().map(|digest| (*digest).clone()).collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "by oras at {image}");
            let host = format!("reg={place},tls=disabled");
            let list = ["--host", &host, "artifact", "list", "--format", "raw-body", &image];
            let list = run(regctl, &list).await;
            for digest in &expected {
                assert!(list.contains(digest.as_str()), "by regctl at {image}: {list}");
            }
            let count = list.matches("artifactType").count();
            assert_eq!(count, expected.len(), "by regctl at {image}: {list}");
        }
    }

    /// Attaches by oras at a place; returns the new digest.
    async fn attach(&self, oras: &Client, place: &str, kind: &str) -> String {
        let (image, note) = (self.image(place), self.note());
        let attach = ["attach", "--plain-http", "--disable-path-validation", "--format", "json"];
        let what = ["--artifact-type", kind, &image, &note];
        let said = run(oras, &[&attach[..], &what[..]].concat()).await;
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        said["digest"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_attached_by_turns_through_two_proxies_is_found_everywhere() {
    let (Some(oras), Some(regctl)) = (clients::require("oras"), clients::require("regctl")) else {
        return;
    };
    for referrers in UPSTREAMS {
        let Some(scene) = Scene::set(referrers, "through").await else { return };
        let [_, through, other] = scene.places();
        let one = scene.attach(&oras, &through, "application/one").await;
        scene.assert_found(&oras, &regctl, &[&one]).await;
        let host = format!("reg={other},tls=disabled");
        let put = ["--host", &host, "artifact", "put", "--artifact-type", "application/two"];
        let digest = ["--format", "{{ .Manifest.GetDescriptor.Digest }}"];
        let more = ["--file", &scene.note(), "--subject", &scene.image(&other)];
        let two = run(&regctl, &[&put[..], &digest, &more[..]].concat()).await.trim().to_owned();
        scene.assert_found(&oras, &regctl, &[&one, &two]).await;
        let three = scene.attach(&oras, &through, "application/three").await;
        scene.assert_found(&oras, &regctl, &[&one, &two, &three]).await;
        // The client with the fallback tag deletes, where there is a tag.
        let gone = format!("{other}/{REPO}@{two}");
        run(&oras, &["manifest", "delete", "--plain-http", "--force", &gone]).await;
        scene.assert_found(&oras, &regctl, &[&one, &three]).await;
        let host = format!("reg={through},tls=disabled");
        let delete = ["--host", &host, "manifest", "delete", "--referrers"];
        let gone = format!("{through}/{REPO}@{one}");
        run(&regctl, &[&delete[..], &[&gone]].concat()).await;
        scene.assert_found(&oras, &regctl, &[&three]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crane_brings_a_referrer_that_is_found_everywhere() {
    let need = ["crane", "oras", "regctl"].map(clients::require);
    let [Some(crane), Some(oras), Some(regctl)] = need else { return };
    for referrers in UPSTREAMS {
        let Some(scene) = Scene::set(referrers, "staged").await else { return };
        let [_, through, _] = scene.places();
        // Made at a registry of its own, from where crane takes it.
        let source = Wharfd::alone().await;
        let (from, to) = (source.host(), through.clone());
        run(
            &crane,
            &["copy", "--insecure", &scene.image(&through), &format!("{from}/{REPO}:{TAG}")],
        )
        .await;
        let made = scene.attach(&oras, &from, "application/by-crane").await;
        let (from, to) = (format!("{from}/{REPO}@{made}"), format!("{to}/{REPO}:signature"));
        run(&crane, &["copy", "--insecure", &from, &to]).await;
        scene.assert_found(&oras, &regctl, &[&made]).await;
        let second = scene.attach(&oras, &through, "application/second").await;
        scene.assert_found(&oras, &regctl, &[&made, &second]).await;
    }
}

/// 100 referrers of 60 kB, on two pages.
#[tokio::test(flavor = "multi_thread")]
async fn clients_follow_a_long_list_from_page_to_page() {
    let (Some(oras), Some(regctl)) = (clients::require("oras"), clients::require("regctl")) else {
        return;
    };
    let wharfd = Wharfd::alone().await;
    let folder = TempDir::with_prefix("clients-").unwrap();
    let layout = Recipe::new(1, &[20_000]).write(folder.path(), TAG).unwrap();
    wharfd.api.push_layout(REPO, &layout).await;
    let empty = json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2 });
    wharfd.api.push_blob(REPO, "{}").await;
    let mut pushed = Vec::new();
    for number in 0..100 {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/long",
            "config": empty, "layers": [empty],
            "subject": {
                "mediaType": layout.top.media_type, "digest": layout.top.digest, "size": 7,
            },
            "annotations": { "number": number.to_string(), "x": "x".repeat(60_000) },
        });
        let manifest = manifest.to_string();
        let digest = sha256(manifest.as_bytes());
        let put = wharfd.api.put_manifest(REPO, &digest, MANIFEST, manifest).await;
        assert_eq!(put.status, 201, "{}", put.text());
        pushed.push(digest);
    }
    let image = format!("{}/{REPO}@{}", wharfd.host(), layout.top.digest);
    // Digests alone: the kit keeps at most 4 MiB of a client's output.
    let template = "{{range .referrers}}{{.digest}} {{end}}";
    let format = ["--format", "go-template", "--template", template];
    let found = run(&oras, &[&["discover", "--plain-http"], &format[..], &[&image]].concat()).await;
    let host = format!("reg={},tls=disabled", wharfd.host());
    let format = ["--format", "{{range .Descriptors}}{{println .Digest}}{{end}}", &image];
    let list = ["--host", &host, "artifact", "list"];
    let listed = run(&regctl, &[&list[..], &format].concat()).await;
    for digest in &pushed {
        assert!(found.contains(digest.as_str()), "oras does not find {digest}");
        assert!(listed.contains(digest.as_str()), "regctl does not find {digest}");
    }
}
