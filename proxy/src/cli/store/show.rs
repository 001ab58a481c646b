//! The output of `wharfd store` and `wharfd push`: results on stdout, for people or programs, and
//! one line of progress on stderr for a person who watches.
//!
//! Invariant: stdout has the result and nothing else.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use wharf_proxy::ByteSize;
use wharf_store::Progress;

/// How often the line of progress is drawn.
const DRAW_PERIOD: Duration = Duration::from_millis(100);

/// How a field of a result is shown.
#[derive(Clone, Copy)]
enum Kind {
    Count,
    Bytes,
    /// A word, or bytes, or nothing.
    Limit,
    Yes,
    Path,
}

type Row = (&'static str, &'static str, Kind);

const STATS: &[Row] = &[
    ("format", "format", Kind::Count),
    ("on disk", "disk_bytes", Kind::Bytes),
    ("  in runs", "run_bytes", Kind::Bytes),
    ("  in records", "record_bytes", Kind::Bytes),
    ("limit", "limit_bytes", Kind::Limit),
    ("blobs", "blobs", Kind::Count),
    ("  their bytes", "blob_bytes", Kind::Bytes),
    ("cached blobs", "cached_blobs", Kind::Count),
    ("  their bytes", "cached_bytes", Kind::Bytes),
    ("quarantined blobs", "quarantined_blobs", Kind::Count),
    ("  their bytes", "quarantined_bytes", Kind::Bytes),
    ("uploads", "uploads", Kind::Count),
    ("in memory, in flight", "in_flight_bytes", Kind::Bytes),
    ("in memory, for readers", "hot_bytes", Kind::Bytes),
    ("evicted since start", "evicted_blobs", Kind::Count),
    ("  their bytes", "evicted_bytes", Kind::Bytes),
];
const READ: &[Row] = &[
    ("blobs read", "blobs", Kind::Count),
    ("bytes read", "bytes", Kind::Bytes),
    ("read to the end", "complete", Kind::Yes),
];
const EVICTED: &[Row] = &[
    ("blobs evicted", "blobs", Kind::Count),
    ("their bytes", "bytes", Kind::Bytes),
    ("links removed", "links", Kind::Count),
];
const OWED: &[Row] = &[
    ("pending blobs", "blobs", Kind::Count),
    ("  their bytes", "bytes", Kind::Bytes),
    ("  being sent", "sending", Kind::Count),
    ("  refused", "refused", Kind::Count),
    ("oldest, in seconds", "oldest_seconds", Kind::Count),
];
const GIVEN_UP: &[Row] =
    &[("blobs given up", "blobs", Kind::Count), ("their bytes", "bytes", Kind::Bytes)];
const COPIED: &[Row] = &[
    ("folder", "folder", Kind::Path),
    ("files", "files", Kind::Count),
    ("bytes", "bytes", Kind::Bytes),
];

/// The result as one object of JSON.
pub(super) fn json(result: &Value) {
    print(&format!("{result:#}\n"));
}

/// The result of the command of this name, for people.
pub(super) fn text(name: &str, result: &Value) {
    let rows = match name {
        "stats" => STATS,
        "scrub" | "verify" => READ,
        "evict" => EVICTED,
        "push status" => OWED,
        "push drop" => GIVEN_UP,
        _ => COPIED,
    };
    let mut text = listing(rows, result);
    text.push_str(&damage(result));
    text.push_str(&owing(result));
    print(&text);
}

/// Labels on the left, values in one column.
fn listing(rows: &[Row], result: &Value) -> String {
    let width = rows.iter().map(|(label, _, _)| label.len()).max().unwrap_or(0);
    let line = |(label, field, kind): &Row| {
        format!("{label:width$}  {}\n", value(result.get(field).unwrap_or(&Value::Null), *kind))
    };
    rows.iter().map(line).collect()
}

fn value(value: &Value, kind: Kind) -> String {
    let number = value.as_u64();
    match kind {
        Kind::Count => number.map_or_else(|| "-".to_owned(), |count| count.to_string()),
        Kind::Bytes => number.map_or_else(|| "-".to_owned(), |bytes| ByteSize(bytes).to_string()),
        Kind::Limit => {
            number.map_or_else(|| "none".to_owned(), |bytes| ByteSize(bytes).to_string())
        }
        Kind::Yes => if value.as_bool() == Some(true) { "yes" } else { "no" }.to_owned(),
        Kind::Path => value.as_str().unwrap_or("-").to_owned(),
    }
}

/// Each damage on a line; nothing when there is none or the command looks for none.
fn damage(result: &Value) -> String {
    let Some(found) = result.get("damage").and_then(Value::as_array) else {
        return String::new();
    };
    let word = |damage: &Value, field: &str| {
        damage.get(field).and_then(Value::as_str).map(ToOwned::to_owned)
    };
    let line = |damage: &Value| {
        let what = word(damage, "digest").or_else(|| word(damage, "records")).unwrap_or_default();
        let reason = word(damage, "reason").unwrap_or_default();
        let quarantined = damage.get("quarantined").and_then(Value::as_bool) == Some(true);
        let state = if quarantined { " (in quarantine)" } else { "" };
        format!("damaged: {what}: {reason}{state}\n")
    };
    let mut text: String = found.iter().map(line).collect();
    if let Some(more) = result.get("more_damage").and_then(Value::as_u64).filter(|more| *more > 0) {
        let _ = writeln!(text, "damaged: {more} more");
    }
    if text.is_empty() {
        text.push_str("no damage found\n");
    }
    text
}

/// The pending blobs of each repository, and each refusal; empty for other commands.
fn owing(result: &Value) -> String {
    let list = |field: &str| result.get(field).and_then(Value::as_array).cloned();
    let word = |of: &Value, field: &str| {
        of.get(field).and_then(Value::as_str).map(ToOwned::to_owned).unwrap_or_default()
    };
    let number = |of: &Value, field: &str| of.get(field).and_then(Value::as_u64).unwrap_or(0);
    let mut text = String::new();
    for of in list("repositories").unwrap_or_default() {
        let _ = writeln!(
            text,
            "{} to {}/{}: {} blobs, {}, {} being sent, {} refused, oldest {} s",
            word(&of, "repository"),
            word(&of, "upstream").trim_end_matches('/'),
            word(&of, "there"),
            number(&of, "blobs"),
            ByteSize(number(&of, "bytes")),
            number(&of, "sending"),
            number(&of, "refused"),
            number(&of, "oldest_seconds"),
        );
        if let Some(error) = of.get("last_error").and_then(Value::as_str) {
            let _ = writeln!(text, "  last error: {error}");
        }
    }
    for refusal in list("refusals").unwrap_or_default() {
        let (digest, repository) = (word(&refusal, "digest"), word(&refusal, "repository"));
        let (status, code) = (number(&refusal, "status"), word(&refusal, "code"));
        let reason = word(&refusal, "reason");
        let _ = writeln!(text, "refused: {digest} of {repository}: {status} {code}: {reason}");
    }
    text
}

/// Draws the command's progress until it is over, when a person watches.
pub(super) async fn progress(name: &'static str, mut told: watch::Receiver<Progress>) {
    if !std::io::stderr().is_terminal() || std::env::var_os("CI").is_some() {
        return;
    }
    let mut drawn = false;
    while told.changed().await.is_ok() {
        let now = *told.borrow_and_update();
        draw(&format!("\r\x1b[K{}", progress_line(name, &now)));
        drawn = true;
        tokio::time::sleep(DRAW_PERIOD).await;
    }
    if drawn {
        draw("\r\x1b[K");
    }
}

fn progress_line(name: &str, progress: &Progress) -> String {
    let Progress { done, total, done_bytes, total_bytes } = *progress;
    let (done_size, total_size) = (ByteSize(done_bytes), ByteSize(total_bytes));
    format!("{name}: {done} of {total}, {done_size} of {total_size}")
}

/// A closed pipe is the reader's choice.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn draw(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_result_is_an_aligned_listing() {
        let result = json!({ "blobs": 3, "bytes": 1_572_864, "links": 0 });
        let text = listing(EVICTED, &result);
        assert_eq!(text, "blobs evicted  3\ntheir bytes    1.5 MiB\nlinks removed  0\n");
        let none = listing(STATS, &json!({ "limit_bytes": null }));
        assert!(none.contains("limit                   none\n"), "{none}");
    }

    #[test]
    fn damage_is_listed_and_its_absence_is_said() {
        let found = json!({
            "damage": [
                { "digest": "sha256:ab", "records": null, "reason": "checksum", "quarantined": true },
                { "digest": null, "records": "tags", "reason": "malformed", "quarantined": false },
            ],
            "more_damage": 7,
        });
        assert_eq!(
            damage(&found),
            "damaged: sha256:ab: checksum (in quarantine)\ndamaged: tags: malformed\n\
             damaged: 7 more\n"
        );
        assert_eq!(damage(&json!({ "damage": [], "more_damage": 0 })), "no damage found\n");
        assert_eq!(damage(&json!({ "blobs": 3 })), "");
    }

    #[test]
    fn what_is_owed_is_listed_by_repository_and_refusals_by_blob() {
        let result = json!({
            "repositories": [{
                "repository": "team/web", "upstream": "https://acme.azurecr.io", "there": "web",
                "blobs": 2, "bytes": 1_572_864, "sending": 1, "refused": 1, "oldest_seconds": 7,
                "last_error": "too large",
            }],
            "refusals": [{
                "repository": "team/web", "digest": "sha256:ab", "status": 413,
                "code": "SIZE_INVALID", "reason": "too large",
            }],
        });
        assert_eq!(
            owing(&result),
            "team/web to https://acme.azurecr.io/web: 2 blobs, 1.5 MiB, 1 being sent, 1 refused, \
             oldest 7 s\n  last error: too large\n\
             refused: sha256:ab of team/web: 413 SIZE_INVALID: too large\n"
        );
        assert_eq!(owing(&json!({ "blobs": 3 })), "");
    }

    #[test]
    fn the_fields_that_are_shown_are_fields_of_the_results() {
        let known = |rows: &[Row], result: Value| {
            for (label, field, _) in rows {
                assert!(result.get(field).is_some(), "{label}: no field {field}");
            }
        };
        known(READ, serde_json::to_value(wharf_store::ScrubReport::default()).unwrap());
        known(EVICTED, serde_json::to_value(wharf_store::EvictionReport::default()).unwrap());
        let copied = wharf_store::CopyReport { folder: "a".into(), files: 1, bytes: 2 };
        known(COPIED, serde_json::to_value(copied).unwrap());
        let line = progress_line("scrub", &Progress { done: 1, total: 2, ..Progress::default() });
        assert_eq!(line, "scrub: 1 of 2, 0 B of 0 B");
    }
}
