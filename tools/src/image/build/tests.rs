#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::configuration::image_config;
use wharf_oci::Platform;

use super::*;
use crate::image::layout_write::LayoutFolder;
use crate::image::layout_write::LayoutOutcome;
use crate::image::layout_write::WriteError;
use crate::image::progress::Silent;
use crate::offer::model::ContainerConfig;
use crate::offer::model::Image;
use crate::source::Source;
use crate::verify::{Limits, check};

const IMAGE: &str = r#"{
    "repository": "a/b", "version": "1.4.0", "created": "2026-11-01T00:00:00Z",
    "platforms": [
        {"platform": "linux/amd64", "layers": [{"dir": "base"}, {"dir": "app", "comment": "ours"}]},
        {"platform": "linux/arm64/v8", "layers": [{"dir": "base"}]}
    ],
    "config": {"entrypoint": ["/x"], "env": {"B": "2", "A": "1"}, "exposedPorts": ["80"]}
}"#;

/// A plan with two platforms over one shared layer, and the folders it names.
fn sample(folder: &Path) -> PlanImage {
    for (dir, name) in [("base", "lib"), ("app", "bin")] {
        fs::create_dir_all(folder.join(dir).join(name)).unwrap();
        let file = folder.join(dir).join(name).join("file");
        fs::write(&file, name.repeat(100_000)).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    plan("one")
}

fn plan(id: &str) -> PlanImage {
    let mut image: Image = serde_json::from_str(IMAGE).unwrap();
    let platforms: Vec<Platform> =
        image.platforms.iter().map(PlatformBuild::full_platform).collect();
    image.expanded_tags = image.tags.expand(&image.version, &platforms).unwrap();
    PlanImage::of_plan(id, image)
}

fn build(folder: &Path, out: &str, plans: &[&PlanImage], jobs: usize) -> Vec<BuiltImage> {
    let out = LayoutFolder::open(&folder.join(out)).unwrap();
    let jobs = NonZeroUsize::new(jobs).unwrap();
    let mut builder = Builder::new(folder, out.path(), Timestamp::default(), jobs, &Silent);
    let mut built = Vec::new();
    builder
        .build_all(plans, LayoutDestination::Folder(&out), &mut |_, image| built.push(image))
        .unwrap();
    built
}

fn no_staging_is_left(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(name == ".wharf" || !name.to_string_lossy().starts_with('.'), "{name:?}");
    }
    for entry in fs::read_dir(folder.join(".wharf")).into_iter().flatten() {
        let name = entry.unwrap().file_name();
        assert!(name.to_string_lossy().ends_with(".blocks"), "{name:?}");
    }
}

#[test]
fn the_same_input_gives_the_same_digest_anywhere_and_verifies() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let plan = sample(one.path());
    sample(two.path());
    let first = build(one.path(), "out", &[&plan], 1).remove(0);
    let second = build(two.path(), "elsewhere", &[&plan], 8).remove(0);
    assert_eq!(first.index, second.index);
    assert_eq!(first.outcome, Some(LayoutOutcome::Created));
    let layout = Source::open_path(&one.path().join("out/one")).unwrap();
    let facts = check(&layout, NonZeroUsize::MIN, &Limits::default());
    assert_eq!(facts.faults, []);
    let names: Vec<String> = layout.tags().map(|(tag, _)| tag.to_string()).collect();
    assert_eq!(names, ["1.4.0-linux-amd64", "1.4.0-linux-arm64-v8", "1.4.0", "latest"]);
    assert_eq!(facts.images.len(), 2);
    let config = facts.images[0].config.clone().unwrap();
    assert_eq!(config.config.env, ["A=1", "B=2"]);
    assert!(config.config.exposed_ports.contains_key("80/tcp"));
    assert_eq!(config.config.labels["org.opencontainers.image.version"], "1.4.0");
    assert_eq!(config.created.as_deref(), Some("2026-11-01T00:00:00Z"));
    let steps: Vec<_> =
        config.history.iter().map(|step| step.created_by.as_deref().unwrap()).collect();
    assert_eq!(steps, ["dir base", "ours"]);
    no_staging_is_left(&one.path().join("out"));
}

#[test]
fn an_unchanged_layout_is_kept_a_changed_one_replaced_and_a_damaged_one_healed() {
    let folder = tempfile::tempdir().unwrap();
    let plan = sample(folder.path());
    let built = build(folder.path(), "out", &[&plan], 2).remove(0);
    let outcome = || build(folder.path(), "out", &[&plan], 2).remove(0).outcome.unwrap();
    assert_eq!(outcome(), LayoutOutcome::Unchanged);
    let blob = built.platforms[0].layers[0].descriptor.digest.hex();
    let blob = folder.path().join("out/one/blobs/sha256").join(blob);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[20] ^= 1;
    fs::write(&blob, &bytes).unwrap();
    assert_eq!(outcome(), LayoutOutcome::Replaced);
    assert!(fs::read(&blob).unwrap() != bytes);
    let marker = folder.path().join("out/one/oci-layout");
    fs::write(&marker, "junk").unwrap();
    assert_eq!(outcome(), LayoutOutcome::Replaced);
    assert!(fs::read_to_string(&marker).unwrap().contains("imageLayoutVersion"));
    fs::write(folder.path().join("app/more"), "x").unwrap();
    assert_eq!(outcome(), LayoutOutcome::Replaced);
    no_staging_is_left(&folder.path().join("out"));
}

#[test]
fn plans_share_layers_which_are_made_once() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (sample(folder.path()), plan("two"));
    let built = build(folder.path(), "out", &[&first, &second], 2);
    assert_eq!(built[0].index, built[1].index);
    let origins = |image: &BuiltImage| -> Vec<LayerOrigin> {
        let layers = image.platforms.iter().flat_map(|platform| &platform.layers);
        layers.map(|layer| layer.origin).collect()
    };
    assert_eq!(origins(&built[0]), [LayerOrigin::Made, LayerOrigin::Made, LayerOrigin::Reused]);
    assert_eq!(origins(&built[1]), [LayerOrigin::Reused; 3]);
    let hex = built[0].platforms[0].layers[0].descriptor.digest.hex();
    let mut inodes = Vec::new();
    for name in ["one", "two"] {
        let place = folder.path().join("out").join(name);
        let layout = Source::open_path(&place).unwrap();
        assert_eq!(check(&layout, NonZeroUsize::MIN, &Limits::default()).faults, []);
        inodes.push(fs::metadata(place.join("blobs/sha256").join(&hex)).unwrap().ino());
    }
    assert_eq!(inodes[0], inodes[1], "the disk has it once");
    no_staging_is_left(&folder.path().join("out"));
}

#[test]
fn the_same_inputs_over_other_layers_are_other_layers_when_they_come_out_so() {
    let folder = tempfile::tempdir().unwrap();
    let plan = sample(folder.path());
    let created = Timestamp::default();
    let recipe = |codec, created, below: &FileView| {
        let layer = &plan.image.platforms[0].layers[0];
        let out = folder.path().join("out");
        let setting = Setting { offer_folder: folder.path(), output: &out, created };
        let below = Below { files: below, names: &[] };
        Recipe::new(codec, &layer::prepare(&setting, layer, &below).unwrap())
    };
    let below = FileView::merge(&[]);
    let first = recipe(Codec::Gzip, created, &below);
    assert!(first == recipe(Codec::Gzip, created, &below));
    assert!(first != recipe(Codec::Zstd, created, &below));
    let later = Timestamp::from_unix_seconds(1).unwrap();
    assert!(first != recipe(Codec::Gzip, later, &below));
    fs::write(folder.path().join("base/more"), "").unwrap();
    assert!(first != recipe(Codec::Gzip, created, &below));
}

#[test]
fn what_the_run_before_compressed_is_taken_and_gives_the_same_image() {
    let folder = tempfile::tempdir().unwrap();
    let plan = sample(folder.path());
    let long = folder.path().join("app/long");
    let mut content = crate::image::compress::samples::text(6 << 20);
    fs::write(&long, &content).unwrap();
    build(folder.path(), "out", &[&plan], 2);
    content.splice(3 << 20..3 << 20, *b"in the middle");
    fs::write(&long, &content).unwrap();
    let again = build(folder.path(), "out", &[&plan], 2).remove(0);
    assert_eq!(again.outcome, Some(LayoutOutcome::Replaced));
    let fresh = build(folder.path(), "fresh", &[&plan], 1).remove(0);
    assert_eq!(again.index, fresh.index);
    assert_eq!(again.roots, fresh.roots);
    fs::remove_dir_all(folder.path().join("out/.wharf")).unwrap();
    let without = build(folder.path(), "out", &[&plan], 3).remove(0);
    assert_eq!((without.index, without.outcome), (fresh.index, Some(LayoutOutcome::Unchanged)));
    let records = fs::read_dir(folder.path().join("out/.wharf")).unwrap().count();
    assert_eq!(records, 2, "one for each layer that a layout has");
    no_staging_is_left(&folder.path().join("out"));
}

#[test]
fn zstd_is_taken_when_asked_for_and_the_roots_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = sample(folder.path());
    let gzip = build(folder.path(), "gzip", &[&plan], 2).remove(0);
    plan.image.compression = crate::offer::model::Compression::Zstd;
    let zstd = build(folder.path(), "zstd", &[&plan], 2).remove(0);
    let layer = |image: &BuiltImage| image.platforms[0].layers[1].clone();
    assert_eq!(layer(&zstd).diff_id, layer(&gzip).diff_id);
    assert_eq!(layer(&zstd).descriptor.media_type, MediaType::OCI_LAYER_ZSTD);
    let codec = |image: &BuiltImage| image.roots[0].annotations["wharf.image.codec"].clone();
    assert!(codec(&gzip).starts_with("gzip/libdeflate/5/"), "{}", codec(&gzip));
    assert!(codec(&zstd).starts_with("zstd/"), "{}", codec(&zstd));
    let layout = Source::open_path(&folder.path().join("zstd/one")).unwrap();
    assert_eq!(check(&layout, NonZeroUsize::MIN, &Limits::default()).faults, []);
}

#[test]
fn a_plan_that_fails_leaves_the_plans_before_it_and_nothing_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (good, mut bad) = (sample(folder.path()), plan("two"));
    bad.image.platforms[1].layers = serde_json::from_str(r#"[{"dir": "nowhere"}]"#).unwrap();
    let out = LayoutFolder::open(&folder.path().join("out")).unwrap();
    let two = NonZeroUsize::new(2).unwrap();
    let mut builder = Builder::new(folder.path(), out.path(), Timestamp::default(), two, &Silent);
    let mut done = Vec::new();
    let mut see = |plan: &PlanImage, _: BuiltImage| done.push(plan.id.to_string());
    let result = builder.build_all(&[&good, &bad], LayoutDestination::Folder(&out), &mut see);
    assert_eq!(result.unwrap_err().to_string(), "plan two, linux/arm64/v8, layer 1");
    assert_eq!(done, ["one"]);
    assert!(folder.path().join("out/one/index.json").exists());
    assert!(!folder.path().join("out/two").exists());
    no_staging_is_left(&folder.path().join("out"));
}

#[test]
fn what_is_not_a_layout_is_not_replaced_and_a_second_writer_waits() {
    let folder = tempfile::tempdir().unwrap();
    let plan = sample(folder.path());
    fs::create_dir_all(folder.path().join("out/one")).unwrap();
    fs::write(folder.path().join("out/one/thesis.txt"), "mine").unwrap();
    let out = LayoutFolder::open(&folder.path().join("out")).unwrap();
    let busy = LayoutFolder::open(&folder.path().join("out")).unwrap_err();
    assert!(matches!(busy, WriteError::Busy { .. }));
    let mut builder =
        Builder::new(folder.path(), out.path(), Timestamp::default(), NonZeroUsize::MIN, &Silent);
    let error = builder.build(&plan, LayoutDestination::Folder(&out)).unwrap_err();
    assert!(matches!(error, BuildError::Write(WriteError::Foreign { .. })), "{error}");
    assert!(folder.path().join("out/one/thesis.txt").exists());
    no_staging_is_left(&folder.path().join("out"));
}

#[test]
fn a_missing_folder_names_plan_platform_and_layer() {
    let folder = tempfile::tempdir().unwrap();
    let plan = sample(folder.path());
    fs::remove_dir_all(folder.path().join("app")).unwrap();
    let out = LayoutFolder::open(&folder.path().join("out")).unwrap();
    let mut builder =
        Builder::new(folder.path(), out.path(), Timestamp::default(), NonZeroUsize::MIN, &Silent);
    let error = builder.build(&plan, LayoutDestination::Folder(&out)).unwrap_err();
    assert_eq!(error.to_string(), "plan one, linux/amd64, layer 2");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("build it first"));
    no_staging_is_left(&folder.path().join("out"));
}

#[test]
fn an_empty_configuration_writes_no_keys() {
    let mut plan = plan("x");
    plan.image.config = ContainerConfig::default();
    let build = &plan.image.platforms[0];
    let described = Described { image: &plan.image, created: Timestamp::default(), revision: None };
    let config = image_config(&described, build, Vec::new());
    let text = serde_json::to_string(&config.config).unwrap();
    assert_eq!(text, r#"{"Labels":{"org.opencontainers.image.version":"1.4.0"}}"#);
}
