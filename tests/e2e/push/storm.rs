//! The storm: a registry that turns a fifth of all writes away, takes no large chunk, loses its place,
//! and forgets whom it let in, while fifty clients push. Each pushes once, tries nothing again, and
//! is told 201 for everything.
//!
//! `WHARF_STORM_SEED` repeats what chance chose; in which order requests come is the machine's.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;
use wharf_testkit::dice::Dice;
use wharf_testkit::double::{AcrDouble, Fault, FaultRule, Kind};
use wharf_testkit::images::sha256;

use super::MANIFEST_TYPE;
use crate::fixture::{Api, Stage, assert_all_stored_is_right, eventually, noise};

const PUSHES: u64 = 50;
const LAYER_BYTES_MIN: u64 = 100 * 1024;
const LAYER_BYTES_MAX: u64 = 40 * 1024 * 1024;
const BODY_BYTES_MAX: u64 = 20 * 1024 * 1024;
const HOUR: Duration = Duration::from_hours(1);
/// Most layers have no more than this; every tenth is among the largest.
const USUAL_LAYER_BYTES_MAX: u64 = 3 * 1024 * 1024;
const LARGE_PERCENT: u8 = 10;
/// How long a token lives in the storm.
const TOKEN_LIFE: Duration = Duration::from_secs(2);

/// An image as one client pushes it.
struct Image {
    repo: String,
    /// The config last.
    blobs: Vec<Bytes>,
    manifest: String,
}

/// Layers are parts of the same noise, each behind a line of its own.
fn image(number: u64, noise: &Bytes, dice: &mut Dice) -> Image {
    let mut blobs: Vec<Bytes> = (0..2 + dice.below(2))
        .map(|layer| {
            let size = if dice.percent(LARGE_PERCENT) {
                LAYER_BYTES_MAX / 2 + dice.below(LAYER_BYTES_MAX / 2)
            } else {
                dice.size(LAYER_BYTES_MIN, USUAL_LAYER_BYTES_MAX)
            };
            let size = usize::try_from(size).unwrap();
            let title = format!("layer {layer} of image {number}\n");
            [title.as_bytes(), &noise[title.len()..size]].concat().into()
        })
        .collect();
    let described = |blob: &Bytes, media_type: &str| -> Value {
        json!({ "mediaType": media_type, "digest": sha256(blob), "size": blob.len() })
    };
    let layers: Vec<_> = blobs.iter().map(|blob| described(blob, "application/x")).collect();
    let config = Bytes::from(json!({ "image": number }).to_string());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": layers,
        "config": described(&config, "application/json"),
    });
    blobs.push(config);
    // Some share a repository.
    Image { repo: format!("storm/{}", number % 20), blobs, manifest: manifest.to_string() }
}

/// One push as docker does it: for each blob HEAD, POST, PATCH, PUT, all blobs together; then the
/// manifest. Nothing is tried again, and no answer may be an error.
async fn push(api: Api, image: Image, tag: String) {
    let mut blobs = tokio::task::JoinSet::new();
    for content in image.blobs {
        let (api, repo) = (api.clone(), image.repo.clone());
        blobs.spawn(async move {
            let digest = sha256(&content);
            let head = api.head_blob(&repo, &digest).await;
            assert_eq!(head.status, 404, "HEAD {digest}");
            let location = api.open_upload(&repo).await;
            let patched = api.patch(&location).bytes(content).send().await.unwrap();
            assert_eq!(patched.status, 202, "PATCH {digest}: {}", patched.text());
            let ended = api.end_upload(patched.header("location"), &digest, "").await;
            assert_eq!(ended.status, 201, "PUT {digest}: {}", ended.text());
        });
    }
    while let Some(blob) = blobs.join_next().await {
        blob.unwrap();
    }
    let put = api.put_manifest(&image.repo, &tag, MANIFEST_TYPE, image.manifest).await;
    assert_eq!(put.status, 201, "manifest {tag}: {}", put.text());
}

fn raise(double: &AcrDouble, seed: u64) {
    double.seed_faults(seed);
    let writes = [Kind::UploadPost, Kind::UploadPatch, Kind::UploadPut, Kind::ManifestPut];
    for kind in writes {
        let turned_away = FaultRule::next(kind, Fault::CountingDown { period_s: 2, delay_ms: 50 });
        double.set_fault(turned_away.during(HOUR).percent(20));
    }
    for kind in [Kind::UploadPatch, Kind::UploadPut] {
        let lost = Fault::Status { code: 416, retry_after_s: None };
        double.set_fault(FaultRule::next(kind, lost).during(HOUR).percent(4));
    }
    // After half a chunk every token is expired, and the connection is gone with it.
    let expired = Fault::ExpireAndCut { after: 1024 * 1024 };
    double.set_fault(FaultRule::next(Kind::UploadPatch, expired).during(HOUR).percent(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_pushes_arrive_through_a_storm_and_no_client_notices() {
    let start = Stage::start_with(|mut setup| {
        setup.double.habits.put_bytes_max = Some(BODY_BYTES_MAX);
        setup.double.habits.patch_bytes_max = Some(BODY_BYTES_MAX);
        setup
    });
    let Some(stage) = start.await else { return };
    let mut dice = Dice::from_env("WHARF_STORM_SEED");
    let noise = Bytes::from(noise(1, usize::try_from(LAYER_BYTES_MAX).unwrap()));
    raise(&stage.double, dice.below(u64::MAX));
    let images: Vec<_> = (0..PUSHES).map(|number| image(number, &noise, &mut dice)).collect();
    let sizes = images.iter().flat_map(|image| &image.blobs).map(|blob| blob.len() as u64);
    let (began, bytes) = (Instant::now(), sizes.sum::<u64>());
    let manifests: Vec<_> =
        images.iter().map(|image| (image.repo.clone(), image.manifest.clone())).collect();
    let mut pushes = tokio::task::JoinSet::new();
    for (number, image) in images.into_iter().enumerate() {
        pushes.spawn(push(stage.api().clone(), image, format!("v{number}")));
    }
    let all = async {
        while let Some(push) = pushes.join_next().await {
            push.unwrap();
        }
    };
    let tokens = async {
        loop {
            tokio::time::sleep(TOKEN_LIFE).await;
            stage.double.expire_tokens();
        }
    };
    tokio::select! {
        () = all => {}
        () = tokens => {}
    }
    let counts = stage.double.counts();
    let turned_away = |kind| counts.answered(kind, 429);
    eprintln!(
        "storm: {} MiB in {:.1?}, {} MiB sent; 429 for {} of {} POST, {} of {} PATCH, {} of {} PUT; \
         416 {}, 413 {}, tokens {}",
        bytes >> 20,
        began.elapsed(),
        counts.upload_bytes() >> 20,
        turned_away(Kind::UploadPost),
        counts.total(Kind::UploadPost),
        turned_away(Kind::UploadPatch),
        counts.total(Kind::UploadPatch),
        turned_away(Kind::UploadPut),
        counts.total(Kind::UploadPut),
        counts.answered(Kind::UploadPatch, 416) + counts.answered(Kind::UploadPut, 416),
        counts.answered(Kind::UploadPatch, 413),
        counts.answered(Kind::Token, 200),
    );
    // It was a storm.
    for (kind, status) in [
        (Kind::UploadPost, 429),
        (Kind::UploadPatch, 429),
        (Kind::UploadPut, 429),
        (Kind::UploadPatch, 416),
        (Kind::UploadPatch, 401),
    ] {
        assert!(counts.answered(kind, status) > 0, "{kind:?} was never answered {status}");
    }
    for (number, (repo, manifest)) in manifests.iter().enumerate() {
        let there = stage.origin.get_manifest(repo, &format!("v{number}")).await;
        assert_eq!(there.body, *manifest, "v{number}");
    }
    assert_all_stored_is_right(&stage.registry);
    assert_eq!(stage.wharfd.metric("wharfd_uploads").await, 0);
    stage.double.clear_faults();
    let closed = async || (stage.double.open_uploads() == 0).then_some(());
    eventually("every upload at the upstream to be ended or given up", closed).await;
}
