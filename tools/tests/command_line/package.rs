//! `wharf package`: what it says would be made, what it finds other, what it shows on its way, and
//! what it leaves when the disk is full.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::{OFFER, Publisher, finish};

/// A second plan that shares the folder of the first.
const SECOND: &str = "  - id: torch
    name: Torch
    summary: The torch.
    description: <p>The torch.</p>
    licence: byol
    image:
      repository: lantern/torch
      version: \"1.0.0\"
      platforms: [{ platform: linux/amd64, layers: [{ dir: root }, { dir: more }] }]
      config: { cmd: [/lamp], user: \"7:7\" }
";

fn two_plans() -> Publisher {
    let publisher = Publisher::new();
    fs::create_dir(publisher.path("more")).unwrap();
    fs::write(publisher.path("more/oil"), "oil").unwrap();
    fs::write(publisher.path("offer.yaml"), format!("{OFFER}{SECOND}")).unwrap();
    publisher
}

fn result_of(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text:?}"));
    value["result"].clone()
}

fn package(publisher: &Publisher, more: &[&str]) -> (Option<i32>, Value) {
    let arguments = ["package", "offer.yaml", "--output-format", "json"];
    let output = publisher.run(&[&arguments, more].concat());
    (output.status.code(), result_of(&output))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_dry_run_knows_every_digest_and_writes_nothing() {
    let publisher = two_plans();
    let (code, planned) = package(&publisher, &["--dry-run", "--explain"]);
    assert_eq!(code, Some(0));
    assert!(!publisher.path("out").exists());
    assert_eq!(planned["plans"][0]["state"], "wouldCreate");
    let (_, made) = package(&publisher, &[]);
    assert_eq!(made["plans"][0]["state"], "created");
    for plan in [0, 1] {
        let without_state = |result: &Value| {
            let mut plan = result["plans"][plan].clone();
            plan["state"] = json!(null);
            plan
        };
        assert_eq!(without_state(&planned), without_state(&made));
    }
    let attestations = made["plans"][1]["attestations"].as_array().unwrap();
    let of =
        |platform: &Value| attestations.iter().filter(|at| at["platform"] == *platform).count();
    assert_eq!((of(&json!("linux/amd64")), of(&json!(null))), (3, 3), "{made}");
    let index = |at: &&Value| at["platform"].is_null();
    let about = attestations.iter().find(index).unwrap();
    assert_eq!(about["subject"], made["plans"][1]["digest"]);
    let layer = &made["plans"][1]["platforms"][0]["layers"][1];
    assert_eq!((&layer["source"], &layer["codec"]), (&json!("dir more"), &json!("gzip")));
    assert!(layer["diffID"].as_str().unwrap().starts_with("sha256:"));
    assert!(layer["uncompressedBytes"].as_u64().unwrap() > layer["sizeBytes"].as_u64().unwrap());
    assert_eq!(package(&publisher, &["--dry-run"]).1["plans"][0]["state"], "unchanged");
    fs::write(publisher.path("root/lamp"), "brighter").unwrap();
    assert_eq!(package(&publisher, &["--dry-run"]).1["plans"][0]["state"], "wouldReplace");
    // What the run would refuse, it refuses.
    fs::create_dir(publisher.path("mine")).unwrap();
    fs::create_dir(publisher.path("mine/torch")).unwrap();
    let foreign = publisher.run(&["package", "offer.yaml", "--dry-run", "--output", "mine"]);
    assert_eq!(foreign.status.code(), Some(2), "{}", text(&foreign));
}

#[test]
fn a_check_names_what_differs_and_changes_nothing() {
    let publisher = two_plans();
    let (code, missing) = package(&publisher, &["--check"]);
    assert_eq!((code, &missing["plans"][0]["state"]), (Some(1), &json!("missing")));
    assert!(!publisher.path("out").exists());
    package(&publisher, &[]);
    let (code, same) = package(&publisher, &["--check"]);
    assert_eq!((code, &same["plans"][1]["state"]), (Some(0), &json!("same")));
    fs::write(publisher.path("more/oil"), "gas").unwrap();
    let (code, differs) = package(&publisher, &["--check"]);
    assert_eq!(code, Some(1));
    assert_eq!(differs["plans"][0]["state"], "same", "{differs}");
    let difference = &differs["plans"][1]["differences"][0];
    assert_eq!(difference["place"], "oil", "{differs}");
    assert_eq!((&difference["layer"], &difference["platform"]), (&json!(2), &json!("linux/amd64")));
    let said = text(&publisher.run(&["package", "offer.yaml", "--check"]));
    let expected = "plan torch, linux/amd64, layer 2: oil: content differs at byte 0";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("hint: run `wharf package`"), "{said}");
    // Of another state of the offer that changes no image, that is what is said.
    package(&publisher, &[]);
    let offer = fs::read_to_string(publisher.path("offer.yaml")).unwrap();
    let image = "version: \"1.0.0\"\n      platforms";
    assert!(offer.contains(image), "{offer}");
    let tagged = offer.replace(image, "version: \"1.0.0\"\n      tags: [latest]\n      platforms");
    fs::write(publisher.path("offer.yaml"), tagged).unwrap();
    let (_, other) = package(&publisher, &["--check", "--plan", "torch"]);
    let differences = other["plans"][0]["differences"].as_array().unwrap();
    assert!(differences[0]["what"].as_str().unwrap().contains("image part"), "{other}");
    let is_of_an_attestation = |at: &Value| at["what"].as_str().unwrap().contains("in-toto");
    assert!(!differences.iter().any(is_of_an_attestation), "{other}");
    fs::write(publisher.path("offer.yaml"), offer).unwrap();
    // So does one whose attestation is damaged, which is named.
    package(&publisher, &[]);
    let index = fs::read(publisher.path("out/lamp/index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let listed = index["manifests"].as_array().unwrap();
    let said = listed.iter().find(|entry| entry["artifactType"].is_string()).unwrap();
    let hex = said["digest"].as_str().unwrap().trim_start_matches("sha256:");
    fs::write(publisher.path("out/lamp/blobs/sha256").join(hex), "{}").unwrap();
    let (code, damaged) = package(&publisher, &["--check"]);
    assert_eq!((code, &damaged["plans"][0]["state"]), (Some(1), &json!("differs")));
    assert_eq!(damaged["plans"][0]["differences"][0]["what"], "is damaged", "{damaged}");
    // A layout that cannot be read at all differs, too.
    fs::write(publisher.path("out/torch/index.json"), "{").unwrap();
    let (code, damaged) = package(&publisher, &["--check"]);
    assert_eq!((code, &damaged["plans"][1]["state"]), (Some(1), &json!("differs")));
    let what = damaged["plans"][1]["differences"][0]["what"].as_str().unwrap().to_owned();
    assert!(what.contains("index.json"), "{what}");
    assert_eq!(fs::read_to_string(publisher.path("out/torch/index.json")).unwrap(), "{");
}

#[test]
fn sharing_and_costs_are_explained_as_table_json_and_page() {
    let publisher = two_plans();
    let html = ["package", "offer.yaml", "--explain", "--explain-html", "costs.html"];
    let said = text(&publisher.run(&html));
    for expected in ["FIRST PUSH", "Layers of several plans", "dir root", "lamp, torch"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(said.contains("so there is no update"), "{said}");
    assert!(said.contains("ATTESTATIONS") && said.contains("6, "), "{said}");
    let page = fs::read_to_string(publisher.path("costs.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("dir root"));
    fs::write(publisher.path("more/oil"), "gas").unwrap();
    let (_, first) = package(&publisher, &["--explain"]);
    let update = |result: &Value, plan: usize| result["explained"]["plans"][plan]["update"].clone();
    assert_eq!(update(&first, 1)["since"], "inPlace", "{first}");
    assert_eq!(update(&first, 0), json!(null), "nothing was before the first plan's layout");
    // What changed last is explained again, also when nothing changes now.
    let (_, second) = package(&publisher, &["--explain"]);
    assert_eq!(update(&second, 1)["since"], "previous", "{second}");
    assert_eq!(update(&second, 1)["sentBytes"], update(&first, 1)["sentBytes"]);
    let page = publisher.run(&["package", "offer.yaml", "--explain-html", "-"]);
    assert!(text(&page).starts_with("<!DOCTYPE html>"));
    assert!(String::from_utf8_lossy(&page.stderr).contains("unchanged"));
}

/// What a terminal is sent; `None` where there is no `script`.
fn at_a_terminal(publisher: &Publisher, command: &str, ci: Option<&str>) -> Option<String> {
    let line = format!("{} {command}", env!("CARGO_BIN_EXE_wharf"));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(publisher.folder.path());
    script.env("TERM", "xterm").env_remove("CI").envs(ci.map(|ci| ("CI", ci)));
    script.stdin(std::process::Stdio::null());
    let output = script.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_bar_is_drawn_at_a_terminal_and_nowhere_else() {
    let publisher = Publisher::new();
    let large = fs::File::create(publisher.path("root/large")).unwrap();
    large.set_len(96 << 20).unwrap();
    let run = "package offer.yaml";
    let Some(drawn) = at_a_terminal(&publisher, run, None) else { return };
    assert!(drawn.contains("packaging lamp") && drawn.contains("0 of 1 plan done"), "{drawn:?}");
    assert!(drawn.contains("96.0 MiB"), "{drawn:?}");
    for (command, ci) in [
        (run, Some("true")),
        ("package offer.yaml --no-progress", None),
        ("package offer.yaml --quiet", None),
    ] {
        let plain = at_a_terminal(&publisher, command, ci).unwrap();
        assert!(!plain.contains("plan done") && !plain.contains("\u{1b}[2K"), "{plain:?}");
        assert_eq!(plain.contains("packaging lamp"), !command.contains("quiet"), "{plain:?}");
    }
    let output = finish(publisher.start(&["package", "offer.yaml"]));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "packaging lamp\n");
}

#[test]
fn a_second_signal_ends_it_too() {
    let publisher = Publisher::new();
    let large = fs::File::create(publisher.path("root/large")).unwrap();
    large.set_len(64 << 30).unwrap();
    let child = publisher.start(&["package", "offer.yaml"]);
    let child = super::started(child, &publisher.path("out/.wharf/layers.tmp/0"));
    let id = child.id().to_string();
    for _ in 0..2 {
        assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    }
    assert_eq!(finish(child).status.code(), Some(130));
}

/// A small disk over a folder; gone when dropped.
struct Disk<'a>(&'a Path);

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_said_with_what_to_do_and_nothing_is_left() {
    let publisher = Publisher::new();
    let out = publisher.path("out");
    fs::create_dir(&out).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=1m", "wharf-full"];
    let mounted = Command::new("mount").args(mount).arg(&out).output().unwrap();
    if !mounted.status.success() {
        return;
    }
    let _disk = Disk(&out);
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    });
    fs::write(publisher.path("root/large"), noise.take(4 << 20).collect::<Vec<u8>>()).unwrap();
    let output = publisher.run(&["package", "offer.yaml"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("plan lamp, linux/amd64, layer 1"), "{said}");
    assert!(said.contains("No space left") && said.contains("hint: make room"), "{said}");
    let left: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}
