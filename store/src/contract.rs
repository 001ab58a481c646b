//! The contract of every store, as functions of a store. The test for a bug in one store goes here,
//! so all stores pass it.

pub mod acts;
mod links;
pub mod parents;
mod referrers;
mod resumption;
mod samples;

use std::task::Poll;

use bytes::Bytes;
use wharf_oci::{Algorithm, Digester, RepoName, Span, Tag};

use crate::blob::BlobStore;
use crate::blob_info::Retention;
use crate::in_flight::Tail;
use crate::journal::{DeliveryStore, Errand, LastError, Refusal};
use crate::limits::SEGMENT_BYTES;
use crate::manifests::{ManifestStore, TagRecord};

pub use links::links;
pub use resumption::uploads;
use samples::{append_all, drain, manifest, poll, read};
pub use samples::{errand, noise, put, read_all, telling_sizes};

/// The whole blob contract.
pub fn blobs(store: &dyn BlobStore) {
    what_was_published_is_read_back(store);
    a_part_is_exactly_that_part(store);
    a_wrong_digest_keeps_nothing(store);
    a_dropped_writer_keeps_nothing(store);
    a_blob_by_sha512_is_kept_by_it(store);
    publishing_twice_is_publishing_once(store);
    a_removed_blob_is_gone_but_not_under_a_reader(store);
    a_reader_in_flight_sees_all_but_the_last_segment(store);
    a_reader_in_flight_never_takes_a_dropped_writer_for_an_end(store);
}

fn what_was_published_is_read_back(store: &dyn BlobStore) {
    for (seed, size) in (100..).zip(telling_sizes()) {
        let content = noise(size, seed);
        let digest = put(store, &content, 100_000);
        let info = store.stat(&digest).expect("stat").expect("it is there");
        assert_eq!(info.size_bytes, size as u64);
        assert_eq!(read(store, &digest).expect("it is there"), content, "{size} bytes");
    }
    let absent = Digester::digest(Algorithm::Sha256, b"never stored");
    assert_eq!(store.stat(&absent).expect("stat"), None);
    assert!(store.open(&absent).expect("open").is_none());
}

fn a_part_is_exactly_that_part(store: &dyn BlobStore) {
    let content = noise(3 * SEGMENT_BYTES + 5, 200);
    let digest = put(store, &content, content.len());
    let size = content.len();
    let edges = [(0, 1), (SEGMENT_BYTES - 1, SEGMENT_BYTES + 1), (size - 1, size), (7, size - 7)];
    for (start, end) in edges {
        let span = Span::new(start as u64, end as u64).expect("not empty");
        let reader = store.open(&digest).expect("open").expect("there").narrow(span);
        assert_eq!(reader.left_bytes(), span.size_bytes());
        assert_eq!(Some(read_all(reader).as_slice()), content.get(start..end));
    }
    let past = Span::new(size as u64 - 1, size as u64 + 9).expect("not empty");
    let reader = store.open(&digest).expect("open").expect("there").narrow(past);
    assert_eq!(read_all(reader).len(), 1);
}

fn a_wrong_digest_keeps_nothing(store: &dyn BlobStore) {
    let content = noise(4 * SEGMENT_BYTES, 300);
    let other = Digester::digest(Algorithm::Sha256, b"other");
    let actual = Digester::digest(Algorithm::Sha256, &content);
    let mut writer = store.begin().expect("begin");
    append_all(&mut writer, &content, 70_000);
    let mismatch = writer.verify(&other).expect("verify").err().expect("it differs");
    assert_eq!((mismatch.expected, mismatch.actual), (other, actual));
    assert_eq!(store.stat(&other).expect("stat"), None);
    assert_eq!(store.stat(&actual).expect("stat"), None);
}

fn a_dropped_writer_keeps_nothing(store: &dyn BlobStore) {
    let content = noise(4 * SEGMENT_BYTES, 400);
    let digest = Digester::digest(Algorithm::Sha256, &content);
    let mut writer = store.begin().expect("begin");
    append_all(&mut writer, &content, 70_000);
    drop(writer);
    let mut writer = store.begin().expect("begin");
    append_all(&mut writer, &content, 70_000);
    drop(writer.verify(&digest).expect("verify").expect("right"));
    assert_eq!(store.stat(&digest).expect("stat"), None);
}

fn a_blob_by_sha512_is_kept_by_it(store: &dyn BlobStore) {
    let content = noise(4 * SEGMENT_BYTES + 1, 500);
    let digest = Digester::digest(Algorithm::Sha512, &content);
    for asked in 0..3 {
        let writer = store.begin().expect("begin");
        let mut writer = match asked {
            0 => writer.hashing(Algorithm::Sha512),
            1 => writer.also_hashing(Algorithm::Sha512),
            _ => writer,
        };
        append_all(&mut writer, &content, 70_000);
        let ready = writer.verify(&digest).expect("verify").expect("right");
        ready.publish(Retention::Kept).expect("publish");
        assert_eq!(read(store, &digest).expect("there"), content);
        assert!(store.remove(&digest).expect("remove"));
    }
}

fn publishing_twice_is_publishing_once(store: &dyn BlobStore) {
    let content = noise(5 * SEGMENT_BYTES, 600);
    let digest = put(store, &content, 1_000_000);
    assert_eq!(put(store, &content, 10_000), digest);
    assert_eq!(read(store, &digest).expect("there"), content);
    assert!(store.remove(&digest).expect("remove"));
    assert_eq!(store.stat(&digest).expect("stat"), None);
}

fn a_removed_blob_is_gone_but_not_under_a_reader(store: &dyn BlobStore) {
    for (size, seed) in [(4 * SEGMENT_BYTES, 700), (1000, 701)] {
        let content = noise(size, seed);
        let digest = put(store, &content, 50_000);
        let reader = store.open(&digest).expect("open").expect("there");
        assert!(store.remove(&digest).expect("remove"));
        assert!(!store.remove(&digest).expect("remove"));
        assert_eq!(store.stat(&digest).expect("stat"), None);
        assert_eq!(read_all(reader), content);
        assert_eq!(put(store, &content, 50_000), digest);
        assert_eq!(read(store, &digest).expect("there again"), content);
    }
}

fn a_reader_in_flight_sees_all_but_the_last_segment(store: &dyn BlobStore) {
    let content = noise(6 * SEGMENT_BYTES, 800);
    let digest = Digester::digest(Algorithm::Sha256, &content);
    let mut writer = store.begin().expect("begin");
    let in_flight = writer.in_flight();
    assert!(poll(&in_flight, 0).is_pending());
    append_all(&mut writer, &content, 33_333);
    assert_eq!(in_flight.visible_bytes(), 5 * SEGMENT_BYTES as u64);
    assert_eq!(drain(&in_flight, 0), content.slice(..5 * SEGMENT_BYTES));
    assert_eq!(drain(&in_flight, 99), content.slice(99..5 * SEGMENT_BYTES));
    assert!(poll(&in_flight, 5 * SEGMENT_BYTES as u64).is_pending());
    assert_eq!(in_flight.size_bytes(), None);
    let ready = writer.verify(&digest).expect("verify").expect("right");
    assert_eq!(drain(&in_flight, 0), content);
    assert_eq!(in_flight.size_bytes(), Some(content.len() as u64));
    ready.publish(Retention::Kept).expect("publish");
    assert_eq!(drain(&in_flight, 0), content);
    assert!(matches!(poll(&in_flight, content.len() as u64), Poll::Ready(Tail::End)));
}

fn a_reader_in_flight_never_takes_a_dropped_writer_for_an_end(store: &dyn BlobStore) {
    let content = noise(4 * SEGMENT_BYTES, 900);
    let mut writer = store.begin().expect("begin");
    let in_flight = writer.in_flight();
    append_all(&mut writer, &content, 50_000);
    drop(writer);
    let visible = in_flight.visible_bytes();
    assert!(visible < content.len() as u64);
    assert!(matches!(poll(&in_flight, visible), Poll::Ready(Tail::Abandoned(_))));
}

/// The whole contract of pending deliveries.
pub fn deliveries<S: BlobStore + DeliveryStore>(store: &S) {
    let (one, other): (RepoName, RepoName) =
        ("owing/one".parse().expect("a name"), "owing/other".parse().expect("a name"));
    what_is_published_pending_is_linked_and_owed(store, &one);
    what_is_owed_twice_is_settled_twice(store, &one, &other);
    a_later_errand_is_not_settled_by_an_earlier_one(store, &one);
    what_leaves_is_not_owed(store, &one, &other);
    let absent = Digester::digest(Algorithm::Sha256, b"never stored");
    assert_eq!(store.owe(&absent, &errand(&one, 1)).expect("owe"), None);
    assert!(!store.has_blob(&one, &absent).expect("has"));
    assert_eq!(store.deliveries().expect("list"), []);
}

fn put_pending(store: &dyn BlobStore, content: &Bytes, errand: &Errand) -> crate::Delivery {
    let digest = Digester::digest(Algorithm::Sha256, content);
    let mut writer = store.begin().expect("begin");
    append_all(&mut writer, content, 70_000);
    let ready = writer.verify(&digest).expect("verify").expect("the digest is right");
    ready.publish_pending(errand).expect("publish")
}

fn what_is_published_pending_is_linked_and_owed<S: BlobStore + DeliveryStore>(
    store: &S,
    repo: &RepoName,
) {
    for (seed, size) in [(900, 0), (901, 1000), (902, 4 * SEGMENT_BYTES)] {
        let content = noise(size, seed);
        let delivery = put_pending(store, &content, &errand(repo, seed));
        assert_eq!(delivery.size_bytes, size as u64);
        assert_eq!(store.deliveries().expect("list"), std::slice::from_ref(&delivery));
        assert!(store.has_blob(repo, &delivery.digest).expect("has"));
        assert_eq!(read(store, &delivery.digest).expect("there"), content);
        assert_eq!(store.settled_holders(&delivery.digest).expect("holders"), []);
        let refused = Refusal { status: 403, code: "DENIED".to_owned() };
        let reason = "not today".to_owned();
        let trouble = LastError { at_ms: 9, tries: 2, reason, refused: Some(refused) };
        assert!(store.note_trouble(&delivery, &trouble).expect("note"));
        let noted = store.deliveries().expect("list");
        assert_eq!(noted.first().and_then(|noted| noted.trouble.as_ref()), Some(&trouble));
        assert!(store.delivered(&delivery).expect("settle"));
        assert!(!store.delivered(&delivery).expect("settle"));
        assert!(!store.note_trouble(&delivery, &trouble).expect("note"));
        assert_eq!(store.deliveries().expect("list"), []);
        let holders = store.settled_holders(&delivery.digest).expect("holders");
        assert_eq!(holders, std::slice::from_ref(repo));
        assert_eq!(read(store, &delivery.digest).expect("there"), content);
    }
}

fn what_is_owed_twice_is_settled_twice<S: BlobStore + DeliveryStore>(
    store: &S,
    one: &RepoName,
    other: &RepoName,
) {
    let content = noise(3 * SEGMENT_BYTES, 910);
    let first = put_pending(store, &content, &errand(one, 1));
    let second = store.owe(&first.digest, &errand(other, 2)).expect("owe").expect("it is here");
    assert!(store.has_blob(other, &first.digest).expect("has"));
    assert!(store.delivered(&first).expect("settle"));
    assert_eq!(store.deliveries().expect("list"), std::slice::from_ref(&second));
    let holders = store.settled_holders(&first.digest).expect("holders");
    assert_eq!(holders, std::slice::from_ref(one));
    assert!(store.delivered(&second).expect("settle"));
}

fn a_later_errand_is_not_settled_by_an_earlier_one<S: BlobStore + DeliveryStore>(
    store: &S,
    repo: &RepoName,
) {
    let content = noise(1000, 920);
    let first = put_pending(store, &content, &errand(repo, 1));
    let second = put_pending(store, &content, &errand(repo, 2));
    assert!(!store.delivered(&first).expect("settle"));
    assert_eq!(store.deliveries().expect("list"), std::slice::from_ref(&second));
    assert!(store.delivered(&second).expect("settle"));
}

fn what_leaves_is_not_owed<S: BlobStore + DeliveryStore>(
    store: &S,
    one: &RepoName,
    other: &RepoName,
) {
    let content = noise(2 * SEGMENT_BYTES, 930);
    let first = put_pending(store, &content, &errand(one, 1));
    let second = store.owe(&first.digest, &errand(other, 2)).expect("owe").expect("it is here");
    assert!(store.unlink_blob(one, &first.digest).expect("unlink"));
    assert_eq!(store.deliveries().expect("list"), [second]);
    assert_eq!(read(store, &first.digest).expect("the other has it"), content);
    assert!(store.unlink_blob(other, &first.digest).expect("unlink"));
    assert_eq!(store.deliveries().expect("list"), []);
    assert_eq!(store.stat(&first.digest).expect("stat"), None);
    let again = put_pending(store, &content, &errand(one, 3));
    assert!(store.remove(&again.digest).expect("remove"));
    assert_eq!(store.deliveries().expect("list"), []);
    assert!(store.unlink_blob(one, &again.digest).expect("unlink"));
}

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

/// The whole contract of repositories.
pub fn manifests(store: &dyn ManifestStore) {
    let repo: RepoName = "acme/base".parse().expect("a name");
    let other: RepoName = "acme/base-2".parse().expect("a name");
    assert!(store.tags(&repo, None, 10).expect("tags").is_none());
    let image = manifest(None, "image");
    let digest = image.digest();
    let record = TagRecord { digest, checked_ms: 5 };
    let tags = [(tag("b"), record), (tag("a"), record)];
    store.put_manifest(&repo, &image, &digest, &tags).expect("put");
    let stored = store.manifest(&repo, &digest).expect("get").expect("there");
    assert_eq!((&stored.bytes, &stored.media_type), (image.bytes(), image.media_type()));
    assert!(store.manifest(&other, &digest).expect("get").is_none());
    assert_eq!(store.tag(&repo, &tag("a")).expect("tag"), Some(record));
    assert_eq!(store.tag(&other, &tag("a")).expect("tag"), None);
    tags_are_listed_in_order_and_in_pages(store, &repo, record);
    referrers::referrers_are_found_by_subject(store, &repo, &digest);
    referrers::referrers_are_read_page_by_page(store, &repo, &digest);
    links_are_per_repository(store, &repo, &other);
    let repos = store.repos(None, 10).expect("repos").entries;
    assert_eq!(repos, [repo.clone(), other.clone()]);
    assert_eq!(store.repos(Some(repo.as_str()), 1).expect("repos").entries, [other]);
    assert!(store.remove_tag(&repo, &tag("a")).expect("remove"));
    assert!(!store.remove_tag(&repo, &tag("a")).expect("remove"));
    assert!(store.remove_manifest(&repo, &digest).expect("remove"));
    assert!(!store.remove_manifest(&repo, &digest).expect("remove"));
    assert_eq!(store.tag(&repo, &tag("b")).expect("tag"), None);
    assert_eq!(store.tags(&repo, None, 10).expect("tags").expect("known").entries, []);
}

fn tags_are_listed_in_order_and_in_pages(
    store: &dyn ManifestStore,
    repo: &RepoName,
    record: TagRecord,
) {
    store.set_tag(repo, &tag("c"), record).expect("set");
    let first = store.tags(repo, None, 2).expect("tags").expect("known");
    assert_eq!((first.entries, first.more), (vec![tag("a"), tag("b")], true));
    let rest = store.tags(repo, Some("b"), 2).expect("tags").expect("known");
    assert_eq!((rest.entries, rest.more), (vec![tag("c")], false));
    let between = store.tags(repo, Some("aa"), 1).expect("tags").expect("known");
    assert_eq!((between.entries, between.more), (vec![tag("b")], true));
}

fn links_are_per_repository(store: &dyn ManifestStore, repo: &RepoName, other: &RepoName) {
    let digest = Digester::digest(Algorithm::Sha256, b"linked");
    assert!(!store.has_blob(other, &digest).expect("has"));
    store.link_blob(other, &digest).expect("link");
    store.link_blob(other, &digest).expect("link");
    assert!(store.has_blob(other, &digest).expect("has"));
    assert!(!store.has_blob(repo, &digest).expect("has"));
    assert!(store.unlink_blob(other, &digest).expect("unlink"));
    assert!(!store.unlink_blob(other, &digest).expect("unlink"));
}
