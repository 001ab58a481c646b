//! `wharf promote` between two registries with ACR's habits: how many requests it takes, and what
//! becomes of every image when something goes wrong.

mod faults;
mod resumed;
mod unreachable;
mod yard;

use wharf_double::Kind;

use yard::{Sides, Yard};

/// Two tags of an index and one of its child, in each repository.
const TAGS: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn between_two_registries_each_byte_goes_once_in_few_requests() {
    let Some(yard) = Yard::start(5, Sides::Two).await else { return };
    let (repos, blobs, pairs) = (5, yard.distinct_blobs(), yard.blobs_of_images());
    let planned = yard.plan(&[]).await;
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    let (source, destination) = (yard.source.counts(), yard.destination().counts());
    // Each tag once on each side, each child once, one question about the referrers API, and one
    // list of tags for each repository on each side.
    assert_eq!(source.answered(Kind::ManifestGet, 200), repos * (TAGS + 1));
    assert_eq!(source.total(Kind::Referrers), 1);
    assert_eq!(source.total(Kind::Tags), repos);
    assert_eq!(source.sum(), 1 + repos * (TAGS + 1) + 1 + repos);
    assert_eq!(destination.sum(), 1 + repos * TAGS + repos);
    let text = &planned.stdout;
    assert!(text.contains("5 of 5 images to add"), "{text}");

    yard.reset_counts();
    let applied = yard.apply(&[]).await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let (source, destination) = (yard.source.counts(), yard.destination().counts());
    for digest in yard.digests() {
        assert_eq!(source.served(Kind::BlobGet, &digest), 1, "{digest}");
    }
    assert_eq!(source.sum(), 1 + repos * TAGS + blobs);
    assert_eq!(destination.upload_bytes(), yard.distinct_bytes());
    // The very first request learns that credentials are asked for.
    assert_eq!(destination.total(Kind::UploadPost), pairs + 1);
    assert_eq!(destination.total(Kind::UploadPut), blobs);
    assert_eq!(destination.total(Kind::UploadPatch), 0);
    assert_eq!(destination.total(Kind::BlobHead), 0);
    // The untagged child by its digest; everything else by its tags.
    assert_eq!(destination.total(Kind::ManifestPut), repos * (TAGS + 1));
    assert_eq!(destination.total(Kind::ManifestHead), repos * TAGS * 2);
    yard.assert_promoted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn within_one_registry_no_byte_of_a_layer_moves() {
    let Some(yard) = Yard::start(4, Sides::One).await else { return };
    assert_eq!(yard.plan(&[]).await.code, 0);
    yard.reset_counts();
    let applied = yard.apply(&[]).await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let counts = yard.source.counts();
    assert_eq!((counts.upload_bytes(), counts.storage_bytes()), (0, 0));
    assert_eq!(counts.total(Kind::UploadPost), yard.blobs_of_images());
    assert_eq!(counts.answered(Kind::UploadPost, 201), yard.blobs_of_images());
    assert_eq!(counts.total(Kind::BlobHead) + counts.total(Kind::BlobGet), 0);
    yard.assert_promoted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nothing_is_to_be_done_each_tag_is_asked_once_on_each_side() {
    let Some(yard) = Yard::start(4, Sides::Two).await else { return };
    yard.promote().await;
    yard.reset_counts();
    assert_eq!(yard.plan(&[]).await.code, 0);
    let applied = yard.apply(&[]).await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    assert!(applied.stdout.contains("4 already"), "{}", applied.stdout);
    // One more each: the credentials are sent once they are asked for.
    assert_eq!(yard.source.counts().sum(), 1 + 4 * TAGS);
    assert_eq!(yard.destination().counts().sum(), 1 + 4 * TAGS);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_selection_does_nothing() {
    let Some(yard) = Yard::start(1, Sides::Two).await else { return };
    yard.write_images("images: []\n");
    let planned = yard.plan(&[]).await;
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    assert!(planned.stdout.contains("nothing is selected"), "{}", planned.stdout);
    assert_eq!(yard.apply(&[]).await.code, 0);
    assert_eq!(yard.source.counts().sum() + yard.destination().counts().sum(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_and_several_destinations_are_planned_and_the_source_is_read_once() {
    let Some(yard) = Yard::start(2, Sides::Two).await else { return };
    yard.write_images(
        "images:\n  - { repository: team/image-0, tags: ['1.*', latest], to: [shop/a, mirror/a] }\n  \
         - { repository: team/image-1, tags: ['9.*'] }\n",
    );
    let planned = yard.plan(&[]).await;
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    assert!(planned.stderr.contains("no tag fits `9.*`"), "{}", planned.stderr);
    assert!(planned.stdout.contains("shop/a") && planned.stdout.contains("mirror/a"));
    let applied = yard.apply(&["--read-back", "--progress", "json"]).await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    for digest in yard.digests_of(0) {
        assert_eq!(yard.source.counts().served(Kind::BlobGet, &digest), 1, "{digest}");
    }
    let last = applied.stderr.lines().last().unwrap();
    let event: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!((event["imagesEnded"].as_u64(), event["images"].as_u64()), (Some(2), Some(2)));
    for repo in ["shop/a", "mirror/a"] {
        yard.assert_whole(repo, "1.0").await;
        yard.assert_whole(repo, "latest").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_digests_for_one_tag_are_a_conflict() {
    let Some(yard) = Yard::start(2, Sides::Two).await else { return };
    yard.write_images(
        "images:\n  - { repository: team/image-0, tags: ['1.0'], to: [shop/a] }\n  \
         - { repository: team/image-1, tags: ['1.0'], to: [shop/a] }\n",
    );
    let planned = yard.plan(&[]).await;
    assert_eq!(planned.code, 3, "{}", planned.stderr);
    assert!(planned.stdout.contains("conflict: "), "{}", planned.stdout);
    assert_eq!(yard.apply(&[]).await.code, 3);
    assert_eq!(yard.tag("shop/a", "1.0").await, None);
}
