#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use wharf_oci::{Descriptor, MediaType};

use crate::cli::ReportFormat;
use crate::diff::{self, ListBounds, ReleaseDiff};
use crate::image::config::{History, ImageConfig};
use crate::image::facts::{ImageFacts, LayerFacts, PlatformImage};
use crate::image::files::{FileView, LayerFilesBuilder, NewFile};
use crate::report::anatomy::Anatomy;
use crate::report::fixture::{HOSTILE, at_offer, in_image, of, written};
use crate::report::{Report, summarise};
use crate::rules::{AppliedWaiver, Finding, Severity};

/// Folders, and the bytes of the files in them.
const FOLDERS: [(&str, u64, usize); 12] = [
    ("usr/lib/x86_64-linux-gnu/lib", 900_000, 60),
    ("usr/lib/python3/mod", 30_000, 240),
    ("usr/bin/tool", 140_000, 80),
    ("usr/share/doc/copyright", 9_000, 150),
    ("usr/share/locale/text", 40_000, 40),
    ("usr/sbin/daemon", 700_000, 6),
    ("var/lib/dpkg/info", 4_000, 200),
    ("etc/conf", 1_500, 90),
    ("opt/app/bin/server", 14_000_000, 1),
    ("opt/app/web/asset", 260_000, 30),
    ("opt/app/data/model", 5_200_000, 2),
    ("srv/table", 800, 12),
];

fn descriptor(seed: usize, size: u64) -> Descriptor {
    let digest = format!("sha256:{seed:064x}").parse().unwrap();
    Descriptor::new(MediaType::OCI_LAYER_GZIP, digest, size)
}

/// An image of three layers; the first is common to all.
fn facts(name: &str, seed: usize, with: &str) -> ImageFacts {
    let mut layers = Vec::new();
    for (layer, folders) in FOLDERS.chunks(5).enumerate() {
        let mut builder = LayerFilesBuilder::new();
        for (folder, size_bytes, count) in folders {
            for at in 0..*count {
                let path = format!("{folder}-{at}");
                let size_bytes = size_bytes / (at as u64 % 7 + 1);
                builder.push(&NewFile { path: path.as_bytes(), size_bytes, ..NewFile::default() });
            }
        }
        if layer == 2 {
            let path = format!("opt/{with}");
            let path = path.as_bytes();
            builder.push(&NewFile { path, size_bytes: 2_000_000, ..NewFile::default() });
        }
        layers.push(Arc::new(builder.finish()));
    }
    let layer = |(at, size): (usize, u64)| LayerFacts {
        descriptor: descriptor(if at == 0 { 7 } else { seed + at }, size),
        uncompressed_bytes: Some(size * 3),
    };
    let step = |text: &str| History { created_by: Some(text.to_owned()), ..History::default() };
    let config = ImageConfig {
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        history: ["debian base", "RUN apt-get install", with].map(step).to_vec(),
        ..ImageConfig::default()
    };
    let image = PlatformImage {
        annotations: std::collections::BTreeMap::new(),
        descriptor: descriptor(seed + 100, 500),
        config: Some(config),
        config_descriptor: Some(descriptor(seed + 200, 900)),
        layers: [28_000_000, 9_400_000, 11_000_000].into_iter().enumerate().map(layer).collect(),
        files: Some(Arc::new(FileView::merge(&layers))),
    };
    ImageFacts { location: name.to_owned(), images: vec![image], ..ImageFacts::default() }
}

fn report(mut findings: Vec<Finding>, name: &str) -> Report {
    let mut waived = in_image("IMG-003", Severity::Error, "a blob has other bytes");
    waived.waived = Some(AppliedWaiver {
        reason: "known".to_owned(),
        expires: None,
        owner: None,
        file: "waivers.yaml".into(),
    });
    findings.push(waived);
    let mut report = of(findings);
    for (at, plan) in ["cache-server", "health-probe", name].into_iter().enumerate() {
        let facts = facts(plan, at * 10 + 1000, name);
        report.images.extend(summarise(&facts, Some(plan)));
        report.anatomies.extend(Anatomy::of(&facts, Some(plan)));
    }
    let (before, after) = (facts("release/1", 2000, "old"), facts("release/2", 2050, name));
    report.changes = Some(ReleaseDiff {
        before: "release/1".to_owned(),
        after: "release/2".to_owned(),
        plans_removed: vec![name.to_owned()],
        plans_added: Vec::new(),
        images: vec![diff::images(&before, &after, ListBounds::default())],
    });
    report
}

fn ordinary() -> Report {
    let mut open = at_offer("OFR-003", Severity::Warning, "nobody knows whether it is there");
    open.not_proven = true;
    let findings = vec![
        at_offer("OFR-001", Severity::Error, "the ID `Big` holds other characters than a-z"),
        open,
        in_image("IMG-001", Severity::Warning, "it holds a private key (RSA)"),
    ];
    report(findings, "tide-gauge")
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = written(&ordinary(), ReportFormat::Html);
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{}", &page[..80]);
    assert!(page.contains("default-src 'none'; style-src 'sha256-"), "{}", &page[..400]);
    for loads in ["<script", "src=", "url(", "@import", "style=", "onload", "<link", "<iframe"] {
        assert!(!page.contains(loads), "{loads}");
    }
    let links = page.match_indices("href=\"").map(|(at, _)| &page[at + 6..at + 14]);
    assert!(links.into_iter().all(|link| link.starts_with('#') || link == "https://"));
}

#[test]
fn the_page_has_verdicts_findings_pictures_and_changes() {
    let page = written(&ordinary(), ReportFormat::Html);
    for part in [
        "wharf verify: <span>failed</span>",
        "the ID `Big` holds",
        "<mark>Big</mark>",
        "Layers, and what is in them",
        "What plans share",
        "What changed since",
        "no vulnerability report",
        "aria-label=\"not proven\"",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // The base is everybody's: stored once, not three times.
    assert!(page.contains("cache-server and health-probe share 26.7 MiB in 1 layers"));
    assert!(page.matches("class=\"tile l").count() > 200);
    let words = page.matches("href=\"#part").count();
    assert_eq!(words, page.matches("<article class=\"part\" id=\"part").count());
}

#[test]
fn names_of_strangers_are_texts() {
    let mut finding = in_image("IMG-001", Severity::Error, HOSTILE);
    finding.place.path = Some(HOSTILE.to_owned());
    finding.place.platforms = vec![HOSTILE.to_owned()];
    let mut offer = at_offer("OFR-001", Severity::Error, HOSTILE);
    offer.place.snippet = Some(HOSTILE.to_owned());
    offer.place.file = HOSTILE.into();
    let page = written(&report(vec![finding, offer], HOSTILE), ReportFormat::Html);
    assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
    let hidden = |c: char| c != '\n' && crate::characters::is_hidden(c);
    assert_eq!(page.chars().find(|c| hidden(*c)), None);
}

#[test]
fn an_empty_report_is_a_page_too() {
    let page = written(&of(Vec::new()), ReportFormat::Html);
    assert!(page.contains("There are none."), "{page}");
    assert!(page.ends_with("</html>\n"));
}
