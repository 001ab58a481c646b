//! Races on content: reloads beside pushes and deletions of the same tags, deletions beside puts of
//! the same content. The client with the last 201 finds its content, here and at the upstream.

use http::Method;
use serde_json::json;
use tokio::task::JoinSet;
use wharf_testkit::http::{Answer, Client};
use wharf_testkit::images::sha256;

use crate::fixture::{Api, Stage, Wharfd, noise};

const REPO: &str = "acme/web";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Tags with a writer each, and how often each writes.
const TAGS: usize = 4;
const WRITES: usize = 25;
/// Rounds: a deletion, and clients with a put right after it.
const ROUNDS: usize = 12;
const PUTTERS: usize = 8;

/// An index of nothing, different for each word.
fn manifest(word: &str) -> String {
    json!({
        "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [], "annotations": { "w": word },
    })
    .to_string()
}

async fn put(api: &Api, tag: &str, word: &str) -> Answer {
    api.put_manifest(REPO, tag, INDEX_TYPE, manifest(word)).await
}

/// Puts and deletes one tag in turns. Each response is true at once, and the last one counts.
async fn write(api: Api, tag: String, shared: String) -> Option<String> {
    let mut last = None;
    for number in 0..WRITES {
        let word = format!("{tag} {number}");
        let answer = put(&api, &tag, &word).await;
        assert_eq!(answer.status, 201, "{word}: {}", answer.text());
        last = Some(manifest(&word));
        // All of them write this one.
        let answer = put(&api, &shared, &word).await;
        assert_eq!(answer.status, 201, "{shared}, {word}: {}", answer.text());
        assert_eq!(Some(api.get_manifest(REPO, &tag).await.text()), last, "{word}");
        if number % 3 == 1 {
            let digest = sha256(manifest(&word).as_bytes());
            let gone = api.delete(&format!("/v2/{REPO}/manifests/{digest}")).await;
            assert_eq!(gone.status, 202, "{word}: {}", gone.text());
            assert_eq!(api.get_manifest(REPO, &tag).await.status, 404, "{word}");
            last = None;
        }
    }
    last
}

/// Reloads the configuration again and again while tags are written; `swap` is the changed setting.
async fn reloads_beside_writes(wharfd: &mut Wharfd, origin: Option<&Api>, swap: [&str; 2]) {
    let api = wharfd.api.clone();
    let mut writers = JoinSet::new();
    for number in 0..TAGS {
        let (api, tag) = (Api::new(api.base().to_owned(), Client::new()), format!("t{number}"));
        writers.spawn(async move { (tag.clone(), write(api, tag, "shared".to_owned()).await) });
    }
    let mut reloads = 0;
    let mut written = Vec::new();
    while !writers.is_empty() {
        reloads += 1;
        let (old, new) = if reloads % 2 == 1 { (swap[0], swap[1]) } else { (swap[1], swap[0]) };
        wharfd.rewrite(|text| text.replace(old, new));
        wharfd.hang_up();
        wharfd.metric_reaches("wharfd_config_reloads_total{result=\"success\"}", reloads).await;
        while let Some(ended) = writers.try_join_next() {
            written.push(ended.unwrap());
        }
    }
    assert!(reloads > 2, "{reloads}");
    for (tag, last) in written {
        for api in std::iter::once(&api).chain(origin) {
            let there = api.get_manifest(REPO, &tag).await;
            let there = Some(there.text()).filter(|_| there.status == 200);
            assert_eq!(there, last, "{tag} at {}", api.base());
        }
    }
    if let Some(origin) = origin {
        let [here, there] = [&api, origin].map(|api| api.get_manifest(REPO, "shared"));
        let (here, there) = (here.await, there.await);
        assert_eq!((here.status, &here.body), (there.status, &there.body));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_beside_pushes_and_deletions_leave_what_was_answered_last() {
    let mut alone = Wharfd::with_config("[limits]\nheaders = 90\n").await;
    reloads_beside_writes(&mut alone, None, ["headers = 90", "headers = 91"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_of_the_upstream_beside_pushes_and_deletions_leave_what_was_answered_last() {
    let Some(mut stage) = Stage::start_with(|setup| setup.tag_ttl(10)).await else { return };
    let swap = ["tag_ttl_seconds = 10", "tag_ttl_seconds = 11"];
    reloads_beside_writes(&mut stage.wharfd, Some(&stage.origin), swap).await;
}

/// Many at once, each with connections of its own.
async fn at_once<F>(api: &Api, count: usize, act: impl Fn(Api) -> F) -> Vec<Answer>
where
    F: Future<Output = Answer> + Send + 'static,
{
    let fresh = || Api::new(api.base().to_owned(), Client::new());
    let acting: JoinSet<Answer> = (0..count).map(|_| act(fresh())).collect();
    acting.join_all().await
}

async fn put_blob(api: Api, content: Vec<u8>) -> Answer {
    api.try_push_blob(REPO, &sha256(&content), content).await.unwrap()
}

/// A deletion beside some puts, and after its answer many more.
async fn deletions_before_puts(api: &Api, origin: Option<&Api>) {
    let content = noise(1, 300_000);
    let (blob, word) = (format!("/v2/{REPO}/blobs/{}", sha256(&content)), "same");
    let digest = sha256(manifest(word).as_bytes());
    let by_digest = format!("/v2/{REPO}/manifests/{digest}");
    api.push_blob(REPO, content.clone()).await;
    assert_eq!(put(api, "v1", word).await.status, 201);
    for round in 0..ROUNDS {
        for path in [&blob, &by_digest] {
            let is_blob = path == &blob;
            let puts = |count| {
                at_once(api, count, |api| {
                    let content = content.clone();
                    async move {
                        if is_blob {
                            put_blob(api, content).await
                        } else {
                            put(&api, "v1", word).await
                        }
                    }
                })
            };
            let (gone, beside) = tokio::join!(api.delete(path), puts(PUTTERS / 2));
            assert_eq!(gone.status, 202, "round {round}, {path}: {}", gone.text());
            for answer in beside.into_iter().chain(puts(PUTTERS).await) {
                assert_eq!(answer.status, 201, "round {round}, {path}: {}", answer.text());
            }
            for api in std::iter::once(api).chain(origin) {
                let call = api.call(Method::GET, path).header("accept", INDEX_TYPE);
                let there = call.send().await.unwrap();
                assert_eq!(there.status, 200, "round {round}, {path} at {}", api.base());
                assert_eq!(sha256(&there.body), path.rsplit('/').next().unwrap());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_at_once_after_its_deletion_is_there() {
    deletions_before_puts(&Wharfd::alone().await.api, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_at_once_after_its_deletion_is_there_and_at_the_upstream() {
    let Some(stage) = Stage::start().await else { return };
    deletions_before_puts(stage.api(), Some(&stage.origin)).await;
}
