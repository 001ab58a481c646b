//! The outbox of an upstream is shared: two greedy pushers leave room for a third.

use wharf_double::Kind;
use wharf_testkit::http::Answer;
use wharf_testkit::images::sha256;

use super::{MIB, REPO, all_is_delivered, hold_back, pending, staged};
use crate::fixture::{Stage, code, message, noise};

/// Pushes a blob in one request, as this client behind the balancer.
pub(super) async fn push(stage: &Stage, client: &str, content: Vec<u8>) -> Answer {
    let path = format!("/v2/{REPO}/blobs/uploads/?digest={}", sha256(&content));
    let call = stage.api().post(&path).header("x-forwarded-for", client);
    call.bytes(content).send().await.unwrap()
}

#[tokio::test]
async fn two_who_push_all_they_can_leave_room_for_a_third() {
    let lines = "store_limit = \"256MiB\"\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let Some(stage) = Stage::start_with(|setup| staged(setup).lines(lines)).await else { return };
    hold_back(&stage, Kind::BlobHead);
    let (mut seed, mut taken) = (0, Vec::new());
    for hostile in ["10.0.0.1", "10.0.0.2"] {
        for blobs in 0.. {
            seed += 1;
            let answer = push(&stage, hostile, noise(seed, 8 * MIB)).await;
            if answer.status != 201 {
                assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (507, "UNKNOWN"));
                assert!(message(&answer).contains("of one party"), "{}", answer.text());
                taken.push(blobs);
                break;
            }
        }
    }
    // Of 128 MiB: half as the only party, then a quarter.
    assert_eq!(taken, [8, 4]);
    for _ in 0..4 {
        seed += 1;
        let third = push(&stage, "10.0.0.3", noise(seed, 8 * MIB)).await;
        assert_eq!(third.status, 201, "{}", third.text());
    }
    assert_eq!(pending(&stage).await, 16);
    stage.double.clear_faults();
    all_is_delivered(&stage).await;
    seed += 1;
    assert_eq!(push(&stage, "10.0.0.1", noise(seed, 8 * MIB)).await.status, 201);
}

/// Pushes a blob into a session, as most clients do, as this client behind the balancer.
async fn push_into_session(stage: &Stage, client: &str, content: Vec<u8>) -> Answer {
    let opening = stage.api().post(&format!("/v2/{REPO}/blobs/uploads/"));
    let opened = opening.header("x-forwarded-for", client).send().await.unwrap();
    if opened.status != 202 {
        return opened;
    }
    let location = opened.header("location");
    let joint = if location.contains('?') { '&' } else { '?' };
    let path = format!("{location}{joint}digest={}", sha256(&content));
    let end = stage.api().put(&path).header("x-forwarded-for", client);
    end.bytes(content).send().await.unwrap()
}

#[tokio::test]
async fn what_is_refused_for_its_bytes_takes_no_room_on_disk() {
    let lines = "store_limit = \"256MiB\"\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let Some(stage) = Stage::start_with(|setup| staged(setup).lines(lines)).await else { return };
    hold_back(&stage, Kind::BlobHead);
    // Half of 128 MiB takes nine blobs of 7 MiB; the tenth finds its share full at its end only.
    for number in 0..30 {
        let answer = push_into_session(&stage, "10.0.0.1", noise(number, 7 * MIB)).await;
        let expected = if number < 9 { 201 } else { 507 };
        assert_eq!(answer.status, expected, "{number}: {}", answer.text());
    }
    let open = stage.wharfd.metric("wharfd_uploads").await;
    let cold = noise(100, 100 * MIB);
    let digest = stage.origin.push_blob(REPO, cold.clone()).await;
    stage.double.clear_faults();
    let answer = stage.api().get_blob(REPO, &digest).await;
    assert_eq!((answer.status.as_u16(), answer.header("wharf-cache")), (200, "fill"));
    assert!(open == 0 && answer.body == cold, "{open} uploads are open");
    all_is_delivered(&stage).await;
}
