//! Deletions of blobs in the outbox: a blob kept by the upstream is not lost.

use wharf_double::{Fault, FaultRule, Kind};

use super::{
    MIB, REPO, all_is_delivered, assert_upstream_has, hold_back, pending, put_image, staged,
};
use crate::fixture::{Stage, eventually, noise};

#[tokio::test]
async fn a_deletion_that_the_upstream_refuses_costs_nothing_that_is_owed() {
    let Some(stage) = Stage::start_with(staged).await else { return };
    let (config, layer) = (b"{}".to_vec(), noise(15, 9 * MIB));
    stage.api().push_blob(REPO, config.clone()).await;
    all_is_delivered(&stage).await;
    for (fault, status) in [
        (Fault::Status { code: 403, retry_after_s: None }, 403),
        (Fault::Status { code: 400, retry_after_s: None }, 400),
    ] {
        // Once in the middle of being sent, once before.
        let middle = status == 403;
        if middle {
            let stall = Fault::Stall { after: 1_000_000 };
            stage.double.set_fault(FaultRule::next(Kind::UploadPatch, stall));
        } else {
            hold_back(&stage, Kind::BlobHead);
        }
        let digest = stage.api().push_blob(REPO, layer.clone()).await;
        if middle {
            let stalled = async || (stage.double.held() > 0).then_some(());
            eventually("the chunk to stall", stalled).await;
        }
        stage.double.set_fault(FaultRule::next(Kind::BlobDelete, fault));
        let path = format!("/v2/{REPO}/blobs/{digest}");
        let refused = stage.api().delete(&path).await;
        assert_eq!(refused.status, status, "{}", refused.text());
        assert!(stage.api().get(&path).await.body == layer);
        stage.double.clear_faults();
        stage.double.release();
        let put = put_image(stage.api(), "v1", &config, &layer).await;
        assert_eq!(put.status, 201, "{}", put.text());
        assert_upstream_has(&stage, REPO, &layer).await;
        assert_eq!(pending(&stage).await, 0);
        assert_eq!(stage.api().delete(&path).await.status, 202);
        assert_eq!(stage.origin.head_blob(REPO, &digest).await.status, 404);
    }
}
