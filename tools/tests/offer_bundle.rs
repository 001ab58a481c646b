//! `wharf offer bundle` as a user runs it, on a copy of the example offer.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DIGEST: &str = "sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945";

struct Publisher(tempfile::TempDir);

impl Publisher {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tidepool-cache");
        copy(&example, folder.path());
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        command.current_dir(self.0.path()).args(["offer", "bundle", "offer.yaml"]).args(words);
        command.output().unwrap()
    }
}

/// Without what `fetch.sh` makes, which is large.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_name() == "build" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn the_folder_of_a_plan_is_laid_out_again_and_never_over_something_else() {
    let publisher = Publisher::new();
    let output = publisher.run(&["--output", "cpa"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let mount = publisher.path("cpa/tidepool-cluster").canonicalize().unwrap();
    assert!(text.contains(&format!("'{}:/data'", mount.display())), "{text}");
    assert!(text.contains("verify") && text.contains("cpa buildbundle"), "{text}");
    assert!(text.contains("--name quayline "), "{text}");
    let manifest = publisher.read("cpa/tidepool-cluster/manifest.yaml");
    assert!(manifest.contains("helmChart: chart\n"), "{manifest}");
    let template = publisher.read("cpa/tidepool-cluster/chart/templates/statefulset.yaml");
    assert_eq!(template, publisher.read("cluster/chart/templates/statefulset.yaml"));
    let record = publisher.read("cpa/tidepool-cluster/.wharf-bundle.json");
    assert_eq!(publisher.run(&["--output", "cpa"]).status.code(), Some(0));
    assert_eq!(publisher.read("cpa/tidepool-cluster/.wharf-bundle.json"), record);
    fs::write(publisher.path("cpa/tidepool-cluster/mine"), "x").unwrap();
    let refused = publisher.run(&["--output", "cpa"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("tidepool-cluster/mine"), "{}", said(&refused));
}

#[test]
fn what_the_rules_refuse_is_not_laid_out() {
    let publisher = Publisher::new();
    let manifest = publisher.read("cluster/manifest.yaml");
    fs::write(
        publisher.path("cluster/manifest.yaml"),
        manifest.replace("version: 1.0.0", "version: 1"),
    )
    .unwrap();
    let output = publisher.run(&["--output", "cpa"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("cluster/manifest.yaml:6"), "{}", said(&output));
    assert!(!publisher.path("cpa").exists());
    let image = publisher.run(&["--plan", "cache-server", "--output", "cpa"]);
    assert_eq!(image.status.code(), Some(2), "{}", said(&image));
}

#[test]
fn what_was_made_is_written_into_the_offer_with_its_comments() {
    let publisher = Publisher::new();
    let before = publisher.read("offer.yaml");
    let repository = "      repository: tidepool/cluster-bundle\n";
    let written = format!("{repository}      version: \"1.0.0\"\n      digest: {DIGEST}\n");
    let output = publisher.run(&["--built", DIGEST]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let after = before.replace(repository, &written);
    let digest_first = before.replace(
        repository,
        &format!("{repository}      digest: {DIGEST}\n      version: \"1.0.0\"\n"),
    );
    let now = publisher.read("offer.yaml");
    assert!(now == after || now == digest_first, "{now}");
    // Again, from what the tool said; nothing changes.
    fs::write(publisher.path("cpa.log"), format!("pushed {DIGEST}\n{DIGEST} done\n")).unwrap();
    let output = publisher.run(&["--built", "cpa.log"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(publisher.read("offer.yaml"), now);
    fs::write(publisher.path("cpa.log"), "nothing").unwrap();
    let refused = publisher.run(&["--built", "cpa.log"]);
    assert!(
        refused.status.code() != Some(0) && said(&refused).contains("no digest"),
        "{}",
        said(&refused)
    );
}
