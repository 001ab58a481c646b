//! Stores of earlier formats are upgraded, and checked.

use super::*;

#[test]
fn a_store_of_format_1_is_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let (large, small) = (noise(3 * MIB, 1), noise(1000, 2));
    let repo: RepoName = "acme/base".parse().unwrap();
    let (large_digest, small_digest);
    {
        let store = RocksStore::open(folder.path()).unwrap();
        large_digest = put(&store, &large, MIB);
        small_digest = put(&store, &small, MIB);
        store.link_blob(&repo, &large_digest).unwrap();
        to_format_1(&store, &[large_digest, small_digest], &repo);
    }
    std::fs::write(folder.path().join(schema::MARKER), "wharf store format 1\n").unwrap();
    for _ in 0..2 {
        let store = RocksStore::open(folder.path()).unwrap();
        assert_eq!(read_all(store.open(&large_digest).unwrap().unwrap()), large);
        assert_eq!(read_all(store.open(&small_digest).unwrap().unwrap()), small);
        let found = store.verify(&mut go_on).unwrap();
        assert!(found.damage.is_empty(), "{found:?}");
        let usage = store.usage().unwrap();
        assert_eq!((usage.format, usage.blobs, usage.cached_blobs), (schema::FORMAT, 2, 0));
        assert_eq!(
            super::super::links::holders_of(&store.engine, &large_digest).unwrap(),
            std::slice::from_ref(&repo)
        );
    }
}

#[test]
fn a_store_of_format_2_is_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, cached) = (noise(3 * MIB, 1), noise(1000, 2));
    let (kept_digest, cached_digest);
    {
        let store = RocksStore::open(folder.path()).unwrap();
        kept_digest = put(&store, &kept, MIB);
        cached_digest = cache(&store, &cached).unwrap();
        // Its records are as they are now; it had no journal.
        store.engine.db().drop_cf(JOURNAL).unwrap();
    }
    let marker = folder.path().join(schema::MARKER);
    std::fs::write(&marker, "wharf store format 2\n").unwrap();
    let store = RocksStore::open(folder.path()).unwrap();
    assert_eq!(std::fs::read_to_string(&marker).unwrap(), "wharf store format 4\n");
    assert_eq!(read_all(store.open(&kept_digest).unwrap().unwrap()), kept);
    assert_eq!(read_all(store.open(&cached_digest).unwrap().unwrap()), cached);
    let usage = store.usage().unwrap();
    assert_eq!((usage.format, usage.blobs, usage.cached_blobs), (schema::FORMAT, 2, 1));
    assert_eq!(store.deliveries().unwrap(), []);
    owe(&store, &kept, &"one".parse().unwrap(), 1);
    assert!(store.verify(&mut go_on).unwrap().damage.is_empty());
}

#[test]
fn a_store_of_format_3_learns_what_names_a_digest_and_cuts_its_referrers() {
    let folder = tempfile::tempdir().unwrap();
    let repo: RepoName = "acme/base".parse().unwrap();
    let descriptor = |digest: &Digest| serde_json::json!({ "mediaType": "application/x", "digest": digest, "size": 1 });
    let (config, subject) = (noise(10, 1), noise(10, 2));
    let [config, subject] =
        [config, subject].map(|content| Digester::digest(Algorithm::Sha256, &content));
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor(&config), "layers": [], "subject": descriptor(&subject),
        "annotations": { "large": "x".repeat(MIB) },
    });
    let manifest = Manifest::parse(manifest.to_string().into(), None).unwrap();
    let digest = manifest.digest();
    {
        let store = RocksStore::open(folder.path()).unwrap();
        store.put_manifest(&repo, &manifest, &digest, &[]).unwrap();
        store.engine.db().drop_cf(PARENTS).unwrap();
        let mut batch = WriteBatch::default();
        let key = schema::referrer_key(&repo, &subject, &digest);
        let mut whole = manifest.descriptor();
        whole.annotations.clone_from(manifest.annotations());
        let whole = serde_json::to_vec(&whole).unwrap();
        batch.put_cf(&store.engine.family(schema::REFERRERS).unwrap(), key, whole);
        store.engine.write(batch, "downgrading", String::new).unwrap();
        // The list is bounded also before the records are cut.
        let page = store.referrers(&repo, &subject, None, MIB).unwrap();
        assert!(page.entries[0].json().len() < 1000);
    }
    let marker = folder.path().join(schema::MARKER);
    std::fs::write(&marker, "wharf store format 3\n").unwrap();
    for _ in 0..2 {
        let store = RocksStore::open(folder.path()).unwrap();
        assert_eq!(store.parents(&repo, &config, None, 10).unwrap().entries, [digest]);
        let key = schema::referrer_key(&repo, &subject, &digest);
        let record = store.engine.get(schema::REFERRERS, &key).unwrap().unwrap();
        assert!(record.len() < 1000, "{}", record.len());
        assert!(store.verify(&mut go_on).unwrap().damage.is_empty());
    }
}

#[test]
fn a_check_finds_what_the_manifests_do_not_say_of_their_parts() {
    let (_folder, store) = store();
    let repo: RepoName = "acme/base".parse().unwrap();
    let [config, other] = [b"a", b"b"].map(|text| Digester::digest(Algorithm::Sha256, text));
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/x", "digest": config, "size": 1 }, "layers": [],
    });
    let manifest = Manifest::parse(manifest.to_string().into(), None).unwrap();
    let digest = manifest.digest();
    store.put_manifest(&repo, &manifest, &digest, &[]).unwrap();
    let change = |change: &dyn Fn(&mut WriteBatch)| {
        let mut batch = WriteBatch::default();
        change(&mut batch);
        store.engine.write(batch, "testing", String::new).unwrap();
        store.verify(&mut go_on).unwrap().damage.len()
    };
    let family = store.engine.family(PARENTS).unwrap();
    let [right, wrong] = [config, other].map(|child| schema::parent_key(&repo, &child, &digest));
    assert_eq!(change(&|batch| batch.put_cf(&family, &wrong, [])), 1);
    assert_eq!(change(&|batch| batch.delete_cf(&family, &wrong)), 0);
    assert_eq!(change(&|batch| batch.delete_cf(&family, &right)), 1);
}

/// Writes the records in format 1.
fn to_format_1(store: &RocksStore, digests: &[Digest], repo: &RepoName) {
    let engine = &store.engine;
    let mut batch = WriteBatch::default();
    for digest in digests {
        let blob = engine.blob_record(digest).unwrap().unwrap();
        let number = blob.number.to_be_bytes();
        let size = blob.size_bytes.to_be_bytes();
        let value = [number.as_slice(), &size, &blob.place.encode()].concat();
        batch.put_cf(&engine.family(BLOBS).unwrap(), schema::digest_key(digest), value);
        batch.put_cf(&engine.family(NUMBERS).unwrap(), number, schema::digest_key(digest));
        batch.delete_cf(&engine.family(HOLDERS).unwrap(), schema::holder_key(digest, repo));
    }
    batch.delete_cf(&engine.family(META).unwrap(), TOTALS);
    engine.write(batch, "downgrading", String::new).unwrap();
}
