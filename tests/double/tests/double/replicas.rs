//! A replica with a lag behind the pushes.

use std::time::Duration;

use wharf_double::Lag;

use super::{MANIFEST_TYPE, Stage, code};

#[tokio::test]
async fn a_pushed_manifest_is_unknown_to_the_first_requests() {
    let Some(stage) = Stage::with_habits(|habits| habits.replica_lag = Lag::Requests(2)).await
    else {
        return;
    };
    let token = stage.push_token().await;
    let pushed = stage.push_manifest(&token, "v1", "first").await;
    let digest = pushed.header("docker-content-digest").to_owned();
    for reference in ["v1", &digest] {
        let head = stage.client.head(stage.manifest_url(reference)).bearer(&token);
        let head = head.header("accept", MANIFEST_TYPE).send().await.unwrap();
        assert_eq!(head.status, 404, "{reference}");
        let unknown = stage.manifest(&token, reference).await;
        let seen = (unknown.status.as_u16(), code(&unknown));
        assert_eq!(seen, (404, "MANIFEST_UNKNOWN".to_owned()), "{reference}");
        assert_eq!(stage.manifest(&token, reference).await.status, 200, "{reference}");
    }
}

#[tokio::test]
async fn a_moved_tag_names_what_it_named_until_the_replica_catches_up() {
    let hour = Lag::Time(Duration::from_hours(1));
    let Some(stage) = Stage::with_habits(|habits| habits.replica_lag = hour).await else {
        return;
    };
    let token = stage.push_token().await;
    stage.push_manifest(&token, "v1", "first").await;
    assert_eq!(stage.manifest(&token, "v1").await.status, 404);
    stage.double.catch_up();
    assert!(stage.manifest(&token, "v1").await.text().contains("first"));
    stage.push_manifest(&token, "v1", "second").await;
    assert!(stage.manifest(&token, "v1").await.text().contains("first"));
    let url = stage.url("/_double/catch-up");
    assert_eq!(stage.client.post(url).send().await.unwrap().status, 200);
    assert!(stage.manifest(&token, "v1").await.text().contains("second"));
}
