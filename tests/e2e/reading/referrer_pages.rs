//! Long lists of referrers: an upstream's pages pass one by one, referrers known only here come at
//! the end, each referrer once; and no page is large.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use http::HeaderName;
use serde_json::{Value, json};
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;

use crate::astray::{Came, Server};
use crate::fixture::{Api, Wharfd, eventually};

const REPO: &str = "acme/web";
const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const KIND: &str = "application/a";
/// Of a page, and of an entry.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
const ENTRY_BYTES_MAX: usize = 64 * 1024;
/// The most requests about single referrers for one page.
const ASKED_MAX: usize = 16;

fn subject() -> String {
    sha256(b"the subject")
}

fn list_path() -> String {
    format!("/v2/{REPO}/referrers/{}", subject())
}

/// A manifest about the subject, with an annotation of this size.
fn referrer(word: &str, kind: &str, size: usize) -> String {
    let empty = json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2 });
    let annotations = json!({ "word": word, "x": "x".repeat(size) });
    json!({
        "schemaVersion": 2, "mediaType": TYPE, "artifactType": kind, "config": empty, "layers": [empty],
        "subject": { "mediaType": TYPE, "digest": subject(), "size": 7 }, "annotations": annotations,
    })
    .to_string()
}

fn digest_of(manifest: &str) -> String {
    sha256(manifest.as_bytes())
}

/// How an upstream lists it.
fn entry(digest: &str, kind: &str, size: usize) -> Value {
    json!({
        "mediaType": TYPE, "digest": digest, "size": 7, "artifactType": kind,
        "annotations": { "x": "x".repeat(size) },
    })
}

type Says = (u16, Vec<(HeaderName, String)>, Vec<u8>);

/// An upstream with these pages in its list and these manifests; it accepts every push. During an
/// outage it answers 503.
#[derive(Clone, Default)]
struct There(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    pages: Vec<Vec<Value>>,
    has: HashSet<String>,
    asked: Vec<String>,
    listed: Vec<String>,
    is_out: bool,
}

fn header(name: &'static str, value: String) -> (HeaderName, String) {
    (HeaderName::from_static(name), value)
}

impl There {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    fn answer(&self, came: &Came) -> Says {
        let nothing = |status| (status, Vec::new(), b"{}".to_vec());
        let (path, query) = (&came.path, &came.query);
        let last = path.rsplit('/').next().unwrap().to_owned();
        self.with(|state| {
            if state.is_out {
                return nothing(503);
            }
            if path.contains("/referrers/") {
                state.listed.push(format!("{path}?{query}"));
                return state.list(query);
            }
            match came.method.as_str() {
                "PUT" => (201, vec![header("oci-subject", subject())], Vec::new()),
                "HEAD" if path.contains("/manifests/") => {
                    state.asked.push(last.clone());
                    let is_there = state.has.contains(&last);
                    let said = vec![header("docker-content-digest", last)];
                    if is_there { (200, said, Vec::new()) } else { nothing(404) }
                }
                _ => nothing(200),
            }
        })
    }

    async fn start(&self) -> (Server, Wharfd) {
        let there = self.clone();
        let server = Server::start("127.0.0.1", move |came| there.answer(came)).await;
        let config = format!("[[upstream]]\nurl = \"{}\"\n", server.url(""));
        (server, Wharfd::with_config(&config).await)
    }
}

impl State {
    fn list(&self, query: &str) -> Says {
        let words = query.split('&').find_map(|word| word.strip_prefix("after="));
        let number: usize = words.map_or(0, |number| number.parse().unwrap_or(usize::MAX));
        let Some(page) = self.pages.get(number) else {
            return (404, Vec::new(), Vec::new());
        };
        let list = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": page });
        let mut headers = vec![header("content-type", INDEX.to_owned())];
        if number + 1 < self.pages.len() {
            // Of another path and host than it should be, and with more than we know.
            let link = format!(
                "<https://elsewhere.example/x?after={}&state=a%2Fb|c>; rel=\"next\"",
                number + 1
            );
            headers.push(header("link", link));
        }
        (200, headers, list.to_string().into_bytes())
    }
}

async fn push(api: &Api, manifest: &str) -> String {
    let digest = digest_of(manifest);
    let put = api.put_manifest(REPO, &digest, TYPE, manifest.to_owned()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    digest
}

fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link");
    link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"").map(str::to_owned)
}

/// The digests of one page, and its bounds held.
fn entries(answer: &Answer) -> Vec<String> {
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, INDEX),
        "{}",
        answer.text()
    );
    assert!(answer.body.len() <= PAGE_BYTES_MAX, "{} bytes", answer.body.len());
    let list = answer.json().unwrap();
    let entries = list["manifests"].as_array().unwrap();
    for entry in entries {
        assert!(entry.to_string().len() <= ENTRY_BYTES_MAX);
    }
    entries.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect()
}

/// Follows the links from a page on; returns the list of each page.
async fn pages(api: &Api, first: &str) -> Vec<Vec<String>> {
    let (mut pages, mut path) = (Vec::new(), Some(first.to_owned()));
    while let Some(asked) = path {
        let page = api.get(&asked).await;
        path = next(&page);
        pages.push(entries(&page));
        assert!(pages.len() < 40, "the pages never end");
    }
    pages
}

/// All of them, none twice.
fn sorted(pages: &[Vec<String>]) -> Vec<String> {
    let mut all = pages.concat();
    all.sort();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count, "something is listed twice");
    all
}

fn sorted_set(all: impl IntoIterator<Item = String>) -> Vec<String> {
    sorted(&[all.into_iter().collect()])
}

#[tokio::test]
async fn an_upstreams_pages_come_one_by_one_and_what_only_we_know_at_the_end() {
    let there = There::default();
    let (_server, wharfd) = there.start().await;
    let api = &wharfd.api;
    let mut pushed = Vec::new();
    for number in 0..60 {
        let kind = if number % 2 == 0 { KIND } else { "application/b" };
        pushed.push((push(api, &referrer(&number.to_string(), kind, 10)).await, kind));
    }
    let foreign: Vec<_> = (0..9).map(|number| sha256(&[number])).collect();
    // Three pages, the second with 20 of ours; the upstream has 35 more of ours, and lost 5.
    let listed = |digests: &[String]| digests.iter().map(|digest| entry(digest, KIND, 5)).collect();
    let (ours, unlisted) = pushed.split_at(20);
    let mut second: Vec<Value> = ours.iter().map(|(digest, kind)| entry(digest, kind, 5)).collect();
    second.extend::<Vec<Value>>(listed(&foreign[3..6]));
    there.with(|state| {
        state.pages = vec![listed(&foreign[..3]), second, listed(&foreign[6..])];
        state.has = unlisted[..35].iter().map(|(digest, _)| digest.clone()).collect();
    });
    let is_there =
        |(digest, _): &&(String, &str)| !unlisted[35..].iter().any(|(lost, _)| lost == digest);
    let found = pages(api, &list_path()).await;
    let expected = pushed.iter().filter(is_there).map(|(digest, _)| digest.clone());
    assert_eq!(sorted(&found), sorted_set(expected.chain(foreign.clone())));
    assert_eq!(found[0], foreign[..3]);
    // Each page asks about no more than its share.
    let (asked, listed_there) =
        there.with(|state| (std::mem::take(&mut state.asked), std::mem::take(&mut state.listed)));
    assert_eq!(asked.len(), 40);
    assert!(found.len() >= 3 + asked.len().div_ceil(ASKED_MAX), "{}", found.len());
    // The upstream's own words, at its own path.
    for path in listed_there {
        assert!(path.starts_with(&list_path()), "{path}");
        assert!(path.ends_with('?') || path.ends_with("&state=a%2Fb%7Cc"), "{path}");
    }
    // The filter holds on every page; one may be empty and still lead on.
    let filtered = format!("{}?artifactType={KIND}", list_path());
    let found = pages(api, &filtered).await;
    let of_kind = pushed.iter().filter(is_there).filter(|(_, kind)| *kind == KIND);
    let expected = of_kind.map(|(digest, _)| digest.clone()).chain(foreign);
    assert_eq!(sorted(&found), sorted_set(expected));
    let none = format!("{}?artifactType=application/none", list_path());
    let page = api.get(&none).await;
    assert_eq!((entries(&page).len(), page.header("oci-filters-applied")), (0, "artifactType"));
    assert!(next(&page).unwrap().contains("artifactType=application/none"));
    assert_eq!(sorted(&pages(api, &none).await), [] as [String; 0]);
    assert_eq!(there.with(|state| state.asked.len()), 20);
}

#[tokio::test]
async fn a_page_of_an_upstream_that_is_too_large_with_ours_is_cut_and_goes_on() {
    let there = There::default();
    let (_server, wharfd) = there.start().await;
    let api = &wharfd.api;
    let mut ours = Vec::new();
    for number in 0..40 {
        ours.push(push(api, &referrer(&number.to_string(), KIND, 50_000)).await);
    }
    let theirs: Vec<_> = (0..75_u8).map(|number| sha256(&[number])).collect();
    let listed = theirs.iter().chain(&ours[..5]).map(|digest| entry(digest, KIND, 50_000));
    there.with(|state| {
        state.pages = vec![listed.collect()];
        state.has = ours[..35].iter().cloned().collect();
    });
    let found = pages(api, &list_path()).await;
    assert_eq!(sorted(&found), sorted_set(theirs.into_iter().chain(ours[..35].iter().cloned())));
    assert!(found.len() > 2);
    // One page of the upstream's, just below the size of a response.
    let theirs: Vec<_> = (0..70_u8).map(|number| sha256(&[number])).collect();
    let full = |size| -> Vec<Value> {
        theirs.iter().map(|digest| entry(digest, "application/b", size)).collect()
    };
    let list = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": full(0) }).to_string();
    let size = (PAGE_BYTES_MAX - list.len()) / theirs.len();
    there.with(|state| state.pages = vec![full(size)]);
    let filtered = format!("{}?artifactType=application/b", list_path());
    let found = pages(api, &filtered).await;
    assert_eq!((found.concat(), found[0].len()), (theirs, 69));
    // An entry with too large fields is listed without them.
    there.with(|state| state.pages = vec![vec![entry(&sha256(b"large"), KIND, 3_000_000)]]);
    assert_eq!(pages(api, &list_path()).await[0][0], sha256(b"large"));
}

#[tokio::test]
async fn a_page_that_nobody_gave_leads_nowhere_else() {
    let there = There::default();
    let (server, wharfd) = there.start().await;
    there.with(|state| state.pages = vec![Vec::new()]);
    for query in [
        "there=%2F..%2F..%2F_catalog%3Fx%23y",
        "there=https%3A%2F%2F169.254.169.254%2F",
        "there=%0D%0AHost:%20x",
        "there=%40127.0.0.1%2F",
    ] {
        let answer = wharfd.api.get(&format!("{}?{query}", list_path())).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let listed = there.with(|state| std::mem::take(&mut state.listed));
        let own = format!("{}?", list_path());
        assert!(listed.len() == 1 && listed[0].starts_with(&own), "{listed:?}");
    }
    let long = format!("there={}", "x".repeat(3000));
    for query in [&long, "here=latest", "stale=x", "there=a&stale=b", "there=a&at=-1"] {
        let refused = wharfd.api.get(&format!("{}?{query}", list_path())).await;
        assert_eq!(refused.status, 400, "{query}: {}", refused.text());
    }
    assert_eq!(there.with(|state| state.listed.len()), 0);
    let alone = Wharfd::alone().await;
    for query in ["there=a", &format!("stale={}", sha256(b"x"))] {
        let refused = alone.api.get(&format!("{}?{query}", list_path())).await;
        assert_eq!(refused.status, 400, "{query}: {}", refused.text());
    }
    drop(server);
}

#[tokio::test]
async fn a_list_that_was_begun_while_the_upstream_was_out_goes_on_with_what_it_has() {
    let there = There::default();
    let (_server, wharfd) = there.start().await;
    let api = &wharfd.api;
    let mut ours = Vec::new();
    for number in 0..90 {
        ours.push(push(api, &referrer(&number.to_string(), KIND, 60_000)).await);
    }
    there.with(|state| {
        state.pages = vec![vec![entry(&sha256(b"theirs"), KIND, 1)]];
        state.is_out = true;
    });
    let first = api.get(&list_path()).await;
    assert_eq!(first.header("wharf-cache"), "stale");
    let rest = next(&first).expect("it does not fit into one page");
    let shown = entries(&first);
    let found = [shown.clone(), pages(api, &rest).await.concat()].concat();
    assert_eq!(sorted_set(found), sorted_set(ours.clone()));
    // The upstream comes back, lists one of the missing ones, has another one, and no more.
    let left: Vec<_> = ours.iter().filter(|digest| !shown.contains(digest)).cloned().collect();
    assert!(left.len() > 10);
    there.with(|state| {
        state.is_out = false;
        state.pages.push(vec![entry(&left[0], KIND, 1), entry(&shown[0], KIND, 1)]);
        state.has.insert(left[1].clone());
    });
    // The pause of the breaker is over when it answers.
    let page = eventually("the upstream to be asked again", async || {
        let page = api.get(&rest).await;
        (page.header("wharf-cache") == "bypass").then_some(page)
    });
    let page = page.await;
    let rest = match next(&page) {
        Some(rest) => pages(api, &rest).await.concat(),
        None => Vec::new(),
    };
    assert_eq!(sorted_set([entries(&page), rest].concat()), sorted_set(left[..2].iter().cloned()));
}
