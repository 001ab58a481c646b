//! Registries named by clients (`?ns=`, `OCI-Namespace`): two of them behind one proxy, and all of
//! a pattern.

use wharf_double::{AcrDouble, Kind};
use wharf_testkit::http::{Answer, Client};
use wharf_testkit::images::sha256;
use wharf_testkit::registry::Registry;

use crate::fixture::{Api, USER, Wharfd, code, double_config, upstream_lines};

const REPO: &str = "library/app";
const TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// A registry with a double before it, open to every puller.
struct There {
    double: AcrDouble,
    origin: Api,
    _registry: Registry,
}

impl There {
    async fn start() -> Option<Self> {
        let registry = Registry::start().await.unwrap()?;
        let mut config = double_config(&registry);
        config.anonymous_pull = true;
        config.habits.page_size = 2;
        let double = AcrDouble::start(config).await.unwrap();
        let origin = Api::new(registry.url(), Client::new());
        Some(Self { double, origin, _registry: registry })
    }

    async fn plant(&self, tag: &str, word: &str) {
        let put = self.origin.put_manifest(REPO, tag, TYPE, manifest(word)).await;
        assert_eq!(put.status, 201, "{}", put.text());
    }
}

fn manifest(word: &str) -> String {
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{TYPE}\",\"manifests\":[],\
         \"annotations\":{{\"word\":\"{word}\"}}}}"
    )
}

async fn get(wharfd: &Wharfd, path: &str, header: Option<&str>) -> Answer {
    let call = wharfd.api.call(http::Method::GET, path).header("accept", TYPE);
    let call = match header {
        Some(host) => call.header("oci-namespace", host),
        None => call,
    };
    call.send().await.unwrap()
}

#[tokio::test]
async fn the_same_name_in_two_namespaces_is_two_repositories() {
    let (Some(one), Some(two)) = (There::start().await, There::start().await) else { return };
    one.plant("v1", "one").await;
    two.plant("v1", "two").await;
    let config = format!(
        "[[upstream]]\nurl = \"{}\"\nnamespaces = [\"one.example\"]\n\
         [[upstream]]\nurl = \"{}\"\nnamespaces = [\"two.example\"]\n",
        one.double.url(),
        two.double.url()
    );
    let wharfd = Wharfd::with_config(&config).await;
    let path = format!("/v2/{REPO}/manifests/v1");
    // Twice, so cached content is kept apart, too.
    for outcome in ["fill", "hit"] {
        for word in ["one", "two"] {
            let host = format!("{word}.example");
            let answer = get(&wharfd, &format!("{path}?ns={host}"), None).await;
            assert_eq!(answer.body, manifest(word));
            assert_eq!(answer.header("wharf-cache"), outcome);
            assert_eq!(answer.header("oci-namespace"), host);
            assert_eq!(get(&wharfd, &path, Some(&host)).await.body, manifest(word));
        }
    }
    for refused in [
        get(&wharfd, &format!("{path}?ns=three.example"), None).await,
        get(&wharfd, &path, Some("three.example")).await,
    ] {
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (404, "NAME_UNKNOWN"));
    }
    assert_eq!(one.double.counts().answered(Kind::ManifestGet, 200), 1);
    assert_eq!(two.double.counts().answered(Kind::ManifestGet, 200), 1);
    // A blob of one is not a blob of the other.
    let blob = one.origin.push_blob(REPO, "content").await;
    let path = format!("/v2/{REPO}/blobs/{blob}");
    assert_eq!(get(&wharfd, &format!("{path}?ns=one.example"), None).await.body, "content");
    assert_eq!(get(&wharfd, &format!("{path}?ns=two.example"), None).await.status, 404);
}

#[tokio::test]
async fn links_of_pages_stay_in_their_namespace() {
    let Some(there) = There::start().await else { return };
    let tags = ["a", "b", "c", "d", "e"];
    for tag in tags {
        there.plant(tag, tag).await;
    }
    let config =
        format!("[[upstream]]\nurl = \"{}\"\nnamespaces = [\"one.example\"]\n", there.double.url());
    let wharfd = Wharfd::with_config(&config).await;
    let (mut listed, mut pages) = (Vec::new(), 0);
    let mut path = Some(format!("/v2/{REPO}/tags/list?ns=one.example"));
    while let Some(asked) = path {
        let page = get(&wharfd, &asked, None).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let json = page.json().unwrap();
        assert_eq!(json["name"], REPO);
        listed.extend(json["tags"].as_array().unwrap().clone());
        let link = page.header("link");
        path = link.strip_prefix('<').and_then(|link| Some(link.split_once('>')?.0.to_owned()));
        assert!(path.iter().all(|next| next.contains("ns=one.example")), "{path:?}");
        pages += 1;
        assert!(pages < 9, "the pages never end");
    }
    assert_eq!(listed, tags);
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn an_upload_stays_in_its_namespace_also_when_a_chunk_is_refused() {
    let Some(there) = There::start().await else { return };
    let config = upstream_lines(&there.double.url(), USER) + "namespaces = [\"one.example\"]\n";
    let wharfd = Wharfd::with_config(&config).await;
    let opened = wharfd.api.post(&format!("/v2/{REPO}/blobs/uploads/?ns=one.example"));
    let opened = opened.send().await.unwrap();
    assert_eq!(opened.status, 202, "{}", opened.text());
    let location = opened.header("location").to_owned();
    let call = wharfd.api.patch(&location).header("content-range", "5-9");
    let refused = call.bytes("12345").send().await.unwrap();
    assert_eq!(refused.status, 416, "{}", refused.text());
    assert_eq!(refused.header("location"), location);
    let ended = wharfd.api.end_upload(&location, &sha256(b"12345"), "12345").await;
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert_eq!(there.origin.get_blob(REPO, &sha256(b"12345")).await.body, "12345");
}

#[tokio::test]
async fn every_registry_of_a_pattern_is_reached_without_naming_it_in_the_configuration() {
    let (Some(one), Some(two)) = (There::start().await, There::start().await) else { return };
    let config = "[[upstream]]\nurl = \"http://*\"\nnamespaces = [\"127.0.0.1:*\"]\n";
    let wharfd = Wharfd::with_config(config).await;
    for (there, word) in [(&one, "one"), (&two, "two")] {
        there.plant("v1", word).await;
        let path = format!("/v2/{REPO}/manifests/v1?ns={}", there.double.addr());
        assert_eq!(get(&wharfd, &path, None).await.body, manifest(word));
        assert_eq!(get(&wharfd, &path, None).await.header("wharf-cache"), "hit");
    }
    let outside = format!("/v2/{REPO}/manifests/v1?ns=127.0.0.2:1");
    let refused = get(&wharfd, &outside, None).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (404, "NAME_UNKNOWN"));
}

#[tokio::test]
async fn a_registry_that_a_caller_chose_is_public_or_listed() {
    let Some(there) = There::start().await else { return };
    there.plant("v1", "inside").await;
    let path = format!("/v2/{REPO}/manifests/v1?ns={}", there.double.addr());
    let template = "[[upstream]]\nurl = \"http://*\"\nnamespaces = [\"127.0.*:*\", \"*\"]\n";
    let wharfd = Wharfd::with_config(template).await;
    let asked = there.double.journal().len();
    let refused = get(&wharfd, &path, None).await;
    assert_eq!(refused.status, 502, "{}", refused.text());
    assert_eq!(there.double.journal().len(), asked, "it was asked");
    assert!(wharfd.log().contains("list it in redirect_hosts"), "{}", wharfd.log());
    let warned = |log: &str| log.contains("WARN") && log.contains("any registry on the internet");
    assert!(warned(&wharfd.log()), "{}", wharfd.log());
    let listed = format!("{template}redirect_hosts = [\"127.0.0.1\"]\n");
    let wharfd = Wharfd::with_config(&listed.replace(", \"*\"", "")).await;
    assert_eq!(get(&wharfd, &path, None).await.body, manifest("inside"));
    assert!(!warned(&wharfd.log()), "{}", wharfd.log());
}
