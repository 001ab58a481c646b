//! What becomes of every image when registries throttle, fail, lose or change things half-way.

use serde_json::Value;
use wharf_double::{Account, Fault, FaultRule, Kind};

use super::yard::{Sides, Yard};
use crate::fixture::{PATIENCE, eventually};
use crate::sources::Said;

/// The states of an apply, by the image.
fn states(said: &Said) -> Vec<String> {
    let items = said.result()["items"].as_array().unwrap().clone();
    items.iter().map(|item: &Value| item["state"].as_str().unwrap().to_owned()).collect()
}

/// The chance of a fault, over all requests.
fn often(fault: Fault, percent: u8) -> FaultRule {
    FaultRule::any(fault).times(u64::MAX).percent(percent)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_image_is_lost_when_a_fifth_of_all_requests_is_turned_away() {
    let Some(yard) = Yard::start(4, Sides::Two).await else { return };
    for side in [&yard.source, yard.destination()] {
        side.seed_faults(7);
        side.set_fault(often(Fault::TooManyRequests { retry_after_s: 0 }, 20));
    }
    yard.promote().await;
    assert!(yard.source.struck_in_all() > 3 && yard.destination().struck_in_all() > 10);
    yard.assert_promoted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_image_is_lost_when_servers_fail_and_connections_break() {
    let Some(yard) = Yard::start(4, Sides::Two).await else { return };
    for side in [&yard.source, yard.destination()] {
        side.seed_faults(11);
        side.set_fault(often(Fault::Reset { after: 1000 }, 5));
        side.set_fault(often(Fault::Unavailable, 5));
    }
    yard.promote().await;
    assert!(yard.source.struck_in_all() + yard.destination().struck_in_all() > 5);
    yard.assert_promoted().await;
    let said = yard.of_ledger("status").await;
    assert_eq!(said.code, 0, "{}", said.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moves_while_it_runs_is_left_and_the_others_go_on() {
    let Some(yard) = Yard::start(3, Sides::Two).await else { return };
    assert_eq!(yard.plan(&[]).await.code, 0);
    let own = yard.digests_of(1).into_iter().find(|at| !yard.digests_of(0).contains(at)).unwrap();
    yard.source.set_fault(FaultRule::next(Kind::BlobGet, Fault::Hang).of_digest(own));
    let child = yard.start_apply(&["--output-format", "json"]);
    eventually("a held blob", async || (yard.source.held() == 1).then_some(())).await;
    let theirs = yard.point_elsewhere("shop/image-1", "1.0").await;
    yard.source.release();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    let said = said(&output);
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert_eq!(states(&said), ["promoted", "refused", "promoted"]);
    // None of its tags was written, not only the one that moved.
    assert_eq!(yard.tag("shop/image-1", "1.0").await, Some(theirs));
    assert_eq!(yard.tag("shop/image-1", "1.0-arm64").await, None);
    assert_eq!(yard.tag("shop/image-1", "latest").await, None);
    yard.assert_image(0).await;
    yard.assert_image(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_deleted_half_way_is_lost_by_its_exact_address() {
    let Some(yard) = Yard::start(3, Sides::Two).await else { return };
    assert_eq!(yard.plan(&[]).await.code, 0);
    let own = yard.digests_of(1).into_iter().find(|at| !yard.digests_of(0).contains(at)).unwrap();
    yard.delete_from_source(&format!("team/image-1/blobs/{own}")).await;
    let said = yard.apply(&["--output-format", "json"]).await;
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert_eq!(states(&said), ["promoted", "lost", "promoted"]);
    let reason = said.result()["items"][1]["reason"].as_str().unwrap().to_owned();
    let url = format!("http://{}/v2/team/image-1/blobs/{own}", yard.source.addr());
    assert!(reason.contains(&url), "{reason}");
    assert_eq!(yard.tag("shop/image-1", "1.0").await, None);
    yard.assert_no_half_tag().await;
    assert_eq!(yard.destination().open_uploads(), 0);
    let status = yard.of_ledger("status").await;
    assert_eq!(status.code, 3);
    assert_eq!(status.result()["items"][1]["state"], "lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_names_a_missing_child_is_lost_in_the_plan() {
    let Some(yard) = Yard::start(2, Sides::Two).await else { return };
    let child = yard.child(1, 0);
    yard.delete_from_source(&format!("team/image-1/manifests/{child}")).await;
    let planned = yard.plan(&[]).await;
    assert_eq!(planned.code, 3, "{}", planned.stderr);
    let url = format!("http://{}/v2/team/image-1/manifests/{child}", yard.source.addr());
    assert!(planned.stdout.contains(&format!("lost: {url} is not there")), "{}", planned.stdout);
    assert_eq!(yard.apply(&[]).await.code, 3);
    yard.assert_image(0).await;
    assert_eq!(yard.tag("shop/image-1", "1.0").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_may_only_be_read_fails_every_image_and_keeps_its_tags() {
    let Some(yard) = Yard::start(2, Sides::Two).await else { return };
    assert_eq!(yard.plan(&[]).await.code, 0);
    yard.destination().admit(Account::reader("publisher", "a secret"));
    let said = yard.apply(&["--output-format", "json"]).await;
    assert_eq!(said.code, 4, "{}", said.stderr);
    assert_eq!(states(&said), ["failed", "failed"]);
    assert!(said.stderr.contains("--resume"), "{}", said.stderr);
    assert_eq!(yard.tag("shop/image-0", "1.0").await, None);
    yard.destination().admit(Account::admin("publisher", "a secret"));
    let resumed = yard.apply(&["--resume"]).await;
    assert_eq!(resumed.code, 0, "{}\n{}", resumed.stdout, resumed.stderr);
    yard.assert_promoted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_puts_moved_tags_back_and_ends_well() {
    let Some(yard) = Yard::start(2, Sides::Two).await else { return };
    let before = yard.point_elsewhere("shop/image-0", "latest").await;
    yard.promote().await;
    yard.assert_promoted().await;
    let undone = yard.of_ledger("undo").await;
    assert_eq!(undone.code, 0, "{}\n{}", undone.stdout, undone.stderr);
    assert_eq!(yard.tag("shop/image-0", "latest").await, Some(before));
}

pub(super) fn said(output: &std::process::Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    Said { code: output.status.code().unwrap_or(-1), stdout, stderr }
}
