//! The audit log: the caller, the change, and its result.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::{INDEX, REPO, TYPE, line_with, objects};
use crate::fixture::{Wharfd, command, eventually};

const OTHER: &str = "{\"schemaVersion\":2,\"manifests\":[],\"annotations\":{\"a\":\"b\"}}";

fn log_at(folder: &Path) -> (PathBuf, String) {
    let path = folder.join("audit.log");
    let line = format!("audit_log = \"{}\"\nwrite_once_tags = [\"v*\"]\n", path.display());
    (path, line)
}

/// The lines so far, once there are so many.
async fn lines(path: &Path, count: usize) -> Vec<Value> {
    let look = async || {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Some(objects(whole)).filter(|lines| lines.len() >= count)
    };
    eventually(&format!("{count} lines of the audit log"), look).await
}

/// Pushes twice, is refused, is allowed, deletes.
async fn changes(wharfd: &Wharfd) {
    let put = async |tag: &str, content: &'static str| {
        wharfd.api.put_manifest(REPO, tag, TYPE, content).await.status.as_u16()
    };
    assert_eq!(put("v1", INDEX).await, 201);
    assert_eq!(put("v1", OTHER).await, 409);
    let allow = ["tags", "allow", &format!("{REPO}:v1"), "--reason", "wrong base", "--store"];
    let allow = command(allow.map(str::to_owned)).arg(wharfd.store()).output().unwrap();
    assert!(allow.status.success(), "{allow:?}");
    assert_eq!(put("v1", OTHER).await, 201);
    assert_eq!(put("latest", INDEX).await, 201);
    let gone = wharfd.api.delete(&format!("/v2/{REPO}/manifests/latest")).await;
    assert_eq!(gone.status, 202);
    let unknown = wharfd.api.delete(&format!("/v2/{REPO}/manifests/latest")).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn pushes_deletions_and_overrides_are_written_down() {
    let folder = TempDir::new().unwrap();
    let (path, config) = log_at(folder.path());
    let wharfd = Wharfd::with_config(&config).await;
    changes(&wharfd).await;
    let lines = lines(&path, 9).await;
    let said: Vec<_> = lines
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", text("audit"), text("reference"), text("result"))
        })
        .collect();
    let expected = [
        "push v1 done",
        "refused - -",
        "push v1 refused",
        "granted - -",
        "used - -",
        "push v1 done",
        "push latest done",
        "delete latest done",
        "delete latest refused",
    ];
    assert_eq!(said, expected);
    for line in &lines {
        assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
        assert_eq!(line["repo"], REPO, "{line}");
    }
    let push = &lines[0];
    assert_eq!((&push["client"], &push["caller"]), (&"127.0.0.1".into(), &"-".into()));
    assert!(push["digest"].as_str().unwrap().starts_with("sha256:"), "{push}");
    assert_eq!(lines[3]["reason"], "wrong base");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // They are there and not in the ordinary log too.
    assert!(!wharfd.log().contains("audit="), "{}", wharfd.log());
}

#[tokio::test]
async fn without_a_file_they_are_lines_of_the_ordinary_log() {
    let wharfd = Wharfd::with_config("write_once_tags = [\"v*\"]\n").await;
    changes(&wharfd).await;
    line_with(&wharfd, &["audit=\"push\"", "reference=\"v1\"", "result=\"refused\""]).await;
    line_with(&wharfd, &["audit=\"delete\"", "result=\"done\"", "caller=\"-\""]).await;
    line_with(&wharfd, &["audit=\"used\"", "wrong base"]).await;
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_begun_anew_on_sighup() {
    let folder = TempDir::new().unwrap();
    let (path, config) = log_at(folder.path());
    let mut wharfd = Wharfd::with_config(&config).await;
    assert_eq!(wharfd.api.put_manifest(REPO, "v1", TYPE, INDEX).await.status, 201);
    lines(&path, 1).await;
    let moved = folder.path().join("audit.log.1");
    std::fs::rename(&path, &moved).unwrap();
    wharfd.hang_up();
    let reload = lines(&path, 1).await;
    assert_eq!((&reload[0]["audit"], &reload[0]["result"]), (&"reload".into(), &"done".into()));
    assert_eq!(wharfd.api.put_manifest(REPO, "v2", TYPE, INDEX).await.status, 201);
    assert_eq!(lines(&path, 2).await[1]["reference"], "v2");
    assert_eq!(lines(&moved, 1).await.len(), 1);
}

#[tokio::test]
async fn a_full_disk_is_reported_once_and_holds_nobody_up() {
    let wharfd = Wharfd::with_config("audit_log = \"/dev/full\"\n").await;
    for number in 0..5 {
        let tag = format!("t{number}");
        assert_eq!(wharfd.api.put_manifest(REPO, &tag, TYPE, INDEX).await.status, 201);
    }
    wharfd.metric_reaches("wharfd_audit_lost_lines_total", 5).await;
    assert_eq!(wharfd.log().matches("the audit log is not written").count(), 1);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_refused_at_the_start() {
    let folder = TempDir::new().unwrap();
    let mut arguments = vec!["serve".to_owned(), "--config".to_owned()];
    let config = folder.path().join("wharfd.toml");
    let text = format!(
        "listen = \"127.0.0.1:0\"\nstore = \"{}\"\naudit_log = \"/none/audit.log\"\n",
        folder.path().join("store").display()
    );
    std::fs::write(&config, text).unwrap();
    arguments.push(config.display().to_string());
    let refused = command(arguments).output().unwrap();
    assert_eq!(refused.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("/none/audit.log"));
}
