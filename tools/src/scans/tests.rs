//! The reports in `tests/reports` are ours, in the forms of Trivy 0.74, Grype 0.121 and the schema
//! of `CycloneDX` 1.6; all of them report the same about one image.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const TRIVY: &str = include_str!("../../tests/reports/trivy.json");
const GRYPE: &str = include_str!("../../tests/reports/grype.json");
const TRIVY_SARIF: &str = include_str!("../../tests/reports/trivy.sarif");
const GRYPE_SARIF: &str = include_str!("../../tests/reports/grype.sarif");
const CYCLONEDX: &str = include_str!("../../tests/reports/cyclonedx.json");
const VEX: &str = include_str!("../../tests/reports/vex.json");

fn read(text: &str) -> Scan {
    Scan::read(Path::new("report"), text.as_bytes()).unwrap_or_else(|error| panic!("{error:?}"))
}

fn refused(bytes: &[u8]) -> String {
    Scan::read(Path::new("report"), bytes).unwrap_err().to_string()
}

/// Score and source of each vulnerability by its ID.
fn scores(scan: &Scan) -> BTreeMap<&str, String> {
    let words = |found: &Vulnerability| match &found.score {
        Score::V3 { score, source, is_computed } => {
            format!("{score} {source}{}", if *is_computed { " computed" } else { "" })
        }
        Score::Unnamed(score) => format!("{score}?"),
        Score::None => "none".to_owned(),
    };
    scan.vulnerabilities.iter().map(|found| (found.id.as_str(), words(found))).collect()
}

fn digest(byte: &str) -> wharf_oci::Digest {
    format!("sha256:{}", byte.repeat(32)).parse().unwrap()
}

fn assert_names_the_image(scan: &Scan) {
    assert!(scan.subject.digests.contains(&digest("c0")), "{:?}", scan.subject);
    assert!(scan.subject.digests.contains(&digest("a0")), "{:?}", scan.subject);
    assert_eq!(scan.made.unwrap().to_string(), "2026-11-20T07:15:30Z");
    assert_eq!(scan.kind, ScanKind::Scan);
}

#[test]
fn trivy_gives_the_highest_score_of_v3_whatever_its_label() {
    let scan = read(TRIVY);
    assert_names_the_image(&scan);
    assert_eq!(scan.tool, "Trivy");
    assert_eq!(scan.subject.diff_ids, [digest("d0")]);
    assert_eq!(scan.subject.platform, Some(("linux".to_owned(), "amd64".to_owned())));
    // 10002 is `CRITICAL` with 5.3, and so not kept; 10004 has a score of version 4 only.
    let expected = BTreeMap::from([
        ("CVE-2026-10001", "9.8 nvd".to_owned()),
        ("CVE-2026-10003", "none".to_owned()),
        ("CVE-2026-10004", "none".to_owned()),
        ("CVE-2026-10005", "7.5 ghsa computed".to_owned()),
        ("CVE-2026-10006", "7.5 nvd".to_owned()),
    ]);
    assert_eq!(scores(&scan), expected);
    assert_eq!(scan.count, 6);
    let first = &scan.vulnerabilities[0];
    assert_eq!(first.package.to_string(), "liblight2 2.1-3");
    assert_eq!(first.fixed.as_deref(), Some("2.1-4"));
    let excused = scan.vulnerabilities.iter().find(|found| found.id == "CVE-2026-10006").unwrap();
    let excuse = excused.excuse.as_deref();
    assert_eq!(excuse, Some("not_affected: vulnerable_code_not_in_execute_path"));
}

#[test]
fn grype_is_asked_for_related_vulnerabilities_and_versions() {
    let scan = read(GRYPE);
    assert_names_the_image(&scan);
    assert_eq!(scan.database.unwrap().to_string(), "2026-11-19T06:30:00Z");
    let expected = BTreeMap::from([
        ("CVE-2026-10001", "9.8 nvd@nist.gov, CVE-2026-10001".to_owned()),
        ("CVE-2026-10003", "none".to_owned()),
        ("CVE-2026-10006", "7.5 nvd@nist.gov, CVE-2026-10006".to_owned()),
        ("GHSA-aaaa-bbbb-cccc", "7.5 github:language:go, GHSA-aaaa-bbbb-cccc computed".to_owned()),
    ]);
    assert_eq!(scores(&scan), expected);
    let excused = scan.vulnerabilities.iter().find(|found| found.excuse.is_some()).unwrap();
    assert_eq!(excused.excuse.as_deref(), Some("not_affected: vulnerable_code_not_present"));
}

#[test]
fn numbers_in_sarif_are_scores_of_v3_only_where_the_tool_says_so() {
    let scan = read(TRIVY_SARIF);
    assert!(scan.subject.digests.contains(&digest("c0")));
    assert_eq!(scan.tool, "Trivy");
    let expected = BTreeMap::from([
        ("CVE-2026-10001", "9.8 the scanner's source".to_owned()),
        // Its 8.0 is made from the label `HIGH`.
        ("CVE-2026-10003", "none".to_owned()),
    ]);
    assert_eq!(scores(&scan), expected);
    assert_eq!(scan.count, 3, "a secret is no vulnerability");

    assert_eq!(scan.kind, ScanKind::Summary);

    let scan = read(GRYPE_SARIF);
    assert!(!scan.subject.has_digest() && scan.made.is_none());
    let expected = BTreeMap::from([
        ("CVE-2026-10001", "9.8?".to_owned()),
        ("CVE-2026-10002", "5.3?".to_owned()),
    ]);
    assert_eq!(scores(&scan), expected);
    assert_eq!(scan.vulnerabilities[0].package.to_string(), "liblight2 2.1-3");
    assert_eq!(scan.vulnerabilities[0].fixed.as_deref(), Some("2.1-4"));
}

#[test]
fn cyclonedx_is_read_by_its_methods_and_states() {
    let scan = read(CYCLONEDX);
    assert_names_the_image(&scan);
    assert_eq!(scan.tool, "trivy");
    let expected = BTreeMap::from([
        ("CVE-2026-10001", "9.8 nvd".to_owned()),
        ("CVE-2026-10003", "none".to_owned()),
        ("CVE-2026-10005", "7.5 ghsa computed".to_owned()),
        ("CVE-2026-10006", "8.1 nvd".to_owned()),
        ("CVE-2026-10007", "8.1 nvd".to_owned()),
    ]);
    assert_eq!(scores(&scan), expected);
    assert_eq!(scan.vulnerabilities[0].fixed.as_deref(), Some("2.1-4"));
    let excuses: Vec<_> =
        scan.vulnerabilities.iter().filter_map(|at| at.excuse.as_deref()).collect();
    assert_eq!(excuses, ["not_affected: code_not_reachable: The parser is never called."]);
}

#[test]
fn a_list_of_verdicts_is_no_report_of_a_scan() {
    let scan = read(VEX);
    assert_eq!(scan.kind, ScanKind::Verdicts);
    assert_eq!(scan.statements.len(), 1, "`in_triage` says nothing yet");
    let package = ScannedPackage {
        purl: "pkg:deb/debian/liblight2@2.1-3?arch=amd64".to_owned(),
        ..ScannedPackage::default()
    };
    assert!(scan.speaks_of(&scan.statements[0], &package, None));
    let other = ScannedPackage { purl: "pkg:deb/debian/liblight2@2.1-9".to_owned(), ..package };
    assert!(!scan.speaks_of(&scan.statements[0], &other, None));
}

#[test]
fn a_list_of_components_with_an_empty_list_of_vulnerabilities_is_no_report_of_a_scan() {
    let mut bom: Value = serde_json::from_str(CYCLONEDX).unwrap();
    bom["vulnerabilities"] = json!([]);
    assert_eq!(read(&bom.to_string()).kind, ScanKind::Components);
    assert!(!ScanKind::Components.is_report() && ScanKind::Summary.is_report());
}

#[test]
fn the_highest_of_several_scores_counts_and_nonsense_does_not() {
    let with = |cvss: Value| {
        let mut report: Value = serde_json::from_str(TRIVY).unwrap();
        report["Results"] = json!([{ "Class": "os-pkgs", "Vulnerabilities": [
            { "VulnerabilityID": "CVE-1", "PkgName": "p", "CVSS": cvss },
        ] }]);
        let scan = read(&report.to_string());
        scores(&scan).get("CVE-1").cloned()
    };
    let v75 = "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H";
    for (cvss, expected) in [
        (json!({"a": {"V3Score": 6.9}, "b": {"V3Score": 7.0}}), Some("7.0 b")),
        (json!({"a": {"V3Score": 6.9}}), None),
        (json!({"a": {"V3Score": 99.0}}), Some("none")),
        (json!({"a": {"V3Score": -1.0, "V3Vector": v75}}), Some("7.5 a computed")),
        (json!({"a": {"V3Score": 0, "V3Vector": v75}}), Some("7.5 a computed")),
        (json!({"a": {"V3Score": 0}}), Some("none")),
        (json!({"a": {"V3Vector": "CVSS:4.0/AV:N"}}), Some("none")),
        (json!({}), Some("none")),
        (Value::Null, Some("none")),
    ] {
        assert_eq!(with(cvss.clone()).as_deref(), expected, "{cvss}");
    }
}

#[test]
fn what_is_no_report_is_named_with_what_to_do() {
    for (text, words) in [
        ("", ["empty", "trivy image --format json"]),
        ("\u{feff}  \n", ["empty", "grype -o json"]),
        (r#"{"spdxVersion": "SPDX-2.3", "packages": []}"#, ["SPDX", "grype sbom:FILE"]),
        ("SPDXVersion: SPDX-2.3\n", ["SPDX", "trivy sbom"]),
        (r#"{"@context": "https://spdx.org/rdf/3.0.1/x.jsonld"}"#, ["SPDX", "sbom"]),
        (r#"{"@context": "https://openvex.dev/ns/v0.2.0"}"#, ["OpenVEX", "--vex"]),
        (r#"{"bomFormat": "CycloneDX", "components": []}"#, ["without vulnerabilities", "scan it"]),
        (
            "<?xml version=\"1.0\"?><bom xmlns=\"http://cyclonedx.org/schema/bom/1.6\">",
            ["CycloneDX XML", "cyclonedx-json"],
        ),
        ("<!DOCTYPE html><html>", ["HTML", "--format json"]),
        ("<testsuites/>", ["XML", "SARIF"]),
        ("lamp (debian 12)\n====\nTotal: 3 (HIGH: 3)\n┌───┐", ["table", "--format json"]),
        ("NAME  INSTALLED  FIXED-IN  TYPE  VULNERABILITY  SEVERITY\n", ["table", "-o json"]),
        (r#"[{"Target": "x", "Vulnerabilities": null}]"#, ["before 0.20", "newer"]),
        (r#"{"SchemaVersion": 3, "ArtifactName": "x"}"#, ["another schema", "0.20"]),
        (r#"{"ClusterName": "x", "SchemaVersion": 2}"#, ["cluster", "scan the image"]),
        (r#"{"runs": [], "version": "2.0.0"}"#, ["another version", "2.1.0"]),
        (r#"{"scan": {}, "vulnerabilities": [], "version": "15"}"#, ["GitLab", "--format json"]),
        (r#"{"artifacts": [], "descriptor": {}}"#, ["Syft", "grype sbom:FILE"]),
        (r#"{"loginServer": "x"}"#, ["state of a registry", "--registry-state"]),
        (r#"{"predicateType": "x"}"#, ["attestation", "predicate"]),
        ("{}", ["another kind", "SARIF"]),
        ("version: 1\n", ["no JSON", "grype"]),
    ] {
        let said = refused(text.as_bytes());
        assert!(words.iter().all(|word| said.contains(word)), "{text}: {said}");
        assert!(!said.contains('\n'), "{said}");
    }
    assert!(refused(&[0x1f, 0x8b, 8]).contains("unpack it first"));
    assert!(refused(b"PK\x03\x04").contains("ZIP"));
    assert!(refused(&[b'{', 0xff, b'}']).contains("UTF-8"));
}

#[test]
fn what_powershell_writes_is_read() {
    let wide = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(TRIVY.encode_utf16()).flat_map(bytes).collect()
    };
    for bytes in [wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
        let scan = Scan::read(Path::new("report"), &bytes).unwrap();
        assert_eq!(scan.count, 6);
    }
    let marked = format!("\u{feff}{GRYPE}");
    assert_eq!(read(&marked).count, 5);
}

#[test]
fn wrong_types_and_broken_ends_are_errors_that_name_the_format() {
    for (text, from, to, format) in [
        (TRIVY, "\"V3Score\": 9.8", "\"V3Score\": \"9.8\"", "Trivy"),
        (TRIVY, "\"Results\": [", "\"Results\": 7, \"x\": [", "Trivy"),
        (GRYPE, "\"baseScore\": 9.8", "\"baseScore\": {}", "Grype"),
        (GRYPE, "\"matches\": [", "\"matches\": {}, \"x\": [", "Grype"),
        (TRIVY_SARIF, "\"rules\": [", "\"rules\": 1, \"x\": [", "SARIF"),
        (CYCLONEDX, "\"score\": 9.8", "\"score\": true", "CycloneDX"),
    ] {
        assert!(text.contains(from), "{from}");
        let error = Scan::read(Path::new("r"), text.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(error.to_string().contains(format), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
    for text in [TRIVY, GRYPE, TRIVY_SARIF, CYCLONEDX] {
        assert!(Scan::read(Path::new("r"), &text.as_bytes()[..text.len() / 2]).is_err());
    }
}

#[test]
fn a_million_vulnerabilities_are_counted_and_only_some_are_kept() {
    let one = |number: usize, score: f64| {
        format!(
            "{{\"VulnerabilityID\":\"CVE-{number}\",\"PkgName\":\"p\",\"CVSS\":{{\"n\":{{\"V3Score\":{score}}}}}}},"
        )
    };
    let mut list: String = (0..980_000).map(|number| one(number, 5.0)).collect();
    list.extend((980_000..1_000_000).map(|number| one(number, 9.0)));
    let text = format!(
        "{{\"SchemaVersion\":2,\"ArtifactName\":\"x\",\"Results\":[{{\"Vulnerabilities\":[{}]}}]}}",
        list.trim_end_matches(',')
    );
    let scan = read(&text);
    assert_eq!((scan.count, scan.vulnerabilities.len()), (1_000_000, KEPT_MAX));
    assert_eq!(scan.not_kept, 20_000 - KEPT_MAX);
}

#[test]
fn deep_and_long_lists_are_refused_without_a_crash() {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    for depth in [100, 200, 200_000] {
        let text =
            format!("{{\"SchemaVersion\":2,\"ArtifactName\":\"x\",\"Results\":{}}}", deep(depth));
        let _ = Scan::read(Path::new("r"), text.as_bytes());
        let text = format!("{{\"matches\":[],\"descriptor\":{{\"db\":{}}}}}", deep(depth));
        assert!(Scan::read(Path::new("r"), text.as_bytes()).is_err());
    }
    let many = vec!["{}"; 100_000].join(",");
    let text = format!(
        "{{\"matches\":[{{\"vulnerability\":{{}},\"artifact\":{{}},\"relatedVulnerabilities\":[{many}]}}],\
         \"descriptor\":{{}}}}"
    );
    let error = Scan::read(Path::new("r"), text.as_bytes()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("too long"), "{source}");
}

#[test]
fn names_are_cut() {
    let long = "x".repeat(100_000);
    let text = TRIVY.replace("wick-tools", &long).replace("CVE-2026-10003", &long);
    let scan = read(&text);
    let longest = |found: &Vulnerability| {
        found.id.len().max(found.package.name.len()).max(found.package.purl.len())
    };
    assert!(scan.vulnerabilities.iter().all(|found| longest(found) <= 200));
}

fn any_json() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        "SchemaVersion",
        "ArtifactName",
        "Results",
        "Vulnerabilities",
        "CVSS",
        "V3Score",
        "Metadata",
        "matches",
        "descriptor",
        "source",
        "vulnerability",
        "cvss",
        "artifact",
        "target",
        "runs",
        "version",
        "tool",
        "driver",
        "rules",
        "results",
        "properties",
        "security-severity",
        "bomFormat",
        "vulnerabilities",
        "ratings",
        "components",
        "metadata",
        "affects",
        "analysis",
        "ref",
        "nvd",
        "metrics",
        "baseScore",
        "id",
        "db",
        "built",
        "tools",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just("2".to_owned()), Just("2.1.0".to_owned()), "\\PC{0,20}"]
            .prop_map(Value::from),
        Just(json!(2)),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(keys.clone(), inner, 0..8).prop_map(|map| {
                Value::Object(map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_read_or_refused(value in any_json(), start in 0..4_usize) {
        let mut value = value;
        if let Value::Object(members) = &mut value {
            let (name, marker) = [
                ("SchemaVersion", json!(2)), ("matches", json!([])), ("runs", json!([])),
                ("bomFormat", json!("CycloneDX")),
            ][start].clone();
            members.entry(name).or_insert(marker);
            members.entry("ArtifactName").or_insert(json!("x"));
            members.entry("descriptor").or_insert(json!({}));
            members.entry("version").or_insert(json!("2.1.0"));
            members.entry("vulnerabilities").or_insert(json!([]));
        }
        let _ = Scan::read(Path::new("r"), value.to_string().as_bytes());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Scan::read(Path::new("r"), &bytes);
    }

    #[test]
    fn a_report_with_any_changed_byte_is_read_or_refused(
        at in 0..4_usize, place in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let text = [TRIVY, GRYPE, TRIVY_SARIF, CYCLONEDX][at];
        let mut bytes = text.as_bytes().to_vec();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = Scan::read(Path::new("r"), &bytes);
    }
}
