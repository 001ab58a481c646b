#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::image::config::{History, RootFs, RuntimeConfig};

const BASE: &str = r#"{
    "created": "2020-02-02T00:00:00Z", "author": "someone", "architecture": "arm64", "os": "linux",
    "variant": "v8", "os.features": ["x"], "docker_version": "20", "big": 18446744073709551615,
    "config": {
        "User": "5:5", "Env": ["PATH=/bin", "A=1", "C", "A=0"], "Cmd": ["/bin/old"],
        "Entrypoint": ["/bin/start"], "ArgsEscaped": true, "Volumes": {"/a": {}}, "ExposedPorts": null,
        "WorkingDir": "/w", "Labels": {"k": "base", "own": "base"}, "StopSignal": "SIGINT",
        "Healthcheck": {"Test": ["CMD", "x"], "Interval": 5000000000}, "OnBuild": ["RUN y"], "Shell": ["/s"]
    },
    "rootfs": {"type": "layers", "diff_ids": ["sha256:1111111111111111111111111111111111111111111111111111111111111111"]},
    "history": [{"created_by": "one", "unknown": 3}]
}"#;

fn given(text: &str) -> ContainerConfig {
    serde_json::from_str(text).unwrap()
}

fn own(given: &ContainerConfig) -> ImageConfig {
    ImageConfig {
        created: Some("2026-01-01T00:00:00Z".to_owned()),
        architecture: "arm64".to_owned(),
        os: "linux".to_owned(),
        config: RuntimeConfig {
            user: given.user.clone().unwrap_or_default(),
            entrypoint: given.entrypoint.clone(),
            cmd: given.cmd.clone(),
            labels: given.labels.clone(),
            ..RuntimeConfig::default()
        },
        rootfs: RootFs {
            diff_ids: vec![format!("sha256:{}", "2".repeat(64)).parse().unwrap()],
            ..RootFs::default()
        },
        history: vec![History { created_by: Some("two".to_owned()), ..History::default() }],
        ..ImageConfig::default()
    }
}

fn made(base: &str, text: &str) -> Value {
    let given = given(text);
    serde_json::from_slice(&inherit(base.as_bytes(), &own(&given), &given).unwrap()).unwrap()
}

#[test]
fn what_is_not_said_stays_and_so_does_what_nobody_knows() {
    let made = made(BASE, "{}");
    let base: Value = serde_json::from_str(BASE).unwrap();
    for key in ["author", "variant", "os.features", "docker_version", "big"] {
        assert_eq!(made[key], base[key], "{key}");
    }
    assert_eq!(made["created"], "2026-01-01T00:00:00Z");
    let mut runtime = base["config"].clone();
    runtime.as_object_mut().unwrap().remove("ExposedPorts");
    assert_eq!(made["config"], runtime);
}

#[test]
fn layers_and_history_come_on_top() {
    let made = made(BASE, "{}");
    let ids = made["rootfs"]["diff_ids"].as_array().unwrap();
    assert!(ids[0].as_str().unwrap().contains("111") && ids[1].as_str().unwrap().contains("222"));
    assert_eq!(made["history"][0], json!({"created_by": "one", "unknown": 3}));
    assert_eq!(made["history"][1], json!({"created_by": "two"}));
}

#[test]
fn variables_are_joined_by_name_and_labels_and_volumes_by_key() {
    let made = made(BASE, r#"{"env": {"A": "2", "B": "3"}, "labels": {"own": "mine", "z": "1"}}"#);
    assert_eq!(made["config"]["Env"], json!(["PATH=/bin", "A=2", "C", "B=3"]));
    assert_eq!(made["config"]["Labels"], json!({"k": "base", "own": "mine", "z": "1"}));
    assert_eq!(made["config"]["Volumes"], json!({"/a": {}}));
}

#[test]
fn another_entrypoint_drops_the_arguments_of_the_old_one() {
    let program = made(BASE, r#"{"entrypoint": ["/bin/new"]}"#);
    assert_eq!(program["config"]["Entrypoint"], json!(["/bin/new"]));
    assert_eq!(program["config"]["Cmd"], Value::Null);
    assert_eq!(program["config"]["ArgsEscaped"], Value::Null);
    let arguments = made(BASE, r#"{"cmd": ["-v"], "user": "7"}"#);
    assert_eq!(arguments["config"]["Entrypoint"], json!(["/bin/start"]));
    assert_eq!(arguments["config"]["Cmd"], json!(["-v"]));
    assert_eq!(arguments["config"]["User"], "7");
}

#[test]
fn a_configuration_with_little_in_it_is_enough_and_one_that_is_none_is_refused() {
    let made = made(r#"{"config": null, "history": null}"#, "{}");
    assert_eq!(made["rootfs"]["type"], "layers");
    assert_eq!(made["rootfs"]["diff_ids"].as_array().unwrap().len(), 1);
    let given = given("{}");
    for wrong in ["[]", "{", r#"{"rootfs": {"type": "files"}}"#] {
        assert!(inherit(wrong.as_bytes(), &own(&given), &given).is_err(), "{wrong}");
    }
}
