//! Access for users: `wharfd` checks the rules before it looks at content, and a refused request
//! looks the same for existing and missing content.

mod challenges;
mod clients;
mod commands;
mod issuer;
mod issuers;
mod lifetimes;
mod logins;
mod passing_by;
mod reload;
pub(crate) mod scene;
mod sessions;
mod tokens;

use http::Method;
use wharf_testkit::images::sha256;

use crate::fixture::code;
use scene::{Scene, TINY_MANIFEST_TYPE};

/// The requests for a repository, and the needed permission of each.
fn requests(repo: &str, digest: &str, manifest: &str) -> Vec<(Method, String, &'static str)> {
    let path = |rest: &str| format!("/v2/{repo}/{rest}");
    vec![
        (Method::GET, path(&format!("blobs/{digest}")), "pull"),
        (Method::HEAD, path(&format!("blobs/{digest}")), "pull"),
        (Method::GET, path("manifests/1.0"), "pull"),
        (Method::HEAD, path("manifests/1.0"), "pull"),
        (Method::GET, path(&format!("manifests/{manifest}")), "pull"),
        (Method::GET, path("tags/list"), "pull"),
        (Method::GET, path(&format!("referrers/{manifest}")), "pull"),
        (Method::POST, path("blobs/uploads/"), "push"),
        (Method::POST, path(&format!("blobs/uploads/?mount={digest}&from={repo}")), "push"),
        (Method::GET, path("blobs/uploads/0123456789abcdef0123456789abcdef"), "push"),
        (Method::PATCH, path("blobs/uploads/0123456789abcdef0123456789abcdef"), "push"),
        (
            Method::PUT,
            path(&format!("blobs/uploads/0123456789abcdef0123456789abcdef?digest={digest}")),
            "push",
        ),
        (Method::DELETE, path("blobs/uploads/0123456789abcdef0123456789abcdef"), "push"),
        (Method::PUT, path("manifests/1.0"), "push"),
        (Method::DELETE, path("manifests/1.0"), "delete"),
        (Method::DELETE, path(&format!("blobs/{digest}")), "delete"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_refused_the_same_whether_the_repository_exists_or_not() {
    let scene = Scene::set().await;
    let (digest, manifest) = scene.plant("secret/app").await;
    let bob = scene.bob();
    for (who, api) in [("nobody", scene.nobody()), ("bob", &bob)] {
        let there = requests("secret/app", &digest, &manifest);
        let absent = requests("secret/nil", &digest, &manifest);
        for ((method, path, need), (_, other, _)) in there.into_iter().zip(absent) {
            let answer = api.call(method.clone(), &path).send().await.unwrap();
            let twin = api.call(method.clone(), &other).send().await.unwrap();
            let what = format!("{who}: {method} {path} needs {need}");
            let expected = if who == "nobody" { 401 } else { 403 };
            let statuses = (answer.status.as_u16(), twin.status.as_u16());
            assert_eq!(statuses, (expected, expected), "{what}");
            assert_eq!(answer.body, twin.body, "{what}");
            let names = |answer: &wharf_testkit::http::Answer| {
                let mut headers: Vec<_> = answer
                    .headers
                    .iter()
                    .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
                    .map(|(name, value)| {
                        let value = value.to_str().unwrap().replace("secret/app", "secret/nil");
                        format!("{name}: {value}")
                    })
                    .collect();
                headers.sort();
                headers
            };
            assert_eq!(names(&answer), names(&twin), "{what}");
            if method != Method::HEAD {
                let says = if who == "nobody" { "UNAUTHORIZED" } else { "DENIED" };
                assert_eq!(code(&answer), says, "{what}");
            }
        }
    }
    // The refused requests changed nothing.
    assert_eq!(scene.root().get_manifest("secret/app", "1.0").await.status, 200);
    assert_eq!(scene.root().get_manifest("secret/nil", "1.0").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_may_do_what_the_rules_say_and_no_more() {
    let scene = Scene::set().await;
    let (alice, bob, root) = (scene.alice(), scene.bob(), scene.root());
    let (digest, manifest) = scene.plant("team/app").await;
    assert_eq!(alice.get_blob("team/app", &digest).await.status, 200);
    assert_eq!(bob.get_blob("team/app", &digest).await.status, 403);
    let own = alice.push_blob("team/other", "pushed by alice").await;
    assert_eq!(alice.delete(&format!("/v2/team/other/blobs/{own}")).await.status, 403);
    assert_eq!(root.delete(&format!("/v2/team/other/blobs/{own}")).await.status, 202);
    // Pull alone: for every logged-in user, and for anonymous clients.
    let (base, _) = scene.plant("base").await;
    let (open, _) = scene.plant("open/app").await;
    for api in [&alice, &bob] {
        assert_eq!(api.get_blob("base", &base).await.status, 200);
        assert_eq!(api.get_blob("open/app", &open).await.status, 200);
        let pushed = api.try_push_blob("base", &sha256(b"x"), "x").await.unwrap();
        assert_eq!(pushed.status, 403);
    }
    assert_eq!(scene.nobody().get_blob("base", &base).await.status, 401);
    assert_eq!(scene.nobody().get_blob("open/app", &open).await.status, 200);
    let put = scene.nobody().put_manifest("open/app", "1.0", TINY_MANIFEST_TYPE, "{}").await;
    assert_eq!(put.status, 401);
    // A name similar to an allowed one is another name.
    for name in ["teams/app", "team", "base/app", "xteam/app"] {
        assert_eq!(alice.get_manifest(name, &manifest).await.status, 403, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_is_not_had_by_naming_it_in_a_repository_of_ones_own() {
    let scene = Scene::set().await;
    let (digest, _) = scene.plant("secret/app").await;
    let bob = scene.bob();
    assert_eq!(bob.get_blob("bob/app", &digest).await.status, 404);
    assert_eq!(bob.head_blob("bob/app", &digest).await.status, 404);
    // Neither by a mount from where it is, nor from anywhere.
    for query in [format!("mount={digest}&from=secret/app"), format!("mount={digest}")] {
        let mounted =
            bob.post(&format!("/v2/bob/app/blobs/uploads/?{query}")).send().await.unwrap();
        assert_eq!(mounted.status, 202, "{query}");
        assert_eq!(bob.get_blob("bob/app", &digest).await.status, 404, "{query}");
    }
    // The response is the same for a missing blob, and for a missing repository.
    let absent = sha256(b"nowhere");
    for query in
        [format!("mount={absent}&from=secret/app"), format!("mount={digest}&from=secret/nil")]
    {
        let mounted =
            bob.post(&format!("/v2/bob/app/blobs/uploads/?{query}")).send().await.unwrap();
        assert_eq!(mounted.status, 202, "{query}");
    }
    // A user with the right to pull a blob may mount it.
    let root = scene.root();
    let path = format!("/v2/any/app/blobs/uploads/?mount={digest}&from=secret/app");
    assert_eq!(root.post(&path).send().await.unwrap().status, 201);
    let (shared, _) = scene.plant("base").await;
    for query in [format!("mount={shared}&from=base"), format!("mount={shared}")] {
        let path = format!("/v2/bob/{}/blobs/uploads/?{query}", query.len());
        assert_eq!(bob.post(&path).send().await.unwrap().status, 201, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_has_what_its_reader_may_pull() {
    let scene = Scene::set().await;
    for name in ["base", "open/a", "secret/a", "secret/b", "team/a", "team/b", "zebra"] {
        scene.plant(name).await;
    }
    let listed = async |api: &crate::fixture::Api, query: &str| {
        let answer = api.get(&format!("/v2/_catalog{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let names = answer.json().unwrap()["repositories"].clone();
        let next = answer.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
        (serde_json::from_value::<Vec<String>>(names).unwrap(), next)
    };
    let (all, _) = listed(&scene.root(), "").await;
    assert_eq!(all.len(), 7);
    assert_eq!(listed(&scene.alice(), "").await.0, ["base", "open/a", "team/a", "team/b"]);
    assert_eq!(listed(&scene.bob(), "").await.0, ["base", "open/a"]);
    // Pages neither name nor count invisible repositories.
    let (first, next) = listed(&scene.alice(), "?n=3").await;
    assert_eq!(first, ["base", "open/a", "team/a"]);
    let next = next.unwrap();
    let query = next.split_once('?').unwrap().1.split_once('>').unwrap().0.to_owned();
    assert_eq!(
        listed(&scene.alice(), &format!("?{query}")).await,
        (vec!["team/b".to_owned()], None)
    );
    assert_eq!(
        listed(&scene.bob(), "?n=2").await,
        (vec!["base".to_owned(), "open/a".to_owned()], None)
    );
    assert_eq!(scene.nobody().get("/v2/_catalog").await.status, 401);
}
