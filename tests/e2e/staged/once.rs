//! Staged pushes under write-once tags: a push still waiting for its blobs has not won yet.

use tokio::task::JoinHandle;
use wharf_double::Kind;
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;

use super::{REPO, hold_back, staged, try_put_image};
use crate::fixture::{Api, Setup, Stage, code, eventually};

/// The two contents for the tag.
const RIVALS: [&str; 2] = ["the layer of one", "the layer of the other"];

fn once(setup: Setup) -> Setup {
    let mut setup = staged(setup);
    setup.upstream.push_str("write_once_tags = [\"v*\"]\n");
    setup
}

/// Stages the blobs of both, held here for now.
async fn stage_both(stage: &Stage) {
    hold_back(stage, Kind::UploadPost);
    for layer in RIVALS {
        stage.api().push_blob(REPO, layer).await;
    }
}

/// Both manifests at once.
fn push_both(api: &Api, tag: &'static str) -> [JoinHandle<Option<Answer>>; 2] {
    RIVALS.map(|layer| {
        let api = api.clone();
        tokio::spawn(async move {
            let layer = layer.as_bytes();
            // The client of a killed server has no response.
            try_put_image(&api, tag, layer, layer).await.ok()
        })
    })
}

/// One client got 201, the other a refusal as too late; the upstream has the winner's content.
async fn assert_one_won(stage: &Stage, tag: &str, told: [Option<Answer>; 2]) {
    let told = told.map(|answer| answer.expect("an answer"));
    let won: Vec<_> = told.iter().map(|answer| answer.status == 201).collect();
    let said = format!("{} {}", told[0].text(), told[1].text());
    assert_eq!(won.iter().filter(|won| **won).count(), 1, "{said}");
    let loser = &told[usize::from(won[0])];
    assert_eq!((loser.status.as_u16(), code(loser).as_str()), (409, "DENIED"), "{said}");
    let winner = RIVALS[usize::from(won[1])];
    for api in [stage.api(), &stage.origin] {
        let manifest = api.get_manifest(REPO, tag).await;
        assert!(manifest.text().contains(&sha256(winner.as_bytes())), "{}", manifest.text());
    }
}

async fn both([first, second]: [JoinHandle<Option<Answer>>; 2]) -> [Option<Answer>; 2] {
    [first.await.unwrap(), second.await.unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_wait_for_their_blobs_one_wins_the_tag() {
    let Some(stage) = Stage::start_with(once).await else { return };
    stage_both(&stage).await;
    let pushes = push_both(stage.api(), "v1");
    let tried = async || (stage.double.counts().total(Kind::UploadPost) > 1).then_some(());
    eventually("the deliveries to be tried", tried).await;
    stage.double.clear_faults();
    assert_one_won(&stage, "v1", both(pushes).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_waited_when_it_was_killed_one_wins_the_tag_afterwards() {
    let Some(mut stage) = Stage::start_with(once).await else { return };
    stage_both(&stage).await;
    let pushes = push_both(stage.api(), "v1");
    let tried = async || (stage.double.counts().total(Kind::UploadPost) > 1).then_some(());
    eventually("the deliveries to be tried", tried).await;
    stage.wharfd.kill();
    let told = both(pushes).await;
    assert!(told.iter().flatten().all(|answer| answer.status != 201), "nothing was there");
    stage.double.clear_faults();
    stage.wharfd.start_again().await;
    let told = both(push_both(stage.api(), "v1")).await;
    assert_one_won(&stage, "v1", told).await;
    // And it stays so.
    stage.wharfd.kill();
    stage.wharfd.start_again().await;
    let there = stage.api().get_manifest(REPO, "v1").await.body;
    let again = both(push_both(stage.api(), "v1")).await.map(Option::unwrap);
    let mut statuses = again.map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "the same is taken again, the other is not");
    assert_eq!(stage.api().get_manifest(REPO, "v1").await.body, there);
}
