#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;

use wharf_oci::{Algorithm, Descriptor, Digest, Digester, MediaType};

use super::super::finding::{AffectedPackage, Gap, Place};
use super::*;
use crate::image::config::ImageConfig;
use crate::image::facts::{IndexFacts, PlatformImage};
use crate::report::Report;

fn digest(content: &str) -> Digest {
    Digester::digest(Algorithm::Sha256, content.as_bytes())
}

fn image(architecture: &str) -> PlatformImage {
    let config = ImageConfig {
        architecture: architecture.to_owned(),
        os: "linux".to_owned(),
        ..ImageConfig::default()
    };
    PlatformImage {
        annotations: std::collections::BTreeMap::new(),
        descriptor: Descriptor::new(MediaType::OCI_MANIFEST, digest(architecture), 1),
        config: Some(config),
        config_descriptor: None,
        layers: Vec::new(),
        files: None,
    }
}

fn images() -> Vec<(Option<usize>, ImageFacts)> {
    let descriptor = Descriptor::new(MediaType::OCI_INDEX, digest("index"), 1);
    let facts = ImageFacts {
        location: "out/lamp".to_owned(),
        indexes: vec![IndexFacts {
            descriptor,
            children: Vec::new(),
            annotations: std::collections::BTreeMap::new(),
        }],
        images: vec![image("amd64"), image("arm64")],
        ..ImageFacts::default()
    };
    vec![(Some(0), facts)]
}

fn finding(rule: &'static str) -> Finding {
    let vulnerability = (rule == "IMG-020").then(|| AffectedPackage {
        id: "CVE-2026-1".to_owned(),
        package: "libwick".to_owned(),
        installed: "1".to_owned(),
        fixed: None,
        score: Some("9.8".to_owned()),
    });
    Finding {
        rule,
        severity: Severity::Error,
        message: "it is wrong".to_owned(),
        not_proven: false,
        fix: "mend it",
        waived: None,
        is_damage: false,
        place: Place {
            file: "offer.yaml".into(),
            key: Some("plans[0].image.config".to_owned()),
            plan: Some("lamp".to_owned()),
            image: Some("out/lamp".to_owned()),
            platforms: vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()],
            path: Some("/usr/lib/lamp/key.pem".to_owned()),
            vulnerability,
            ..Place::default()
        },
    }
}

fn judgement(findings: Vec<Finding>) -> Judgement {
    let mut judgement = Judgement::default();
    for finding in &findings {
        judgement.conclude(finding.rule, Outcome::Failed);
    }
    Judgement { findings, ..judgement }
}

/// The waiver with these keys, applied to the findings.
fn applied(keys: &str, judgement: Judgement) -> Judgement {
    let text = format!("version: 1\nwaivers:\n  - {{ {keys}, reason: We know., owner: crew }}\n");
    let file = WaiverFile::parse(Path::new("waivers.yaml"), text.into_bytes()).unwrap();
    let now = "2026-11-28T12:00:00Z".parse().unwrap();
    let images = images();
    Waiving { file: &file, images: &images, now, profile: Profile::Strict }.apply(judgement)
}

/// The rules about waivers with findings, with the messages.
fn about_waivers(judgement: &Judgement) -> Vec<(&'static str, &str)> {
    let own = judgement.findings.iter().filter(|at| at.rule.starts_with("WVR-"));
    own.map(|at| (at.rule, at.message.as_str())).collect()
}

const DAY: &str = "expires: 2026-12-31";

#[test]
fn a_waived_finding_is_shown_and_decides_nothing() {
    let keys = format!("rule: img-020, vulnerability: cve-2026-1, package: libwick, {DAY}");
    let judgement = applied(&keys, judgement(vec![finding("IMG-020")]));
    let waived = judgement.findings[0].waived.clone().unwrap();
    assert_eq!(waived.words(), "until 2026-12-31, by crew, We know.");
    assert_eq!(waived.file, Path::new("waivers.yaml"));
    assert_eq!(about_waivers(&judgement), []);
    assert_eq!(judgement.outcomes["IMG-020"], Outcome::Waived);
    assert_eq!(judgement.outcomes["WVR-002"], Outcome::Passed);
    let report = Report::new(Vec::new(), judgement, Severity::Warning);
    assert!(report.summary.passed && report.summary.waived == 1 && report.summary.errors == 0);
}

#[test]
fn every_scope_narrows() {
    let amd64 = digest("amd64");
    for (scope, fits) in [
        ("plan: lamp", true),
        ("plan: torch", false),
        ("image: out/lamp", true),
        ("image: lamp", true),
        ("image: amp", false),
        ("key: \"plans[0].image\"", true),
        ("key: \"plans[0].imag\"", false),
        ("path: \"usr/lib/**\"", true),
        ("path: \"*.pem\"", true),
        ("path: \"usr/share/**\"", false),
        ("plan: lamp, platform: linux/arm64", true),
        ("plan: lamp, platform: linux/riscv64", false),
        (&format!("digest: \"{amd64}\""), true),
        (&format!("digest: \"{}\"", digest("index")), true),
        (&format!("digest: \"{}\"", digest("other")), false),
        (&format!("digest: \"{amd64}\", platform: linux/arm64"), false),
        ("plan: lamp, path: \"*.txt\"", false),
        ("vulnerability: CVE-2026-1", false),
    ] {
        let judgement =
            applied(&format!("rule: IMG-017, {scope}, {DAY}"), judgement(vec![finding("IMG-017")]));
        let waived = judgement.findings.iter().any(|at| at.waived.is_some());
        assert_eq!(waived, fits, "{scope}");
        let own: Vec<&str> = about_waivers(&judgement).iter().map(|(rule, _)| *rule).collect();
        assert_eq!(own, if fits { vec![] } else { vec!["WVR-002"] }, "{scope}");
    }
}

#[test]
fn a_waiver_of_one_platform_leaves_the_other() {
    let amd64 = digest("amd64");
    for scope in ["plan: lamp, platform: linux/amd64", &format!("digest: \"{amd64}\"")] {
        let judgement =
            applied(&format!("rule: IMG-017, {scope}, {DAY}"), judgement(vec![finding("IMG-017")]));
        let platforms = |waived: bool| {
            let found = judgement.findings.iter().find(|at| at.waived.is_some() == waived);
            found.unwrap().place.platforms.clone()
        };
        assert_eq!(platforms(true), ["linux/amd64"]);
        assert_eq!(platforms(false), ["linux/arm64"]);
        assert_eq!(judgement.outcomes["IMG-017"], Outcome::Failed);
    }
}

#[test]
fn what_is_wrong_with_waivers_is_found_and_they_do_not_count() {
    let narrow = "vulnerability: CVE-2026-1";
    for (keys, rule, words) in [
        (
            format!("rule: IMG-020, {narrow}, expires: 2026-11-27"),
            "WVR-001",
            "expired on 2026-11-27",
        ),
        (format!("rule: IMG-020, vulnerability: CVE-2026-2, {DAY}"), "WVR-002", "no finding"),
        (format!("rule: IMG-999, {narrow}, {DAY}"), "WVR-003", "no such rule"),
        (format!("rule: WVR-001, {DAY}"), "WVR-003", "cannot be waived"),
        (format!("rule: IMG-020, {DAY}"), "WVR-003", "name the `vulnerability`"),
        (format!("rule: IMG-016, {DAY}"), "WVR-003", "no scope"),
        (format!("rule: IMG-016, platform: linux/amd64, {DAY}"), "WVR-003", "no scope"),
        (format!("rule: IMG-020, {narrow}, expires: 2028-01-01"), "WVR-003", "longer than a year"),
    ] {
        let judgement = applied(&keys, judgement(vec![finding("IMG-020")]));
        let own = about_waivers(&judgement);
        assert!(own.len() == 1 && own[0].0 == rule && own[0].1.contains(words), "{keys}: {own:?}");
        assert!(judgement.findings[0].waived.is_none(), "{keys}");
        let place = &judgement.findings[1].place;
        assert_eq!((place.file.to_str(), place.line), (Some("waivers.yaml"), Some(3)));
        assert!(place.snippet.is_some() && place.column.is_some());
    }
}

#[test]
fn the_last_day_counts_and_so_does_a_day_in_exactly_a_year() {
    for day in ["2026-11-28", "2027-11-28"] {
        let keys = format!("rule: IMG-020, vulnerability: CVE-2026-1, expires: {day}");
        let judgement = applied(&keys, judgement(vec![finding("IMG-020")]));
        assert_eq!(about_waivers(&judgement), [], "{day}");
        assert!(judgement.findings[0].waived.is_some(), "{day}");
    }
}

#[test]
fn damaged_bytes_are_never_waived() {
    let damaged = Finding { is_damage: true, ..finding("IMG-003") };
    let judgement = applied(&format!("rule: IMG-003, plan: lamp, {DAY}"), judgement(vec![damaged]));
    assert!(judgement.findings[0].waived.is_none());
    let own = about_waivers(&judgement);
    assert!(own[0].0 == "WVR-003" && own[0].1.contains("nobody can take that over"), "{own:?}");
    assert_eq!(judgement.outcomes["IMG-003"], Outcome::Failed);
}

#[test]
fn rules_that_were_not_decided_have_no_unused_waivers() {
    let mut open = judgement(Vec::new());
    open.conclude("IMG-020", Outcome::NotLookedAt);
    let narrow = format!("vulnerability: CVE-2026-1, {DAY}");
    for rule in ["IMG-020", "LST-001"] {
        let judgement = applied(&format!("rule: {rule}, {narrow}"), open.clone());
        assert_eq!(about_waivers(&judgement), [], "{rule}");
    }
    // A waived finding does not hide that another image was not looked at.
    let mut half = judgement(vec![finding("IMG-020")]);
    half.gaps.entry(Gap::ScannerReport).or_default().insert("IMG-020");
    let judgement = applied(&format!("rule: IMG-020, {narrow}"), half);
    assert_eq!(judgement.outcomes["IMG-020"], Outcome::NotLookedAt);
}

#[test]
fn a_waiver_of_a_plan_is_one_of_all_its_images() {
    assert!(is_of(Some("tide"), "tide") && is_of(Some("tide.page"), "tide"));
    assert!(is_of(Some("tide.page"), "tide.page"));
    assert!(!is_of(Some("tide-2"), "tide") && !is_of(Some("tide.page"), "tide.p"));
    assert!(!is_of(None, "tide"));
}
