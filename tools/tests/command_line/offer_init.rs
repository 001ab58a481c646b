//! `wharf offer init` as scripts see it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Publisher, error_of};

/// The files of a folder and of those below, in order.
fn files(folder: &Path) -> Vec<String> {
    fn look(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, root, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    look(folder, folder, &mut found);
    found.sort();
    found
}

#[test]
fn an_offer_that_was_begun_is_silent_for_both_kinds_and_profiles() {
    let publisher = Publisher::new();
    for kind in ["kubernetes", "image"] {
        let title = "Lantern: \"bright\" {#1}";
        let begun = publisher.run(&[
            "offer",
            "init",
            kind,
            "--yes",
            "--publisher",
            "harbourside",
            "--kind",
            kind,
            "--title",
            title,
            "--email",
            "help@harbourside.dev",
            "--output-format",
            "json",
        ]);
        let said = String::from_utf8_lossy(&begun.stderr).into_owned();
        assert_eq!(begun.status.code(), Some(0), "{said}");
        let result: Value = serde_json::from_slice(&begun.stdout).unwrap();
        let written = result["result"]["written"].as_array().unwrap();
        assert_eq!(written[0], "offer.yaml");
        assert_eq!(written.len(), files(&publisher.path(kind)).len());
        assert_eq!(result["result"]["findings"], 0);
        for profile in ["strict", "lenient"] {
            let offer = format!("{kind}/offer.yaml");
            let arguments = ["offer", "lint", &offer, "--profile", profile, "--fail-on", "warning"];
            let lint = publisher.run(&[&arguments[..], &["--output-format", "json"]].concat());
            let text = String::from_utf8_lossy(&lint.stdout).into_owned();
            assert_eq!(lint.status.code(), Some(0), "{text}");
            let report: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(report["result"]["findings"].as_array().unwrap().len(), 0, "{text}");
        }
        let text = fs::read_to_string(publisher.path(kind).join("offer.yaml")).unwrap();
        assert!(text.contains("title: \"Lantern: \\\"bright\\\" {#1}\""), "{text}");
    }
}

#[test]
fn without_a_terminal_every_missing_flag_is_named_and_nothing_is_written() {
    let publisher = Publisher::new();
    let output = publisher.run(&["offer", "init", "new", "--output-format", "json"]);
    assert_eq!(output.status.code(), Some(2));
    let error = error_of(&output);
    assert_eq!(error["command"], "offer init");
    let message = error["error"]["message"].as_str().unwrap();
    for flag in ["--publisher", "--registry", "--subscription-id", "--phone", "--yes"] {
        assert!(message.contains(flag), "{flag}: {message}");
    }
    let output = publisher.run(&["offer", "init", "new", "--yes", "--publisher", "not an ID"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--publisher: "));
    assert!(!publisher.path("new").exists());
}

#[test]
fn an_offer_that_is_there_is_replaced_only_when_asked() {
    let publisher = Publisher::new();
    let before = fs::read(publisher.path("offer.yaml")).unwrap();
    let arguments = ["offer", "init", "--yes", "--publisher", "harbourside"];
    let output = publisher.run(&arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("offer.yaml is there already") && said.contains("--force"), "{said}");
    assert_eq!(fs::read(publisher.path("offer.yaml")).unwrap(), before);
    assert_eq!(files(publisher.folder.path()), ["offer.yaml", "root/lamp"]);
    let output = publisher.run(&[&arguments[..], &["--force"]].concat());
    assert_eq!(output.status.code(), Some(0));
    assert_ne!(fs::read(publisher.path("offer.yaml")).unwrap(), before);
    let named = publisher.run(&["offer", "init", "other.yml", "--yes", "--publisher", "a", "-q"]);
    assert_eq!(named.status.code(), Some(0), "{}", String::from_utf8_lossy(&named.stderr));
    assert!(publisher.path("other.yml").exists() && named.stderr.is_empty());
}

#[test]
fn a_login_in_a_remote_is_in_no_file_and_no_message() {
    let publisher = Publisher::new();
    fs::create_dir(publisher.path(".git")).unwrap();
    let config =
        "[remote \"origin\"]\nurl = https://bob:s3cret@github.com/harbourside/lantern.git\n";
    fs::write(publisher.path(".git/config"), config).unwrap();
    let output = publisher.run(&["offer", "init", "new", "--yes", "-v"]);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("--publisher harbourside") && said.contains("origin"), "{said}");
    let mut all = said;
    for file in files(&publisher.path("new")) {
        all += &String::from_utf8_lossy(&fs::read(publisher.path("new").join(file)).unwrap());
    }
    assert!(all.contains("https://github.com/harbourside/lantern"));
    assert!(!all.contains("s3cret") && !all.contains("bob"));
}
