//! `CycloneDX` JSON 1.4 to 1.7 with vulnerabilities: a list of components and their
//! vulnerabilities, or verdicts alone (VEX).

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Error;
use serde_json::value::RawValue;

use wharf_oci::Timestamp;

use super::collect::{Collector, Highest};
use super::scan::{ScanKind, ScannedPackage, VexStatement, Vulnerability};
use super::stream::{Few, each};
use super::text::short;

/// How many components of one document are kept; more have no names in findings.
const COMPONENTS_MAX: usize = 50_000;

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(default)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow, default)]
    components: Option<&'a RawValue>,
    #[serde(borrow, default)]
    vulnerabilities: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(default)]
    component: Option<Component>,
}

#[derive(Deserialize)]
struct Component {
    #[serde(rename = "bom-ref", default)]
    reference: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    purl: Option<String>,
    #[serde(default)]
    hashes: Few<Hash>,
    #[serde(default)]
    properties: Few<Property>,
}

#[derive(Deserialize)]
struct Hash {
    #[serde(default)]
    alg: String,
    #[serde(default)]
    content: String,
}

#[derive(Deserialize)]
struct Property {
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(default)]
    id: String,
    #[serde(default)]
    ratings: Few<Rating>,
    #[serde(default)]
    recommendation: Option<String>,
    #[serde(default)]
    affects: Few<Affected>,
    #[serde(default)]
    analysis: Option<Analysis>,
}

#[derive(Deserialize)]
struct Rating {
    #[serde(default)]
    source: Option<Named>,
    #[serde(default)]
    score: Option<f64>,
    #[serde(default)]
    severity: Option<String>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    vector: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
struct Affected {
    #[serde(rename = "ref", default)]
    reference: String,
}

#[derive(Deserialize)]
struct Analysis {
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    justification: Option<String>,
    #[serde(default)]
    detail: Option<String>,
}

/// A list of tools as it was before 1.5, or a mapping with components.
#[derive(Deserialize)]
#[serde(untagged)]
enum Tools {
    Old(Vec<Named>),
    New { components: Vec<Named> },
}

pub(super) fn read(text: &str) -> Result<Collector, Error> {
    let document: Document<'_> = serde_json::from_str(text)?;
    let mut collector = Collector::of("CycloneDX");
    if let Some(metadata) = document.metadata {
        collector.made = metadata.timestamp.as_deref().and_then(Timestamp::from_rfc3339);
        if let Some(tool) = metadata.tools.and_then(|tools| tool_of(tools.get())) {
            collector.tool = tool;
        }
        if let Some(component) = &metadata.component {
            subject(&mut collector, component);
        }
    }
    let mut packages = HashMap::new();
    let mut has_components = false;
    each(document.components, |component: Component| {
        has_components = true;
        if let Some(reference) = component.reference
            && packages.len() < COMPONENTS_MAX
        {
            let package = ScannedPackage {
                name: short(&component.name),
                version: short(&component.version.unwrap_or_default()),
                purl: short(&component.purl.unwrap_or_default()),
            };
            packages.insert(reference, package);
        }
        Ok(())
    })?;
    let mut is_only_vex = !has_components;
    let mut is_empty = true;
    each(document.vulnerabilities, |listed: Listed| {
        is_empty = false;
        is_only_vex &= listed.analysis.as_ref().is_some_and(|at| at.state.is_some());
        vulnerability(&mut collector, &packages, listed);
        Ok(())
    })?;
    collector.kind = match (is_empty, is_only_vex) {
        (true, _) => ScanKind::Components,
        (false, true) => ScanKind::Verdicts,
        (false, false) => ScanKind::Scan,
    };
    Ok(collector)
}

/// The document's tool; a long list is of no use.
fn tool_of(tools: &str) -> Option<String> {
    const TOOLS_BYTES_MAX: usize = 64 * 1024;
    let tools = if tools.len() > TOOLS_BYTES_MAX { None } else { serde_json::from_str(tools).ok() };
    let (Tools::Old(named) | Tools::New { components: named }) = tools?;
    named.into_iter().find_map(|tool| tool.name)
}

/// Names of properties are Trivy's; Syft and Grype write the digest where a version stands.
fn subject(collector: &mut Collector, component: &Component) {
    let subject = &mut collector.subject;
    subject.name = short(&component.name);
    let texts = [&component.version, &component.purl, &component.reference];
    for text in texts.into_iter().flatten() {
        subject.add_digest(text);
    }
    for hash in component.hashes.iter().filter(|hash| hash.alg == "SHA-256") {
        subject.add_digest(&format!("sha256:{}", hash.content.to_ascii_lowercase()));
    }
    for Property { name, value } in component.properties.iter() {
        match name.as_str() {
            "aquasecurity:trivy:ImageID" | "aquasecurity:trivy:RepoDigest" => {
                subject.add_digest(value);
            }
            "aquasecurity:trivy:DiffID" => subject.add_diff_id(value),
            _ => {}
        }
    }
}

fn vulnerability(
    collector: &mut Collector,
    packages: &HashMap<String, ScannedPackage>,
    listed: Listed,
) {
    let mut highest = Highest::default();
    for rating in listed.ratings.iter().filter(|rating| is_v3(rating)) {
        let source = rating.source.as_ref().and_then(|source| source.name.as_deref());
        highest.add(source.unwrap_or("no named source"), rating.score, rating.vector.as_deref());
    }
    let excuse = listed.analysis.and_then(excuse);
    if let Some(excuse) = &excuse {
        let affects = listed.affects.iter().map(|at| target(&at.reference, packages)).collect();
        let (id, excuse) = (listed.id.clone(), excuse.clone());
        collector.state(&VexStatement { id, affects, excuse });
    }
    let found = Vulnerability {
        id: listed.id,
        package: ScannedPackage::default(),
        fixed: listed.recommendation.as_deref().and_then(fixed),
        score: highest.score(),
        label: listed.ratings.iter().find_map(|rating| rating.severity.clone()),
        excuse,
    };
    for affected in listed.affects.iter() {
        let reference = &affected.reference;
        let unknown = || ScannedPackage { purl: target(reference, packages), ..named(reference) };
        let package = packages.get(reference).cloned().unwrap_or_else(unknown);
        collector.add(Vulnerability { package, ..found.clone() });
    }
    if listed.affects.iter().next().is_none() {
        collector.add(found);
    }
}

/// By the method, or by the vector where the method is left out.
fn is_v3(rating: &Rating) -> bool {
    match rating.method.as_deref() {
        Some(method) => matches!(method, "CVSSv3" | "CVSSv31"),
        None => rating.vector.as_ref().is_some_and(|vector| vector.starts_with("CVSS:3.")),
    }
}

/// Why a vulnerability does no harm, for the harmless states.
fn excuse(analysis: Analysis) -> Option<String> {
    let state = analysis.state?;
    let harmless = ["not_affected", "false_positive", "resolved", "resolved_with_pedigree"];
    if !harmless.contains(&state.as_str()) {
        return None;
    }
    let more = [analysis.justification, analysis.detail].into_iter().flatten();
    let words: Vec<String> = std::iter::once(state).chain(more).collect();
    Some(words.join(": "))
}

/// The target of a reference: the package URL of the component, or the end of a link to another
/// document (`urn:cdx:SERIAL/VERSION#REFERENCE`), or the reference itself.
fn target(reference: &str, packages: &HashMap<String, ScannedPackage>) -> String {
    if let Some(package) = packages.get(reference).filter(|package| !package.purl.is_empty()) {
        return package.purl.clone();
    }
    match reference.strip_prefix("urn:cdx:").and_then(|link| link.split_once('#')) {
        Some((_, end)) => short(end),
        None => short(reference),
    }
}

/// The name and version of a package URL, as far as people need them.
fn named(reference: &str) -> ScannedPackage {
    let decode =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let link = reference.split_once('#').map_or(reference, |(_, end)| end);
    let Some(purl) = link.strip_prefix("pkg:") else {
        return ScannedPackage { name: short(reference), ..ScannedPackage::default() };
    };
    let purl = purl.split(['?', '#']).next().unwrap_or(purl);
    let (path, version) = purl.rsplit_once('@').unwrap_or((purl, ""));
    let name = path.rsplit('/').next().unwrap_or(path);
    ScannedPackage {
        name: short(&decode(name)),
        version: short(&decode(version)),
        purl: String::new(),
    }
}

/// The version behind Trivy's words for the remedy.
fn fixed(recommendation: &str) -> Option<String> {
    let (_, version) = recommendation.rsplit_once(" to version ")?;
    Some(short(version))
}
