//! Sessions over a store in memory: one writer at a time, rest, resumption, expiry.

use super::*;
use crate::cache::now_ms;
use crate::limits::UPLOAD_IDLE_MAX;
use wharf_oci::Digester;
use wharf_store::{BlobStore, MemoryStore, UploadStore, contract::noise};

fn over(store: &MemoryStore) -> Uploads {
    let upstreams = Arc::new(Upstreams::new(&[]).unwrap());
    let (bridge, store) = (Bridge::default(), Arc::new(store.clone()));
    let senders = Senders::new(bridge, store.clone(), Arc::clone(&upstreams));
    let (senders, of, to) = (Arc::new(senders), Arc::clone(&store), Arc::clone(&upstreams));
    let deliveries = Deliveries::load(of, to, Arc::clone(&senders), None).unwrap();
    Uploads::load(store, upstreams, senders, deliveries, Finishing::default()).unwrap()
}

fn uploads() -> (MemoryStore, Uploads, RepoName) {
    let store = MemoryStore::default();
    let uploads = over(&store);
    (store, uploads, "a/b".parse().unwrap())
}

#[tokio::test]
async fn a_session_is_written_by_one_request_at_a_time_and_keeps_its_offset() {
    let (store, uploads, repo) = uploads();
    let id = uploads.open(uploads.room().unwrap(), (&repo, None), None, None).await.unwrap();
    let mut first = uploads.check_out(&repo, id, &Caller::anonymous()).await.unwrap();
    assert!(matches!(
        uploads.check_out(&repo, id, &Caller::anonymous()).await,
        Err(Error::UploadBusy)
    ));
    first.session().append(Bytes::from_static(b"12345")).await.unwrap();
    drop(first);
    assert_eq!(uploads.offset(&repo, id).unwrap(), 5);
    let other: RepoName = "c".parse().unwrap();
    assert!(matches!(uploads.offset(&other, id), Err(Error::UploadUnknown)));
    uploads.cancel(&repo, id).await.unwrap();
    assert_eq!(uploads.count(), (0, 0));
    assert_eq!(store.saved_uploads().unwrap(), []);
}

#[tokio::test]
async fn a_finished_upload_is_kept_and_a_wrong_one_is_not() {
    let (store, uploads, repo) = uploads();
    let content = noise(3_000_000, 1);
    let digest = Digester::digest(Algorithm::Sha256, &content);
    for expected in [digest, Digester::digest(Algorithm::Sha256, b"other")] {
        let mut session = uploads.anonymous(Algorithm::Sha256, None).await.unwrap();
        for start in (0..content.len()).step_by(70_000) {
            let part = content.slice(start..(start + 70_000).min(content.len()));
            session.append(part).await.unwrap();
        }
        let ended = uploads.finish(&repo, session.into(), expected, Turn::default()).await;
        assert_eq!(ended.is_ok(), expected == digest);
    }
    assert!(store.stat(&digest).unwrap().is_some());
}

#[tokio::test]
async fn a_suspended_session_goes_on_where_it_was_in_its_own_repository() {
    let (store, uploads, repo) = uploads();
    let content = noise(1_700_000, 2);
    let id = uploads.open(uploads.room().unwrap(), (&repo, None), None, None).await.unwrap();
    let mut checkout = uploads.check_out(&repo, id, &Caller::anonymous()).await.unwrap();
    checkout.session().append(content.slice(..1_000_001)).await.unwrap();
    drop(checkout);
    uploads.suspend().await;
    assert_eq!(uploads.count(), (0, 0));

    let uploads = over(&store);
    assert_eq!(uploads.count(), (0, 1));
    let other: RepoName = "c".parse().unwrap();
    assert!(matches!(uploads.offset(&other, id), Err(Error::UploadUnknown)));
    assert!(matches!(
        uploads.check_out(&other, id, &Caller::anonymous()).await,
        Err(Error::UploadUnknown)
    ));
    assert!(matches!(uploads.cancel(&other, id).await, Err(Error::UploadUnknown)));
    // Asking takes nothing.
    assert_eq!(uploads.offset(&repo, id).unwrap(), 1_000_001);
    assert_eq!(uploads.count(), (0, 1));
    let mut checkout = uploads.check_out(&repo, id, &Caller::anonymous()).await.unwrap();
    assert_eq!(uploads.count(), (1, 0));
    assert!(matches!(
        uploads.check_out(&repo, id, &Caller::anonymous()).await,
        Err(Error::UploadBusy)
    ));
    assert_eq!(checkout.session().offset(), 1_000_001);
    checkout.session().append(content.slice(1_000_001..)).await.unwrap();
    let digest = Digester::digest(Algorithm::Sha256, &content);
    uploads.finish(&repo, checkout.end(), digest, Turn::default()).await.unwrap();
    assert_eq!(store.stat(&digest).unwrap().unwrap().size_bytes, 1_700_000);
    assert_eq!((uploads.count(), store.saved_uploads().unwrap().len()), ((0, 0), 0));
}

#[tokio::test]
async fn a_stop_waits_for_the_request_that_has_a_session() {
    let (store, uploads, repo) = uploads();
    let id = uploads.open(uploads.room().unwrap(), (&repo, None), None, None).await.unwrap();
    let mut checkout = uploads.check_out(&repo, id, &Caller::anonymous()).await.unwrap();
    let (writing, told) = (uploads.clone(), tokio::sync::oneshot::channel());
    let request = tokio::spawn(async move {
        checkout.session().append(Bytes::from_static(b"123")).await.unwrap();
        told.0.send(()).unwrap();
        writing.closing().await;
        drop(checkout);
    });
    told.1.await.unwrap();
    uploads.suspend().await;
    request.await.unwrap();
    let saved = store.saved_uploads().unwrap();
    assert_eq!((saved.len(), saved[0].offset), (1, 3));
    // A server that stops resumes nothing.
    assert!(uploads.check_out(&repo, id, &Caller::anonymous()).await.is_err());
}

#[tokio::test]
async fn a_session_at_rest_is_cancelled_and_expires() {
    let (store, first, repo) = uploads();
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(first.open(first.room().unwrap(), (&repo, None), None, None).await.unwrap());
    }
    first.suspend().await;
    let uploads = over(&store);
    assert_eq!(uploads.count(), (0, 2));
    uploads.cancel(&repo, ids[0]).await.unwrap();
    assert!(matches!(uploads.offset(&repo, ids[0]), Err(Error::UploadUnknown)));
    let idle_ms = u64::try_from(UPLOAD_IDLE_MAX.as_millis()).unwrap();
    let saved_ms = store.saved_uploads().unwrap()[0].saved_ms;
    uploads.expire(Instant::now(), saved_ms + idle_ms - 1).await;
    assert_eq!(uploads.count(), (0, 1));
    uploads.expire(Instant::now(), saved_ms + idle_ms).await;
    assert_eq!((uploads.count(), store.saved_uploads().unwrap().len()), ((0, 0), 0));
}

#[tokio::test]
async fn an_idle_session_expires_and_one_in_use_does_not() {
    let (_, uploads, repo) = uploads();
    let id = uploads.open(uploads.room().unwrap(), (&repo, None), None, None).await.unwrap();
    let opened = Instant::now();
    uploads.expire(opened + UPLOAD_IDLE_MAX / 2, now_ms()).await;
    assert_eq!(uploads.count().0, 1);
    let in_use = uploads.check_out(&repo, id, &Caller::anonymous()).await.unwrap();
    uploads.expire(opened + UPLOAD_IDLE_MAX * 2, now_ms()).await;
    assert_eq!(uploads.count().0, 1);
    drop(in_use);
    uploads.expire(Instant::now() + UPLOAD_IDLE_MAX, now_ms()).await;
    assert_eq!(uploads.count().0, 0);
}

#[tokio::test]
async fn open_sessions_and_those_at_rest_count_towards_one_bound() {
    let (store, first, repo) = uploads();
    for _ in 0..UPLOADS_MAX / 2 {
        first.open(first.room().unwrap(), (&repo, None), None, None).await.unwrap();
    }
    first.suspend().await;
    let uploads = over(&store);
    for _ in UPLOADS_MAX / 2..UPLOADS_MAX {
        uploads.open(uploads.room().unwrap(), (&repo, None), None, None).await.unwrap();
    }
    assert_eq!(uploads.count(), (UPLOADS_MAX / 2, UPLOADS_MAX / 2));
    assert!(matches!(uploads.room(), Err(Error::TooMany("uploads"))));
    uploads.expire(Instant::now(), u64::MAX).await;
    uploads.open(uploads.room().unwrap(), (&repo, None), None, None).await.unwrap();
}
