//! The number of accepted requests by class, and the identity of each bucket.

use std::time::Duration;

use wharf_double::{Account, Habits, Kind, Quota, Quotas};
use wharf_testkit::http::Answer;

use super::{PASSWORD, Stage, USER, code, field};

const MANY: Option<u64> = Some(1_000);

/// Reads are few, and the period is long enough never to end in a test.
fn reads(habits: &mut Habits, registry: Option<u64>, identity: Option<u64>) {
    let reads = Quota { registry, identity };
    habits.quotas = Quotas { reads, period: Duration::from_hours(1), ..Quotas::default() };
}

async fn version(stage: &Stage, user: &str, password: &str) -> Answer {
    stage.client.get(stage.url("/v2/")).basic(user, password).send().await.unwrap()
}

#[tokio::test]
async fn beyond_the_quota_of_an_identity_is_429_with_the_seconds_until_the_refill() {
    let start = Stage::start_with(|mut config| {
        reads(&mut config.habits, MANY, Some(2));
        config.account(Account::reader("reader", "r"))
    });
    let Some(stage) = start.await else { return };
    let token = stage.push_token().await;
    let by_token = stage.client.get(stage.url("/v2/")).bearer(&token).send().await.unwrap();
    assert_eq!(by_token.status, 200);
    assert_eq!(version(&stage, USER, PASSWORD).await.status, 200, "every login of a user counts");
    let mut waits = Vec::new();
    for _ in 0..2 {
        let refused = version(&stage, USER, PASSWORD).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (429, "TOOMANYREQUESTS"));
        waits.push(refused.header("retry-after").parse::<u64>().unwrap());
    }
    assert!(waits.is_sorted_by(|a, b| a >= b), "{waits:?}");
    assert!(waits.iter().all(|wait| (1..=3600).contains(wait)), "{waits:?}");
    assert_eq!(version(&stage, "reader", "r").await.status, 200, "another identity");
    let upload = stage.start_upload(&token).await;
    assert_eq!(upload.status, 202, "another class");
    stage.double.refill();
    assert_eq!(version(&stage, USER, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn the_registry_has_a_bucket_for_all_together() {
    let start = Stage::start_with(|mut config| {
        reads(&mut config.habits, Some(2), None);
        config.account(Account::reader("reader", "r"))
    });
    let Some(stage) = start.await else { return };
    assert_eq!(version(&stage, USER, PASSWORD).await.status, 200);
    assert_eq!(version(&stage, "reader", "r").await.status, 200);
    assert_eq!(version(&stage, USER, PASSWORD).await.status, 429);
    let refused = version(&stage, USER, "wrong").await;
    assert_eq!(refused.status, 401, "who is unknown is told that first");
}

#[tokio::test]
async fn all_anonymous_callers_share_one_bucket() {
    let start = Stage::start_with(|mut config| {
        config.anonymous_pull = true;
        reads(&mut config.habits, MANY, Some(2));
        config
    });
    let Some(stage) = start.await else { return };
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let answer = stage.client.get(stage.url(&stage.token_target(&[]))).send().await.unwrap();
        let token = field(&answer, "access_token");
        let version = stage.client.get(stage.url("/v2/")).bearer(&token).send().await.unwrap();
        statuses.push(version.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn each_class_has_buckets_of_its_own() {
    let one = Quota { registry: Some(1), identity: None };
    let three = Quota { registry: Some(3), identity: None };
    let start = Stage::with_habits(|habits| {
        habits.quotas = Quotas {
            reads: three,
            writes: one,
            deletes: one,
            referrers: one,
            oauth: one,
            period: Duration::from_hours(1),
        };
    });
    let Some(stage) = start.await else { return };
    let token = stage.token(&["repository:acme/web:pull,push,delete"]).await;
    assert_eq!(stage.token_answer(USER, PASSWORD, &[]).await.status, 429);
    let ask = async |method: http::Method, target: &str| {
        let call = stage.client.call(method, stage.url(target)).bearer(&token);
        call.send().await.unwrap().status.as_u16() == 429
    };
    let digest = "sha256:".to_owned() + &"0".repeat(64);
    let referrers = format!("/v2/acme/web/referrers/{digest}");
    assert!(!ask(http::Method::GET, &referrers).await);
    assert!(ask(http::Method::GET, &referrers).await);
    let blob = format!("/v2/acme/web/blobs/{digest}");
    assert!(!ask(http::Method::DELETE, &blob).await);
    assert!(ask(http::Method::DELETE, &blob).await);
    assert!(!ask(http::Method::POST, "/v2/acme/web/blobs/uploads/").await);
    assert!(ask(http::Method::POST, "/v2/acme/web/blobs/uploads/").await);
    // One read went to the referrers.
    assert!(!ask(http::Method::HEAD, &blob).await);
    assert!(!ask(http::Method::GET, &blob).await);
    assert!(ask(http::Method::GET, &blob).await);
    assert_eq!(stage.double.counts().answered(Kind::BlobGet, 429), 1);
}

#[tokio::test]
async fn the_wait_counts_down_to_the_refill() {
    let start = Stage::with_habits(|habits| {
        reads(habits, Some(1), None);
        habits.quotas.period = Duration::from_secs(3);
    });
    let Some(stage) = start.await else { return };
    assert_eq!(version(&stage, USER, PASSWORD).await.status, 200);
    // However slow the machine is: each wait is no longer than the one before, and then it is over.
    let mut last = 3;
    loop {
        let answer = version(&stage, USER, PASSWORD).await;
        if answer.status == 200 {
            break;
        }
        let wait = answer.header("retry-after").parse().unwrap();
        assert!((1..=last).contains(&wait), "{wait} after {last}");
        last = wait;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
