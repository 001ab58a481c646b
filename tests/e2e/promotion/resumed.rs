//! An apply that was killed or interrupted goes on where it was.

use std::time::Duration;

use wharf_double::{Fault, FaultRule, Kind};
use wharf_testkit::dice::Dice;
use wharf_testkit::trials;

use super::faults::said;
use super::yard::{Sides, Yard};
use crate::fixture::{PATIENCE, eventually};

const MIB: usize = 1024 * 1024;
const CHUNK_BYTES: u64 = 16 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_an_upload_goes_on_inside_its_blob() {
    let Some(yard) = Yard::with_layers(&[40 * MIB], Sides::Two).await else { return };
    assert_eq!(yard.plan(&[]).await.code, 0);
    // The answer to the second chunk does not come before the kill.
    let late = Fault::Late { by_ms: 600_000, done: true };
    yard.destination().set_fault(FaultRule::next(Kind::UploadPatch, late).after(1));
    let mut child = yard.start_apply(&[]);
    // A look at the session gives it another address, so it waits until the chunk is on its way.
    let has_come = || yard.destination().counts().upload_bytes() >= 2 * CHUNK_BYTES;
    eventually("two chunks", async || has_come().then_some(())).await;
    eventually("their end", async || yard.has_session_of(2 * CHUNK_BYTES).await.then_some(()))
        .await;
    child.kill().await.unwrap();
    yard.reset_counts();
    let resumed = yard.apply(&["--resume"]).await;
    assert_eq!(resumed.code, 0, "{}\n{}", resumed.stdout, resumed.stderr);
    let counts = yard.destination().counts();
    let left = yard.distinct_bytes() - 2 * CHUNK_BYTES;
    assert!(counts.upload_bytes() <= left, "{} of {left}", counts.upload_bytes());
    assert_eq!(counts.total(Kind::UploadStatus), 1);
    // The killed one may be noted late, as one without an answer.
    assert_eq!(counts.answered(Kind::UploadPatch, 202), 0, "the last 8 MiB go with the PUT");
    yard.assert_promoted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_no_image_is_half_tagged_and_a_resume_ends_it() {
    let Some(yard) = Yard::with_layers(&[MIB, MIB / 2, 1000, 30_000], Sides::Two).await else {
        return;
    };
    assert_eq!(yard.plan(&[]).await.code, 0);
    let mut dice = Dice::new(2026);
    for round in 0..trials::size(8, 100) {
        let more: &[&str] =
            if std::path::Path::new(&yard.ledger()).exists() { &["--resume"] } else { &[] };
        let mut child = yard.start_apply(more);
        let pause = Duration::from_millis(dice.below(400));
        if tokio::time::timeout(pause, child.wait()).await.is_err() {
            child.kill().await.unwrap();
        }
        if round % 4 == 0 {
            yard.assert_no_half_tag().await;
        }
    }
    let words: &[&str] =
        if std::path::Path::new(&yard.ledger()).exists() { &["--resume"] } else { &[] };
    let resumed = yard.apply(words).await;
    assert_eq!(resumed.code, 0, "{}\n{}", resumed.stdout, resumed.stderr);
    yard.assert_promoted().await;
    assert_eq!(yard.of_ledger("status").await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_apply_says_how_to_go_on() {
    let Some(yard) = Yard::start(1, Sides::Two).await else { return };
    assert_eq!(yard.plan(&[]).await.code, 0);
    yard.source.set_fault(FaultRule::next(Kind::BlobGet, Fault::Hang));
    let child = yard.start_apply(&[]);
    eventually("a held blob", async || (yard.source.held() == 1).then_some(())).await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    let said = said(&output);
    assert_eq!(said.code, 130);
    assert!(said.stderr.contains("promote apply") && said.stderr.contains("--resume"));
    yard.source.release();
    assert_eq!(yard.apply(&["--resume"]).await.code, 0);
    yard.assert_promoted().await;
}
