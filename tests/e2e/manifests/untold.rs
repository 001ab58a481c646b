//! Upstreams with missing or wrong statements: unlisted types, no type or a wrong one, no length of
//! a blob, no HEAD.

use http::Method;
use wharf_testkit::images::sha256;

use super::REPO;
use super::scripted::{Came, Says, Scripted};
use crate::fixture::{Wharfd, code, noise};

const THING: &str = "application/vnd.example.thing.v1+json";
const OTHER: &str = "application/vnd.example.other.v1+json";
const ORAS: &str = "application/vnd.cncf.oras.artifact.manifest.v1+json";
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

fn thing() -> String {
    format!("{{ \"mediaType\": \"{THING}\", \"things\": [1] }}")
}

/// A registry with one manifest for requests with its type; another script answers the rest.
fn strict(came: &Came) -> Says {
    let accepts = came.header("accept").contains(THING);
    match (&came.method, accepts) {
        (&Method::GET | &Method::HEAD, true) => {
            let digest = sha256(thing().as_bytes());
            Says::ok(thing()).header("content-type", THING).header("docker-content-digest", digest)
        }
        _ => Says::status(404),
    }
}

/// Requests a manifest with these accepted types; returns its status, type and bytes.
async fn get(wharfd: &Wharfd, reference: &str, accept: &str) -> (u16, String, String) {
    let path = format!("/v2/{REPO}/manifests/{reference}");
    let call = wharfd.api.call(Method::GET, &path).header("accept", accept);
    let found = call.send().await.unwrap();
    (found.status.as_u16(), found.header("content-type").to_owned(), found.text())
}

#[tokio::test]
async fn what_a_client_accepts_goes_upstream_after_ours_and_is_a_question_of_its_own() {
    let right = (200, THING.to_owned(), thing());
    for reference in ["v1", &sha256(thing().as_bytes())] {
        let scene = Scripted::start("tag_ttl_seconds = 0\n", strict).await;
        let wharfd = &scene.wharfd;
        // A client without this type gets a 404, without an effect on other clients.
        assert_eq!(get(wharfd, reference, OTHER).await.0, 404);
        assert_eq!(get(wharfd, reference, "*/*").await.0, 404);
        scene.came();
        assert_eq!(get(wharfd, reference, &format!("{OTHER}, {THING};q=0.5")).await, right);
        let asked = scene.came().pop().unwrap().header("accept");
        let place = |text| asked.find(text).unwrap_or_else(|| panic!("{text} in {asked}"));
        assert!(place("application/vnd.oci.image.index.v1+json") < place(OTHER), "{asked}");
        assert!(place(ORAS) < place(THING) && place(THING) < place("*/*"), "{asked}");
        // By digest the manifest is the same for all clients. By tag it depends on the client's
        // types, as at the upstream.
        let others = get(wharfd, reference, OCI).await;
        if reference == "v1" {
            assert_eq!(others.0, 404);
        } else {
            assert_eq!(others, right);
        }
        assert_eq!(get(wharfd, reference, THING).await, right);
    }
}

#[tokio::test]
async fn proven_bytes_pass_as_they_are_whatever_they_are_called() {
    let image =
        r#"{ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json" }"#;
    let oras = format!("{{ \"mediaType\": \"{ORAS}\", \"blobs\": null }}");
    let rows: [(&str, Option<&str>, &str); 8] = [
        (&oras, Some(ORAS), ORAS),
        (&oras, None, ORAS),
        (image, None, OCI),
        (image, Some("text/plain; charset=utf-8"), OCI),
        (image, Some("application/octet-stream"), OCI),
        (image, Some(";;"), OCI),
        ("not JSON", Some(THING), THING),
        ("not JSON", None, "application/octet-stream"),
    ];
    for (text, declared, served) in rows {
        let (content, declared) = (text.to_owned(), declared.map(str::to_owned));
        let scene = Scripted::start("", move |came| {
            let says = Says::ok(content.clone());
            let says = match &declared {
                Some(declared) => says.header("content-type", declared),
                None => says,
            };
            // Only a tag needs a declared digest.
            if came.path.ends_with("told") {
                return says.header("docker-content-digest", sha256(content.as_bytes()));
            }
            says
        });
        let scene = scene.await;
        let right = (200, served.to_owned(), text.to_owned());
        assert_eq!(get(&scene.wharfd, "told", OCI).await, right);
        assert_eq!(get(&scene.wharfd, &sha256(text.as_bytes()), OCI).await, right);
        let wrong = get(&scene.wharfd, &sha256(b"another"), OCI).await;
        assert_eq!(wrong.0, 502, "{wrong:?}");
    }
}

#[tokio::test]
async fn a_page_that_is_no_manifest_is_not_taken_for_one() {
    let page = |_: &Came| Says::ok("<html>log in</html>").header("content-type", "text/html");
    let scene = Scripted::start("", page).await;
    assert_eq!(get(&scene.wharfd, "v1", OCI).await.0, 502);
}

/// Answers to a blob: to HEAD by this, to GET with all of it.
fn blob(content: &[u8], head: Says, is_chunked: bool) -> impl Fn(&Came) -> Says + use<> {
    let content = content.to_owned();
    move |came| match came.method {
        Method::HEAD => head.clone(),
        _ => Says { is_chunked, ..Says::ok(content.clone()) },
    }
}

#[tokio::test]
async fn a_blob_whose_head_says_no_length_is_asked_for_by_get() {
    let content = noise(11, 3_000_000);
    let digest = sha256(&content);
    let unsized_head = Says { is_chunked: true, ..Says::ok("") };
    for head in [Says::status(405), Says::status(501), unsized_head] {
        for is_chunked in [false, true] {
            let scene = Scripted::start("", blob(&content, head.clone(), is_chunked)).await;
            let found = scene.wharfd.api.head_blob(REPO, &digest).await;
            let length = content.len().to_string();
            let seen = (found.status.as_u16(), found.header("content-length"));
            assert_eq!(seen, (200, &*length), "{head:?} {is_chunked}");
            // Cold it is asked for by its head, and fetched only when nothing else tells.
            let outcome = if is_chunked { "fill" } else { "bypass" };
            assert_eq!(found.header("wharf-cache"), outcome, "{head:?}");
            let whole = scene.wharfd.api.get_blob(REPO, &digest).await;
            assert!(whole.body == content, "{head:?} {is_chunked}");
        }
    }
    let absent = Scripted::start("", |came: &Came| match came.method {
        Method::HEAD => Says::status(405),
        _ => Says::status(404),
    });
    let found = absent.await.wharfd.api.get_blob(REPO, &digest).await;
    assert_eq!((found.status.as_u16(), code(&found).as_str()), (404, "BLOB_UNKNOWN"));
}

#[tokio::test]
async fn the_empty_blob_has_a_length_also_when_nobody_says_it() {
    let scene = Scripted::start("", blob(b"", Says::status(405), true)).await;
    for outcome in ["fill", "hit"] {
        let found = scene.wharfd.api.get_blob(REPO, &sha256(b"")).await;
        let seen = (found.status.as_u16(), found.header("content-length"));
        assert_eq!(seen, (200, "0"), "{outcome}: {}", found.header("wharf-cache"));
    }
}

/// An upstream with a preference among the accepted types changes a tag for no other client.
#[tokio::test]
async fn what_only_one_client_named_is_no_tag_for_the_others() {
    let script = |came: &Came| {
        let sent = if came.header("accept").contains(OTHER) { OTHER } else { OCI };
        Says::ok(format!("{{\"schemaVersion\": 2, \"mediaType\": \"{sent}\"}}"))
            .header("content-type", sent)
    };
    let scene = Scripted::start("tag_ttl_seconds = 3600\n", script).await;
    for wanted in [OTHER, OCI] {
        let (status, sent, _) = get(&scene.wharfd, "v1", wanted).await;
        assert_eq!((status, &*sent), (200, wanted));
    }
}

#[tokio::test]
async fn a_manifest_whose_head_is_refused_is_read_and_its_tag_revalidated() {
    let script = |came: &Came| match came.method {
        Method::HEAD => Says::status(405),
        _ => Says::ok(r#"{"schemaVersion": 2}"#).header("content-type", OCI),
    };
    let scene = Scripted::start("tag_ttl_seconds = 0\n", script).await;
    for _ in 0..2 {
        assert_eq!(get(&scene.wharfd, "v1", OCI).await.0, 200);
    }
}
