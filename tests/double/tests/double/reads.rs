//! Redirects, the storage's refusals, pages, manifests.

use std::time::Duration;

use serde_json::{Value, json};
use wharf_double::{Credentials, Kind};
use wharf_testkit::images::sha256;

use super::{MANIFEST_TYPE, PASSWORD, REPOSITORY, Stage, USER, code};

#[tokio::test]
async fn get_and_head_of_a_blob_redirect_to_the_second_port() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let digest = stage.plant(b"0123456789").await;
    let token = stage.pull_token().await;
    let url = stage.url(&format!("/v2/{REPOSITORY}/blobs/{digest}"));
    for method in [http::Method::GET, http::Method::HEAD] {
        let answer = stage.client.call(method, &url).bearer(&token).send().await.unwrap();
        assert_eq!(answer.status, 307);
        assert_eq!(answer.header("docker-content-digest"), digest);
        assert!(answer.body.is_empty());
        let link = answer.header("location");
        let storage = format!("http://{}/", stage.double.storage_addr());
        assert!(
            link.starts_with(&storage) && link.contains("sig=") && link.contains("se="),
            "{link}"
        );

        let whole = stage.client.get(link).send().await.unwrap();
        assert_eq!((whole.status.as_u16(), &whole.body[..]), (200, &b"0123456789"[..]));
        assert_eq!(whole.header("content-type"), "application/octet-stream");
        assert_eq!(whole.header("docker-content-digest"), "");
        assert_eq!(sha256(&whole.body), digest);
        let part = stage.client.get(link).header("range", "bytes=2-4").send().await.unwrap();
        assert_eq!((part.status.as_u16(), &part.body[..]), (206, &b"234"[..]));
        assert_eq!(part.header("content-range"), "bytes 2-4/10");
        let beyond = stage.client.get(link).header("range", "bytes=10-").send().await.unwrap();
        assert_eq!(beyond.status, 416);
        assert!(beyond.text().contains("<Code>InvalidRange</Code>"));
        let head = stage.client.head(link).send().await.unwrap();
        assert_eq!((head.status.as_u16(), head.header("content-length")), (200, "10"));
    }
    let counts = stage.double.counts();
    assert_eq!(counts.served(Kind::BlobGet, &digest), 1);
    assert_eq!(counts.served(Kind::BlobHead, &digest), 1);
    assert_eq!(counts.served(Kind::StorageGet, &digest), 4, "the 416 serves nothing");
    assert_eq!(counts.storage_bytes(), 26);
}

#[tokio::test]
async fn the_link_names_the_host_under_which_the_client_came() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let digest = stage.plant(b"content").await;
    let port = stage.double.addr().port();
    let url = format!("http://localhost:{port}/v2/{REPOSITORY}/blobs/{digest}");
    let answer = stage.client.get(url).basic(USER, PASSWORD).send().await.unwrap();
    let storage = format!("http://localhost:{}/", stage.double.storage_addr().port());
    assert!(answer.header("location").starts_with(&storage), "{}", answer.header("location"));
}

#[tokio::test]
async fn the_storage_refuses_any_authorization_header() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let digest = stage.plant(b"content").await;
    let token = stage.pull_token().await;
    let link = stage.link(&token, &digest).await;
    for value in [format!("Bearer {token}"), "Basic eDp5".to_owned(), "nonsense".to_owned()] {
        let answer = stage.client.get(&link).header("authorization", &value).send().await.unwrap();
        assert_eq!(answer.status, 400, "{value}");
        assert_eq!(answer.header("content-type"), "application/xml");
        assert!(answer.text().contains("<Code>InvalidAuthenticationInfo</Code>"));
    }
    assert_eq!(stage.client.get(&link).send().await.unwrap().status, 200);
    let journal = stage.double.journal();
    let storage = journal.iter().filter(|entry| entry.kind == Kind::StorageGet);
    let schemes: Vec<Credentials> = storage.map(|entry| entry.credentials).collect();
    let expected =
        [Credentials::Bearer, Credentials::Unknown, Credentials::Unknown, Credentials::None];
    assert_eq!(schemes[0], expected[0]);
    assert_eq!(schemes[2..], expected[2..]);
}

#[tokio::test]
async fn an_altered_or_expired_link_opens_nothing() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let digest = stage.plant(b"content").await;
    let other = stage.plant(b"other content").await;
    let token = stage.pull_token().await;
    let link = stage.link(&token, &digest).await;
    let unsigned = link.split_once('?').unwrap().0.to_owned();
    for altered in [link.replace(&digest, &other), link.replace("sig=", "sig=A"), unsigned] {
        let answer = stage.client.get(&altered).send().await.unwrap();
        assert_eq!(answer.status, 403, "{altered}");
        assert!(answer.text().contains("<Code>AuthenticationFailed</Code>"));
    }
    stage.double.expire_links();
    assert_eq!(stage.client.get(&link).send().await.unwrap().status, 403);
    let fresh = stage.link(&token, &digest).await;
    assert_eq!(stage.client.get(fresh).send().await.unwrap().status, 200);

    let start = Stage::start_with(|mut config| {
        config.habits.link_life = Duration::ZERO;
        config
    });
    let Some(brief) = start.await else { return };
    let digest = brief.plant(b"content").await;
    let answer = brief.fetch(&brief.pull_token().await, &digest).await.unwrap();
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn a_blob_that_is_not_there_is_answered_by_the_registry_itself() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    stage.plant(b"something else").await;
    let token = stage.pull_token().await;
    let digest = sha256(b"never pushed");
    let url = stage.url(&format!("/v2/{REPOSITORY}/blobs/{digest}"));
    let answer = stage.client.get(&url).bearer(&token).send().await.unwrap();
    assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (404, "BLOB_UNKNOWN"));
    assert_eq!(stage.client.head(&url).bearer(&token).send().await.unwrap().status, 404);
    let nowhere = stage.client.get(stage.url("/v2/x/y")).basic(USER, PASSWORD).send().await;
    assert_eq!(nowhere.unwrap().status, 404);
}

/// Pushes a manifest without layers past the double, under each of these tags.
pub(super) async fn plant_tags(stage: &Stage, tags: impl Iterator<Item = String>) -> Vec<u8> {
    let config = stage.plant(b"{}").await;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": [],
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2 },
    });
    let bytes = manifest.to_string().into_bytes();
    for tag in tags {
        let url = format!("{}/v2/{REPOSITORY}/manifests/{tag}", stage.registry.url());
        let put = stage.client.put(url).header("content-type", MANIFEST_TYPE).bytes(bytes.clone());
        assert_eq!(put.send().await.unwrap().status, 201);
    }
    bytes
}

fn next_of(link: &str) -> Option<String> {
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    (rest == "; rel=\"next\"").then(|| target.to_owned())
}

#[tokio::test]
async fn two_hundred_and_fifty_tags_come_in_three_pages() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let wanted: Vec<String> = (0..250).map(|number| format!("v{number:03}")).collect();
    plant_tags(&stage, wanted.iter().rev().cloned()).await;
    let token = stage.pull_token().await;
    // Asking for more than a page does not give more than a page.
    let mut target = Some(format!("/v2/{REPOSITORY}/tags/list?n=1000"));
    let (mut tags, mut sizes) = (Vec::new(), Vec::new());
    while let Some(page) = target {
        let answer = stage.client.get(stage.url(&page)).bearer(&token).send().await.unwrap();
        let list = answer.json().unwrap();
        assert_eq!(list["name"], REPOSITORY);
        let page: Vec<Value> = list["tags"].as_array().unwrap().clone();
        sizes.push(page.len());
        tags.extend(page.into_iter().map(|tag| tag.as_str().unwrap().to_owned()));
        target = next_of(answer.header("link"));
        if let Some(next) = &target {
            assert!(next.starts_with(&format!("/v2/{REPOSITORY}/tags/list?last=")), "{next}");
            assert!(next.ends_with("&n=100&orderby="), "{next}");
        }
    }
    assert_eq!(sizes, [100, 100, 50]);
    assert_eq!(tags, wanted);

    let bad = stage.url(&format!("/v2/{REPOSITORY}/tags/list?n=many"));
    assert_eq!(stage.client.get(bad).bearer(&token).send().await.unwrap().status, 400);
    let unknown = stage.client.get(stage.url("/v2/no/such/tags/list")).basic(USER, PASSWORD);
    let unknown = unknown.send().await.unwrap();
    assert_eq!((unknown.status.as_u16(), code(&unknown).as_str()), (404, "NAME_UNKNOWN"));
}

#[tokio::test]
async fn the_catalog_is_paged_too() {
    let start = Stage::start_with(|mut config| {
        config.habits.page_size = 2;
        config
    });
    let Some(stage) = start.await else { return };
    for name in ["a", "b/c", "d"] {
        let url = format!("{}/v2/{name}/blobs/uploads/", stage.registry.url());
        let started = stage.client.post(url).send().await.unwrap();
        let end = format!("{}&digest={}", started.header("location"), sha256(b"x"));
        assert_eq!(stage.client.put(end).bytes("x").send().await.unwrap().status, 201);
    }
    let catalog =
        |target: String| stage.client.get(stage.url(&target)).basic(USER, PASSWORD).send();
    let first = catalog("/v2/_catalog".to_owned()).await.unwrap();
    assert_eq!(first.json().unwrap(), json!({ "repositories": ["a", "b/c"] }));
    let next = next_of(first.header("link")).unwrap();
    let second = catalog(next).await.unwrap();
    assert_eq!(second.json().unwrap(), json!({ "repositories": ["d"] }));
    assert_eq!(second.header("link"), "");
}

#[tokio::test]
async fn manifests_pass_byte_for_byte_and_are_limited() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let bytes = plant_tags(&stage, std::iter::empty()).await;
    let digest = sha256(&bytes);
    let token = stage.push_token().await;
    let url = stage.url(&format!("/v2/{REPOSITORY}/manifests/v1"));
    let put = stage.client.put(&url).bearer(&token).header("content-type", MANIFEST_TYPE);
    let put = put.bytes(bytes.clone()).send().await.unwrap();
    assert_eq!(put.status, 201, "{}", put.text());
    assert_eq!(put.header("location"), format!("/v2/{REPOSITORY}/manifests/{digest}"));
    let get = stage.client.get(&url).bearer(&token).header("accept", MANIFEST_TYPE);
    let get = get.send().await.unwrap();
    assert_eq!((get.status.as_u16(), &get.body[..]), (200, &bytes[..]));
    assert_eq!(get.header("docker-content-digest"), digest);
    let head = stage.client.head(&url).bearer(&token).header("accept", MANIFEST_TYPE);
    let head = head.send().await.unwrap();
    assert_eq!(head.header("content-length"), bytes.len().to_string());

    let large = vec![b' '; 4 * 1024 * 1024 + 1];
    let put = stage.client.put(&url).bearer(&token).header("content-type", MANIFEST_TYPE);
    assert_eq!(put.bytes(large.clone()).send().await.unwrap().status, 413);
    let chunked = wharf_testkit::http::chunked(vec![large.into()]);
    let put = stage.client.put(&url).bearer(&token).header("content-type", MANIFEST_TYPE);
    assert_eq!(put.body(chunked).send().await.unwrap().status, 413);
    assert_eq!(stage.double.counts().answered(Kind::ManifestPut, 413), 2);
}

#[tokio::test]
async fn referrers_are_left_to_the_backing_registry() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let digest = stage.plant(b"content").await;
    let url = stage.url(&format!("/v2/{REPOSITORY}/referrers/{digest}"));
    let answer = stage.client.get(url).bearer(&stage.pull_token().await).send().await.unwrap();
    assert_eq!(answer.status, 404, "docker-registry 2.8 has no referrers");
    assert_eq!(stage.double.counts().total(Kind::Referrers), 1);
}
