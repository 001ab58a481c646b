//! SARIF 2.1.0, for pages of code scanning.
//!
//! Every result is a finding. SARIF has results for inapplicable rules, too, but pages show each
//! result as an alert, of any kind; the outcomes of the other rules are in the properties of the
//! run, and the missing inputs among its notifications.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::frame::Frame;
use super::{Omission, links};
use crate::rules::{Finding, Rule};
use crate::shown::visible;

/// How many results GitHub takes of one run.
const RESULTS_MAX: usize = 25_000;

/// The name a path from the root of the repository is relative to; pages know it by this name.
const ROOT: &str = "%SRCROOT%";

pub(super) fn write(frame: &Frame<'_>) -> io::Result<String> {
    let mut text = serde_json::to_string_pretty(&log(frame))?;
    text.push('\n');
    Ok(text)
}

fn log(frame: &Frame<'_>) -> Value {
    let report = frame.report;
    let rules: Vec<&Rule> = report.rules().map(|(rule, _)| rule).collect();
    let mut seen = BTreeMap::new();
    let shown = report.findings.iter().take(RESULTS_MAX);
    let results: Vec<Value> =
        shown.map(|finding| result(finding, frame, &rules, &mut seen)).collect();
    let mut notes: Vec<Value> = report.not_looked_at.iter().map(unlooked).collect();
    if let Some(left) = report.findings.len().checked_sub(RESULTS_MAX).filter(|left| *left > 0) {
        notes.push(notification(&format!("{left} more findings are left out"), "warning"));
    }
    let unread = report.unread.iter().map(|unread| {
        let text = format!("not read: {}: {}", visible(&unread.target), visible(&unread.error));
        notification(&text, "error")
    });
    let unread: Vec<Value> = unread.collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "wharf",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
            }},
            "automationDetails": { "id": format!("wharf {}/", frame.command) },
            "columnKind": "unicodeCodePoints",
            // Where it is, is the reader's to know: no path of this machine stands here.
            "originalUriBaseIds": { ROOT: {
                "description": { "text": "The root of the repository." },
            }},
            "invocations": [{
                "executionSuccessful": report.unread.is_empty(),
                "toolExecutionNotifications": unread,
                "toolConfigurationNotifications": notes,
            }],
            "results": results,
            "properties": { "outcomes": report.outcomes },
        }],
    })
}

fn unlooked(missing: &Omission) -> Value {
    let Omission { what, how, rules, .. } = missing;
    notification(&format!("not looked at: {what} ({}). {how}", rules.join(", ")), "note")
}

fn notification(text: &str, level: &str) -> Value {
    json!({ "level": level, "message": { "text": text } })
}

fn descriptor(rule: &Rule) -> Value {
    let page = links::page(rule);
    let group = rule.id.split('-').next().unwrap_or_default();
    json!({
        "id": rule.id,
        "shortDescription": { "text": rule.title },
        "fullDescription": { "text": rule.why },
        "helpUri": page,
        "help": {
            "text": format!("{}\nSource: {}", rule.fix, rule.source),
            "markdown": format!("{}\n\n**Fix:** {}\n\n[{}]({page})", rule.why, rule.fix, rule.source),
        },
        "defaultConfiguration": { "level": rule.severity.as_str() },
        "properties": { "tags": ["container", "marketplace", group] },
    })
}

/// A result without a line is about an image, no file of a repository: its first line is given,
/// because pages show only results with a place.
fn result(
    finding: &Finding,
    frame: &Frame<'_>,
    rules: &[&Rule],
    seen: &mut BTreeMap<String, usize>,
) -> Value {
    let place = &finding.place;
    // SARIF 2.1.0 §3.27.9 and §3.27.10: an undecided result is `open`, and has no level.
    let (kind, level) =
        if finding.not_proven { ("open", "none") } else { ("fail", finding.severity.as_str()) };
    let (line, column) = (place.line.unwrap_or(1), place.column.unwrap_or(1));
    let mut region = json!({ "startLine": line, "startColumn": column });
    if let (Some(width), Some(region)) = (place.width, region.as_object_mut()) {
        region.insert("endColumn".to_owned(), json!(column + width));
    }
    if let (Some(snippet), Some(region)) = (&place.snippet, region.as_object_mut()) {
        region.insert("snippet".to_owned(), json!({ "text": visible(snippet) }));
    }
    let fingerprint = fingerprint(finding, seen);
    let mut result = json!({
        "ruleId": finding.rule,
        "kind": kind,
        "level": level,
        "message": { "text": format!("{}. Fix: {}", visible(&finding.message), finding.fix) },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": artifact(&frame.root.relative(&place.file)),
                "region": region,
            },
            "logicalLocations": logical(finding),
        }],
        // GitHub tells alerts apart by the first.
        "partialFingerprints": {
            "primaryLocationLineHash": fingerprint,
            "wharf/v2": fingerprint,
        },
    });
    // SARIF 2.1.0 §3.27.23: once one result says whether it is suppressed, all of them do.
    if frame.report.summary.waived > 0
        && let Some(result) = result.as_object_mut()
    {
        result.insert("suppressions".to_owned(), suppressions(finding));
    }
    let index = rules.iter().position(|rule| rule.id == finding.rule);
    if let (Some(index), Some(result)) = (index, result.as_object_mut()) {
        result.insert("ruleIndex".to_owned(), json!(index));
    }
    result
}

/// The waiver is in a file, not in the source (SARIF 2.1.0 §3.35).
fn suppressions(finding: &Finding) -> Value {
    let suppression = finding.waived.iter().map(|waived| {
        json!({
            "kind": "external",
            "status": "accepted",
            "justification": visible(&waived.words()),
        })
    });
    suppression.collect()
}

/// A path out of the repository has no base.
fn artifact(path: &str) -> Value {
    if path.starts_with('/') {
        return json!({ "uri": format!("file://{}", uri(path)) });
    }
    json!({ "uri": uri(path), "uriBaseId": ROOT })
}

/// Where in the offer and in the image.
fn logical(finding: &Finding) -> Vec<Value> {
    let place = &finding.place;
    let mut places = Vec::new();
    if let Some(key) = place.key.as_ref().filter(|key| !key.is_empty()) {
        places.push(json!({ "fullyQualifiedName": visible(key), "kind": "property" }));
    }
    let Some(image) = &place.image else { return places };
    let mut name = visible(image);
    if let Some(layer) = &place.layer {
        let _ = write!(name, " layer {} {}", layer.number, layer.digest);
    }
    if let Some(path) = &place.path {
        let _ = write!(name, " {}", visible(path));
    }
    if place.platforms.is_empty() {
        places.push(json!({ "fullyQualifiedName": name, "kind": "resource" }));
    }
    for platform in &place.platforms {
        let name = format!("{name} ({})", visible(platform));
        places.push(json!({ "fullyQualifiedName": name, "kind": "resource" }));
    }
    places
}

/// The constant part of a fault: the rule, the place by names instead of numbers, and the message
/// without digests, for digests change with every build. The same again is counted.
fn fingerprint(finding: &Finding, seen: &mut BTreeMap<String, usize>) -> String {
    let place = &finding.place;
    let key = place.key.as_deref().unwrap_or_default();
    let key = match (&place.plan, key.split_once(']')) {
        (Some(plan), Some((_, rest))) if key.starts_with("plans[") => {
            format!("plans[{plan}]{rest}")
        }
        _ => key.to_owned(),
    };
    let path = place.path.as_deref().unwrap_or_default();
    // Scores, versions and mended versions of a vulnerability change with every list of them.
    let what = match &place.vulnerability {
        Some(affected) => format!("{} in {}", affected.id, affected.package),
        None => without_digests(&finding.message),
    };
    let parts = [finding.rule, &key, path, &what];
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut text = String::new();
    for byte in hash.finalize().iter().take(8) {
        let _ = write!(text, "{byte:02x}");
    }
    let number = seen.entry(text.clone()).or_insert(0);
    *number += 1;
    format!("{text}:{number}")
}

/// The text without the characters behind the name of an algorithm.
fn without_digests(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(':') {
        kept.push_str(before);
        kept.push(':');
        let is_digest = before.ends_with("sha256") || before.ends_with("sha512");
        rest = if is_digest {
            after.trim_start_matches(|c: char| c.is_ascii_hexdigit())
        } else {
            after
        };
    }
    kept.push_str(rest);
    kept
}

/// A path as a relative URI reference (RFC 3986 §4.2).
fn uri(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        if plain {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}
