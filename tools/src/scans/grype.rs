//! Grype's JSON: the output of `grype -o json`.

use serde::Deserialize;
use serde_json::Error;
use serde_json::value::RawValue;

use wharf_oci::Timestamp;

use super::collect::{Collector, Highest};
use super::scan::{ScannedPackage, Vulnerability};
use super::stream::{Few, each};
use super::text::short;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    #[serde(borrow, default)]
    matches: Option<&'a RawValue>,
    #[serde(borrow, default)]
    ignored_matches: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<Source<'a>>,
    #[serde(default)]
    descriptor: Option<Descriptor>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(rename = "type", default)]
    kind: String,
    /// An image is a mapping, anything else a path.
    #[serde(borrow, default)]
    target: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    #[serde(default)]
    user_input: String,
    #[serde(rename = "imageID", default)]
    image_id: String,
    #[serde(default)]
    manifest_digest: String,
    #[serde(default)]
    repo_digests: Few<String>,
    #[serde(default)]
    layers: Few<Layer>,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

#[derive(Deserialize)]
struct Layer {
    /// Of the layer as it is inflated.
    #[serde(default)]
    digest: String,
}

#[derive(Deserialize)]
struct Descriptor {
    #[serde(default)]
    name: String,
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    db: Option<Database>,
}

/// Version 5 of the database says it here, version 6 in `status`.
#[derive(Deserialize)]
struct Database {
    #[serde(default)]
    built: Option<String>,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    built: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Match {
    vulnerability: Metadata,
    #[serde(default)]
    related_vulnerabilities: Few<Metadata>,
    artifact: Artifact,
    #[serde(default)]
    applied_ignore_rules: Few<IgnoreRule>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    id: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    severity: Option<String>,
    #[serde(default)]
    cvss: Few<Cvss>,
    #[serde(default)]
    fix: Option<Fix>,
}

#[derive(Deserialize)]
struct Cvss {
    #[serde(default)]
    source: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    vector: String,
    #[serde(default)]
    metrics: Option<Metrics>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    #[serde(default)]
    base_score: Option<f64>,
}

#[derive(Deserialize)]
struct Fix {
    #[serde(default)]
    versions: Few<String>,
}

#[derive(Deserialize)]
struct Artifact {
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    purl: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct IgnoreRule {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    vex_status: String,
    #[serde(default)]
    vex_justification: String,
}

pub(super) fn read(text: &str) -> Result<Collector, Error> {
    let report: Report<'_> = serde_json::from_str(text)?;
    let mut collector = Collector::of("Grype");
    if let Some(Descriptor { name, timestamp, db }) = report.descriptor {
        collector.tool = name;
        collector.made = timestamp.as_deref().and_then(Timestamp::from_rfc3339);
        let built = db.and_then(|db| db.status.and_then(|status| status.built).or(db.built));
        collector.database = built.as_deref().and_then(Timestamp::from_rfc3339);
    }
    if let Some(Source { kind, target: Some(target) }) = report.source {
        if kind == "image" {
            subject(&mut collector, serde_json::from_str(target.get())?);
        } else {
            collector.subject.name = short(target.get());
        }
    }
    each(report.matches, |found: Match| {
        collector.add(vulnerability(found));
        Ok(())
    })?;
    each(report.ignored_matches, |found: Match| {
        let words = found.applied_ignore_rules.iter().flat_map(|rule| {
            [&rule.vex_status, &rule.vex_justification, &rule.reason].map(String::as_str)
        });
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let excuse = if words.is_empty() { "ignored".to_owned() } else { words.join(": ") };
        collector.add(Vulnerability { excuse: Some(excuse), ..vulnerability(found) });
        Ok(())
    })?;
    Ok(collector)
}

fn subject(collector: &mut Collector, target: Target) {
    let subject = &mut collector.subject;
    subject.name = short(&target.user_input);
    let digests = [target.image_id, target.manifest_digest];
    for digest in digests.iter().chain(target.repo_digests.iter()) {
        subject.add_digest(digest);
    }
    for layer in target.layers.iter() {
        subject.add_diff_id(&layer.digest);
    }
    subject.set_platform(&target.os, &target.architecture);
}

fn vulnerability(found: Match) -> Vulnerability {
    let mut highest = Highest::default();
    let related = found.related_vulnerabilities.iter();
    for metadata in std::iter::once(&found.vulnerability).chain(related) {
        for cvss in metadata.cvss.iter().filter(|cvss| is_v3(cvss)) {
            let source = if cvss.source.is_empty() { &metadata.namespace } else { &cvss.source };
            let source = if source.is_empty() {
                metadata.id.clone()
            } else {
                format!("{source}, {}", metadata.id)
            };
            let number = cvss.metrics.as_ref().and_then(|metrics| metrics.base_score);
            highest.add(&source, number, Some(&cvss.vector));
        }
    }
    let versions: Vec<&str> = found
        .vulnerability
        .fix
        .iter()
        .flat_map(|fix| fix.versions.iter().map(String::as_str))
        .collect();
    let fixed = Some(versions.join(", "));
    Vulnerability {
        id: found.vulnerability.id,
        package: ScannedPackage {
            name: found.artifact.name,
            version: found.artifact.version,
            purl: found.artifact.purl,
        },
        fixed,
        score: highest.score(),
        label: found.vulnerability.severity,
        excuse: None,
    }
}

/// By its version, or by its vector where the version is left out.
fn is_v3(cvss: &Cvss) -> bool {
    match cvss.version.as_str() {
        "" => cvss.vector.starts_with("CVSS:3."),
        version => version == "3" || version.starts_with("3."),
    }
}
