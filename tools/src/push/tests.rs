#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use wharf_oci::{Algorithm, Digester, MediaType, Reference};

use super::*;
use crate::explain;
use crate::image::layout::REF_NAME;
use crate::image::layout_write::{LayoutFolder, LayoutWriter};
use crate::promote::manifests::Manifests;
use crate::registry::fake::{Fake, Fault, start};
use crate::registry::{Options, Policy};

/// A layout of one image under these tags; more content makes another image.
fn layout(folder: &Path, content: &str, tags: &[&str]) -> std::path::PathBuf {
    let out = LayoutFolder::open(folder).unwrap();
    let mut writer = LayoutWriter::begin(&out, content).unwrap();
    let root = image(&mut writer, content);
    let roots: Vec<Descriptor> = tags.iter().map(|tag| named(&root, tag)).collect();
    writer.finish(&roots, &[]).unwrap();
    out.place(content)
}

fn image(writer: &mut LayoutWriter<'_>, content: &str) -> Descriptor {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_cksum();
    builder.append_data(&mut header, "file", content.as_bytes()).unwrap();
    let tar = builder.into_inner().unwrap();
    let layer = writer.add(MediaType::OCI_LAYER, &tar).unwrap();
    let diff_id = Digester::digest(Algorithm::Sha256, &tar);
    let config = serde_json::json!({
        "os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    });
    let config = writer.add(MediaType::OCI_CONFIG, config.to_string().as_bytes()).unwrap();
    let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    writer.add(MediaType::OCI_MANIFEST, manifest.to_string().as_bytes()).unwrap()
}

fn named(root: &Descriptor, tag: &str) -> Descriptor {
    let mut root = root.clone();
    root.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
    root
}

fn registry(address: &str) -> Registry {
    let pause = Duration::from_millis(1);
    let policy =
        Policy { attempts: 2, first_pause: pause, pause_max: pause, asked_pause_max: pause };
    let options = Options { policy, ..Options::default() };
    Registry::new(address.parse().unwrap(), true, None, options).unwrap()
}

async fn push(
    source: &Source,
    registry: &Registry,
    repo: &str,
    known: &KnownBlobs,
) -> Result<PushReport, PushError> {
    push_with(source, registry, repo, known, false).await
}

async fn push_with(
    source: &Source,
    registry: &Registry,
    repo: &str,
    known: &KnownBlobs,
    allow_tag_move: bool,
) -> Result<PushReport, PushError> {
    let repo: RepoName = repo.parse().unwrap();
    let tags = source.tags().map(|(tag, root)| (tag, root.clone())).collect();
    Push { origin: PushOrigin::Disk(source), registry, repo: &repo, tags, known, allow_tag_move }
        .run(&|_| {})
        .await
}

#[tokio::test]
async fn tags_come_last_in_their_order_and_a_second_push_sends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = layout(folder.path(), "a", &["1.0", "latest"]);
    let layout = open_proven(&path, NonZeroUsize::MIN).unwrap().0;
    let (shared, address) = start(Fake::default()).await;
    let (registry, known) = (registry(&address), KnownBlobs::default());
    let pushed = push(&layout, &registry, "x/a", &known).await.unwrap();
    assert!(!pushed.unchanged && pushed.moved.sent_bytes > 0);
    let puts: Vec<String> = {
        let fake = shared.lock().unwrap();
        let puts = fake.seen.iter().filter(|seen| seen.method == Method::PUT);
        puts.map(|seen| seen.path.rsplit('/').next().unwrap().to_owned()).collect()
    };
    assert_eq!(puts.len(), 5);
    assert!(puts[2].starts_with("sha256:"));
    assert_eq!(puts[3..], ["1.0", "latest"]);
    shared.lock().unwrap().seen.clear();
    let again = push(&layout, &registry, "x/a", &known).await.unwrap();
    assert!(again.unchanged && again.moved.sent_bytes == 0 && again.moved.skipped_bytes > 0);
    assert!(shared.lock().unwrap().seen.iter().all(|seen| seen.method == Method::HEAD));
}

#[tokio::test]
async fn what_one_repository_got_the_next_one_mounts() {
    let folder = tempfile::tempdir().unwrap();
    let path = layout(folder.path(), "a", &["1.0"]);
    let layout = open_proven(&path, NonZeroUsize::MIN).unwrap().0;
    let (_shared, address) = start(Fake { mounts: true, ..Fake::default() }).await;
    let (registry, known) = (registry(&address), KnownBlobs::default());
    let first = push(&layout, &registry, "x/a", &known).await.unwrap();
    let second = push(&layout, &registry, "x/b", &known).await.unwrap();
    assert_eq!(second.moved.mounted_bytes, first.moved.sent_bytes);
    assert_eq!(second.moved.sent_bytes, 0);
}

#[tokio::test]
async fn a_push_costs_what_is_explained_of_it_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = layout(folder.path(), "a", &["1.0", "latest"]);
    let layout = open_proven(&path, NonZeroUsize::MIN).unwrap().0;
    let content = explain::content_of_layout(&layout);
    let plan = |name: &str| explain::ExplainedPlan {
        attestations: explain::Attestations::default(),
        plan: name.to_owned(),
        repository: format!("x/{name}"),
        content: content.clone(),
        sources: BTreeMap::new(),
        before: Some((explain::Before::InPlace, content.clone())),
    };
    let explained = explain::explain(&[plan("one"), plan("two")]);
    let (_shared, address) = start(Fake { mounts: true, ..Fake::default() }).await;
    let (registry, known) = (registry(&address), KnownBlobs::default());
    let manifests: u64 = content
        .parts
        .iter()
        .filter(|part| part.kind == explain::PartKind::Manifest)
        .map(|part| part.bytes)
        .sum();
    for expected in &explained.plans {
        let before = registry.requests();
        let repo = format!("x/{}", expected.plan);
        let moved = push(&layout, &registry, &repo, &known).await.unwrap().moved;
        let cost = expected.first_push;
        assert_eq!(registry.requests() - before, cost.requests, "{}", expected.plan);
        assert_eq!(moved.sent_bytes + manifests, cost.sent_bytes, "{}", expected.plan);
        assert_eq!(moved.mounted_bytes, cost.mounted_bytes, "{}", expected.plan);
    }
    let before = registry.requests();
    push(&layout, &registry, "x/one", &known).await.unwrap();
    let cost = explained.plans[0].update.unwrap().cost;
    assert_eq!((registry.requests() - before, cost.sent_bytes), (cost.requests, 0));
}

#[tokio::test]
async fn no_tag_is_written_when_content_fails_and_a_moved_tag_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = layout(folder.path(), "a", &["1.0"]);
    let old = open_proven(&path, NonZeroUsize::MIN).unwrap().0;
    let (shared, address) = start(Fake::default()).await;
    let (registry, known) = (registry(&address), KnownBlobs::default());
    let before = push(&old, &registry, "x/a", &known).await.unwrap().digest;
    let path = layout(folder.path(), "b", &["1.0"]);
    let new = open_proven(&path, NonZeroUsize::MIN).unwrap().0;
    let faults = (0..8).map(|_| Fault::Answer(Method::POST, 500, Vec::new()));
    shared.lock().unwrap().faults = faults.collect();
    let failed = push_with(&new, &registry, "x/a", &known, true).await;
    assert!(matches!(failed, Err(PushError::Registry(_))));
    shared.lock().unwrap().faults.clear();
    let key = ("x/a".to_owned(), "1.0".to_owned());
    let tagged = shared.lock().unwrap().manifests[&key].1.clone();
    assert_eq!(Digester::digest(Algorithm::Sha256, &tagged), before);
    let pushed = push_with(&new, &registry, "x/a", &known, true).await.unwrap();
    assert_eq!(pushed.tags[0].moved_from, Some(before));
}

#[tokio::test]
async fn a_version_that_points_elsewhere_is_not_moved_and_latest_is() {
    let folder = tempfile::tempdir().unwrap();
    let old = layout(folder.path(), "a", &["1.0", "latest"]);
    let old = open_proven(&old, NonZeroUsize::MIN).unwrap().0;
    let (shared, address) = start(Fake::default()).await;
    let (registry, known) = (registry(&address), KnownBlobs::default());
    let before = push(&old, &registry, "x/a", &known).await.unwrap().digest;
    let new = layout(folder.path(), "b", &["1.0", "latest"]);
    let new = open_proven(&new, NonZeroUsize::MIN).unwrap().0;
    shared.lock().unwrap().seen.clear();
    let error = push(&new, &registry, "x/a", &known).await.unwrap_err();
    assert!(matches!(&error, PushError::TagMoves { reasons } if reasons.len() == 1));
    let message = error.to_string();
    assert!(message.contains(&format!("{address}/x/a:1.0 points at {before}")), "{message}");
    assert!(message.contains("--allow-tag-move"), "{message}");
    assert!(shared.lock().unwrap().seen.iter().all(|seen| seen.method == Method::HEAD));
    assert_eq!(crate::exit::Exit::of(&error), crate::exit::Exit::Partial);
    let floating = layout(folder.path(), "c", &["1.1", "latest"]);
    let floating = open_proven(&floating, NonZeroUsize::MIN).unwrap().0;
    let pushed = push(&floating, &registry, "x/a", &known).await.unwrap();
    assert_eq!(pushed.tags[1].moved_from, Some(before));
}

#[tokio::test]
async fn a_version_that_appears_while_layers_are_sent_is_not_moved_either() {
    let folder = tempfile::tempdir().unwrap();
    let path = layout(folder.path(), "a", &["1.0"]);
    let layout = open_proven(&path, NonZeroUsize::MIN).unwrap().0;
    let (shared, address) = start(Fake::default()).await;
    let registry = registry(&address);
    let repo: RepoName = "x/a".parse().unwrap();
    let tags = layout.tags().map(|(tag, root)| (tag, root.clone())).collect();
    let (registry, known) = (&registry, &KnownBlobs::default());
    let origin = PushOrigin::Disk(&layout);
    let push = Push { origin, registry, repo: &repo, tags, known, allow_tag_move: false };
    let others = bytes::Bytes::from_static(br#"{"schemaVersion":2,"manifests":[]}"#);
    let appear = |step: TransferStep<'_>| {
        if matches!(step, TransferStep::Manifest(_)) {
            let value = (MediaType::OCI_INDEX.to_string(), others.clone());
            let key = ("x/a".to_owned(), "1.0".to_owned());
            shared.lock().unwrap().manifests.insert(key, value);
        }
    };
    let error = push.run(&appear).await.unwrap_err();
    assert!(matches!(error, PushError::TagMoves { .. }), "{error}");
    let key = ("x/a".to_owned(), "1.0".to_owned());
    assert_eq!(shared.lock().unwrap().manifests[&key].1, others);
}

#[test]
fn a_broken_layout_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = layout(folder.path(), "a", &["1.0"]);
    let blob = std::fs::read_dir(path.join("blobs/sha256")).unwrap().next().unwrap().unwrap();
    std::fs::write(blob.path(), "other").unwrap();
    let error = open_proven(&path, NonZeroUsize::MIN).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("nothing of it was sent"), "{message}");
    let digest = message.split("sha256:").nth(1).unwrap().get(..64).unwrap();
    assert_eq!(message.matches(digest).count(), 1, "{message}");
    let missing = open_proven(&folder.path().join("gone"), NonZeroUsize::MIN).unwrap_err();
    assert!(matches!(missing, PushError::Source(_)));
}

#[tokio::test]
async fn an_image_goes_from_one_repository_to_another_with_what_refers_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = LayoutFolder::open(folder.path()).unwrap();
    let mut writer = LayoutWriter::begin(&out, "one").unwrap();
    let root = image(&mut writer, "one");
    let list = referrer(&mut writer, &root, "list");
    writer.finish(&[named(&root, "1.0")], std::slice::from_ref(&list)).unwrap();
    let (shared, address) = start(Fake::default()).await;
    let (from, known) = (Arc::new(registry(&address)), KnownBlobs::default());
    let source_layout = open_proven(&out.place("one"), NonZeroUsize::MIN).unwrap().0;
    push(&source_layout, &from, "x/a", &known).await.unwrap();
    let signature = format!("sha256-{}.sig", root.digest.hex());
    {
        let mut fake = shared.lock().unwrap();
        let key = ("x/a".to_owned(), list.digest.to_string());
        let value = fake.manifests[&key].clone();
        fake.manifests.insert(("x/a".to_owned(), signature.clone()), value);
    }
    let (other, address) = start(Fake::default()).await;
    let to = registry(&address);
    let (source, repo): (RepoName, RepoName) = ("x/a".parse().unwrap(), "y/b".parse().unwrap());
    for expected in [
        Referrers { pushed: 2, ..Referrers::default() },
        Referrers { already: 2, ..Referrers::default() },
    ] {
        let found = find(&from, &source, &Reference::Tag("1.0".parse().unwrap())).await.unwrap();
        assert_eq!(found.digest, root.digest);
        let tags = vec![("2.0".parse().unwrap(), found)];
        let origin = PushOrigin::Registry {
            manifests: Manifests::new(Arc::clone(&from)),
            repo: source.clone(),
        };
        let known = KnownBlobs::default();
        let push =
            Push { origin, registry: &to, repo: &repo, tags, known: &known, allow_tag_move: false };
        let pushed = push.run(&|_| {}).await.unwrap();
        assert_eq!((pushed.digest, pushed.referrers), (root.digest, expected));
    }
    assert_eq!(to.referrers(&repo, &root.digest).await.unwrap(), [list.digest]);
    assert!(other.lock().unwrap().manifests.contains_key(&("y/b".to_owned(), signature)));
    let gone = find(&from, &source, &Reference::Tag("9".parse().unwrap())).await.unwrap_err();
    assert!(gone.to_string().ends_with("/x/a has no 9"), "{gone}");
}

#[test]
fn the_image_of_a_reference_is_the_tagged_one_or_the_only_one() {
    let folder = tempfile::tempdir().unwrap();
    let out = LayoutFolder::open(folder.path()).unwrap();
    let mut writer = LayoutWriter::begin(&out, "two").unwrap();
    let (one, two) = (image(&mut writer, "one"), image(&mut writer, "two"));
    writer.finish(&[named(&one, "1.0"), named(&two, "2.0")], &[]).unwrap();
    let both = Source::open_path(&out.place("two")).unwrap();
    let tag = |text: &str| text.parse::<Tag>().unwrap();
    assert_eq!(image_for(&both, Some(&tag("2.0"))).unwrap().digest, two.digest);
    let error = image_for(&both, Some(&tag("3.0"))).unwrap_err();
    assert!(error.to_string().contains("2 images (1.0, 2.0)"), "{error}");
    let mut writer = LayoutWriter::begin(&out, "whole").unwrap();
    let (one, two) = (image(&mut writer, "one"), image(&mut writer, "two"));
    let names = ["r.example:5000/x/a:1.0", "r.example:5000/x/a:2.0"];
    writer.finish(&[named(&one, names[0]), named(&two, names[1])], &[]).unwrap();
    let whole = Source::open_path(&out.place("whole")).unwrap();
    assert_eq!(image_for(&whole, Some(&tag("2.0"))).unwrap().digest, two.digest);
    let error = image_for(&whole, Some(&tag("3.0"))).unwrap_err();
    assert!(error.to_string().contains(&names.join(", ")), "{error}");
    let mut writer = LayoutWriter::begin(&out, "bare").unwrap();
    let (one, two) = (image(&mut writer, "one"), image(&mut writer, "two"));
    writer.finish(&[one.clone(), two], &[]).unwrap();
    let bare = Source::open_path(&out.place("bare")).unwrap();
    let error = image_for(&bare, Some(&tag("3.0"))).unwrap_err();
    assert!(error.to_string().contains(&one.digest.to_string()), "{error}");
    drop(out);
    let single = layout(folder.path(), "single", &["1.0", "latest"]);
    let single = Source::open_path(&single).unwrap();
    assert!(image_for(&single, Some(&tag("9.9"))).is_ok());
}

/// A referrer of a manifest.
fn referrer(writer: &mut LayoutWriter<'_>, subject: &Descriptor, content: &str) -> Descriptor {
    let layer = writer.add("text/plain".parse().unwrap(), content.as_bytes()).unwrap();
    let config = writer.add(MediaType::OCI_EMPTY, b"{}").unwrap();
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "artifactType": "text/plain",
        "config": config, "layers": [layer], "subject": subject,
    });
    writer.add(MediaType::OCI_MANIFEST, manifest.to_string().as_bytes()).unwrap()
}

#[tokio::test]
async fn what_refers_to_an_image_goes_along_before_its_tags_and_once() {
    let folder = tempfile::tempdir().unwrap();
    for (name, tags) in [("one", &["1.0"][..]), ("two", &["1.0", "latest"][..])] {
        let out = LayoutFolder::open(folder.path()).unwrap();
        let mut writer = LayoutWriter::begin(&out, name).unwrap();
        let root = image(&mut writer, name);
        let first = referrer(&mut writer, &root, "list");
        let of_first = referrer(&mut writer, &first, "signature of the list");
        let foreign = referrer(&mut writer, &Descriptor { size: 2, ..root.clone() }, "other");
        let roots: Vec<Descriptor> = tags.iter().map(|tag| named(&root, tag)).collect();
        let all = [first.clone(), of_first.clone(), foreign.clone()];
        writer.finish(&roots, &all).unwrap();
        let layout = open_proven(&out.place(name), NonZeroUsize::MIN);
        let layout = layout.unwrap().0;
        assert_eq!(layout.roots().len(), tags.len() + 3);
        let (shared, address) = start(Fake::default()).await;
        let registry = registry(&address);
        let known = KnownBlobs::default();
        let pushed = push(&layout, &registry, "x/a", &known).await.unwrap();
        assert_eq!(pushed.referrers, Referrers { pushed: 3, ..Referrers::default() });
        let repo: RepoName = "x/a".parse().unwrap();
        let listed = registry.referrers(&repo, &root.digest).await.unwrap();
        assert_eq!(listed, [first.digest, foreign.digest]);
        assert_eq!(registry.referrers(&repo, &first.digest).await.unwrap(), [of_first.digest]);
        let seen: Vec<String> = shared
            .lock()
            .unwrap()
            .seen
            .iter()
            .filter(|seen| seen.method == Method::PUT && seen.path.contains("/manifests/"))
            .map(|seen| seen.path.clone())
            .collect();
        let place = |end: &str| seen.iter().position(|path| path.ends_with(end)).unwrap();
        assert!(place(&first.digest.to_string()) < place("/1.0"), "{seen:?}");
        let again = push(&layout, &registry, "x/a", &KnownBlobs::default()).await.unwrap();
        assert!(again.unchanged);
        assert_eq!(again.referrers, Referrers { already: 3, ..Referrers::default() });
        assert_eq!(again.moved.sent_bytes, 0);
        // A list a registry lost is made again although no tag moves.
        shared.lock().unwrap().manifests.retain(|(_, name), _| !name.starts_with("sha256-"));
        let healed = push(&layout, &registry, "x/a", &known).await.unwrap();
        assert!(!healed.unchanged);
        assert_eq!(registry.referrers(&repo, &root.digest).await.unwrap().len(), 2);
    }
}

#[test]
fn a_layout_with_one_image_and_its_referrers_has_one_image() {
    let folder = tempfile::tempdir().unwrap();
    let out = LayoutFolder::open(folder.path()).unwrap();
    let mut writer = LayoutWriter::begin(&out, "one").unwrap();
    let root = image(&mut writer, "one");
    let about = referrer(&mut writer, &root, "list");
    writer.finish(&[named(&root, "1.0")], &[about]).unwrap();
    let layout = Source::open_path(&out.place("one")).unwrap();
    assert_eq!(image_for(&layout, None).unwrap().digest, root.digest);
    // Programs called without a name find one image.
    let index = std::fs::read(out.place("one").join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    // The proof reports a lost list.
    let list = index["annotations"]["wharf.referrers"].as_str().unwrap();
    let list = list.strip_prefix("sha256:").unwrap();
    std::fs::remove_file(out.place("one").join("blobs/sha256").join(list)).unwrap();
    let error = open_proven(&out.place("one"), NonZeroUsize::MIN).unwrap_err();
    assert!(error.to_string().contains(list), "{error}");
}
