//! The storm: a registry with a refusal for a fifth of all writes, without large chunks, with a
//! lost place now and then, and with forgotten logins, while fifty clients push (in `make test`
//! fewer). Each client pushes once without retries, and gets 201 for everything.
//!
//! Invariant: every kind of trouble happens. A trouble by chance is ordered once besides, at a
//! moment sure to hit, and in the end the double's counts prove the strike.
//!
//! `WHARF_STORM_SEED` repeats the choices of chance; the machine decides the order of the requests.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use wharf_double::{AcrDouble, Fault, FaultRule, Kind};
use wharf_testkit::dice::Dice;
use wharf_testkit::images::sha256;
use wharf_testkit::trials;

use super::MANIFEST_TYPE;
use crate::fixture::{Api, Stage, assert_all_stored_is_right, eventually, noise};

const LAYER_BYTES_MIN: u64 = 100 * 1024;
const LAYER_BYTES_MAX: u64 = 40 * 1024 * 1024;
const BODY_BYTES_MAX: u64 = 20 * 1024 * 1024;
const HOUR: Duration = Duration::from_hours(1);
/// Most layers have no more than this; every tenth is among the largest.
const USUAL_LAYER_BYTES_MAX: u64 = 3 * 1024 * 1024;
const LARGE_PERCENT: u8 = 10;
/// The layer of the first push. With its first chunk held, this many bytes wait, so `wharfd` tries
/// larger chunks until one is too large.
const FIRST_LAYER_BYTES: u64 = 80 * 1024 * 1024;
/// How long a token lives in the storm.
const TOKEN_LIFE: Duration = Duration::from_secs(2);
/// Of all writes, a fifth is turned away; less than this would not be chance. Of few writes, chance
/// leaves out more.
fn turned_away_percent_min() -> u64 {
    trials::size(4, 12)
}

const WRITES: [Kind; 4] = [Kind::UploadPost, Kind::UploadPatch, Kind::UploadPut, Kind::ManifestPut];
const TURNED_AWAY: Fault = Fault::CountingDown { period_s: 2, delay_ms: 50 };
const LOST: Fault = Fault::Status { code: 416, retry_after_s: None };
/// After so much of a chunk every token is expired, and the connection is gone with it.
const EXPIRED: Fault = Fault::ExpireAndCut { after: 1024 * 1024 };

/// An image as one client pushes it.
struct Image {
    repo: String,
    /// The config last.
    blobs: Vec<Bytes>,
    manifest: String,
}

/// How large the layers of an image are.
fn sizes(number: u64, dice: &mut Dice) -> Vec<u64> {
    if number == 0 {
        return vec![FIRST_LAYER_BYTES];
    }
    let size = |_| {
        if dice.percent(LARGE_PERCENT) {
            LAYER_BYTES_MAX / 2 + dice.below(LAYER_BYTES_MAX / 2)
        } else {
            dice.size(LAYER_BYTES_MIN, USUAL_LAYER_BYTES_MAX)
        }
    };
    (0..2 + number % 2).map(size).collect()
}

/// Layers are parts of the same noise, each behind a line of its own.
fn image(number: u64, noise: &Bytes, dice: &mut Dice) -> Image {
    let mut blobs: Vec<Bytes> = (0..)
        .zip(sizes(number, dice))
        .map(|(layer, size): (u64, u64)| {
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

/// A blob as docker pushes it: HEAD, POST, PATCH, PUT. Nothing is tried again, and no answer may be an
/// error.
async fn push_blob(api: Api, repo: String, content: Bytes) {
    let digest = sha256(&content);
    let head = api.head_blob(&repo, &digest).await;
    assert_eq!(head.status, 404, "HEAD {digest}");
    let location = api.open_upload(&repo).await;
    let patched = api.patch(&location).bytes(content).send().await.unwrap();
    assert_eq!(patched.status, 202, "PATCH {digest}: {}", patched.text());
    let ended = api.end_upload(patched.header("location"), &digest, "").await;
    assert_eq!(ended.status, 201, "PUT {digest}: {}", ended.text());
}

/// One push: all blobs together, then the manifest.
async fn push(api: Api, image: Image, tag: String) {
    let blobs = image.blobs.into_iter();
    let blobs: JoinSet<()> =
        blobs.map(|content| push_blob(api.clone(), image.repo.clone(), content)).collect();
    blobs.join_all().await;
    let put = api.put_manifest(&image.repo, &tag, MANIFEST_TYPE, image.manifest).await;
    assert_eq!(put.status, 201, "manifest {tag}: {}", put.text());
}

/// The first push has the upstream to itself until each trouble of chunks has struck it: one chunk
/// is too large, one breaks off with every token, one has its place lost.
async fn first_push(stage: &Stage, mut image: Image, pushes: &mut JoinSet<()>) {
    let double = &stage.double;
    double.set_fault(FaultRule::next(Kind::UploadPatch, Fault::Stall { after: 1 }));
    raise(double, TURNED_AWAY, &WRITES, 20);
    let (api, layer) = (stage.api().clone(), image.blobs.remove(0));
    pushes.spawn(async move {
        push_blob(api.clone(), image.repo.clone(), layer).await;
        push(api, image, "v0".to_owned()).await;
    });
    stage.wharfd.metric_reaches("wharfd_received_bytes_total", FIRST_LAYER_BYTES).await;
    let held = async || (double.held() > 0).then_some(());
    eventually("the first chunk to be held", held).await;
    double.release();
    let refused = async || (double.counts().answered(Kind::UploadPatch, 413) > 0).then_some(());
    eventually("a chunk that is too large", refused).await;
    for (fault, status) in [(EXPIRED, 0), (LOST, 416)] {
        // Before the rules by chance.
        double.clear_faults();
        double.set_fault(FaultRule::next(Kind::UploadPatch, fault));
        let struck =
            async || (double.counts().answered(Kind::UploadPatch, status) > 0).then_some(());
        eventually("a chunk of the first push in trouble", struck).await;
    }
    // After a lost place the upload first asks for the offset, and that request would meet the
    // expired token.
    let taken = || double.counts().answered(Kind::UploadPatch, 202);
    let before = taken();
    eventually("a chunk after the trouble", async || (taken() > before).then_some(())).await;
    double.expire_tokens();
    let expired = async || (double.counts().answered(Kind::UploadPatch, 401) > 0).then_some(());
    eventually("a chunk with an expired token", expired).await;
}

/// For so many of a hundred of these requests, from now on.
fn raise(double: &AcrDouble, fault: Fault, kinds: &[Kind], percent: u8) {
    for kind in kinds {
        double.set_fault(FaultRule::next(*kind, fault).during(HOUR).percent(percent));
    }
}

/// All of it, for the others too.
fn raise_all(double: &AcrDouble) {
    // A trouble spared by chance is ordered once, after a few requests; the rest has struck.
    let spared = |(kind, fault): &(Kind, Fault)| double.struck(*kind, *fault) == 0;
    for (kind, fault) in TROUBLES.into_iter().filter(spared) {
        double.set_fault(FaultRule::next(kind, fault).after(7));
    }
    raise(double, TURNED_AWAY, &WRITES, 20);
    raise(double, LOST, &[Kind::UploadPatch, Kind::UploadPut], 4);
    raise(double, EXPIRED, &[Kind::UploadPatch], 2);
}

/// The troubles required to happen.
const TROUBLES: [(Kind, Fault); 7] = [
    (Kind::UploadPost, TURNED_AWAY),
    (Kind::UploadPatch, TURNED_AWAY),
    (Kind::UploadPut, TURNED_AWAY),
    (Kind::ManifestPut, TURNED_AWAY),
    (Kind::UploadPatch, LOST),
    (Kind::UploadPut, LOST),
    (Kind::UploadPatch, EXPIRED),
];

/// It was a storm: every trouble struck, and showed in an answer.
fn assert_a_storm(double: &AcrDouble) {
    let counts = double.counts();
    for (kind, fault) in TROUBLES {
        assert!(double.struck(kind, fault) > 0, "{kind:?} was never hit by {fault:?}");
    }
    for (kind, status) in [
        (Kind::UploadPatch, 413),
        (Kind::UploadPatch, 401),
        // Cut off, with every token expired.
        (Kind::UploadPatch, 0),
    ] {
        assert!(counts.answered(kind, status) > 0, "{kind:?} was never answered {status}");
    }
    // Faults hit authenticated requests.
    let let_in = |kind| counts.total(kind) - counts.answered(kind, 401);
    let writes: u64 = WRITES.into_iter().map(let_in).sum();
    let turned_away: u64 = WRITES.into_iter().map(|kind| counts.answered(kind, 429)).sum();
    let enough = turned_away * 100 >= writes * turned_away_percent_min();
    assert!(enough, "{turned_away} of {writes} writes were turned away");
}

#[expect(clippy::print_stderr, reason = "how much of it there was")]
fn print(double: &AcrDouble, bytes: u64, time: Duration) {
    let counts = double.counts();
    let of = |kind| format!("{} of {}", counts.answered(kind, 429), counts.total(kind));
    eprintln!(
        "storm: {} MiB in {time:.1?}, {} MiB sent; 429 for {} POST, {} PATCH, {} PUT, {} manifests; \
         416 {}, 413 {}, cut {}, tokens {}",
        bytes >> 20,
        counts.upload_bytes() >> 20,
        of(Kind::UploadPost),
        of(Kind::UploadPatch),
        of(Kind::UploadPut),
        of(Kind::ManifestPut),
        counts.answered(Kind::UploadPatch, 416) + counts.answered(Kind::UploadPut, 416),
        counts.answered(Kind::UploadPatch, 413),
        counts.answered(Kind::UploadPatch, 0),
        counts.answered(Kind::Token, 200),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_arrive_through_a_storm_and_no_client_notices() {
    let start = Stage::start_with(|mut setup| {
        setup.double.habits.put_bytes_max = Some(BODY_BYTES_MAX);
        setup.double.habits.patch_bytes_max = Some(BODY_BYTES_MAX);
        setup
    });
    let Some(stage) = start.await else { return };
    let (image_count, mut dice) = (trials::size(16, 50), Dice::from_env("WHARF_STORM_SEED"));
    let noise = Bytes::from(noise(1, usize::try_from(FIRST_LAYER_BYTES).unwrap()));
    stage.double.seed_faults(dice.below(u64::MAX));
    let images: Vec<_> = (0..image_count).map(|number| image(number, &noise, &mut dice)).collect();
    let sizes = images.iter().flat_map(|image| &image.blobs).map(|blob| blob.len() as u64);
    let (began, bytes) = (Instant::now(), sizes.sum::<u64>());
    let manifests: Vec<_> =
        images.iter().map(|image| (image.repo.clone(), image.manifest.clone())).collect();
    let (mut images, mut pushes) = ((0..).zip(images), JoinSet::<()>::new());
    let (_, first): (u64, _) = images.next().unwrap();
    first_push(&stage, first, &mut pushes).await;
    raise_all(&stage.double);
    for (number, image) in images {
        pushes.spawn(push(stage.api().clone(), image, format!("v{number}")));
    }
    let tokens = async {
        loop {
            tokio::time::sleep(TOKEN_LIFE).await;
            stage.double.expire_tokens();
        }
    };
    tokio::select! {
        _ = pushes.join_all() => {}
        () = tokens => {}
    }
    print(&stage.double, bytes, began.elapsed());
    assert_a_storm(&stage.double);
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
