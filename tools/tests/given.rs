//! What is given to `wharf verify` besides images: reports of scanners, the state of the registry and
//! waivers, each as scripts give it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const OFFER: &str = r#"version: 1
publisher: harbourside
offer: { id: lantern, alias: Lantern, registry: here }
registries:
  here:
    loginServer: harbourside.azurecr.io
    azure:
      subscriptionId: 3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386
      resourceGroup: lights
      registryName: harbourside
    credentials: { username: { env: LAMP_USER }, password: { env: LAMP_PASSWORD } }
listing:
  title: Lantern
  searchSummary: A light that says when it burns.
  shortDescription: A light for containers.
  description: <p>A light.</p>
  privacyPolicy: https://harbourside.dev/privacy
  supportUrl: https://harbourside.dev/support
  contacts:
    support: { name: Help, email: help@harbourside.dev, phone: "+1 206 555 0100" }
    engineering: { name: Work, email: work@harbourside.dev, phone: "+1 206 555 0101" }
  logos: { large: logo.png }
legal: { standardContract: true }
properties: { categories: { containers: [container-images] } }
preview: { subscriptions: [{ id: 3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386 }] }
plans:
  - id: lamp
    name: Lamp
    summary: The lamp.
    description: <p>The lamp.</p>
    licence: byol
    image:
      repository: lantern/lamp
      version: "1.0.0"
      platforms: [{ platform: linux/amd64, layers: [{ dir: root }] }]
      config: { cmd: [/lamp], user: "7:7" }
"#;

const REPORTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reports");

/// An offer with its packaged image, and files beside it.
struct Publisher {
    folder: tempfile::TempDir,
    manifest: String,
    config: String,
}

impl Publisher {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        fs::write(folder.path().join("root/lamp"), "light").unwrap();
        fs::write(folder.path().join("offer.yaml"), OFFER).unwrap();
        let mut publisher = Self { folder, manifest: String::new(), config: String::new() };
        assert_eq!(publisher.run(&["package", "offer.yaml", "-q"]).status.code(), Some(0));
        let read = |digest: &str| -> Value {
            let blob =
                publisher.path("out/lamp/blobs/sha256").join(digest.trim_start_matches("sha256:"));
            serde_json::from_slice(&fs::read(blob).unwrap()).unwrap()
        };
        let index: Value =
            serde_json::from_slice(&fs::read(publisher.path("out/lamp/index.json")).unwrap())
                .unwrap();
        let mut manifest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
        if let Some(child) = read(&manifest)["manifests"][0]["digest"].as_str() {
            child.clone_into(&mut manifest);
        }
        let config = read(&manifest)["config"]["digest"].as_str().unwrap().to_owned();
        (publisher.manifest, publisher.config) = (manifest, config);
        publisher
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        command.args(arguments).current_dir(self.folder.path());
        command.env_remove("WHARF_OUTPUT_FORMAT").env("DOCKER_CONFIG", self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn run_with(&self, arguments: &[&str], stdin: &[u8]) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        child.wait_with_output().unwrap()
    }

    /// A report of `tests/reports`, said of this image.
    fn report(&self, name: &str) -> String {
        let text = fs::read_to_string(format!("{REPORTS}/{name}")).unwrap();
        let hex = |byte: &str| byte.repeat(32);
        text.replace(&format!("sha256:{}", hex("c0")), &self.config)
            .replace(&format!("sha256:{}", hex("a0")), &self.manifest)
            .replace(&format!("sha256%3A{}", hex("a0")), &self.manifest.replace(':', "%3A"))
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The rules with their severities and whether they are waived, and the exit code.
    fn verify(&self, arguments: &[&str]) -> (Value, Option<i32>) {
        let all = [&["verify", "out/lamp", "--output-format", "json", "-q"], arguments].concat();
        let output = self.run(&all);
        let value: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        (value["result"].clone(), output.status.code())
    }
}

/// The vulnerabilities that block, and those of them that are waived.
fn blocking(result: &Value) -> (Vec<&str>, Vec<&str>) {
    let found = result["findings"].as_array().unwrap().iter().filter(|at| at["rule"] == "IMG-020");
    let (waived, open): (Vec<&Value>, Vec<&Value>) =
        found.partition(|at| at.get("waived").is_some());
    let ids = |found: Vec<&'_ Value>| -> Vec<String> {
        found
            .iter()
            .map(|at| at["vulnerability"]["id"].as_str().unwrap_or("?").to_owned())
            .collect()
    };
    let keep = |ids: Vec<String>| ids.into_iter().map(|id| &*id.leak()).collect();
    (keep(ids(open)), keep(ids(waived)))
}

fn said(output: &Output) -> String {
    [output.stdout.as_slice(), &output.stderr].concat().iter().map(|c| char::from(*c)).collect()
}

#[test]
fn each_form_of_a_report_blocks_the_image_that_it_names() {
    let publisher = Publisher::new();
    for (name, open, waived) in [
        ("trivy.json", vec!["CVE-2026-10001", "CVE-2026-10005"], vec!["CVE-2026-10006"]),
        ("grype.json", vec!["CVE-2026-10001", "GHSA-aaaa-bbbb-cccc"], vec!["CVE-2026-10006"]),
        ("trivy.sarif", vec!["CVE-2026-10001"], vec![]),
        (
            "cyclonedx.json",
            vec!["CVE-2026-10001", "CVE-2026-10007", "CVE-2026-10005"],
            vec!["CVE-2026-10006"],
        ),
        // It names no digest, and does not say what its numbers are.
        ("grype.sarif", vec!["CVE-2026-10001"], vec![]),
    ] {
        publisher.write(name, &publisher.report(name));
        let (result, exit) = publisher.verify(&["--scan", name, "--report-max-age", "36500"]);
        assert_eq!(exit, Some(1), "{name}");
        assert_eq!(blocking(&result), (open, waived), "{name}");
    }
    let (result, _) = publisher.verify(&[]);
    let gap =
        &result["notLookedAt"].as_array().unwrap().iter().find(|at| at["gap"] == "scannerReport");
    let gap = gap.unwrap();
    assert_eq!(gap["images"], json!(["out/lamp linux/amd64"]));
    assert!(gap["how"].as_str().unwrap().contains("--scan FILE"));
}

#[test]
fn a_report_of_another_image_is_an_error_and_an_old_one_a_warning() {
    let publisher = Publisher::new();
    let other = format!("{REPORTS}/trivy.json");
    let (result, exit) = publisher.verify(&["--scan", &other]);
    let found = result["findings"].as_array().unwrap();
    let wrong = found.iter().find(|at| at["rule"] == "IMG-021").unwrap();
    assert_eq!((exit, &wrong["severity"]), (Some(1), &json!("error")));
    let message = wrong["message"].as_str().unwrap();
    assert!(message.contains(&"c0".repeat(32)) && message.contains(&publisher.config), "{message}");
    publisher
        .write("old.json", &publisher.report("grype.json").replace("2026-11-20", "2021-11-20"));
    let (result, _) = publisher.verify(&["--scan", "old.json"]);
    let found = result["findings"].as_array().unwrap();
    let old = found.iter().find(|at| at["rule"] == "IMG-021").unwrap();
    assert_eq!(old["severity"], "warning");
    assert!(old["message"].as_str().unwrap().contains("30 is the most"), "{old}");
}

#[test]
fn verdicts_and_waivers_take_findings_over_and_are_shown() {
    let publisher = Publisher::new();
    publisher.write("trivy.json", &publisher.report("trivy.json"));
    publisher.write("vex.json", &publisher.report("vex.json"));
    let later = wharf_tools::clock::now().unix_seconds() + 30 * 24 * 3600;
    let day = wharf_oci::Timestamp::from_unix_seconds(later).unwrap().day().to_string();
    let waiver = |id: &str, day: &str| {
        format!("  - {{ rule: IMG-020, vulnerability: {id}, reason: Not ours., expires: {day} }}\n")
    };
    let waivers = format!("version: 1\nwaivers:\n{}", waiver("CVE-2026-10005", &day));
    publisher.write("waivers.yaml", &waivers);
    let given = ["--scan", "trivy.json", "--scan", "vex.json", "--waivers", "waivers.yaml"];
    let (result, _) = publisher.verify(&given);
    let (open, mut taken_over) = blocking(&result);
    taken_over.sort_unstable();
    assert_eq!(open, Vec::<&str>::new());
    assert_eq!(taken_over, ["CVE-2026-10001", "CVE-2026-10005", "CVE-2026-10006"]);
    assert_eq!(result["summary"]["waived"], 3);
    assert_eq!(result["outcomes"]["IMG-020"], "waived");

    let expired = waiver("CVE-2026-10005", "2024-01-31");
    let waivers = format!("version: 1\nwaivers:\n{expired}{}", waiver("CVE-2026-99999", &day));
    publisher.write("waivers.yaml", &waivers);
    let arguments = [&["verify", "out/lamp", "-q"], given.as_slice()].concat();
    let output = publisher.run(&arguments);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("waivers.yaml:3:") && said.contains("warning[WVR-001]"), "{said}");
    assert!(said.contains("waivers.yaml:4:") && said.contains("warning[WVR-002]"), "{said}");
    assert!(said.contains("error[IMG-020]: CVE-2026-10005"), "{said}");
}

fn azure(changes: &[(&str, Value)]) -> String {
    let mut state = json!({
        "name": "harbourside", "loginServer": "harbourside.azurecr.io", "adminUserEnabled": true,
        "type": "Microsoft.ContainerRegistry/registries", "sku": { "name": "Standard" },
        "resourceGroup": "lights", "provisioningState": "Succeeded", "publicNetworkAccess": "Enabled",
        "policies": { "quarantinePolicy": { "status": "disabled" } },
    });
    for (key, value) in changes {
        state[*key] = value.clone();
    }
    state.to_string()
}

#[test]
fn the_state_of_the_registry_is_judged_by_verify_and_by_lint() {
    let publisher = Publisher::new();
    publisher.write("logo.png", "no picture");
    publisher.write("acr.json", &azure(&[("adminUserEnabled", json!(false))]));
    for command in
        [["verify", "--offer", "offer.yaml"].as_slice(), &["offer", "lint", "offer.yaml"]]
    {
        let given = ["--registry-state", "acr.json", "--output-format", "json", "-q"];
        let output = publisher.run(&[command, &given].concat());
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        let found = value["result"]["findings"].as_array().unwrap();
        let admin = found.iter().find(|at| at["rule"] == "REG-001").unwrap();
        assert_eq!((&admin["severity"], &admin["line"]), (&json!("error"), &json!(5)), "{admin}");
        assert!(found.iter().all(|at| at["rule"] != "REG-015"));
    }
    // The list of several registries, through stdin.
    let list = format!("[{},{}]", azure(&[("name", json!("other"))]), azure(&[]));
    let command =
        ["offer", "lint", "offer.yaml", "--output-format", "json", "--registry-state", "-"];
    let output = publisher.run_with(&command, list.as_bytes());
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["result"]["outcomes"]["REG-001"], "passed");
}

#[test]
fn what_cannot_be_used_ends_with_exit_code_2_and_says_what_to_do() {
    let publisher = Publisher::new();
    publisher.write("logo.png", "no picture");
    publisher.write("bom.json", r#"{"spdxVersion": "SPDX-2.3"}"#);
    publisher.write("bad.json", r#"{"matches": 7, "descriptor": {}}"#);
    publisher.write("other.json", &azure(&[("name", json!("other"))]));
    publisher.write("table.txt", "NAME  LOCATION\n");
    publisher.write(
        "bad.yaml",
        "version: 1\nwaivers:\n  - { rule: X, reason: \"\", expires: 2026-12-31 }\n",
    );
    assert!(Command::new("mkfifo").arg(publisher.path("pipe")).status().unwrap().success());
    let scan = ["verify", "out/lamp", "--scan"];
    let state = ["offer", "lint", "offer.yaml", "--registry-state"];
    let waivers = ["offer", "lint", "offer.yaml", "--waivers"];
    for (start, file, words) in [
        (scan.as_slice(), "gone.json", "cannot read the report gone.json"),
        (&scan, "bom.json", "bom.json is an SPDX list"),
        (&scan, "bad.json", "begins as a report of Grype and cannot be read on: invalid type"),
        (&scan, "out", "a folder"),
        (&scan, "pipe", "a pipe"),
        (&state, "gone.json", "cannot read the state gone.json"),
        (
            &state,
            "other.json",
            "has the state of `other`, and the offer publishes from `harbourside`",
        ),
        (&state, "table.txt", "az acr show --name NAME --output json"),
        (&state, "pipe", "a pipe"),
        (&waivers, "gone.yaml", "cannot read the waivers gone.yaml"),
        (&waivers, "bad.yaml", "bad.yaml:3:"),
        (&waivers, "pipe", "a pipe"),
    ] {
        let output = publisher.run(&[start, &[file]].concat());
        let text = said(&output);
        assert_eq!(output.status.code(), Some(2), "{file}: {text}");
        assert!(text.contains(words), "{file}: {text}");
    }
    let twice = ["verify", "out/lamp", "--scan", "-", "--waivers", "-"];
    let output = publisher.run(&twice);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("only once"), "{}", said(&output));
    let output = publisher.run(&["verify", "out/lamp", "--registry-state", "acr.json"]);
    assert_eq!(output.status.code(), Some(2), "a state is of the registry of an offer");
}

#[test]
fn what_a_report_names_reaches_no_terminal_unchanged() {
    let publisher = Publisher::new();
    let hostile = publisher.report("trivy.json").replace("liblight2", "lib\\u001b[31mred\\u202e");
    let output = publisher.run_with(&["verify", "out/lamp", "--scan", "-"], hostile.as_bytes());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("CVE-2026-10001"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
}
