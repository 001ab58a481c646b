//! Every rule of the image with an image at fault; the same image without the change breaks none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::zero_sized_map_values)]

use std::collections::BTreeSet;

use wharf_oci::{Descriptor, MediaType};

use super::file_tests;
use super::image_fixture::*;
use super::*;
use crate::image::config::{Empty, History, ImageConfig};
use crate::image::facts::{EngineRefusal, Fault, FaultKind, ImageFacts};
use crate::offer::fixture::{Folder, OFFER, changed, parse};

fn findings(facts: &ImageFacts) -> Vec<Finding> {
    let file = parse(OFFER).unwrap();
    judge_image(facts, Some((&file, 0)), &evidence(), Profile::Strict).findings
}

type Break = fn(&mut ImageFacts);

fn config(facts: &mut ImageFacts) -> &mut ImageConfig {
    facts.images[0].config.as_mut().unwrap()
}

fn fault(facts: &mut ImageFacts, kind: FaultKind) {
    let message = "it is wrong".to_owned();
    facts.faults.push(Fault::new(digest("layer"), kind, message));
}

const GIB: u64 = 1 << 30;

const CONTENT_ROWS: &[(&str, Severity, Break)] = &[
    ("TEC-025", Severity::Error, |at| {
        at.tags.remove(&"latest".parse().unwrap());
    }),
    ("TEC-025", Severity::Error, |at| {
        at.tags.insert("1.3.0".parse().unwrap(), digest("old"));
    }),
    ("TEC-015", Severity::Error, |at| {
        at.tags.insert("latest".parse().unwrap(), digest("old"));
    }),
    ("TEC-015", Severity::Error, |at| {
        at.tags.insert("1.10.0".parse().unwrap(), digest("newer"));
    }),
    ("IMG-050", Severity::Error, |at| {
        let inputs = digest("another offer").to_string();
        at.roots[0].annotations.insert("wharf.image.inputs".to_owned(), inputs);
    }),
    ("IMG-001", Severity::Error, |at| {
        at.images[0].descriptor.media_type = MediaType::OCI_ARTIFACT;
    }),
    ("IMG-001", Severity::Error, |at| fault(at, FaultKind::Manifest)),
    ("IMG-001", Severity::Error, |at| at.images.clear()),
    ("IMG-003", Severity::Error, |at| fault(at, FaultKind::Missing)),
    ("IMG-003", Severity::Error, |at| fault(at, FaultKind::Size)),
    ("IMG-003", Severity::Error, |at| fault(at, FaultKind::Digest)),
    ("IMG-003", Severity::Warning, |at| fault(at, FaultKind::Algorithm)),
    ("IMG-039", Severity::Error, |at| {
        config(at).history = vec![History::default(), History::default()];
    }),
    ("IMG-049", Severity::Error, |at| fault(at, FaultKind::Name)),
    ("IMG-004", Severity::Error, |at| at.indexes[0].descriptor.size = 4 * 1024 * 1024 + 1),
    ("IMG-004", Severity::Error, |at| {
        at.images[0].layers[0].descriptor.size = 200 * GIB + 1;
    }),
    ("IMG-005", Severity::Error, |at| {
        at.images.remove(0);
    }),
    ("IMG-006", Severity::Error, |at| {
        at.indexes[0].children[0].platform.as_mut().unwrap().architecture = "riscv64".to_owned();
    }),
    ("IMG-006", Severity::Error, |at| at.indexes[0].children[0].platform = None),
    ("IMG-006", Severity::Error, |at| {
        config(at).variant = Some("v2".to_owned());
        at.indexes[0].children[0].platform.as_mut().unwrap().variant = Some("v3".to_owned());
    }),
    ("IMG-007", Severity::Warning, |at| {
        let child = at.indexes[0].children[0].clone();
        at.indexes[0].children.push(child);
    }),
    ("IMG-008", Severity::Error, |at| {
        at.images[0].layers[0].descriptor.size = 16 * GIB;
    }),
    ("IMG-008", Severity::Warning, |at| {
        at.images[0].layers[0].uncompressed_bytes = Some(16 * GIB);
    }),
    ("IMG-031", Severity::Warning, |at| {
        at.images[0].layers[0].descriptor.urls.push("https://elsewhere.dev/x".to_owned());
    }),
    ("IMG-032", Severity::Error, |at| fault(at, FaultKind::Tar)),
    ("IMG-032", Severity::Error, |at| fault(at, FaultKind::Entry(EngineRefusal::All))),
    ("IMG-032", Severity::Error, |at| fault(at, FaultKind::Entry(EngineRefusal::Some))),
    ("IMG-032", Severity::Warning, |at| fault(at, FaultKind::Entry(EngineRefusal::None))),
    ("IMG-033", Severity::Error, |at| fault(at, FaultKind::Compression)),
    ("IMG-033", Severity::Error, |at| fault(at, FaultKind::Packing(EngineRefusal::Some))),
    ("IMG-033", Severity::Warning, |at| fault(at, FaultKind::Packing(EngineRefusal::None))),
    ("IMG-036", Severity::Warning, |at| fault(at, FaultKind::Unproven)),
    ("IMG-036", Severity::Error, |at| fault(at, FaultKind::DiffId)),
];

const CONFIG_ROWS: &[(&str, Severity, Break)] = &[
    ("IMG-010", Severity::Error, |at| config(at).architecture.clear()),
    ("IMG-010", Severity::Error, |at| fault(at, FaultKind::Config)),
    ("IMG-011", Severity::Error, |at| config(at).config.entrypoint.clear()),
    ("IMG-012", Severity::Warning, |at| {
        config(at).config.entrypoint = vec!["/bin/bash".to_owned()];
    }),
    ("IMG-013", Severity::Error, |at| expose(at, "http")),
    ("IMG-013", Severity::Error, |at| expose(at, "0/tcp")),
    ("IMG-014", Severity::Error, |at| expose(at, "22/tcp")),
    ("IMG-014", Severity::Error, |at| expose(at, "65534/udp")),
    ("IMG-015", Severity::Error, |at| {
        for port in 81..86 {
            expose(at, &format!("{port}/tcp"));
        }
    }),
    ("IMG-016", Severity::Warning, |at| config(at).config.user.clear()),
    ("IMG-016", Severity::Warning, |at| config(at).config.user = "0:0".to_owned()),
    ("IMG-016", Severity::Warning, |at| config(at).config.user = "00".to_owned()),
    ("IMG-016", Severity::Warning, |at| config(at).config.user = "+0:7".to_owned()),
    ("IMG-016", Severity::Warning, |at| config(at).config.user = "-0".to_owned()),
    ("IMG-016", Severity::Warning, |at| config(at).config.user = "root:app".to_owned()),
    ("IMG-016", Severity::Warning, |at| config(at).config.user = ":7".to_owned()),
    ("IMG-017", Severity::Error, |at| {
        config(at).config.env.push("DB_PASSWORD=hunter2".to_owned());
    }),
    ("IMG-017", Severity::Error, |at| {
        let label = ("key".to_owned(), "AKIAABCDEFGHIJKLMNOP".to_owned());
        config(at).config.labels.extend([label]);
    }),
    ("IMG-017", Severity::Error, |at| {
        let created_by = Some("RUN login AKIAABCDEFGHIJKLMNOP".to_owned());
        config(at).history.push(History { created_by, ..History::default() });
    }),
    ("IMG-017", Severity::Error, |at| {
        let created_by = Some("RUN |1 DB_PASSWORD=hunter2 /bin/sh -c make # buildkit".to_owned());
        config(at).history.push(History { created_by, ..History::default() });
    }),
    ("IMG-017", Severity::Error, |at| {
        config(at).config.cmd = vec!["--db-password=hunter2".to_owned()];
    }),
    ("IMG-017", Severity::Error, |at| {
        let token = format!("curl -H ghp_{} localhost", "a".repeat(36));
        config(at).config.healthcheck.test = vec!["CMD-SHELL".to_owned(), token];
    }),
    ("IMG-027", Severity::Warning, |at| config(at).config.env.push("_X=1".to_owned())),
    ("IMG-027", Severity::Warning, |at| config(at).config.env.push("A.B=1".to_owned())),
];

const ORIGIN_ROWS: &[(&str, Severity, Break)] = &[
    ("IMG-028", Severity::Warning, |at| config(at).history.clear()),
    ("IMG-029", Severity::Warning, |at| config(at).config.labels.clear()),
    ("IMG-029", Severity::Warning, |at| label(at, "vendor", " ")),
    ("IMG-029", Severity::Warning, |at| label(at, "version", "12.4")),
    ("IMG-029", Severity::Warning, |at| label(at, "version", "1.4")),
    ("IMG-034", Severity::Warning, |at| {
        config(at).created = Some("2026-11-28T03:00:00Z".to_owned());
    }),
    ("IMG-034", Severity::Warning, |at| config(at).created = Some("yesterday".to_owned())),
    ("IMG-034", Severity::Warning, |at| {
        config(at).history[0].created = config(at).created.clone();
        config(at).created = Some(ZERO.to_owned());
    }),
    ("IMG-035", Severity::Error, |at| layers(at, 128)),
    ("IMG-035", Severity::Warning, |at| layers(at, 41)),
];

const RUNTIME_ROWS: &[(&str, Severity, Break)] = &[
    ("IMG-009", Severity::Error, |at| windows(at, None)),
    ("IMG-009", Severity::Error, |at| windows(at, Some("10.0.17763.1039"))),
    ("IMG-009", Severity::Error, |at| windows(at, Some("10.0.20348.2000"))),
    ("IMG-037", Severity::Warning, |at| healthcheck(at, &["CMD-SHELL", "redis-cli ping"])),
    ("IMG-037", Severity::Warning, |at| healthcheck(at, &["CMD", "/bin/probe", "-q"])),
    ("IMG-038", Severity::Error, |at| config(at).config.stop_signal = "SIGSTOPP".to_owned()),
    ("IMG-038", Severity::Warning, |at| {
        config(at).config.volumes.insert("/data".to_owned(), Empty {});
    }),
];

const SUPPLY_ROWS: &[(&str, Severity, Break)] = &[
    ("IMG-002", Severity::Error, |at| {
        at.roots[0].media_type = MediaType::DOCKER_SCHEMA_1_SIGNED;
    }),
    ("IMG-002", Severity::Error, |at| {
        at.indexes[0].children[0].media_type = MediaType::DOCKER_SCHEMA_1;
    }),
    ("SUP-001", Severity::Warning, |at| {
        at.artifacts.remove(0);
    }),
    ("SUP-002", Severity::Warning, |at| {
        at.artifacts.pop();
    }),
    ("SUP-002", Severity::Warning, |at| {
        at.artifacts.last_mut().unwrap().subject = Some(digest("gone"));
    }),
    ("SUP-003", Severity::Warning, |at| at.artifacts[0].layers[0].size = 33 << 20),
    ("DEP-004", Severity::Warning, |at| at.indexes.clear()),
];

/// The rule, and a change to an image outside the rule's scope.
const NOT_APPLICABLE: &[(&str, Break)] = &[
    ("TEC-015", |at| {
        at.tags.remove(&"latest".parse().unwrap());
    }),
    ("TEC-015", |at| at.tags.retain(|tag, _| tag.as_str() == "latest")),
    ("IMG-006", |at| at.indexes.clear()),
    ("IMG-007", |at| at.indexes.clear()),
    ("IMG-009", |_| {}),
    ("IMG-013", |at| each(at, |config| config.config.exposed_ports.clear())),
    ("IMG-014", |at| each(at, |config| config.config.exposed_ports.clear())),
    ("IMG-015", |at| each(at, |config| config.config.exposed_ports.clear())),
    ("IMG-027", |at| each(at, |config| config.config.env.clear())),
    ("IMG-028", |at| at.images.clear()),
    ("IMG-029", |at| at.images.clear()),
    ("IMG-034", |at| each(at, |config| config.created = None)),
    ("IMG-035", |at| at.images.clear()),
    ("IMG-037", |_| {}),
    ("IMG-037", |at| healthcheck(at, &["NONE"])),
    ("IMG-037", |at| healthcheck(at, &[])),
    ("IMG-038", |_| {}),
    ("SUP-001", |at| at.images.clear()),
    ("SUP-002", |at| at.images.clear()),
    ("SUP-003", |at| at.artifacts.clear()),
    ("DEP-004", |at| at.images.clear()),
];

/// Rules about every image; TEC-025 and IMG-050 are about every one of an offer.
const ALWAYS: [&str; 19] = [
    "TEC-025", "IMG-001", "IMG-002", "IMG-003", "IMG-004", "IMG-005", "IMG-008", "IMG-010",
    "IMG-011", "IMG-012", "IMG-016", "IMG-017", "IMG-031", "IMG-032", "IMG-033", "IMG-036",
    "IMG-039", "IMG-049", "IMG-050",
];

fn each(facts: &mut ImageFacts, change: fn(&mut ImageConfig)) {
    facts.images.iter_mut().filter_map(|image| image.config.as_mut()).for_each(change);
}

fn label(facts: &mut ImageFacts, name: &str, value: &str) {
    let key = format!("org.opencontainers.image.{name}");
    config(facts).config.labels.insert(key, value.to_owned());
}

fn layers(facts: &mut ImageFacts, count: usize) {
    let layer = facts.images[0].layers[0].clone();
    facts.images[0].layers = vec![layer; count];
}

fn windows(facts: &mut ImageFacts, version: Option<&str>) {
    config(facts).os = "windows".to_owned();
    config(facts).os_version = version.map(ToOwned::to_owned);
}

fn healthcheck(facts: &mut ImageFacts, test: &[&str]) {
    config(facts).config.healthcheck.test = test.iter().map(|word| (*word).to_owned()).collect();
}

fn expose(facts: &mut ImageFacts, port: &str) {
    config(facts).config.exposed_ports.insert(port.to_owned(), Empty {});
}

#[test]
fn the_image_of_the_tests_breaks_no_rule() {
    assert_eq!(findings(&facts()), []);
    let alone = judge_image(&facts(), None, &evidence(), Profile::Strict).findings;
    assert_eq!(alone, []);
}

#[test]
fn every_image_rule_finds_what_breaks_it() {
    const ROWS: [&[(&str, Severity, Break)]; 5] =
        [CONTENT_ROWS, CONFIG_ROWS, ORIGIN_ROWS, RUNTIME_ROWS, SUPPLY_ROWS];
    let mut seen = file_tests::ids();
    for (id, severity, change) in ROWS.into_iter().flatten() {
        seen.insert(*id);
        let mut facts = facts();
        change(&mut facts);
        let found = findings(&facts);
        let fits = |at: &Finding| at.rule == *id && at.severity == *severity;
        assert!(found.iter().any(fits), "{id} {severity:?}: {found:#?}");
        assert!(found.iter().all(|at| at.place.line.is_some_and(|line| line > 50)), "{found:#?}");
        assert!(found.iter().all(|at| !at.message.contains("hunter2")), "{found:#?}");
    }
    // Those about reports of scanners and the state of a registry have tests of their own.
    let needs_evidence =
        |id: &str| id.starts_with("REG-") || matches!(id, "IMG-020" | "IMG-021" | "IMG-022");
    let rules =
        all().filter(|rule| matches!(rule.check, Check::Image(_)) && !needs_evidence(rule.id));
    let all: BTreeSet<&str> = rules.map(|rule| rule.id).collect();
    assert_eq!(seen, all, "every image rule has a row and every row a rule");
}

#[test]
fn every_image_rule_says_of_what_it_is_not_about_that_it_does_not_apply() {
    let file = parse(OFFER).unwrap();
    for (id, change) in NOT_APPLICABLE {
        let mut facts = facts();
        change(&mut facts);
        let judgement = judge_image(&facts, Some((&file, 0)), &evidence(), Profile::Strict);
        assert_eq!(judgement.outcomes[id], Outcome::NotApplicable, "{id}");
    }
    let passed = judge_image(&facts(), Some((&file, 0)), &evidence(), Profile::Strict).outcomes;
    for id in ALWAYS {
        assert_eq!(passed[id], Outcome::Passed, "{id}");
    }
    let alone = judge_image(&facts(), None, &evidence(), Profile::Strict).outcomes;
    assert_eq!(alone["TEC-025"], Outcome::NotApplicable);
    let rules = all().filter(|rule| matches!(rule.check, Check::Image(_)));
    // Rules about scanners and registries have their own tests.
    let needs_evidence = |id: &str| {
        id.starts_with("REG-") || vulnerabilities::RULES.iter().any(|rule| rule.id == id)
    };
    let all: BTreeSet<&str> = rules.map(|rule| rule.id).filter(|id| !needs_evidence(id)).collect();
    let seen = NOT_APPLICABLE.iter().map(|(id, _)| *id).chain(ALWAYS);
    let seen = seen.chain(file_tests::not_applicable_ids());
    assert_eq!(seen.collect::<BTreeSet<_>>(), all, "every image rule is in one of the tables");
}

#[test]
fn findings_point_at_the_key_of_the_plan_or_at_the_layout_when_there_is_no_offer() {
    let mut facts = facts();
    config(&mut facts).config.user.clear();
    let found = findings(&facts);
    assert_eq!(found[0].place.key.as_deref(), Some("plans[0].image.config.user"));
    assert_eq!(found[0].place.image.as_deref(), Some("out/server"));
    let alone = judge_image(&facts, None, &evidence(), Profile::Strict).findings;
    assert_eq!(alone[0].place.file.to_str(), Some("out/server"));
    assert_eq!(alone[0].place.line, None);
}

#[test]
fn a_fault_of_a_layer_is_said_once_with_its_layer_its_path_and_every_platform() {
    let mut facts = facts();
    let path = Some("etc/x".to_owned());
    let message = "`etc/x` comes twice".to_owned();
    let kind = FaultKind::Entry(EngineRefusal::Some);
    facts.faults.push(Fault { digest: digest("layer"), kind, path, message });
    let found = findings(&facts);
    assert_eq!(found.len(), 1, "{found:#?}");
    let place = &found[0].place;
    assert_eq!(place.platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!(place.layer.map(|layer| (layer.number, layer.digest)), Some((1, digest("layer"))));
    assert_eq!(place.path.as_deref(), Some("etc/x"));
}

#[test]
fn steps_without_a_layer_and_fewer_steps_than_layers_are_fine() {
    let mut facts = facts();
    let empty = History { empty_layer: true, ..History::default() };
    config(&mut facts).history = vec![empty.clone(), History::default(), empty];
    assert_eq!(findings(&facts), []);
}

#[test]
fn attestations_are_no_platforms() {
    let mut facts = facts();
    let mut child = Descriptor::new(MediaType::OCI_MANIFEST, digest("attestation"), 1);
    child.platform = Some("unknown/unknown".parse().unwrap());
    facts.indexes[0].children.extend([child.clone(), child]);
    assert_eq!(findings(&facts), []);
}

#[test]
fn two_plans_with_one_image_are_found() {
    let file = parse(OFFER).unwrap();
    let images = [(Some(0), facts()), (Some(1), facts()), (None, facts())];
    let found = judge_difference(&file, &images).findings;
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found.iter().all(|at| at.rule == "PLN-006"));
    let own = [(Some(0), facts()), (None, facts())];
    assert_eq!(judge_difference(&file, &own).findings, []);
}

#[test]
fn texts_and_images_that_differ_are_found() {
    for (from, to, key) in [
        ("Only what the server has.", "It listens on port 6380.", Some("plans[0].description")),
        ("Only what the server has.", "It listens on port 6379.", None),
        ("Only what the server has.", "It listens on TCP port 6379, not on port 80.", None),
        ("summary: The server.", "summary: Server for linux/s390x", Some("plans[0].summary")),
        ("summary: The server.", "summary: Server 1.4 for aarch64", None),
        ("summary: The server.", "summary: Server 1.3.9", Some("plans[0].summary")),
        ("summary: The probe.", "summary: For arm64 nodes.", Some("plans[1].summary")),
        ("A cache with safe defaults.", "For arm64 nodes.", None),
        ("A cache with safe defaults.", "Port 7000.", Some("listing.shortDescription")),
        ("A cache with safe defaults.", "Tidepool Cache 2.0", Some("listing.shortDescription")),
    ] {
        let folder = Folder::new();
        let (file, content) = folder.load(&changed(&[(from, to)])).unwrap();
        let mut probe = facts();
        probe.images.truncate(1);
        let images = [(Some(0), facts()), (Some(1), probe)];
        let found = judge_claims(&file, &content, &images).findings;
        let keys: Vec<_> = found.iter().filter_map(|at| at.place.key.as_deref()).collect();
        assert_eq!(keys, key.into_iter().collect::<Vec<_>>(), "{to}: {found:#?}");
        let none = judge_claims(&file, &content, &[]);
        assert_eq!(none.outcomes["IMG-048"], Outcome::NotApplicable);
    }
}
