//! The kind of a file, by its content: the four readable ones, and by name the frequent mistakes.

use std::borrow::Cow;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::ScanError;

/// The readable kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Trivy,
    Grype,
    Sarif,
    CycloneDx,
}

impl Format {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Trivy => "Trivy",
            Self::Grype => "Grype",
            Self::Sarif => "SARIF",
            Self::CycloneDx => "CycloneDX",
        }
    }
}

const MAKE_ONE: &str = "make one with `trivy image --format json --output FILE`, `grype -o json`, \
                        or as SARIF 2.1.0 or CycloneDX JSON with vulnerabilities";
const CONVERT: &str = "write Trivy's JSON (`--format json`); of a report that is there \
                       `trivy convert` makes no JSON again, so scan once more";

/// The distinctive names at the top.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "SchemaVersion", borrow, default)]
    schema_version: Option<&'a RawValue>,
    #[serde(rename = "ArtifactName", borrow, default)]
    artifact: Option<&'a RawValue>,
    #[serde(rename = "ClusterName", borrow, default)]
    cluster: Option<&'a RawValue>,
    #[serde(borrow, default)]
    matches: Option<&'a RawValue>,
    #[serde(borrow, default)]
    descriptor: Option<&'a RawValue>,
    #[serde(borrow, default)]
    runs: Option<&'a RawValue>,
    #[serde(borrow, default)]
    version: Option<&'a RawValue>,
    #[serde(rename = "bomFormat", borrow, default)]
    bom_format: Option<&'a RawValue>,
    #[serde(borrow, default)]
    vulnerabilities: Option<&'a RawValue>,
    #[serde(rename = "spdxVersion", borrow, default)]
    spdx: Option<&'a RawValue>,
    #[serde(rename = "@context", borrow, default)]
    context: Option<&'a RawValue>,
    #[serde(borrow, default)]
    document: Option<&'a RawValue>,
    #[serde(borrow, default)]
    scanner: Option<&'a RawValue>,
    #[serde(rename = "scan", borrow, default)]
    scan: Option<&'a RawValue>,
    #[serde(rename = "predicateType", borrow, default)]
    predicate: Option<&'a RawValue>,
    #[serde(rename = "artifacts", borrow, default)]
    artifacts: Option<&'a RawValue>,
    #[serde(rename = "loginServer", borrow, default)]
    login_server: Option<&'a RawValue>,
}

/// The text of a file. PowerShell's `>` writes UTF-16.
pub(super) fn text<'a>(file: &Path, bytes: &'a [u8]) -> Result<Cow<'a, str>, ScanError> {
    let no_report = |what: &str, help| {
        Err(ScanError::NoReport { file: file.to_owned(), what: what.to_owned(), help })
    };
    let unpack = "unpack it first";
    match bytes {
        [] => return no_report("empty", MAKE_ONE),
        [0x1f, 0x8b, ..] => return no_report("compressed with gzip", unpack),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return no_report("compressed with zstd", unpack),
        [b'P', b'K', 3, 4, ..] => return no_report("a ZIP archive", unpack),
        _ => {}
    }
    let wide = |from: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).skip(1).filter_map(|pair| pair.try_into().ok()).map(from);
        char::decode_utf16(units).collect::<Result<String, _>>().ok()
    };
    let text = match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes).map(Cow::Owned),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes).map(Cow::Owned),
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).ok().map(Cow::Borrowed),
        _ => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
    };
    match text {
        Some(text) if text.trim().is_empty() => no_report("empty", MAKE_ONE),
        Some(text) => Ok(text),
        None => no_report("no text in UTF-8", MAKE_ONE),
    }
}

/// The one of the four kinds.
pub(super) fn format(file: &Path, text: &str) -> Result<Format, ScanError> {
    let no_report = |(what, help): (&str, _)| ScanError::NoReport {
        file: file.to_owned(),
        what: what.to_owned(),
        help,
    };
    let start = text.trim_start();
    if start.starts_with('[') {
        let is_old = start.chars().take(4096).collect::<String>().contains("\"Target\"");
        return Err(no_report(if is_old {
            ("a report of Trivy before 0.20", "scan with a newer Trivy")
        } else {
            ("a JSON list", MAKE_ONE)
        }));
    }
    if !start.starts_with('{') {
        return Err(no_report(no_json(start)));
    }
    let head: Head<'_> = serde_json::from_str(text).map_err(|source| ScanError::Content {
        file: file.to_owned(),
        format: "JSON",
        source,
    })?;
    known(&head).map_err(no_report)
}

fn known(head: &Head<'_>) -> Result<Format, (&'static str, &'static str)> {
    let is =
        |value: Option<&RawValue>, expected: &str| value.is_some_and(|at| at.get() == expected);
    let starts = |value: Option<&RawValue>, with: &str| {
        value.is_some_and(|at| at.get().trim_matches('"').starts_with(with))
    };
    if head.schema_version.is_some() && head.artifact.is_some() {
        return if is(head.schema_version, "2") {
            Ok(Format::Trivy)
        } else {
            Err(("a report of Trivy of another schema than 2", "scan with Trivy 0.20 or newer"))
        };
    }
    if head.cluster.is_some() {
        return Err((
            "a report of Trivy of a cluster",
            "scan the image: `trivy image --format json`",
        ));
    }
    if head.matches.is_some() && head.descriptor.is_some() {
        return Ok(Format::Grype);
    }
    if head.runs.is_some() {
        return if starts(head.version, "2.1") {
            Ok(Format::Sarif)
        } else {
            Err(("SARIF of another version than 2.1.0", "write SARIF 2.1.0"))
        };
    }
    if head.bom_format.is_some() {
        return match head.vulnerabilities {
            Some(_) => Ok(Format::CycloneDx),
            None => Err((
                "a CycloneDX list of components without vulnerabilities",
                "scan it: `grype sbom:FILE -o json`, or `trivy image --format cyclonedx --scanners vuln`",
            )),
        };
    }
    Err(other(head))
}

fn other(head: &Head<'_>) -> (&'static str, &'static str) {
    let context = head.context.map(RawValue::get).unwrap_or_default();
    if head.spdx.is_some() || context.contains("spdx.org") {
        return (
            "an SPDX list of components",
            "it names no vulnerabilities; scan it: `grype sbom:FILE -o json` or `trivy sbom FILE --format json`",
        );
    }
    if context.contains("openvex") {
        return (
            "an OpenVEX document",
            "give it to the scanner (`trivy image --vex FILE`, `grype --vex FILE`) and its report here",
        );
    }
    if head.document.is_some() {
        return (
            "a CSAF document",
            "give it to the scanner (`trivy image --vex FILE`) and its report here",
        );
    }
    if head.predicate.is_some() {
        return ("an attestation", "give the report that is its predicate");
    }
    if head.scan.is_some() && head.vulnerabilities.is_some() {
        return ("a report for GitLab", CONVERT);
    }
    if head.scanner.is_some() {
        return ("a predicate for cosign", CONVERT);
    }
    if head.artifacts.is_some() && head.descriptor.is_some() {
        return (
            "Syft's list of packages",
            "it names no vulnerabilities; scan it: `grype sbom:FILE -o json`",
        );
    }
    if head.login_server.is_some() {
        return ("the state of a registry", "give it with `--registry-state`");
    }
    ("JSON of another kind", MAKE_ONE)
}

/// The kind of a text other than JSON.
fn no_json(text: &str) -> (&'static str, &'static str) {
    let start: String = text.chars().take(4096).collect();
    let low = start.to_lowercase();
    if start.starts_with('<') {
        if low.contains("cyclonedx.org") {
            return ("CycloneDX XML", "write JSON: `grype -o cyclonedx-json` or `-o json`");
        }
        if low.contains("<!doctype html") || low.contains("<html") {
            return ("an HTML page", CONVERT);
        }
        return ("XML", MAKE_ONE);
    }
    if start.starts_with("SPDXVersion:") {
        return (
            "an SPDX list of components",
            "it names no vulnerabilities; scan it: `grype sbom:FILE -o json` or `trivy sbom FILE --format json`",
        );
    }
    if start.contains("│") || start.contains("Total: ") || start.contains("+----") {
        return (
            "Trivy's table for people",
            "write its JSON: `trivy image --format json --output FILE`",
        );
    }
    if start.starts_with("NAME ") && low.contains("vulnerability") {
        return ("Grype's table for people", "write its JSON: `grype -o json`");
    }
    ("no JSON", MAKE_ONE)
}
