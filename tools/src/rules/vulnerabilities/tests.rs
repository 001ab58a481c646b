#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;

use wharf_oci::{Algorithm, Descriptor, Digest, Digester, MediaType};

use super::super::{Finding, Judgement, Outcome, Profile, judge_image, judge_scans};
use super::*;
use crate::image::config::ImageConfig;
use crate::image::facts::{IndexFacts, LayerFacts, PlatformImage};
use crate::rules::evidence::MaxAge;

const TRIVY: &str = include_str!("../../../tests/reports/trivy.json");
const GRYPE_SARIF: &str = include_str!("../../../tests/reports/grype.sarif");
const CYCLONEDX: &str = include_str!("../../../tests/reports/cyclonedx.json");
const VEX: &str = include_str!("../../../tests/reports/vex.json");
const RULES_HERE: [&str; 3] = ["IMG-020", "IMG-021", "IMG-022"];

fn digest(content: &str) -> Digest {
    Digester::digest(Algorithm::Sha256, content.as_bytes())
}

/// The image's name in the reports of the tests.
fn named(byte: &str) -> String {
    format!("sha256:{}", byte.repeat(32))
}

fn image(architecture: &str) -> PlatformImage {
    let layer = Descriptor::new(MediaType::OCI_LAYER_GZIP, digest(architecture), 1000);
    let mut config = ImageConfig {
        architecture: architecture.to_owned(),
        os: "linux".to_owned(),
        ..ImageConfig::default()
    };
    config.rootfs.diff_ids = vec![digest(&format!("{architecture} layer"))];
    let of = |kind, what: &str| Descriptor::new(kind, digest(&format!("{architecture} {what}")), 9);
    let mut image = PlatformImage {
        annotations: std::collections::BTreeMap::new(),
        descriptor: of(MediaType::OCI_MANIFEST, "manifest"),
        config: Some(config),
        config_descriptor: Some(of(MediaType::OCI_CONFIG, "config")),
        layers: vec![LayerFacts { descriptor: layer, uncompressed_bytes: Some(4000) }],
        files: None,
    };
    image.descriptor.platform = Some(format!("linux/{architecture}").parse().unwrap());
    image
}

/// An image of two platforms.
fn facts() -> ImageFacts {
    let images = vec![image("amd64"), image("arm64")];
    let index = Descriptor::new(MediaType::OCI_INDEX, digest("index"), 700);
    let children = images.iter().map(|image| image.descriptor.clone()).collect();
    ImageFacts {
        location: "out/lamp".to_owned(),
        roots: vec![index.clone()],
        indexes: vec![IndexFacts {
            descriptor: index,
            children,
            annotations: std::collections::BTreeMap::new(),
        }],
        images,
        ..ImageFacts::default()
    }
}

/// The report, said of another digest.
fn report(text: &str, changes: &[(&str, &str)]) -> Scan {
    let mut text = text.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    Scan::read(Path::new("report.json"), text.as_bytes()).unwrap()
}

fn of_amd64() -> Scan {
    let config = digest("amd64 config").to_string();
    report(TRIVY, &[(&named("c0"), &config), (&named("a0"), &digest("amd64 manifest").to_string())])
}

fn evidence(scans: Vec<Scan>) -> Evidence {
    let now = "2026-11-28T12:00:00Z".parse().unwrap();
    Evidence { now, scans, ..Evidence::default() }
}

/// The results of the three rules over the image and its reports.
fn judged(facts: &ImageFacts, evidence: &Evidence) -> Judgement {
    let mut judgement = judge_image(facts, None, evidence, Profile::Strict);
    judgement.join(judge_scans(evidence, &[(None, facts.clone())], Profile::Strict));
    judgement.findings.retain(|finding| RULES_HERE.contains(&finding.rule));
    judgement
}

fn of<'a>(judgement: &'a Judgement, rule: &str) -> Vec<&'a Finding> {
    judgement.findings.iter().filter(|finding| finding.rule == rule).collect()
}

#[test]
fn a_report_is_judged_for_the_platform_that_it_names_and_the_other_was_not_looked_at() {
    let judgement = judged(&facts(), &evidence(vec![of_amd64()]));
    let blocking = of(&judgement, "IMG-020");
    assert_eq!(blocking.len(), 3);
    let first = blocking[0];
    assert_eq!(
        first.message,
        "CVE-2026-10001 in liblight2 2.1-3 has the CVSS v3 base score 9.8 (nvd); fixed in 2.1-4"
    );
    assert_eq!((first.severity, first.waived.is_some()), (Severity::Error, false));
    assert_eq!(first.place.platforms, ["linux/amd64"]);
    let affected = first.place.vulnerability.as_ref().unwrap();
    assert_eq!((affected.package.as_str(), affected.score.as_deref()), ("liblight2", Some("9.8")));
    let waived = blocking.iter().find(|finding| finding.waived.is_some()).unwrap();
    assert_eq!(waived.waived.as_ref().unwrap().file, Path::new("report.json"));
    let unscored: Vec<&str> =
        of(&judgement, "IMG-022").iter().map(|at| at.message.as_str()).collect();
    assert_eq!(unscored.len(), 2, "{unscored:?}");
    assert!(unscored[0].contains("the scanner says high"), "{unscored:?}");
    assert_eq!(of(&judgement, "IMG-021"), Vec::<&Finding>::new());
    assert_eq!(judgement.outcomes["IMG-020"], Outcome::Failed);
    let missing = &judgement.gap_images[&Gap::ScannerReport];
    assert_eq!(missing.iter().collect::<Vec<_>>(), ["out/lamp linux/arm64"]);
    assert!(judgement.gaps[&Gap::ScannerReport].contains("IMG-021"));
}

#[test]
fn without_reports_nothing_is_found_and_all_is_not_looked_at() {
    let judgement = judged(&facts(), &evidence(Vec::new()));
    assert_eq!(judgement.findings, []);
    for rule in RULES_HERE {
        assert_eq!(judgement.outcomes[rule], Outcome::NotLookedAt, "{rule}");
    }
    assert_eq!(judgement.gap_images[&Gap::ScannerReport].len(), 2);
}

#[test]
fn one_vulnerability_of_both_platforms_is_one_finding() {
    let arm = report(
        TRIVY,
        &[
            (&named("c0"), &digest("arm64 config").to_string()),
            (&named("a0"), &digest("arm64 manifest").to_string()),
        ],
    );
    let judgement = judged(&facts(), &evidence(vec![of_amd64(), arm]));
    let blocking = of(&judgement, "IMG-020");
    assert_eq!(blocking.len(), 3);
    assert_eq!(blocking[0].place.platforms, ["linux/amd64", "linux/arm64"]);
    assert!(!judgement.gaps.contains_key(&Gap::ScannerReport));
}

#[test]
fn the_same_layers_or_the_index_with_an_architecture_name_a_platform_too() {
    let layers = digest("arm64 layer").to_string();
    let by_layers = report(TRIVY, &[(&named("d0"), &layers)]);
    assert_eq!(by_layers.subject.cover(&facts()), Cover::Platforms(vec![1]));
    let index = digest("index").to_string();
    let by_index = report(TRIVY, &[(&named("a0"), &index)]);
    assert_eq!(by_index.subject.cover(&facts()), Cover::Platforms(vec![0]));
    let unsaid = report(TRIVY, &[(&named("a0"), &index), ("\"amd64\"", "\"\"")]);
    assert_eq!(unsaid.subject.cover(&facts()), Cover::SomePlatform);
    let judgement = judged(&facts(), &evidence(vec![unsaid]));
    assert!(of(&judgement, "IMG-021")[0].message.contains("only the index"));
    assert_eq!(of(&judgement, "IMG-020").len(), 3, "its findings count all the same");
    assert_eq!(judgement.gap_images[&Gap::ScannerReport].len(), 2);
}

#[test]
fn a_report_of_another_image_is_an_error_with_both_digests_and_is_not_judged() {
    let judgement = judged(&facts(), &evidence(vec![report(TRIVY, &[])]));
    assert_eq!(of(&judgement, "IMG-020"), Vec::<&Finding>::new());
    let found = of(&judgement, "IMG-021");
    assert_eq!((found.len(), found[0].severity), (1, Severity::Error));
    let message = &found[0].message;
    for part in [
        named("c0"),
        named("a0"),
        digest("amd64 manifest").to_string(),
        digest("arm64 config").to_string(),
    ] {
        assert!(message.contains(&part), "{part}: {message}");
    }
    assert_eq!(found[0].place.file, Path::new("report.json"));
}

#[test]
fn a_report_without_a_digest_is_judged_by_itself_and_covers_nothing() {
    let judgement = judged(&facts(), &evidence(vec![report(GRYPE_SARIF, &[])]));
    let open = of(&judgement, "IMG-020");
    assert!(open.len() == 1 && open[0].not_proven, "{open:?}");
    assert_eq!(open[0].place.file, Path::new("report.json"));
    assert!(of(&judgement, "IMG-021")[0].message.contains("names no digest"));
    assert!(of(&judgement, "IMG-022")[0].message.contains("the report says 5.3"));
    assert_eq!(judgement.gap_images[&Gap::ScannerReport].len(), 2);
}

#[test]
fn old_reports_old_lists_and_those_of_tomorrow_are_warned_of() {
    let made = "2026-11-20T08:15:30.123456789+01:00";
    for (created, now, most, words) in [
        (made, "2026-12-20T06:00:00Z", 30, None),
        (made, "2026-12-22T06:00:00Z", 30, Some("31 days ago; 30 is the most")),
        (made, "2026-11-28T06:00:00Z", 7, None),
        (made, "2026-11-29T06:00:00Z", 7, Some("8 days ago; 7 is the most")),
        (made, "2026-11-20T07:00:00Z", 30, None),
        (made, "2026-11-19T06:00:00Z", 30, Some("which is not yet")),
        ("soon", "2026-11-28T06:00:00Z", 30, Some("does not say when")),
    ] {
        let config = digest("amd64 config").to_string();
        let scan = report(TRIVY, &[(&named("c0"), &config), (made, created)]);
        let evidence = Evidence {
            now: now.parse().unwrap(),
            report_max_age: MaxAge(most),
            ..evidence(vec![scan])
        };
        let judgement = judged(&facts(), &evidence);
        let found = of(&judgement, "IMG-021");
        match words {
            Some(words) => assert!(found[0].message.contains(words), "{found:?}"),
            None => assert_eq!(found, Vec::<&Finding>::new(), "{now}"),
        }
    }
    let mut scan = of_amd64();
    scan.database = Some("2026-10-01T00:00:00Z".parse().unwrap());
    (scan.count, scan.kind) = (0, ScanKind::Summary);
    let judgement = judged(&facts(), &evidence(vec![scan]));
    let found: Vec<&str> = of(&judgement, "IMG-021").iter().map(|at| at.message.as_str()).collect();
    assert!(found[0].contains("list of vulnerabilities of 2026-10-01"), "{found:?}");
    assert!(found[1].contains("lists no vulnerability, and Trivy writes the same"), "{found:?}");
    assert!(found[2].contains("at most one number"), "{found:?}");
    // A list of components is no report at all.
    let mut scan = of_amd64();
    scan.kind = ScanKind::Components;
    let judgement = judged(&facts(), &evidence(vec![scan]));
    assert!(of(&judgement, "IMG-021")[0].message.contains("does not say that any was looked for"));
    assert_eq!(judgement.gap_images[&Gap::ScannerReport].len(), 2);
}

#[test]
fn verdicts_beside_a_report_take_over_what_they_name_and_nothing_else() {
    let vex = report(VEX, &[]);
    let judgement = judged(&facts(), &evidence(vec![of_amd64(), vex]));
    let waived = |id: &str| {
        let found = of(&judgement, "IMG-020");
        let about = |at: &&&Finding| at.place.vulnerability.as_ref().unwrap().id == id;
        found.iter().find(about).unwrap().waived.clone()
    };
    assert!(waived("CVE-2026-10001").unwrap().reason.starts_with("false_positive: Debian"));
    assert_eq!(waived("CVE-2026-10005"), None, "`in_triage` takes nothing over");
    assert_eq!(of(&judgement, "IMG-021"), Vec::<&Finding>::new(), "verdicts need no digest");
    // The same verdicts of another image.
    let other = report(
        VEX,
        &[(
            "\"timestamp\"",
            &format!(
                "\"component\": {{\"type\": \"container\", \"name\": \"x\", \"version\": \"{}\"}}, \"timestamp\"",
                named("ee")
            ),
        )],
    );
    let judgement = judged(&facts(), &evidence(vec![of_amd64(), other]));
    let found = of(&judgement, "IMG-020");
    assert!(found[0].waived.is_none(), "{found:#?}");
}

#[test]
fn of_two_reports_the_higher_score_counts_and_harmless_is_what_both_say() {
    let config = digest("amd64 config").to_string();
    let cyclonedx = report(CYCLONEDX, &[(&named("c0"), &config), ("8.1", "9.1")]);
    let lower = report(
        TRIVY,
        &[
            (&named("c0"), &config),
            ("CVE-2026-10006", "CVE-2026-10007"),
            ("stdlib", "wick-tools"),
            ("1.22.0", "0.9"),
        ],
    );
    let judgement = judged(&facts(), &evidence(vec![lower, cyclonedx]));
    let found = of(&judgement, "IMG-020");
    let seventh = found.iter().find(|at| at.message.contains("CVE-2026-10007")).unwrap();
    assert!(seventh.message.contains("9.1") && seventh.waived.is_none(), "{seventh:?}");
}

#[test]
fn a_long_list_is_cut_and_the_rest_counted() {
    let one = |number: usize| {
        format!(
            "{{\"VulnerabilityID\":\"CVE-1-{number}\",\"PkgName\":\"p\",\"CVSS\":{{\"n\":{{\"V3Score\":{}}}}}}}",
            if number == 499 { "9.9" } else { "7.0" }
        )
    };
    let list: Vec<String> = (0..500).map(one).collect();
    let config = digest("amd64 config");
    let text = format!(
        "{{\"SchemaVersion\":2,\"ArtifactName\":\"x\",\"CreatedAt\":\"2026-11-28T00:00:00Z\",\
         \"Metadata\":{{\"ImageID\":\"{config}\"}},\"Results\":[{{\"Vulnerabilities\":[{}]}}]}}",
        list.join(",")
    );
    let scan = Scan::read(Path::new("report.json"), text.as_bytes()).unwrap();
    let judgement = judged(&facts(), &evidence(vec![scan]));
    let found = of(&judgement, "IMG-020");
    assert_eq!(found.len(), 201);
    assert!(found[0].message.contains("CVE-1-499"), "the worst comes first: {}", found[0].message);
    assert_eq!(found[200].message, "300 more are in report.json");
}
