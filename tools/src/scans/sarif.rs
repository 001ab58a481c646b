//! SARIF 2.1.0, as scanners write it. The meaning of its numbers depends on the tool:
//!
//! - Trivy states `cvssv3_baseScore` and `cvssv3_vector` of the one source it trusts most, and
//!   in `security-severity` the same or a number made from its label.
//! - Others (Grype among them) state only `security-severity`, perhaps CVSS 2, 3 or 4, or a number
//!   made from a label. It decides nothing, and is kept as an unnamed number.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Error, Value};

use wharf_oci::Timestamp;

use super::collect::{Collector, Highest};
use super::cvss::BaseScore;
use super::scan::{ScanKind, ScannedPackage, Score, Vulnerability};
use super::stream::{Few, each};
use super::text::short;

/// How many rules of one run are kept.
const RULES_MAX: usize = 100_000;

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(borrow, default)]
    runs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Run<'a> {
    #[serde(borrow)]
    tool: Tool<'a>,
    #[serde(default)]
    invocations: Few<Invocation>,
    #[serde(borrow, default)]
    results: Option<&'a RawValue>,
    #[serde(default)]
    properties: Option<RunProperties>,
}

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow)]
    driver: Driver<'a>,
}

#[derive(Deserialize)]
struct Driver<'a> {
    #[serde(default)]
    name: String,
    #[serde(borrow, default)]
    rules: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    #[serde(default)]
    end_time_utc: Option<String>,
}

/// Trivy's facts about the image.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunProperties {
    #[serde(default)]
    image_name: Option<String>,
    #[serde(rename = "imageID", default)]
    image_id: Option<String>,
    #[serde(default)]
    repo_digests: Few<String>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(default)]
    id: String,
    #[serde(default)]
    help: Option<Message>,
    #[serde(default)]
    properties: Option<Properties>,
}

#[derive(Deserialize)]
struct Properties {
    /// A number in a text; some write the number itself.
    #[serde(rename = "security-severity", default)]
    security: Option<Value>,
    #[serde(rename = "cvssv3_baseScore", default)]
    v3_score: Option<f64>,
    #[serde(rename = "cvssv3_vector", default)]
    v3_vector: Option<String>,
    #[serde(default)]
    purls: Few<String>,
    #[serde(default)]
    tags: Few<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    #[serde(default)]
    rule_id: Option<String>,
    #[serde(default)]
    rule_index: Option<usize>,
    #[serde(default)]
    rule: Option<RuleReference>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    message: Option<Message>,
    #[serde(default)]
    suppressions: Few<Suppression>,
}

#[derive(Deserialize)]
struct RuleReference {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    index: Option<usize>,
}

#[derive(Deserialize)]
struct Suppression {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    justification: Option<String>,
}

/// A rule's part of all its results.
#[derive(Clone)]
struct Known {
    id: String,
    score: Score,
    purl: String,
    help: String,
    is_vulnerability: bool,
}

pub(super) fn read(text: &str) -> Result<Collector, Error> {
    let report: Report<'_> = serde_json::from_str(text)?;
    let mut collector = Collector::of("");
    collector.kind = ScanKind::Summary;
    each(report.runs, |run: Run<'_>| run_into(&mut collector, run))?;
    Ok(collector)
}

fn run_into(collector: &mut Collector, run: Run<'_>) -> Result<(), Error> {
    if collector.tool.is_empty() {
        collector.tool = run.tool.driver.name;
    }
    let ends = run.invocations.iter().filter_map(|at| at.end_time_utc.as_deref());
    collector.made = collector.made.or(ends.filter_map(Timestamp::from_rfc3339).max());
    if let Some(properties) = run.properties {
        let subject = &mut collector.subject;
        subject.name = short(&properties.image_name.unwrap_or_default());
        for digest in properties.image_id.iter().chain(properties.repo_digests.iter()) {
            subject.add_digest(digest);
        }
    }
    let is_trivy = collector.tool.eq_ignore_ascii_case("trivy");
    let mut rules = Vec::new();
    let mut places = HashMap::new();
    each(run.tool.driver.rules, |rule: Rule| {
        if rules.len() >= RULES_MAX {
            return Err(serde::de::Error::custom("a run has more than 100000 rules"));
        }
        places.insert(rule.id.clone(), rules.len());
        rules.push(known(rule, is_trivy));
        Ok(())
    })?;
    each(run.results, |found: Found| {
        let reference = found.rule.as_ref();
        let id = found.rule_id.clone().or_else(|| reference?.id.clone()).unwrap_or_default();
        let place = found.rule_index.or_else(|| reference?.index);
        let place = places.get(&id).copied().or(place);
        let rule = place.and_then(|place| rules.get(place));
        result(collector, &id, rule, found);
        Ok(())
    })
}

/// Trivy's numbers for its labels.
const LABEL_NUMBERS: [f64; 4] = [2.0, 5.5, 8.0, 9.5];

fn known(rule: Rule, is_trivy: bool) -> Known {
    let mut highest = Highest::default();
    let (mut unnamed, mut purl, mut is_vulnerability) = (None, String::new(), true);
    if let Some(properties) = &rule.properties {
        highest.add("the scanner's source", properties.v3_score, properties.v3_vector.as_deref());
        let number = match &properties.security {
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(Value::Number(number)) => number.as_f64(),
            _ => None,
        };
        unnamed = number.filter(|number| *number > 0.0).and_then(BaseScore::from_number);
        purl = properties.purls.iter().next().map(|text| short(text)).unwrap_or_default();
        // Trivy puts secrets, licences and bad settings of files in the same list.
        let other =
            |tag: &String| matches!(tag.as_str(), "misconfiguration" | "secret" | "license");
        is_vulnerability = !properties.tags.iter().any(other);
        // And where it has no number for Trivy's own field, there is only the label's.
        let is_label = |number: f64| LABEL_NUMBERS.iter().any(|of| (of - number).abs() < 0.01);
        if is_trivy && number.is_some_and(is_label) {
            unnamed = None;
        }
    }
    let score = match (highest.score(), unnamed) {
        (Score::None, Some(score)) => Score::Unnamed(score),
        (score, _) => score,
    };
    let help = rule.help.map(|help| help.text.chars().take(600).collect()).unwrap_or_default();
    Known { id: short(&rule.id), score, purl, help, is_vulnerability }
}

fn result(collector: &mut Collector, id: &str, rule: Option<&Known>, found: Found) {
    // SARIF 2.1.0 §3.27.9: without a kind it is a failure.
    let is_failure = found.kind.is_none_or(|kind| kind == "fail");
    if !is_failure || rule.is_some_and(|rule| !rule.is_vulnerability) {
        return;
    }
    let message = found.message.map(|message| message.text).unwrap_or_default();
    let help = rule.map(|rule| rule.help.as_str()).unwrap_or_default();
    let line = |name: &str| line_of(&message, name).or_else(|| line_of(help, name));
    let package = ScannedPackage {
        name: line("Package").or_else(|| within(&message, "package: ", ",")).unwrap_or_default(),
        version: line("Installed Version")
            .or_else(|| line("Version"))
            .or_else(|| within(&message, "version ", " "))
            .unwrap_or_default(),
        purl: rule.map(|rule| rule.purl.clone()).unwrap_or_default(),
    };
    // Grype's rules are named by vulnerability and package.
    let whole = if id.is_empty() { rule.map_or("", |rule| rule.id.as_str()) } else { id };
    let tail = format!("-{}", package.name);
    let id = whole.strip_suffix(&tail).filter(|id| !id.is_empty()).unwrap_or(whole);
    let accepted = |at: &&Suppression| at.status.as_deref().is_none_or(|word| word == "accepted");
    let suppressed = found.suppressions.iter().find(accepted);
    collector.add(Vulnerability {
        id: id.to_owned(),
        package,
        fixed: line("Fixed Version").or_else(|| line("Fix Version")),
        score: rule.map_or(Score::None, |rule| rule.score.clone()),
        label: line("Severity"),
        excuse: suppressed.map(|at| {
            let why = at.justification.clone().filter(|text| !text.trim().is_empty());
            why.unwrap_or_else(|| "suppressed".to_owned())
        }),
    });
}

/// The text behind `Name: ` in a line of its own.
fn line_of(text: &str, name: &str) -> Option<String> {
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(short(found.trim())).filter(|text| !text.is_empty())
}

/// The text between two texts.
fn within(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    Some(short(rest.split(after).next()?.trim())).filter(|text| !text.is_empty())
}
