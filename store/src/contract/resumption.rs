//! The contract of uploads across restarts of the process: suspended, resumed, proven, forgotten.
//!
//! Invariant: a resumed upload has exactly its appended bytes.

use wharf_oci::{Algorithm, Digester, RepoName, UploadId};

use super::samples::{append_all, drain, noise, read, telling_sizes};
use crate::blob_info::Retention;
use crate::limits::SEGMENT_BYTES;
use crate::sessions::{NewUpload, UploadStore};

/// The whole contract of uploads across restarts of the process.
pub fn uploads(store: &dyn UploadStore) {
    an_upload_that_rests_goes_on_where_it_was(store);
    an_upload_that_is_proven_may_rest_all_the_same(store);
    a_dropped_or_published_upload_is_not_resumed(store);
}

fn an_upload_that_rests_goes_on_where_it_was(store: &dyn UploadStore) {
    let repo: RepoName = "acme/base".parse().expect("a name");
    for (seed, size) in (1_000..).zip(telling_sizes()) {
        let content = noise(size, seed);
        let digest = Digester::digest(Algorithm::Sha256, &content);
        let id = UploadId::from_u128(u128::from(seed));
        let owner = (seed % 2 == 0).then(|| "alice".to_owned());
        let upload = NewUpload { id, repo: repo.clone(), owner: owner.clone() };
        let mut writer = store.begin_upload(upload).expect("begin");
        // Rests after a third and after two thirds, once without bytes in between.
        for end in [size / 3, size / 3, size / 3 * 2] {
            let start = usize::try_from(writer.size_bytes()).expect("it fits");
            append_all(&mut writer, &content.slice(start..end), 70_000);
            writer.suspend().expect("suspend");
            let saved = store.saved_uploads().expect("list");
            let saved = saved.iter().find(|saved| saved.id == id).expect("it rests");
            let said = (saved.offset, &saved.repo, &saved.owner);
            assert_eq!(said, (end as u64, &repo, &owner));
            writer = store.resume_upload(id).expect("resume").expect("it rests");
            assert_eq!(writer.size_bytes(), end as u64);
        }
        let start = usize::try_from(writer.size_bytes()).expect("it fits");
        append_all(&mut writer, &content.slice(start..), 70_000);
        let in_flight = writer.in_flight();
        let ready = writer.verify(&digest).expect("verify").expect("right");
        assert_eq!(drain(&in_flight, 0), content, "{size} bytes");
        ready.publish(Retention::Kept).expect("publish");
        assert_eq!(read(store, &digest).expect("there"), content);
        assert!(store.resume_upload(id).expect("resume").is_none());
    }
    assert_eq!(store.saved_uploads().expect("list"), []);
}

/// A proven upload without a publication: it rests, and is proven again later.
fn an_upload_that_is_proven_may_rest_all_the_same(store: &dyn UploadStore) {
    let repo: RepoName = "acme/base".parse().expect("a name");
    for (seed, size) in (1_100..).zip(telling_sizes()) {
        let content = noise(size, seed);
        let digest = Digester::digest(Algorithm::Sha256, &content);
        let id = UploadId::from_u128(u128::from(seed));
        let mut writer = store.begin_upload(NewUpload::unowned(id, &repo)).expect("begin");
        append_all(&mut writer, &content, 70_000);
        for _ in 0..2 {
            let ready = writer.verify(&digest).expect("verify").expect("right");
            ready.suspend().expect("suspend");
            let saved = store.saved_uploads().expect("list");
            let saved = saved.iter().find(|saved| saved.id == id).expect("it rests");
            assert_eq!(saved.offset, size as u64);
            writer = store.resume_upload(id).expect("resume").expect("it rests");
        }
        let ready = writer.verify(&digest).expect("verify").expect("right");
        ready.publish(Retention::Kept).expect("publish");
        assert_eq!(read(store, &digest).expect("there"), content);
        assert!(store.resume_upload(id).expect("resume").is_none());
    }
}

fn a_dropped_or_published_upload_is_not_resumed(store: &dyn UploadStore) {
    let repo: RepoName = "acme/base".parse().expect("a name");
    let id = UploadId::from_u128(77);
    assert!(store.resume_upload(id).expect("resume").is_none());
    let mut writer = store.begin_upload(NewUpload::unowned(id, &repo)).expect("begin");
    append_all(&mut writer, &noise(3 * SEGMENT_BYTES, 77), 70_000);
    writer.suspend().expect("suspend");
    assert!(store.forget_upload(id).expect("forget"));
    assert!(!store.forget_upload(id).expect("forget"));
    assert!(store.resume_upload(id).expect("resume").is_none());
}
