//! Reports for other programs: `JUnit` XML for pages of test results, SARIF 2.1.0 for code scanning.
//! JSON is the envelope of every command.
//!
//! Invariant: whatever an offer or an image holds, the output is well formed: texts are escaped here
//! and characters that XML forbids are replaced.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::report::Report;
use super::{Finding, Outcome, Rule, Severity};
use crate::cli::ReportFormat;
use crate::output::{self, Paint};

/// The report in a format, complete with its last newline.
pub fn write(report: &Report, command: &str, format: ReportFormat) -> std::io::Result<String> {
    match format {
        ReportFormat::Text => Ok(report.text(Paint::PLAIN)),
        ReportFormat::Json => output::json(command, report),
        ReportFormat::Junit => Ok(junit(report, command)),
        ReportFormat::Sarif => {
            let mut text = serde_json::to_string_pretty(&sarif(report))?;
            text.push('\n');
            Ok(text)
        }
    }
}

/// One test case per rule; a rule with findings of severity error fails, one that could not be
/// decided is skipped, warnings are its output.
fn junit(report: &Report, command: &str) -> String {
    let mut by_rule: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in &report.findings {
        by_rule.entry(finding.rule).or_default().push(finding);
    }
    let mut cases = String::new();
    let (mut failures, mut skipped) = (0, 0);
    for (rule, outcome) in report.rules() {
        let findings = by_rule.get(rule.id).map(Vec::as_slice).unwrap_or_default();
        let name = xml(&format!("{} {}", rule.id, rule.title));
        let _ = write!(cases, "    <testcase classname=\"wharf.{}\" name=\"{name}\"", xml(command));
        let (errors, warnings): (Vec<&Finding>, Vec<&Finding>) = findings
            .iter()
            .partition(|finding| finding.severity == Severity::Error && finding.waived.is_none());
        if findings.is_empty() && outcome == Outcome::NotLookedAt {
            skipped += 1;
            cases.push_str(">\n      <skipped message=\"not looked at\"/>\n    </testcase>\n");
            continue;
        }
        if findings.is_empty() {
            cases.push_str("/>\n");
            continue;
        }
        cases.push_str(">\n");
        if let Some(first) = errors.first() {
            failures += 1;
            let _ = write!(cases, "      <failure message=\"{}\">", xml(&first.message));
            let _ = writeln!(cases, "{}</failure>", xml(&lines(&errors, rule)));
        } else if let Some(open) =
            findings.iter().find(|finding| finding.not_proven && finding.waived.is_none())
        {
            skipped += 1;
            let message = xml(&format!("not proven: {}", open.message));
            let _ = writeln!(cases, "      <skipped message=\"{message}\"/>");
        } else if let (Outcome::Waived, Some(waived)) =
            (outcome, findings.iter().find_map(|finding| finding.waived.as_ref()))
        {
            skipped += 1;
            let message = xml(&format!("waived {}", waived.words()));
            let _ = writeln!(cases, "      <skipped message=\"{message}\"/>");
        }
        if !warnings.is_empty() {
            let _ =
                writeln!(cases, "      <system-out>{}</system-out>", xml(&lines(&warnings, rule)));
        }
        cases.push_str("    </testcase>\n");
    }
    let count = report.outcomes.len();
    let command = xml(command);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites tests=\"{count}\" failures=\"{failures}\">\n  \
         <testsuite name=\"wharf {command}\" tests=\"{count}\" failures=\"{failures}\" errors=\"0\" \
         skipped=\"{skipped}\">\n\
         {cases}  </testsuite>\n</testsuites>\n"
    )
}

fn lines(findings: &[&Finding], rule: &Rule) -> String {
    let mut text = String::new();
    for finding in findings {
        let place = &finding.place;
        let line = place.line.map(|line| format!(":{line}")).unwrap_or_default();
        let waived = if finding.waived.is_some() { "waived: " } else { "" };
        let _ = writeln!(text, "{}{line}: {waived}{}", place.file.display(), finding.message);
    }
    let _ = write!(text, "fix: {}", rule.fix);
    text
}

fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            // XML 1.0 §2.2 has no place for these, not even escaped.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn sarif(report: &Report) -> Value {
    let rules: Vec<Value> = report.rules().map(|(rule, _)| sarif_rule(rule)).collect();
    let results: Vec<Value> = report.findings.iter().map(sarif_result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "wharf",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn sarif_rule(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "shortDescription": { "text": rule.title },
        "fullDescription": { "text": rule.why },
        "help": { "text": format!("{}\nSource: {}", rule.fix, rule.source) },
        "defaultConfiguration": { "level": rule.severity.as_str() },
    })
}

/// A result without a line is about a layout, which is no file of a repository: its first line is
/// given, because code scanning shows only results with a place.
fn sarif_result(finding: &Finding) -> Value {
    let place = &finding.place;
    let message = format!("{}. Fix: {}", finding.message, finding.fix);
    // SARIF 2.1.0 §3.27.9 and §3.27.10: what was not decided is `open`, and has no level.
    let (kind, level) =
        if finding.not_proven { ("open", "none") } else { ("fail", finding.severity.as_str()) };
    let mut result = json!({
        "ruleId": finding.rule,
        "kind": kind,
        "level": level,
        "message": { "text": message },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": uri(&place.file.display().to_string()) },
                "region": {
                    "startLine": place.line.unwrap_or(1),
                    "startColumn": place.column.unwrap_or(1),
                },
            },
        }],
        "partialFingerprints": {
            "wharfPlace/v1": format!(
                "{}:{}:{}",
                finding.rule,
                place.key.as_deref().unwrap_or_default(),
                finding.message,
            ),
        },
    });
    // SARIF 2.1.0 §3.35: who took it over wrote that into a file, not into the source.
    if let (Some(waived), Some(result)) = (&finding.waived, result.as_object_mut()) {
        let suppression = json!({
            "kind": "external",
            "status": "accepted",
            "justification": waived.words(),
        });
        result.insert("suppressions".to_owned(), json!([suppression]));
    }
    result
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::super::{Judgement, Place};
    use super::*;

    fn report() -> Report {
        let place = Place {
            file: "a b/offer.yaml".into(),
            line: Some(7),
            column: Some(3),
            key: Some("offer.id".to_owned()),
            ..Place::default()
        };
        let finding = |rule, severity, message: &str| Finding {
            rule,
            severity,
            message: message.to_owned(),
            not_proven: false,
            fix: "write it",
            waived: None,
            is_damage: false,
            place: place.clone(),
        };
        let findings = vec![
            finding("OFR-001", Severity::Error, "the ID `<&\"\u{1b}` is wrong"),
            finding("OFR-002", Severity::Warning, "it ends with -"),
        ];
        of(findings)
    }

    fn of(findings: Vec<Finding>) -> Report {
        let outcomes = super::super::all().take(4).map(|rule| (rule.id, Outcome::Passed)).collect();
        let judgement = Judgement { findings, outcomes, ..Judgement::default() };
        Report::new(Vec::new(), judgement, Severity::Error)
    }

    #[test]
    fn junit_counts_rules_and_escapes_texts() {
        let report = report();
        let text = write(&report, "offer lint", ReportFormat::Junit).unwrap();
        assert!(text.contains("tests=\"4\" failures=\"1\""), "{text}");
        assert!(text.contains("the ID `&lt;&amp;&quot;\u{fffd}` is wrong"), "{text}");
        assert_eq!(text.matches("<testcase").count(), 4);
        assert_eq!(text.matches("<system-out>").count(), 1);
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn sarif_points_at_the_line_of_the_offer() {
        let report = report();
        let text = write(&report, "offer lint", ReportFormat::Sarif).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let result = &value["runs"][0]["results"][0];
        assert_eq!(result["ruleId"], "OFR-001");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%20b/offer.yaml");
        assert_eq!(place["region"]["startLine"], 7);
        assert_eq!(value["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn what_could_not_be_decided_is_neither_passed_nor_failed_anywhere() {
        let report = report();
        let mut findings = vec![report.findings[1].clone()];
        findings[0].not_proven = true;
        let report = of(findings);
        assert!(!report.summary.passed && report.summary.not_proven == 1);
        let text = write(&report, "verify", ReportFormat::Text).unwrap();
        assert!(text.contains("not proven[OFR-002]"), "{text}");
        assert!(text.ends_with("not proven: 0 errors, 1 warning (4 rules)\n"), "{text}");
        let text = write(&report, "verify", ReportFormat::Junit).unwrap();
        assert!(text.contains("skipped=\"1\""), "{text}");
        assert!(text.contains("<skipped message=\"not proven: it ends with -\"/>"), "{text}");
        let text = write(&report, "verify", ReportFormat::Sarif).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let result = &value["runs"][0]["results"][0];
        assert_eq!((&result["kind"], &result["level"]), (&json!("open"), &json!("none")));
        let text = write(&report, "verify", ReportFormat::Json).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["result"]["summary"]["passed"], false);
        assert_eq!(value["result"]["findings"][0]["notProven"], true);
    }

    #[test]
    fn json_is_the_envelope_and_text_has_no_colour() {
        let report = report();
        let text = write(&report, "offer lint", ReportFormat::Json).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["result"]["summary"]["errors"], 1);
        assert_eq!(value["result"]["findings"][0]["line"], 7);
        let text = write(&report, "offer lint", ReportFormat::Text).unwrap();
        assert!(text.contains("a b/offer.yaml:7:3: error[OFR-001]: "), "{text}");
        assert!(text.ends_with("failed: 1 error, 1 warning (4 rules)\n"), "{text}");
    }
}
