//! Several clients in the same repositories, with the same contents, uploads and tags. No model has
//! the one right response for overlapping requests. But there must be an order of the requests with
//! every response right (`shared/history.rs`), for each upload, each blob in a repository, and the
//! manifests of each repository (`shared/objects.rs`). In the end the upstream has exactly the
//! reported content. Alone, before an upstream, and staged.
//!
//! `WHARF_SHARED_SEED` repeats the choices of chance; the machine decides the order of the
//! requests.

mod client;
mod history;
mod objects;

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;
use wharf_oci::Algorithm;
use wharf_testkit::dice::Dice;
use wharf_testkit::trials;

use self::client::{Content, Mode, Shared, play};
use self::history::{Event, explain};
use self::objects::{Blob, Manifests, Named, Said, Upload, UploadAct, soften};
use crate::fixture::{Api, Stage, Wharfd, assert_blobs_are_right, eventually, noise};

const CLIENTS: usize = 5;
/// Of one client, in one round.
const ACTS: usize = 50;

/// A final observation: repository, digest, and whether the blob is there.
type Found = (String, String, bool);

/// One round after another, each in repositories of its own, so no history is long.
async fn rounds(api: &Api, mode: Mode, count: usize) -> Vec<Found> {
    let (mut dice, noise) = (Dice::from_env("WHARF_SHARED_SEED"), Bytes::from(noise(3, 2_000_000)));
    let mut all = Vec::new();
    for round in 0..count {
        let name = format!("shared/r{round}");
        let shared = Arc::new(Shared::new(api.clone(), name, mode, &noise));
        let clients = (0..CLIENTS).map(|_| play(Arc::clone(&shared), dice.fork(), ACTS));
        clients.collect::<JoinSet<()>>().join_all().await;
        shared.give_up_all().await;
        let found = shared.look_at_all().await;
        assert_explained(&shared);
        // The backing registry has a sha512 blob under its other digest.
        let short = |content: &Content| shared.digest(*content).algorithm() == Algorithm::Sha256;
        let found = found.iter().filter(|(_, content, _)| short(content));
        all.extend(found.map(|(repo, content, there)| {
            (shared.repo(*repo), shared.digest(*content).to_string(), *there)
        }));
    }
    all
}

fn assert_explained(shared: &Shared) {
    for (location, events) in &*shared.of_uploads.lock().unwrap() {
        assert_busy_with_another(location, events);
        explain::<Upload>((Some(0), None), &without_glimpses(events))
            .unwrap_or_else(|why| panic!("the upload {location}: {why}"));
    }
    for ((repo, content), events) in &mut *shared.of_blobs.lock().unwrap() {
        soften(events);
        explain::<Blob>(false, events)
            .unwrap_or_else(|why| panic!("blob {content:?} in repository {repo}: {why}"));
    }
    for (repo, events) in &*shared.of_manifests.lock().unwrap() {
        explain::<Manifests>(Named::default(), events)
            .unwrap_or_else(|why| panic!("the manifests of repository {repo}: {why}"));
    }
}

/// Without the status responses during an upload's end: then the upload has all of its bytes, and
/// may still be refused.
fn without_glimpses(events: &[Event<UploadAct>]) -> Vec<Event<UploadAct>> {
    let is_glimpse = |seen: &Event<UploadAct>| {
        let UploadAct::Status(Said::At(at)) = seen.act else { return false };
        let ends = |other: &Event<UploadAct>| match other.act {
            UploadAct::Finish { first, size, whole, .. } => {
                whole == at || first.is_none_or(|first| first + size == at)
            }
            _ => false,
        };
        events.iter().any(|other| ends(other) && other.overlaps(seen))
    };
    events.iter().filter(|event| !is_glimpse(event)).cloned().collect()
}

/// A "busy" response needs another request at the same time.
fn assert_busy_with_another(location: &str, events: &[Event<UploadAct>]) {
    for busy in events.iter().filter(|event| event.act.said() == Said::Busy) {
        let holds = |other: &&Event<UploadAct>| {
            other.begun != busy.begun && other.act.holds() && other.overlaps(busy)
        };
        assert!(events.iter().any(|other| holds(&other)), "{location} was busy alone: {busy:?}");
    }
}

/// The backing registry has exactly the reported content.
async fn assert_upstream_is_in_step(stage: &Stage, found: &[Found]) {
    for (repo, digest, there) in found {
        let behind = stage.origin.head_blob(repo, digest).await.status == 200;
        assert_eq!(behind, *there, "{digest} in {repo}: behind it is {behind}");
    }
    assert!(assert_blobs_are_right(&stage.registry) > 0, "nothing arrived");
    let closed = async || (stage.double.open_uploads() == 0).then_some(());
    eventually("every upload at the upstream to be ended or given up", closed).await;
}

async fn assert_no_upload_is_left(wharfd: &Wharfd) {
    for gauge in ["wharfd_uploads", "wharfd_uploads_resting"] {
        assert_eq!(wharfd.metric(gauge).await, 0, "{gauge}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_meet_in_a_registry_of_its_own_get_answers_that_an_order_explains() {
    let wharfd = Wharfd::alone().await;
    let found = rounds(&wharfd.api, Mode::Alone, trials::size(3, 10)).await;
    assert!(found.iter().any(|(.., there)| *there), "nothing arrived");
    assert_no_upload_is_left(&wharfd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_meet_before_an_upstream_get_answers_that_an_order_explains() {
    let Some(stage) = Stage::start().await else { return };
    let found = rounds(stage.api(), Mode::Through, trials::size(2, 4)).await;
    assert_no_upload_is_left(&stage.wharfd).await;
    assert_upstream_is_in_step(&stage, &found).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_meet_in_staged_mode_get_answers_that_an_order_explains() {
    let start = Stage::start_with(|mut setup| {
        setup.upstream.push_str("push = \"staged\"\n");
        setup
    });
    let Some(stage) = start.await else { return };
    let found = rounds(stage.api(), Mode::Staged, trials::size(2, 4)).await;
    assert_no_upload_is_left(&stage.wharfd).await;
    let owed = async || (stage.wharfd.metric("wharfd_pending_blobs").await == 0).then_some(());
    eventually("the end of all deliveries", owed).await;
    assert_upstream_is_in_step(&stage, &found).await;
}
