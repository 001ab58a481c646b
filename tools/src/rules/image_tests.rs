//! Every rule of the image with an image that breaks it; the same image without the change breaks
//! none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::zero_sized_map_values)]

use std::collections::BTreeSet;

use wharf_oci::{Algorithm, Descriptor, Digest, Digester, MediaType, Platform};

use super::*;
use crate::image::config::{Empty, History, ImageConfig, RuntimeConfig};
use crate::image::facts::{
    Fault, FaultKind, ImageFacts, IndexFacts, LayerFacts, PlatformImage, Refusal,
};
use crate::offer::fixture::{OFFER, parse};

fn digest(content: &str) -> Digest {
    Digester::digest(Algorithm::Sha256, content.as_bytes())
}

fn image(platform: &str) -> PlatformImage {
    let platform: Platform = platform.parse().unwrap();
    let config = ImageConfig {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        config: RuntimeConfig {
            user: "999:999".to_owned(),
            entrypoint: vec!["/bin/server".to_owned()],
            exposed_ports: BTreeMap::from([("6379/tcp".to_owned(), Empty {})]),
            env: vec!["TZ=Etc/UTC".to_owned()],
            ..RuntimeConfig::default()
        },
        ..ImageConfig::default()
    };
    let name = platform.to_string();
    let mut descriptor = Descriptor::new(MediaType::OCI_MANIFEST, digest(&name), 500);
    descriptor.platform = Some(platform);
    let layer = Descriptor::new(MediaType::OCI_LAYER_GZIP, digest("layer"), 1000);
    PlatformImage {
        descriptor,
        config: Some(config),
        config_descriptor: Some(Descriptor::new(MediaType::OCI_CONFIG, digest("config"), 100)),
        layers: vec![LayerFacts { descriptor: layer, uncompressed_bytes: Some(4000) }],
        files: None,
    }
}

/// The image of the plan `server` as it should be.
fn facts() -> ImageFacts {
    let file = parse(OFFER).unwrap();
    let images = vec![image("linux/amd64"), image("linux/arm64")];
    let index = Descriptor::new(MediaType::OCI_INDEX, digest("index"), 700);
    let children = images.iter().map(|image| image.descriptor.clone()).collect();
    let tags = &file.offer.plans[0].image.expanded_tags;
    ImageFacts {
        location: "out/server".to_owned(),
        tags: tags.iter().map(|item| (item.tag.clone(), index.digest)).collect(),
        roots: vec![index.clone()],
        indexes: vec![IndexFacts { descriptor: index, children }],
        images,
        artifacts: Vec::new(),
        faults: Vec::new(),
    }
}

fn findings(facts: &ImageFacts) -> Vec<Finding> {
    let file = parse(OFFER).unwrap();
    judge_image(facts, Some((&file, 0)), &Evidence::default(), Profile::Strict).findings
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
    ("IMG-032", Severity::Error, |at| fault(at, FaultKind::Entry(Refusal::All))),
    ("IMG-032", Severity::Error, |at| fault(at, FaultKind::Entry(Refusal::Some))),
    ("IMG-032", Severity::Warning, |at| fault(at, FaultKind::Entry(Refusal::None))),
    ("IMG-033", Severity::Error, |at| fault(at, FaultKind::Compression)),
    ("IMG-033", Severity::Error, |at| fault(at, FaultKind::Packing(Refusal::Some))),
    ("IMG-033", Severity::Warning, |at| fault(at, FaultKind::Packing(Refusal::None))),
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
    ("IMG-027", Severity::Warning, |at| config(at).config.env.push("_X=1".to_owned())),
    ("IMG-027", Severity::Warning, |at| config(at).config.env.push("A.B=1".to_owned())),
];

fn expose(facts: &mut ImageFacts, port: &str) {
    config(facts).config.exposed_ports.insert(port.to_owned(), Empty {});
}

#[test]
fn the_image_of_the_tests_breaks_no_rule() {
    assert_eq!(findings(&facts()), []);
    let alone = judge_image(&facts(), None, &Evidence::default(), Profile::Strict).findings;
    assert_eq!(alone, []);
}

#[test]
fn every_image_rule_finds_what_breaks_it() {
    let mut seen = BTreeSet::new();
    for (id, severity, change) in CONTENT_ROWS.iter().chain(CONFIG_ROWS) {
        seen.insert(*id);
        let mut facts = facts();
        change(&mut facts);
        let found = findings(&facts);
        let fits = |at: &Finding| at.rule == *id && at.severity == *severity;
        assert!(found.iter().any(fits), "{id} {severity:?}: {found:#?}");
        assert!(found.iter().all(|at| at.place.line.is_some_and(|line| line > 50)), "{found:#?}");
        assert!(found.iter().all(|at| !at.message.contains("hunter2")), "{found:#?}");
    }
    let rules = all().filter(|rule| matches!(rule.check, Check::Image(_)));
    let all: BTreeSet<&str> = rules.map(|rule| rule.id).collect();
    assert_eq!(seen, all, "every image rule has a row and every row a rule");
}

#[test]
fn findings_point_at_the_key_of_the_plan_or_at_the_layout_when_there_is_no_offer() {
    let mut facts = facts();
    config(&mut facts).config.user.clear();
    let found = findings(&facts);
    assert_eq!(found[0].place.key.as_deref(), Some("plans[0].image.config.user"));
    assert_eq!(found[0].place.image.as_deref(), Some("out/server"));
    let alone = judge_image(&facts, None, &Evidence::default(), Profile::Strict).findings;
    assert_eq!(alone[0].place.file.to_str(), Some("out/server"));
    assert_eq!(alone[0].place.line, None);
}

#[test]
fn a_fault_of_a_layer_is_said_once_with_its_layer_its_path_and_every_platform() {
    let mut facts = facts();
    let path = Some("etc/x".to_owned());
    let message = "`etc/x` comes twice".to_owned();
    let kind = FaultKind::Entry(Refusal::Some);
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
