//! The bodies of the fuzz targets. Each parses untrusted bytes and checks the result against
//! itself. A panic is a finding, and so is a contradiction between two results.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;

use wharf_oci::{Algorithm, Digest, Digester};
use wharf_tools::diff::{self, ListBounds, text};
use wharf_tools::image::ar::Archive;
use wharf_tools::image::facts::{EngineRefusal, ImageFacts};
use wharf_tools::image::files::FileView;
use wharf_tools::image::layer::{Below, Setting, prepare};
use wharf_tools::image::packages::{self, Manager};
use wharf_tools::image::tar_rules::EntryRules;
use wharf_tools::image::tar_walk::TarWalk;
use wharf_tools::offer::OfferFile;
use wharf_tools::offer::content::Content;
use wharf_tools::offer::layers::Layer;
use wharf_tools::output::Paint;
use wharf_tools::registry_state::RegistryState;
use wharf_tools::rules::evidence::Evidence;
use wharf_tools::rules::html::{self, HtmlPiece};
use wharf_tools::rules::{Profile, judge_image, judge_offer, judge_scans, urls};
use wharf_tools::scans::{KEPT_MAX, Scan};
use wharf_tools::source::Source;
use wharf_tools::verify::{Limits, check};
use wharf_tools::waivers::WaiverFile;

/// The offer around the texts under test.
const OFFER: &str = include_str!("offer.yaml");

/// Largest tar of a layer here: bombs end soon.
const INFLATED_BYTES_MAX: u64 = 1 << 20;

/// A description, terms and notes.
pub fn descriptions(bytes: &[u8]) {
    static FILE: OnceLock<OfferFile> = OnceLock::new();
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let file = FILE.get_or_init(|| read_offer(OFFER.as_bytes()).expect("the offer is one"));
    let content = Content {
        description: text.to_owned(),
        terms: Some(text.to_owned()),
        certification_notes: Some(text.to_owned()),
        plan_descriptions: vec![text.to_owned(); file.offer.plans.len()],
        ..Content::default()
    };
    let found = judge_offer(file, &content, &Evidence::default(), Profile::Strict).findings;
    // Active content for a browser is always found, also inside of other markup.
    let runs = html::pieces(text).into_iter().any(|placed| match placed.piece {
        HtmlPiece::Open(tag) => {
            tag.name == "script"
                || tag.attributes.iter().any(|(name, value)| {
                    name.starts_with("on") || (name == "href" && urls::is_active(value))
                })
        }
        _ => false,
    });
    assert!(!runs || found.iter().any(|finding| finding.rule == "LST-007"), "{text:?}");
    if html::markup(text).is_none() {
        assert_eq!(html::plain_text(text), text.replace("\r\n", "\n").replace('\r', "\n"));
    }
}

/// Links from texts.
pub fn links(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (fault, danger) = (urls::fault(text), urls::unsafe_fault(text));
    let _ = (urls::is_placeholder(text), urls::host(text));
    if fault.is_none() {
        assert!(!urls::is_active(text), "{text:?}");
        assert!(
            text.starts_with("http")
                || text.starts_with("HTTP")
                || !text.is_ascii()
                || text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("http")),
            "{text:?}"
        );
    }
    if urls::link_fault(text).is_none() {
        assert!(danger.is_none(), "{text:?}");
    }
}

/// An offer in YAML.
pub fn offer(bytes: &[u8]) {
    let Some(file) = read_offer(bytes) else { return };
    let plans = file.offer.plans.len();
    let content = Content { plan_descriptions: vec![String::new(); plans], ..Content::default() };
    let findings = judge_offer(&file, &content, &Evidence::default(), Profile::Strict).findings;
    for finding in findings {
        let line = finding.place.line.unwrap_or_default();
        assert!(line >= 1 && file.line(line).is_some(), "{finding:?}");
    }
}

fn read_offer(bytes: &[u8]) -> Option<OfferFile> {
    OfferFile::parse(Path::new("offer.yaml"), bytes.to_vec()).ok()
}

/// A tar, whole and in pieces; the first byte is the length of a piece.
pub fn tar(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let entries = |length: usize| {
        let mut found = Vec::new();
        let mut walk = TarWalk::new();
        let mut result = Ok(());
        for piece in bytes.chunks(length) {
            result = walk.update(piece, &mut |entry| {
                found.push(format!("{entry:?}"));
                ControlFlow::Continue(())
            });
            if result.is_err() {
                break;
            }
        }
        let end = result.and_then(|()| walk.finish());
        (found, format!("{end:?}"))
    };
    assert_eq!(entries(usize::from(*first).max(1)), entries(usize::MAX));
}

/// A report of a scanner, or the state of a registry.
pub fn scan(bytes: &[u8]) {
    let file = Path::new("report.json");
    let _ = RegistryState::read_all(file, bytes);
    let Ok(scan) = Scan::read(file, bytes) else { return };
    assert!(scan.vulnerabilities.len() <= scan.count.max(KEPT_MAX));
    let evidence = Evidence { scans: vec![scan], ..Evidence::default() };
    let found = |profile| judge_scans(&evidence, &[], profile).findings.len();
    assert!(found(Profile::Lenient) <= found(Profile::Strict));
}

/// A file of waivers.
pub fn waivers(bytes: &[u8]) {
    if let Ok(file) = WaiverFile::parse(Path::new("waivers.yaml"), bytes.to_vec()) {
        for (place, _) in file.waivers.iter().enumerate() {
            assert!(file.spot(&format!("waivers[{place}].rule")).line >= 1);
        }
    }
}

/// Lists of packages of both managers.
pub fn packages(bytes: &[u8]) {
    for manager in [Manager::Dpkg, Manager::Apk] {
        let found = packages::read(manager, bytes);
        for pair in found.windows(2) {
            let [one, other] = pair else { continue };
            let order = manager.compare(&one.version, &other.version);
            assert_eq!(order.reverse(), manager.compare(&other.version, &one.version));
        }
    }
}

/// An ar archive: its members have no more bytes than it.
pub fn ar(bytes: &[u8]) {
    let Ok(mut archive) = Archive::open(bytes) else { return };
    let mut total = 0;
    while let Ok(Some(member)) = archive.next_member() {
        let mut content = Vec::new();
        archive.read_to_end(&mut content).expect("it is in memory");
        assert!(content.len() as u64 <= member.size_bytes);
        total += content.len();
    }
    assert!(total < bytes.len());
}

/// A Debian package as the source of a layer.
pub fn deb(bytes: &[u8]) {
    made(bytes, serde_json::json!({"deb": "input"}));
}

/// A tar as the source of a layer: the first byte chooses whether and how the packager rewrites its
/// entries.
pub fn rewriting(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let keys = [
        serde_json::json!({}),
        serde_json::json!({"into": "/"}),
        serde_json::json!({"into": "/a/b", "owner": "1:2"}),
        serde_json::json!({"include": ["a"], "exclude": ["b"]}),
    ];
    let mut layer = keys[usize::from(*first) % keys.len()].clone();
    layer["tar"] = "input".into();
    made(bytes, layer);
}

/// Every engine accepts the made layer, and a second build makes the same layer.
fn made(bytes: &[u8], layer: serde_json::Value) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(folder.path().join("input"), bytes).expect("the file can be written");
    let layer: Layer = serde_json::from_value(layer).expect("it is a layer");
    let view = FileView::merge(&[]);
    let output = folder.path().join("out");
    let created = "2026-11-01T00:00:00Z".parse().expect("it is a time");
    let setting = Setting { offer_folder: folder.path(), output: &output, created };
    let Ok(prepared) = prepare(&setting, &layer, &Below { files: &view, names: &[] }) else {
        return;
    };
    let content: u64 = prepared.files().entries().map(|file| file.size_bytes()).sum();
    if content > INFLATED_BYTES_MAX {
        return;
    }
    let mut tar = Vec::new();
    prepared.write(&mut tar).expect("what was planned can be written");
    let mut rules = EntryRules::default();
    let walked = TarWalk::new().update(&tar, &mut |entry| {
        let refused = rules.judge(entry).filter(|verdict| verdict.refusal != EngineRefusal::None);
        assert!(refused.is_none(), "{refused:?}");
        ControlFlow::Continue(())
    });
    assert!(walked.is_ok(), "{walked:?}");
    let mut again = Vec::new();
    prepared.write(&mut again).expect("it can be written twice");
    assert!(tar == again);
}

/// An archive of images.
pub fn archive(bytes: &[u8]) {
    let file = tempfile::Builder::new().prefix("fuzz").tempfile().expect("a file can be made");
    std::fs::write(file.path(), bytes).expect("the file can be written");
    if let Ok(source) = Source::open_path(file.path()) {
        judge(&examine(&source));
    }
}

/// The layer of an image: the first byte chooses its type.
pub fn layer(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let types = ["tar", "tar+gzip", "tar+zstd"];
    let kind = types[usize::from(*first) % types.len()];
    let kind = format!("application/vnd.oci.image.layer.v1.{kind}");
    let layout = Layout::new();
    let layer = layout.blob(bytes);
    let tar = layout.blob(bytes);
    let config = serde_json::json!({
        "os": "linux", "architecture": "amd64", "config": {"Entrypoint": ["/bin/a"], "User": "a"},
        "rootfs": {"type": "layers", "diff_ids": [tar.to_string()]},
    });
    let config = config.to_string();
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": layout.blob(config.as_bytes()).to_string(), "size": config.len()},
        "layers": [{"mediaType": kind, "digest": layer.to_string(), "size": bytes.len()}],
    });
    layout.judge("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
}

/// JSON of an image: the first byte chooses the kind of document.
pub fn manifest(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let layout = Layout::new();
    match first % 3 {
        0 => layout.judge("application/vnd.oci.image.manifest.v1+json", bytes),
        1 => layout.judge("application/vnd.oci.image.index.v1+json", bytes),
        _ => {
            let manifest = serde_json::json!({
                "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                    "digest": layout.blob(bytes).to_string(), "size": bytes.len()},
                "layers": [],
            });
            let manifest = manifest.to_string();
            layout.judge("application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
        }
    }
}

/// A layout in a folder of its own.
struct Layout(tempfile::TempDir);

impl Layout {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        std::fs::create_dir_all(folder.path().join("blobs/sha256")).expect("it can have folders");
        std::fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
            .expect("it can be written");
        Self(folder)
    }

    fn blob(&self, bytes: &[u8]) -> Digest {
        let mut digester = Digester::new(Algorithm::Sha256);
        digester.update(bytes);
        let digest = digester.finish().digest;
        let name = digest.to_string().replace(':', "/");
        std::fs::write(self.0.path().join("blobs").join(name), bytes).expect("it can be written");
        digest
    }

    fn judge(&self, media_type: &str, manifest: &[u8]) {
        let digest = self.blob(manifest).to_string();
        let root = serde_json::json!({
            "mediaType": media_type, "digest": digest, "size": manifest.len(),
        });
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [root]});
        std::fs::write(self.0.path().join("index.json"), index.to_string())
            .expect("it can be written");
        let source = Source::open_path(self.0.path()).expect("it is a layout");
        judge(&examine(&source));
    }
}

fn examine(source: &Source) -> ImageFacts {
    let limits =
        Limits { inflated_bytes_max: INFLATED_BYTES_MAX, hash_contents: true, ..Limits::default() };
    check(source, NonZeroUsize::MIN, &limits)
}

/// Rules say the same twice, and an image is equal to itself.
fn judge(facts: &ImageFacts) {
    let found = || judge_image(facts, None, &Evidence::default(), Profile::Strict).findings;
    assert_eq!(found(), found());
    let same = diff::images(facts, facts, ListBounds::default());
    assert!(same.is_equal());
    for platform in &same.platforms {
        assert!(platform.configuration.is_empty() && platform.layers.added.is_empty());
        assert!(platform.files.as_ref().is_none_or(diff::FilesDiff::is_empty));
    }
    let text = text::image(&same, text::DiffForm::Text(Paint::PLAIN));
    assert!(!text.contains('\u{1b}'));
    let faults: BTreeSet<String> = facts.faults.iter().map(ToString::to_string).collect();
    assert!(faults.len() <= 10_000, "faults are bounded");
}
