#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::configuration::VERSION_KEY;
use super::*;
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

/// A plan with two platforms that share a layer, and the folders that it names.
fn sample(folder: &Path) -> Plan {
    for (dir, name) in [("base", "lib"), ("app", "bin")] {
        fs::create_dir_all(folder.join(dir).join(name)).unwrap();
        let file = folder.join(dir).join(name).join("file");
        fs::write(&file, name.repeat(100_000)).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    plan("one")
}

fn plan(id: &str) -> Plan {
    let mut image: Image = serde_json::from_str(IMAGE).unwrap();
    let platforms: Vec<Platform> =
        image.platforms.iter().map(PlatformBuild::full_platform).collect();
    image.expanded_tags = image.tags.expand(&image.version, &platforms).unwrap();
    let json = serde_json::json!({
        "id": id, "name": "n", "summary": "s", "description": "d", "licence": "free",
        "image": {"repository": "a/b", "version": "1.0", "platforms": [
            {"platform": "linux/amd64", "layers": [{"dir": "base"}]}]},
    });
    let mut plan: Plan = serde_json::from_value(json).unwrap();
    plan.image = image;
    plan
}

fn build(folder: &Path, out: &str, plans: &[&Plan], jobs: usize) -> Vec<BuiltImage> {
    let out = LayoutFolder::open(&folder.join(out)).unwrap();
    let jobs = NonZeroUsize::new(jobs).unwrap();
    let mut builder = Builder::new(folder, Timestamp::default(), jobs);
    plans.iter().map(|plan| builder.build(plan, &out, Finish::Place).unwrap()).collect()
}

fn no_staging_is_left(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(!name.to_string_lossy().starts_with('.'), "{name:?}");
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
    assert_eq!(first.outcome, Some(Outcome::Created));
    let layout = Source::open_path(&one.path().join("out/one")).unwrap();
    let facts = check(&layout, NonZeroUsize::MIN, &Limits::default());
    assert_eq!(facts.faults, []);
    let names: Vec<String> = layout.tags().map(|(tag, _)| tag.to_string()).collect();
    assert_eq!(names, ["1.4.0-linux-amd64", "1.4.0-linux-arm64-v8", "1.4.0", "latest"]);
    assert_eq!(facts.images.len(), 2);
    let config = facts.images[0].config.clone().unwrap();
    assert_eq!(config.config.env, ["A=1", "B=2"]);
    assert!(config.config.exposed_ports.contains_key("80/tcp"));
    assert_eq!(config.config.labels[VERSION_KEY], "1.4.0");
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
    assert_eq!(outcome(), Outcome::Unchanged);
    let blob = built.platforms[0].layers[0].digest.hex();
    let blob = folder.path().join("out/one/blobs/sha256").join(blob);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[20] ^= 1;
    fs::write(&blob, &bytes).unwrap();
    assert_eq!(outcome(), Outcome::Replaced);
    assert!(fs::read(&blob).unwrap() != bytes);
    fs::write(folder.path().join("app/more"), "x").unwrap();
    assert_eq!(outcome(), Outcome::Replaced);
    no_staging_is_left(&folder.path().join("out"));
}

#[test]
fn plans_share_layers_and_a_damaged_shared_layer_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = sample(folder.path());
    let second = plan("two");
    let built = build(folder.path(), "out", &[&first, &second], 2);
    assert_eq!(built[0].index, built[1].index);
    for name in ["one", "two"] {
        let layout = Source::open_path(&folder.path().join("out").join(name)).unwrap();
        assert_eq!(check(&layout, NonZeroUsize::MIN, &Limits::default()).faults, []);
    }
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
    let mut builder = Builder::new(folder.path(), Timestamp::default(), NonZeroUsize::MIN);
    let error = builder.build(&plan, &out, Finish::Place).unwrap_err();
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
    let mut builder = Builder::new(folder.path(), Timestamp::default(), NonZeroUsize::MIN);
    let error = builder.build(&plan, &out, Finish::Place).unwrap_err();
    assert_eq!(error.to_string(), "plan one, linux/amd64, layer 2");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("build it first"));
    no_staging_is_left(&folder.path().join("out"));
}

#[test]
fn an_empty_configuration_writes_no_keys() {
    let mut plan = plan("x");
    plan.image.config = ContainerConfig::default();
    let build = &plan.image.platforms[0];
    let config = image_config(&plan.image, build, Timestamp::default(), Vec::new());
    let text = serde_json::to_string(&config.config).unwrap();
    assert_eq!(text, r#"{"Labels":{"org.opencontainers.image.version":"1.4.0"}}"#);
}
