//! Users before an upstream: content from the upstream needs our permission first.

use std::sync::LazyLock;

use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::images::{Recipe, sha256};

use super::challenges::challenge;
use super::scene::{RULES, access_files};
use crate::fixture::{Setup, Stage};

static FILES: LazyLock<tempfile::TempDir> = LazyLock::new(access_files);
static LINES: LazyLock<String> = LazyLock::new(|| {
    let folder = FILES.path().display();
    format!("[access]\nkind = \"users\"\nhtpasswd = \"{folder}/htpasswd\"\n{RULES}\n")
});

fn guarded(setup: Setup) -> Setup {
    setup.lines(LINES.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cached_for_one_is_refused_to_others_without_asking_the_upstream() {
    let Some(stage) = Stage::start_with(guarded).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let layout = Recipe::new(1, &[50_000]).write(folder.path(), "1.0").unwrap();
    stage.origin.push_layout("team/app", &layout).await;
    let user = |name: &str| stage.api().with_password(name, &format!("{name}-password"));
    user("alice").assert_serves("team/app", &layout).await;
    stage.double.reset_counts();
    let blob = &layout.content().next().unwrap().digest;
    for api in [user("bob"), stage.api().clone()] {
        for repo in ["team/app", "team/nil"] {
            let answer = api.get_blob(repo, blob).await;
            assert!([401, 403].contains(&answer.status.as_u16()), "{}", answer.status);
            let answer = api.get_manifest(repo, "1.0").await;
            assert!([401, 403].contains(&answer.status.as_u16()), "{}", answer.status);
        }
    }
    assert!(stage.double.journal().is_empty(), "{:?}", stage.double.journal());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_across_a_repository_that_is_forbidden_is_an_ordinary_upload() {
    let Some(stage) = Stage::start_with(guarded).await else { return };
    let user = |name: &str| stage.api().with_password(name, &format!("{name}-password"));
    let secret = user("root").push_blob("secret/app", "a secret layer").await;
    let bob = user("bob");
    for query in [format!("mount={secret}&from=secret/app"), format!("mount={secret}")] {
        let mounted =
            bob.post(&format!("/v2/bob/app/blobs/uploads/?{query}")).send().await.unwrap();
        assert_eq!(mounted.status, 202, "{query}");
        let location = mounted.header("location").to_owned();
        assert_eq!(bob.get_blob("bob/app", &secret).await.status, 404, "{query}");
        // It goes on as any upload.
        let ended = bob.end_upload(&location, &sha256(b"mine"), "mine").await;
        assert_eq!(ended.status, 201, "{}", ended.text());
    }
    let root = user("root");
    let path = format!("/v2/any/app/blobs/uploads/?mount={secret}&from=secret/app");
    assert_eq!(root.post(&path).send().await.unwrap().status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_tokens_name_repositories_as_they_are_called_here() {
    let in_hub = |setup: Setup| {
        let mut setup = guarded(setup);
        setup.upstream += "namespaces = [\"docker.io\"]\n";
        setup
    };
    let Some(stage) = Stage::start_with(in_hub).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let layout = Recipe::new(2, &[5_000]).write(folder.path(), "1.0").unwrap();
    stage.origin.push_layout("library/x", &layout).await;
    let path = "/v2/library/x/manifests/1.0?ns=docker.io";
    let scope = "repository:docker.io/library/x:pull";
    let nobody = stage.api();
    assert!(challenge(&nobody.get(path).await).contains(&format!("scope=\"{scope}\"")));
    let user = |name: &str| nobody.with_password(name, &format!("{name}-password"));
    assert_eq!(user("alice").get(path).await.status, 200);
    assert_eq!(user("bob").get(path).await.status, 403);
    // Like containerd: one scope for its own name, and one from the challenge.
    let both = format!("/token?scope=repository:library/x:pull&scope={scope}");
    let given = user("alice").get(&both).await.json().unwrap();
    let holder = nobody.with_token(given["token"].as_str().unwrap());
    assert_eq!(holder.get(path).await.status, 200);
    assert_eq!(holder.get("/v2/docker.io/library/x/manifests/1.0").await.status, 200);
    assert_eq!(holder.get("/v2/docker.io/library/y/manifests/1.0").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_one_repository_shuts_the_registry_for_nobody() {
    let Some(stage) = Stage::start_with(guarded).await else { return };
    let odd = stage.origin.push_blob("base", "{}").await;
    let other = stage.origin.push_blob("team/app", "a layer of others").await;
    let fault = Fault::Status { code: 500, retry_after_s: None };
    for kind in [Kind::ManifestGet, Kind::ManifestHead] {
        let always = FaultRule::next(kind, fault).of_digest(&odd);
        stage.double.set_fault(always.during(std::time::Duration::from_hours(1)));
    }
    let user = |name: &str| stage.api().with_password(name, &format!("{name}-password"));
    let breaker = format!("wharfd_upstream_breaker{{upstream=\"{}\"}}", stage.front.url());
    // bob may only pull from this repository.
    for _ in 0..6 {
        let refused = user("bob").get_manifest("base", &odd).await;
        assert!(refused.status.as_u16() >= 500, "{}", refused.status);
        assert_eq!(stage.wharfd.metric(&breaker).await, 0);
    }
    assert!(stage.double.struck(Kind::ManifestGet, fault) >= 6);
    assert_eq!(user("alice").get_blob("team/app", &other).await.status, 200);
}
