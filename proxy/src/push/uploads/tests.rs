//! Sessions over a store in memory: one writer at a time, rest, resumption, expiry.

use wharf_client::runtime::party::Party;

use super::*;
use crate::config::active::ActiveConfig;
use crate::limits::{UPLOAD_EMPTY_IDLE_MAX, UPLOAD_IDLE_MAX, UPLOAD_RECENT, UPLOADS_MAX};
use crate::runtime::clock::now_ms;
use crate::runtime::shares::SharesUsage;
use bytes::Bytes;
use wharf_oci::Digester;
use wharf_store::{BlobStore, MemoryStore, UploadStore, contract::noise};

fn over(store: &MemoryStore) -> Uploads {
    limited(store, None)
}

fn limited(store: &MemoryStore, store_limit: Option<u64>) -> Uploads {
    let (blocking, store) = (BlockingPool::default(), Arc::new(store.clone()));
    let (transfers, of) = (Arc::new(Transfers::new(blocking, store.clone())), Arc::clone(&store));
    let active = ActiveConfig::standalone(&[]);
    let outbox = Outbox::load(of, active, Arc::clone(&transfers), None).unwrap();
    Uploads::load(store, transfers, outbox, DetachedTasks::default(), store_limit).unwrap()
}

/// A request of an address.
fn context(last: u8) -> RequestContext {
    RequestContext::anonymous(ActiveConfig::standalone(&[]).current(), [127, 0, 0, last].into())
}

fn uploads() -> (MemoryStore, Uploads, RepoName) {
    let store = MemoryStore::default();
    let uploads = over(&store);
    (store, uploads, "a/b".parse().unwrap())
}

const fn bounds(most: usize, share: usize) -> SessionBounds {
    SessionBounds { most, share }
}

const fn used(total: usize, largest: usize) -> SharesUsage {
    SharesUsage { total, largest }
}

/// Room where there is enough of it.
async fn room(uploads: &Uploads) -> Share {
    uploads.room(party(1), bounds(UPLOADS_MAX, UPLOADS_MAX)).await.unwrap().0
}

/// A session without an owner.
async fn begin(uploads: &Uploads, repo: &RepoName) -> UploadId {
    let room = room(uploads).await;
    let session = NewSession { repo, algorithm: None, destination: None, room };
    uploads.open(session, None).await.unwrap()
}

fn party(last: u8) -> Party {
    Party::behind([127, 0, 0, last].into())
}

/// Opens a session for a party, within its bounds; returns whether another one was displaced.
async fn open(
    uploads: &Uploads,
    party: Party,
    owner: Option<&str>,
    bounds: SessionBounds,
) -> Result<(UploadId, bool), NoSessionPermit> {
    let repo: RepoName = "a/b".parse().unwrap();
    let (room, others_left) = uploads.room(party, bounds).await?;
    let session = NewSession { repo: &repo, algorithm: None, destination: None, room };
    Ok((uploads.open(session, owner).await.unwrap(), others_left))
}

/// Puts bytes into a session.
async fn write(uploads: &Uploads, id: UploadId) {
    let repo: RepoName = "a/b".parse().unwrap();
    let mut guard = uploads.lock_session(&context(1), &repo, id).await.unwrap();
    guard.session().append(Bytes::from_static(b"12345")).await.unwrap();
}

#[tokio::test]
async fn a_session_is_written_by_one_request_at_a_time_and_keeps_its_offset() {
    let (store, uploads, repo) = uploads();
    let id = begin(&uploads, &repo).await;
    let mut first = uploads.lock_session(&context(1), &repo, id).await.unwrap();
    assert!(matches!(uploads.lock_session(&context(1), &repo, id).await, Err(Error::UploadBusy)));
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
        let mut session =
            uploads.anonymous(room(&uploads).await, Algorithm::Sha256, None).await.unwrap();
        for start in (0..content.len()).step_by(70_000) {
            let part = content.slice(start..(start + 70_000).min(content.len()));
            session.append(part).await.unwrap();
        }
        let ended = uploads
            .finish(&repo, Target::local(), session.into(), expected, ChangeGuard::default())
            .await;
        assert_eq!(ended.is_ok(), expected == digest);
    }
    assert!(store.stat(&digest).unwrap().is_some());
}

#[tokio::test]
async fn a_suspended_session_goes_on_where_it_was_in_its_own_repository() {
    let (store, uploads, repo) = uploads();
    let content = noise(1_700_000, 2);
    let id = begin(&uploads, &repo).await;
    let mut guard = uploads.lock_session(&context(1), &repo, id).await.unwrap();
    guard.session().append(content.slice(..1_000_001)).await.unwrap();
    drop(guard);
    uploads.suspend().await;
    assert_eq!(uploads.count(), (0, 0));

    let uploads = over(&store);
    assert_eq!(uploads.count(), (0, 1));
    let other: RepoName = "c".parse().unwrap();
    assert!(matches!(uploads.offset(&other, id), Err(Error::UploadUnknown)));
    assert!(matches!(
        uploads.lock_session(&context(1), &other, id).await,
        Err(Error::UploadUnknown)
    ));
    assert!(matches!(uploads.cancel(&other, id).await, Err(Error::UploadUnknown)));
    // Asking takes nothing.
    assert_eq!(uploads.offset(&repo, id).unwrap(), 1_000_001);
    assert_eq!(uploads.count(), (0, 1));
    let mut guard = uploads.lock_session(&context(1), &repo, id).await.unwrap();
    assert_eq!(uploads.count(), (1, 0));
    assert!(matches!(uploads.lock_session(&context(1), &repo, id).await, Err(Error::UploadBusy)));
    assert_eq!(guard.session().offset(), 1_000_001);
    guard.session().append(content.slice(1_000_001..)).await.unwrap();
    let digest = Digester::digest(Algorithm::Sha256, &content);
    uploads
        .finish(&repo, Target::local(), guard.end(), digest, ChangeGuard::default())
        .await
        .unwrap();
    assert_eq!(store.stat(&digest).unwrap().unwrap().size_bytes, 1_700_000);
    assert_eq!((uploads.count(), store.saved_uploads().unwrap().len()), ((0, 0), 0));
}

#[tokio::test]
async fn a_stop_waits_for_the_request_that_has_a_session() {
    let (store, uploads, repo) = uploads();
    let id = begin(&uploads, &repo).await;
    let mut guard = uploads.lock_session(&context(1), &repo, id).await.unwrap();
    let (writing, told) = (uploads.clone(), tokio::sync::oneshot::channel());
    let request = tokio::spawn(async move {
        guard.session().append(Bytes::from_static(b"123")).await.unwrap();
        told.0.send(()).unwrap();
        writing.closing().await;
        drop(guard);
    });
    told.1.await.unwrap();
    uploads.suspend().await;
    request.await.unwrap();
    let saved = store.saved_uploads().unwrap();
    assert_eq!((saved.len(), saved[0].offset), (1, 3));
    // A stopping server resumes no session.
    assert!(uploads.lock_session(&context(1), &repo, id).await.is_err());
}

#[tokio::test]
async fn a_session_at_rest_is_cancelled_and_expires() {
    let (store, first, repo) = uploads();
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(begin(&first, &repo).await);
    }
    first.suspend().await;
    let uploads = over(&store);
    assert_eq!(uploads.count(), (0, 2));
    uploads.cancel(&repo, ids[0]).await.unwrap();
    assert!(matches!(uploads.offset(&repo, ids[0]), Err(Error::UploadUnknown)));
    let idle_ms = u64::try_from(UPLOAD_EMPTY_IDLE_MAX.as_millis()).unwrap();
    let saved_ms = store.saved_uploads().unwrap()[0].saved_ms;
    uploads.expire(Instant::now(), saved_ms + idle_ms - 1).await;
    assert_eq!(uploads.count(), (0, 1));
    uploads.expire(Instant::now(), saved_ms + idle_ms).await;
    assert_eq!((uploads.count(), store.saved_uploads().unwrap().len()), ((0, 0), 0));
}

#[tokio::test]
async fn an_idle_session_expires_and_one_in_use_does_not() {
    let (_, uploads, repo) = uploads();
    let id = begin(&uploads, &repo).await;
    write(&uploads, id).await;
    let opened = Instant::now();
    uploads.expire(opened + UPLOAD_IDLE_MAX / 2, now_ms()).await;
    assert_eq!(uploads.count().0, 1);
    let in_use = uploads.lock_session(&context(1), &repo, id).await.unwrap();
    uploads.expire(opened + UPLOAD_IDLE_MAX * 2, now_ms()).await;
    assert_eq!(uploads.count().0, 1);
    drop(in_use);
    uploads.expire(Instant::now() + UPLOAD_IDLE_MAX, now_ms()).await;
    assert_eq!((uploads.count().0, uploads.taken()), (0, used(0, 0)));
}

#[tokio::test]
async fn an_empty_session_is_given_up_after_minutes_also_at_rest() {
    let (store, first, repo) = uploads();
    for number in 0..4 {
        let (id, _) = open(&first, party(1), None, bounds(9, 9)).await.unwrap();
        if number % 2 == 0 {
            write(&first, id).await;
        }
    }
    let opened = Instant::now();
    first.expire(opened + UPLOAD_EMPTY_IDLE_MAX / 2, now_ms()).await;
    assert_eq!(first.count().0, 4);
    first.expire(opened + UPLOAD_EMPTY_IDLE_MAX, now_ms()).await;
    assert_eq!((first.count().0, first.taken()), (2, used(2, 2)));
    let empty = begin(&first, &repo).await;
    first.suspend().await;
    let uploads = over(&store);
    let saved_ms = store.saved_uploads().unwrap().iter().map(|saved| saved.saved_ms).max().unwrap();
    let minutes = u64::try_from(UPLOAD_EMPTY_IDLE_MAX.as_millis()).unwrap();
    uploads.expire(Instant::now(), saved_ms + minutes).await;
    assert_eq!(uploads.count(), (0, 2));
    assert!(matches!(uploads.offset(&repo, empty), Err(Error::UploadUnknown)));
}

#[tokio::test]
async fn two_who_open_all_they_can_leave_room_for_a_third() {
    let (_, uploads, _) = uploads();
    for last in [2, 3] {
        while let Ok((_, others_left)) = open(&uploads, party(last), None, bounds(64, 16)).await {
            assert!(!others_left);
        }
    }
    assert_eq!((uploads.count().0, uploads.taken()), (32, used(32, 16)));
    assert!(open(&uploads, party(4), None, bounds(64, 16)).await.is_ok());
    // Content of a single request counts like any other.
    let (whole, _) = uploads.room(party(4), bounds(64, 16)).await.unwrap();
    let whole = uploads.anonymous(whole, Algorithm::Sha256, None).await.unwrap();
    assert_eq!(uploads.taken().total, 34);
    drop(whole);
    assert_eq!(uploads.taken().total, 33);
}

#[tokio::test]
async fn past_all_the_longest_idle_of_whoever_has_most_goes_for_who_has_fewer() {
    let (_, uploads, repo) = uploads();
    let bounds = bounds(4, 4);
    let mut ids = Vec::new();
    for last in [2, 2, 2, 3] {
        ids.push(open(&uploads, party(last), None, bounds).await.unwrap().0);
        // So that one of them is the longest idle.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(open(&uploads, party(2), None, bounds).await.err(), Some(NoSessionPermit::Whole));
    let in_use = uploads.lock_session(&context(1), &repo, ids[0]).await.unwrap();
    assert!(open(&uploads, party(4), None, bounds).await.unwrap().1);
    assert!(matches!(uploads.offset(&repo, ids[1]), Err(Error::UploadUnknown)));
    for id in [ids[0], ids[2], ids[3]] {
        assert!(uploads.offset(&repo, id).is_ok(), "in use, or not the longest idle");
    }
    assert_eq!(uploads.taken(), used(4, 2));
    drop(in_use);
    assert!(open(&uploads, party(5), None, bounds).await.unwrap().1);
    assert!(matches!(uploads.offset(&repo, ids[2]), Err(Error::UploadUnknown)));
    // All have one: a party without sessions gets the longest idle one.
    assert!(open(&uploads, party(6), None, bounds).await.unwrap().1);
    assert_eq!(open(&uploads, party(6), None, bounds).await.err(), Some(NoSessionPermit::Whole));
    assert_eq!(uploads.taken(), used(4, 1));
}

#[tokio::test]
async fn who_rests_counts_for_its_owner_and_goes_first_when_nobody_knows_whose_it_is() {
    let (store, first, repo) = uploads();
    let alice = Party::Caller("alice".into());
    for owner in [Some("alice"), Some("alice"), None] {
        open(&first, alice.clone(), owner, bounds(9, 9)).await.unwrap();
    }
    first.suspend().await;
    // So that those are suspended for longer than the sessions opened below.
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let uploads = over(&store);
    assert_eq!((uploads.count(), uploads.taken()), ((0, 3), used(3, 2)));
    assert_eq!(
        open(&uploads, alice.clone(), None, bounds(9, 2)).await.err(),
        Some(NoSessionPermit::Share)
    );
    let nobodys = store.saved_uploads().unwrap().into_iter().find(|saved| saved.owner.is_none());
    // Even for the party with the most.
    assert!(open(&uploads, alice.clone(), None, bounds(3, 3)).await.unwrap().1);
    assert!(matches!(uploads.offset(&repo, nobodys.unwrap().id), Err(Error::UploadUnknown)));
    assert!(open(&uploads, party(2), None, bounds(3, 3)).await.unwrap().1);
    assert_eq!((uploads.count(), uploads.taken()), ((2, 1), used(3, 2)));
    // Resuming a session takes it over.
    let id = store.saved_uploads().unwrap().iter().find(|s| s.owner.is_some()).unwrap().id;
    drop(uploads.lock_session(&context(2), &repo, id).await.unwrap());
    assert_eq!(uploads.taken(), used(3, 2));
}

#[tokio::test]
async fn open_sessions_and_those_at_rest_count_towards_one_bound() {
    let (store, first, _) = uploads();
    let (alice, owner) = (Party::Caller("alice".into()), Some("alice"));
    for _ in 0..2 {
        open(&first, alice.clone(), owner, bounds(4, 4)).await.unwrap();
    }
    first.suspend().await;
    let uploads = over(&store);
    for _ in 0..2 {
        assert!(!open(&uploads, alice.clone(), owner, bounds(4, 5)).await.unwrap().1);
    }
    assert_eq!(uploads.count(), (2, 2));
    assert_eq!(
        open(&uploads, alice.clone(), owner, bounds(4, 5)).await.err(),
        Some(NoSessionPermit::Whole)
    );
    uploads.expire(Instant::now(), u64::MAX).await;
    open(&uploads, alice.clone(), owner, bounds(4, 5)).await.unwrap();
}

/// Opens a session with so many bytes.
async fn half_sent(uploads: &Uploads, of: Party, owner: Option<&str>, size: usize) -> UploadId {
    let (id, _) = open(uploads, of, owner, bounds(64, 64)).await.unwrap();
    let repo: RepoName = "a/b".parse().unwrap();
    let mut guard = uploads.lock_session(&context(1), &repo, id).await.unwrap();
    guard.session().append(noise(size, 3)).await.unwrap();
    drop(guard);
    // So that one of them is the longest idle.
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    id
}

#[tokio::test]
async fn idle_bytes_have_a_quarter_of_the_store_and_the_party_with_most_gives_first() {
    let store = MemoryStore::default();
    let (uploads, repo) = (limited(&store, Some(40_000)), "a/b".parse().unwrap());
    let greedy = [
        half_sent(&uploads, party(2), None, 4_000).await,
        half_sent(&uploads, party(2), None, 4_000).await,
    ];
    let modest = half_sent(&uploads, party(3), None, 3_000).await;
    let empty = open(&uploads, party(2), None, bounds(64, 64)).await.unwrap().0;
    // A client between two pieces is not idle.
    assert_eq!(uploads.expire(Instant::now() + UPLOAD_RECENT / 2, now_ms()).await, 0);
    let later = Instant::now() + UPLOAD_RECENT;
    let in_use = uploads.lock_session(&context(1), &repo, greedy[0]).await.unwrap();
    assert_eq!(uploads.expire(later, now_ms()).await, 0, "what a request has is not idle");
    drop(in_use);
    assert_eq!(uploads.expire(Instant::now() + UPLOAD_RECENT, now_ms()).await, 1);
    // The first was used again meanwhile, so the second is the longest idle one.
    assert!(matches!(uploads.offset(&repo, greedy[1]), Err(Error::UploadUnknown)));
    for kept in [greedy[0], modest, empty] {
        assert!(uploads.offset(&repo, kept).is_ok());
    }
    assert_eq!(uploads.expire(Instant::now() + UPLOAD_RECENT, now_ms()).await, 0, "the rest fits");
}

#[tokio::test]
async fn idle_bytes_at_rest_count_after_a_restart_too() {
    let store = MemoryStore::default();
    let first = limited(&store, Some(40_000));
    let alice = Party::Caller("alice".into());
    for _ in 0..2 {
        half_sent(&first, alice.clone(), Some("alice"), 4_000).await;
    }
    let bob = half_sent(&first, Party::Caller("bob".into()), Some("bob"), 3_000).await;
    first.suspend().await;
    let (uploads, repo) = (limited(&store, Some(40_000)), "a/b".parse().unwrap());
    let saved_ms = store.saved_uploads().unwrap().iter().map(|saved| saved.saved_ms).max().unwrap();
    let idle_ms = saved_ms + u64::try_from(UPLOAD_RECENT.as_millis()).unwrap();
    assert_eq!(uploads.expire(Instant::now(), idle_ms - 1_000).await, 0);
    assert_eq!(uploads.expire(Instant::now(), idle_ms).await, 1);
    assert_eq!((uploads.count(), store.saved_uploads().unwrap().len()), ((0, 2), 2));
    assert!(uploads.offset(&repo, bob).is_ok());
    // Without a limit of the store there is nothing to share.
    let unlimited = over(&store);
    assert_eq!(unlimited.expire(Instant::now(), idle_ms).await, 0);
}
