//! Trivy's JSON, schema 2: the output of `trivy image --format json`, and the input of
//! `trivy convert`.

use serde::Deserialize;
use serde_json::Error;
use serde_json::value::RawValue;

use wharf_oci::Timestamp;

use super::collect::{Collector, Highest};
use super::scan::{ScannedPackage, Vulnerability};
use super::stream::{Few, each, each_entry};
use super::text::short;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report<'a> {
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    artifact_name: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(borrow, default)]
    results: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    #[serde(rename = "ImageID", default)]
    image_id: Option<String>,
    #[serde(rename = "DiffIDs", default)]
    diff_ids: Few<String>,
    #[serde(default)]
    repo_digests: Few<String>,
    #[serde(default)]
    image_config: Option<ImageConfig>,
}

#[derive(Deserialize)]
struct ImageConfig {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part<'a> {
    #[serde(borrow, default)]
    vulnerabilities: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "ExperimentalModifiedFindings")]
    modified: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Detected<'a> {
    #[serde(rename = "VulnerabilityID", default)]
    id: String,
    #[serde(default)]
    pkg_name: String,
    #[serde(default)]
    installed_version: String,
    #[serde(default)]
    fixed_version: Option<String>,
    #[serde(default)]
    severity: Option<String>,
    #[serde(default)]
    pkg_identifier: Option<Identifier>,
    #[serde(rename = "CVSS", borrow, default)]
    cvss: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Identifier {
    #[serde(rename = "PURL", default)]
    purl: Option<String>,
}

#[derive(Deserialize)]
struct Cvss {
    #[serde(rename = "V3Score", default)]
    v3_score: Option<f64>,
    #[serde(rename = "V3Vector", default)]
    v3_vector: Option<String>,
}

/// A vulnerability taken out of the list by `.trivyignore` or a VEX document.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Modified<'a> {
    #[serde(rename = "Type", default)]
    kind: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    statement: Option<String>,
    #[serde(borrow, default)]
    finding: Option<&'a RawValue>,
}

pub(super) fn read(text: &str) -> Result<Collector, Error> {
    let report: Report<'_> = serde_json::from_str(text)?;
    let mut collector = Collector::of("Trivy");
    collector.made = report.created_at.as_deref().and_then(Timestamp::from_rfc3339);
    collector.subject.name = short(&report.artifact_name.unwrap_or_default());
    if let Some(metadata) = report.metadata {
        let subject = &mut collector.subject;
        for digest in metadata.image_id.iter().chain(metadata.repo_digests.iter()) {
            subject.add_digest(digest);
        }
        for digest in metadata.diff_ids.iter() {
            subject.add_diff_id(digest);
        }
        if let Some(config) = metadata.image_config {
            subject.set_platform(&config.os, &config.architecture);
        }
    }
    each(report.results, |part: Part<'_>| {
        each(part.vulnerabilities, |detected: Detected<'_>| {
            collector.add(vulnerability(detected)?);
            Ok(())
        })?;
        each(part.modified, |modified: Modified<'_>| {
            if let ("vulnerability", Some(finding)) = (modified.kind.as_str(), modified.finding) {
                let found = vulnerability(serde_json::from_str(finding.get())?)?;
                let why = modified.statement.filter(|text| !text.is_empty());
                let excuse = match why {
                    Some(why) => format!("{}: {why}", modified.status),
                    None => modified.status,
                };
                collector.add(Vulnerability { excuse: Some(excuse), ..found });
            }
            Ok(())
        })
    })?;
    Ok(collector)
}

fn vulnerability(detected: Detected<'_>) -> Result<Vulnerability, Error> {
    let mut highest = Highest::default();
    each_entry(detected.cvss, |source, cvss: Cvss| {
        highest.add(&source, cvss.v3_score, cvss.v3_vector.as_deref());
        Ok(())
    })?;
    Ok(Vulnerability {
        id: detected.id,
        package: ScannedPackage {
            name: detected.pkg_name,
            version: detected.installed_version,
            purl: detected.pkg_identifier.and_then(|at| at.purl).unwrap_or_default(),
        },
        fixed: detected.fixed_version,
        score: highest.score(),
        label: detected.severity,
        excuse: None,
    })
}
