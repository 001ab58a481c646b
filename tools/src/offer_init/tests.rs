#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
//! Whole offers, from flags and sources to the findings of `wharf offer lint`.

mod questions;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;

use super::settle::{AnswerPolicy, Question, settle};
use super::sources::Sources;
use super::topics::{Topic, ValueOrigin};
use super::*;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::rules::evidence::Evidence;
use crate::rules::{Profile, judge_offer};

type Given = BTreeMap<Topic, String>;

fn given(pairs: &[(Topic, &str)]) -> Given {
    pairs.iter().map(|(topic, text)| (*topic, (*text).to_owned())).collect()
}

/// Settles, checks and writes into a folder, taking every proposal.
fn begin(folder: &Path, sources: &Sources, given: &Given) -> Result<Vec<WrittenFile>, InitError> {
    let values = settle(given, sources, AnswerPolicy::Take)?;
    let answers = Answers::new(values, sources, "2026-11-29".to_owned());
    draft::check(&answers)?;
    write(&answers, &folder.join("offer.yaml"), false)
}

/// The findings of every profile in the offer of a folder.
fn lint(folder: &Path) -> Vec<String> {
    let file = OfferFile::open(&folder.join("offer.yaml")).unwrap();
    let content = Content::load(&file).unwrap();
    let all = [Profile::Strict, Profile::Lenient].map(|profile| {
        let judgement = judge_offer(&file, &content, &Evidence::default(), profile);
        let said = judgement.findings.iter();
        said.map(|at| format!("{} {:?}: {}", at.rule, at.place.key, at.message)).collect::<Vec<_>>()
    });
    all.concat()
}

/// Begins an offer in a folder of its own, and returns it after a check without findings.
fn silent(sources: &Sources, given: &Given) -> crate::offer::Offer {
    let folder = tempfile::tempdir().unwrap();
    begin(folder.path(), sources, given).unwrap();
    assert_eq!(lint(folder.path()), Vec::<String>::new(), "{given:?}");
    OfferFile::open(&folder.path().join("offer.yaml")).unwrap().offer
}

/// Possible titles, all of at most 50 characters on one line.
const TITLES: [&str; 26] = [
    "Tidepool Cache",
    "Tidepool: the \"cache\"",
    "Ann's #1 cache - really",
    "{curly} [square] cache",
    "'quoted'",
    "\"quoted\"",
    "- dash first",
    "? question",
    "* star & ampersand",
    "!tag %percent @at `tick`",
    "back\\slash and / slash",
    "comma, semi; colon:",
    "true",
    "null",
    "1.0",
    "007",
    "~",
    "3scale 2 go",
    "Café Réseau",
    "東京キャッシュ",
    "שלום עולם",
    "Product™ ® ©",
    "{{ .Values.x }} ${env:X}",
    "a < b > c | d",
    "x",
    "Fifty characters long, neither more nor less, so..",
];

#[test]
fn odd_titles_are_kept_and_nothing_is_found_in_what_is_written() {
    for kind in ["kubernetes", "image"] {
        for title in TITLES {
            let flags =
                [(Topic::Publisher, "quayline"), (Topic::Title, title), (Topic::Kind, kind)];
            let offer = silent(&Sources::default(), &given(&flags));
            assert_eq!(offer.listing.title, title);
            assert_eq!(offer.offer.alias, title);
            assert_eq!(offer.plans[0].name, title);
        }
    }
}

#[test]
fn every_licence_contract_and_name_is_silent() {
    for (kind, licence, terms) in [
        ("kubernetes", "free", "standard"),
        ("kubernetes", "byol", "own"),
        ("kubernetes", "payAsYouGo", "own"),
        ("kubernetes", "payAsYouGo", "standard"),
        ("image", "free", "own"),
        ("image", "byol", "standard"),
    ] {
        for (publisher, id, plan) in [
            ("quayline", "tidepool", "standard"),
            ("42", "1st-offer_2", "0_0"),
            ("q1", "plan-description", "description"),
            ("q2", "a-b-c", "plan-description"),
            ("q3", "logo-large", "certification-notes"),
            ("Quay_Line.dev", "a--b__c", "plan-1"),
            ("a-very-long-publisher-id-0123456789-0123456789-0123456789", "abc", "xyz"),
            ("q", "a-very-long-id_of-50-characters-0123456789-abcdefg", "x-y"),
        ] {
            let flags = [
                (Topic::Kind, kind),
                (Topic::Licence, licence),
                (Topic::Terms, terms),
                (Topic::Publisher, publisher),
                (Topic::OfferId, id),
                (Topic::PlanId, plan),
            ];
            let offer = silent(&Sources::default(), &given(&flags));
            assert_eq!((offer.publisher.as_str(), offer.offer.id.as_str()), (publisher, id));
            assert_eq!(offer.plans[0].id.as_str(), plan);
            assert_eq!(offer.legal.standard_contract, terms == "standard");
        }
    }
}

#[test]
fn what_is_given_is_what_is_written() {
    let flags = [
        (Topic::Publisher, "quayline"),
        (Topic::Title, "Tidepool"),
        (Topic::Summary, "A cache: it's \"fast\" & safe #1."),
        (Topic::OfferId, "tidepool"),
        (Topic::PlanId, "team"),
        (Topic::ExtensionType, "Quayline.Tide-Pool"),
        (Topic::Registry, "quayline-h4sh.azurecr.io"),
        (Topic::SubscriptionId, "7c1f2d64-9a0b-4e5d-8f3a-2b6c91d0e7f4"),
        (Topic::TenantId, "3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386"),
        (Topic::ResourceGroup, "rg(1)"),
        (Topic::Website, "https://quayline.dev/tidepool/"),
        (Topic::Email, "help@quayline.dev"),
        (Topic::Phone, "+49 (30) 1234-567"),
    ];
    let offer = silent(&Sources::default(), &given(&flags));
    let (_, registry) = offer.registries.iter().next().unwrap();
    let azure = registry.azure.as_ref().unwrap();
    assert_eq!(registry.login_server.as_str(), "quayline-h4sh.azurecr.io");
    assert_eq!(azure.registry_name, "quayline");
    assert_eq!(azure.subscription_id, "7c1f2d64-9a0b-4e5d-8f3a-2b6c91d0e7f4");
    assert_eq!(azure.tenant_id.as_deref(), Some("3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386"));
    assert_eq!(azure.resource_group, "rg(1)");
    assert_eq!(offer.listing.search_summary, "A cache: it's \"fast\" & safe #1.");
    assert_eq!(offer.listing.privacy_policy, "https://quayline.dev/tidepool/privacy");
    assert_eq!(offer.listing.contacts.support.email, "help@quayline.dev");
    assert_eq!(offer.listing.contacts.engineering.phone, "+49 (30) 1234-567");
    let (_, _, plan) = offer.kubernetes_plans().next().unwrap();
    assert_eq!(plan.extension_type, "Quayline.Tide-Pool");
    assert!(offer.offer.sell_through_microsoft);
}

#[test]
fn values_that_rules_refuse_are_refused_with_their_flag_and_nothing_is_written() {
    let long = "x".repeat(51);
    for (topic, bad) in [
        (Topic::Title, "two\nlines"),
        (Topic::Title, &*long),
        (Topic::Title, "Cache 🚀"),
        (Topic::Title, "<b>Cache</b>"),
        (Topic::Title, " Cache"),
        (Topic::Title, "Ca\u{200b}che"),
        (Topic::Summary, "a\u{2028}b"),
        (Topic::Publisher, "quay line"),
        (Topic::OfferId, "Tidepool"),
        (Topic::OfferId, "tidepool-"),
        (Topic::OfferId, "ab"),
        (Topic::PlanId, "ab"),
        (Topic::PlanId, "A"),
        (Topic::Registry, "localhost:5000"),
        (Topic::Registry, "https://quayline.azurecr.io"),
        (Topic::Registry, "my-registry.azurecr.io"),
        (Topic::SubscriptionId, "my-subscription"),
        (Topic::TenantId, "x"),
        (Topic::ResourceGroup, "a/b"),
        (Topic::Website, "quayline.dev"),
        (Topic::Website, "https://example.com"),
        (Topic::Website, "http://localhost"),
        (Topic::Email, "nobody"),
        (Topic::Phone, "call us"),
        (Topic::ExtensionType, "Quayline.Tidepool2"),
        (Topic::Kind, "vm"),
        (Topic::Licence, "gratis"),
        (Topic::Terms, "none"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let flags = given(&[(Topic::Publisher, "quayline"), (topic, bad)]);
        let error = begin(folder.path(), &Sources::default(), &flags).unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, InitError::Wrong(_)), "{bad:?}: {said}");
        let is_one = said.starts_with(topic.flag()) && !said.contains("\n       ");
        assert!(is_one, "{bad:?}: {said}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{bad:?}");
    }
    let flags = given(&[
        (Topic::Publisher, "quayline"),
        (Topic::Kind, "image"),
        (Topic::Licence, "payAsYouGo"),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let said = begin(folder.path(), &Sources::default(), &flags).unwrap_err().to_string();
    assert!(said.contains("--licence"), "{said}");
    let flags = given(&[
        (Topic::Publisher, "quayline"),
        (Topic::Kind, "image"),
        (Topic::ExtensionType, "A.B"),
    ]);
    let said = begin(folder.path(), &Sources::default(), &flags).unwrap_err().to_string();
    assert!(said.contains("--extension-type"), "{said}");
}

/// A working copy with a chart, an image and a remote, as far as they are wanted.
fn working_copy(folder: &Path, chart: bool, remote: bool) {
    if chart {
        fs::create_dir_all(folder.join("chart/templates")).unwrap();
        let text = "apiVersion: v2\nname: tidepool-cache\nversion: 2.3.1\n\
                    description: \"A cache: 'quick' & safe\"\nhome: https://quayline.dev/tidepool\n\
                    maintainers: [{ name: Ann, email: ann@quayline.dev }]\n";
        fs::write(folder.join("chart/Chart.yaml"), text).unwrap();
        let digest = "a".repeat(64);
        let values = format!(
            "global:\n  azure:\n    images:\n      web:\n        registry: quayline.azurecr.io\n        \
             image: tidepool/web\n        digest: sha256:{digest}\n"
        );
        fs::write(folder.join("chart/values.yaml"), values).unwrap();
        let template = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}\n  labels:\n    \
                        azure-extensions-usage-release-identifier: {{ .Release.Name }}\nspec:\n  nodeSelector: { kubernetes.io/os: linux, kubernetes.io/arch: amd64 }\n  \
                        containers:\n  - name: web\n    image: \"{{ .Values.global.azure.images.web.registry \
                        }}/{{ .Values.global.azure.images.web.image }}@{{ \
                        .Values.global.azure.images.web.digest }}\"\n    resources:\n      requests: { cpu: \
                        100m, memory: 64Mi }\n";
        fs::write(folder.join("chart/templates/pod.yaml"), template).unwrap();
    }
    if remote {
        fs::create_dir_all(folder.join(".git")).unwrap();
        let config =
            "[remote \"origin\"]\n\turl = https://bob:s3cret@github.com/harbourside/lantern.git\n";
        fs::write(folder.join(".git/config"), config).unwrap();
    }
}

#[test]
fn with_and_without_chart_image_and_remote_nothing_is_found() {
    for kind in ["kubernetes", "image"] {
        for case in 0..8 {
            let (chart, image, remote) = (case & 1 > 0, case & 2 > 0, case & 4 > 0);
            let folder = tempfile::tempdir().unwrap();
            working_copy(folder.path(), chart, remote);
            let layout = folder.path().join("layout");
            if image {
                fs::create_dir_all(&layout).unwrap();
                let labels = json!({
                    "org.opencontainers.image.title": "Lantern: \"bright\"",
                    "org.opencontainers.image.vendor": "Harbour Side",
                    "org.opencontainers.image.licenses": "MIT",
                    "org.opencontainers.image.source": "https://github.com/harbourside/lantern",
                    "org.opencontainers.image.version": "1.4.0" });
                image::tests::layout(&layout, &["linux/amd64", "linux/arm64"], &labels);
            }
            let path = layout.to_str().filter(|_| image);
            let sources = Sources::read(folder.path(), None, path).unwrap();
            let mut flags = given(&[(Topic::Kind, kind)]);
            if !image && !remote {
                flags.insert(Topic::Publisher, "quayline".to_owned());
            }
            let written = begin(folder.path(), &sources, &flags).unwrap();
            assert_eq!(lint(folder.path()), Vec::<String>::new(), "{kind} {case}");
            let offer = OfferFile::open(&folder.path().join("offer.yaml")).unwrap().offer;
            let text = fs::read_to_string(folder.path().join("offer.yaml")).unwrap();
            assert!(!text.contains("s3cret"), "{text}");
            if image {
                assert_eq!(offer.listing.title, "Lantern: \"bright\"");
                assert_eq!(offer.publisher, "harbour-side");
                let made = offer.images().next().unwrap();
                let name = made.name.as_ref().map(ToString::to_string);
                let wanted = if chart { "web" } else { "server" };
                assert_eq!(name.as_deref(), (kind == "kubernetes").then_some(wanted));
                assert_eq!(made.image.adopt.as_ref().unwrap().text, "layout");
                let count = if kind == "image" { 2 } else { 1 };
                assert_eq!(made.image.platforms.len(), count);
                assert_eq!(made.image.licences.as_deref(), Some("MIT"));
            } else if chart {
                assert_eq!(offer.listing.title, "Tidepool Cache");
                assert_eq!(offer.listing.search_summary, "A cache: 'quick' & safe");
                assert_eq!(offer.listing.contacts.support.email, "ann@quayline.dev");
                assert_eq!(offer.listing.support_url, "https://quayline.dev/tidepool/support");
            } else if remote {
                assert_eq!(offer.listing.title, "Lantern");
                assert_eq!(offer.publisher, "harbourside");
            }
            let is_skeleton = written.iter().any(|file| file.path == "chart/Chart.yaml");
            assert_eq!(is_skeleton, kind == "kubernetes" && !chart, "{kind} {case}");
        }
    }
}

#[test]
fn logins_in_labels_and_charts_come_into_no_file() {
    let folder = tempfile::tempdir().unwrap();
    working_copy(folder.path(), true, false);
    let text = "name: tidepool\nversion: 1.0.0\ndescription: See https://s3cret@quayline.dev/t\n";
    fs::write(folder.path().join("chart/Chart.yaml"), text).unwrap();
    let values = "web:\n  image: { repository: \"bob:s3cret@quayline.dev/web\" }\n";
    fs::write(folder.path().join("chart/values.yaml"), values).unwrap();
    let layout = folder.path().join("layout");
    fs::create_dir(&layout).unwrap();
    let labels = json!({
        "org.opencontainers.image.title": "Cache (https://s3cret@quayline.dev)",
        "org.opencontainers.image.description": "A cache; bob:s3cret@quayline.dev.",
        "org.opencontainers.image.source": "https://s3cret@quayline.dev/src",
        "org.opencontainers.image.url": "https://bob:s3cret@quayline.dev/",
        "org.opencontainers.image.licenses": "https://s3cret@quayline.dev/licence" });
    image::tests::layout(&layout, &["linux/amd64"], &labels);
    for (kind, image) in
        [("image", layout.to_str()), ("kubernetes", layout.to_str()), ("kubernetes", None)]
    {
        let sources = Sources::read(folder.path(), None, image).unwrap();
        let flags = given(&[(Topic::Publisher, "quayline"), (Topic::Kind, kind)]);
        let at = folder.path().join(format!("{kind}{}", image.is_some()));
        begin(&at, &sources, &flags).unwrap();
        for file in ["offer.yaml", "listing/description.html"] {
            let text = fs::read_to_string(at.join(file)).unwrap();
            assert!(!text.contains("s3cret"), "{kind} {file}: {text}");
        }
    }
}

#[test]
fn an_image_without_amd64_is_refused_for_kubernetes_only() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    fs::create_dir(&layout).unwrap();
    image::tests::layout(&layout, &["linux/arm64"], &json!({}));
    let sources = Sources::read(folder.path(), None, layout.to_str()).unwrap();
    let flags = |kind| given(&[(Topic::Publisher, "quayline"), (Topic::Kind, kind)]);
    let said = begin(folder.path(), &sources, &flags("kubernetes")).unwrap_err().to_string();
    assert!(said.starts_with("--image: ") && said.contains("linux/amd64"), "{said}");
    begin(folder.path(), &sources, &flags("image")).unwrap();
    assert_eq!(lint(folder.path()), Vec::<String>::new());
}

#[test]
fn what_is_there_is_kept_unless_somebody_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("listing")).unwrap();
    let mine = folder.path().join("listing/description.html");
    fs::write(&mine, "<p>Mine.</p>\n").unwrap();
    let flags = given(&[(Topic::Publisher, "quayline")]);
    let files = begin(folder.path(), &Sources::default(), &flags).unwrap();
    let kept =
        WrittenFile { path: "listing/description.html".to_owned(), outcome: FileOutcome::Kept };
    assert!(files.contains(&kept), "{files:?}");
    assert_eq!(files[0].path, "offer.yaml");
    assert_eq!(fs::read_to_string(&mine).unwrap(), "<p>Mine.</p>\n");
    let error = begin(folder.path(), &Sources::default(), &flags).unwrap_err();
    assert!(matches!(error, InitError::Exists(_)) && error.to_string().contains("--force"));
    // The chart of the first run exists in the second.
    let forced = |sources: &Sources| {
        let values = settle(&flags, sources, AnswerPolicy::Take).unwrap();
        let answers = Answers::new(values, sources, "2026-11-29".to_owned());
        write(&answers, &folder.path().join("offer.yaml"), true)
    };
    let again = forced(&Sources::default()).unwrap_err();
    assert!(matches!(&again, InitError::ChartThere(_)), "{again}");
    assert!(again.to_string().contains("chart/Chart.yaml"), "{again}");
    let files = forced(&Sources::read(folder.path(), None, None).unwrap()).unwrap();
    assert!(files.iter().all(|file| file.outcome == FileOutcome::Replaced), "{files:?}");
    assert_ne!(fs::read_to_string(&mine).unwrap(), "<p>Mine.</p>\n");
    assert_eq!(parts(folder.path()), 0);
}

#[test]
fn of_several_charts_none_is_touched_until_somebody_says_which() {
    for force in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        working_copy(folder.path(), true, false);
        fs::create_dir(folder.path().join("other")).unwrap();
        fs::write(folder.path().join("other/Chart.yaml"), "name: b\nversion: 1.0.0\n").unwrap();
        let mine = fs::read(folder.path().join("chart/Chart.yaml")).unwrap();
        let begin = |chart: Option<&Path>, kind| {
            let sources = Sources::read(folder.path(), chart, None)?;
            let flags = given(&[(Topic::Publisher, "quayline"), (Topic::Kind, kind)]);
            let values = settle(&flags, &sources, AnswerPolicy::Take)?;
            let answers = Answers::new(values, &sources, "2026-11-29".to_owned());
            write(&answers, &folder.path().join("offer.yaml"), force)
        };
        let error = begin(None, "kubernetes").unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, InitError::SeveralCharts(_)), "{said}");
        for part in ["/chart", "/other", "--chart"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        let files = begin(Some(&folder.path().join("other")), "kubernetes").unwrap();
        assert!(files.iter().all(|file| !file.path.starts_with("chart/")), "{files:?}");
        assert_eq!(fs::read(folder.path().join("chart/Chart.yaml")).unwrap(), mine);
        assert_eq!(fs::read_dir(folder.path().join("chart/templates")).unwrap().count(), 1);
        fs::remove_file(folder.path().join("offer.yaml")).unwrap();
        begin(None, "image").unwrap();
    }
}

#[test]
fn a_version_that_no_manifest_takes_is_told() {
    for (version, told) in [("1.4.0-rc.1", true), ("\"1.4\"", true), ("1.4.0", false)] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("chart")).unwrap();
        let text = format!("name: tidepool\nversion: {version}\n");
        fs::write(folder.path().join("chart/Chart.yaml"), text).unwrap();
        let sources = Sources::read(folder.path(), None, None).unwrap();
        let values =
            settle(&given(&[(Topic::Publisher, "quayline")]), &sources, AnswerPolicy::Take)
                .unwrap();
        let note = Answers::new(values, &sources, "2026-11-29".to_owned()).version_note();
        assert_eq!(note.is_some(), told, "{note:?}");
        let said = note.unwrap_or_default();
        let version = version.trim_matches('"');
        assert!(!told || said.contains(version) && said.contains("has 1.4.0:"), "{said}");
    }
}

/// How many half-written files are left.
fn parts(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let count = |entry: fs::DirEntry| match entry.path() {
        path if path.is_dir() => parts(&path),
        path => usize::from(path.extension().is_some_and(|end| end == "part")),
    };
    entries.map(count).sum()
}

#[test]
fn when_one_file_cannot_be_written_none_is() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("new/offer");
    let flags = given(&[(Topic::Publisher, "quayline")]);
    let values = settle(&flags, &Sources::default(), AnswerPolicy::Take).unwrap();
    let answers = Answers::new(values, &Sources::default(), "2026-11-29".to_owned());
    // A file stands where a folder must be.
    fs::create_dir_all(&below).unwrap();
    fs::write(below.join("chart"), "mine").unwrap();
    let error = write(&answers, &below.join("offer.yaml"), false).unwrap_err();
    assert!(matches!(error, InitError::Write { .. }), "{error}");
    assert_eq!(fs::read_dir(&below).unwrap().count(), 1);
    // A folder stands where a file must be replaced: the others are as they were.
    fs::remove_file(below.join("chart")).unwrap();
    fs::write(below.join("manifest.yaml"), "mine").unwrap();
    fs::create_dir_all(below.join("mainTemplate.json/x")).unwrap();
    let files = write(&answers, &below.join("offer.yaml"), true);
    if files.is_err() {
        assert_eq!(fs::read_to_string(below.join("manifest.yaml")).unwrap(), "mine");
        assert!(!below.join("offer.yaml").exists());
    }
    assert_eq!(parts(&below), 0);
}

#[test]
fn what_holds_a_place_says_so_and_secrets_are_only_named() {
    let folder = tempfile::tempdir().unwrap();
    let flags = given(&[(Topic::Publisher, "quayline"), (Topic::Phone, "+1 206 555 0142")]);
    begin(folder.path(), &Sources::default(), &flags).unwrap();
    let text = fs::read_to_string(folder.path().join("offer.yaml")).unwrap();
    let line = |start: &str| text.lines().find(|line| line.trim().starts_with(start)).unwrap();
    assert!(line("subscriptionId:").ends_with("# replace"));
    assert!(line("loginServer:").ends_with("# replace"));
    assert!(!line("phone:").contains("# replace"));
    assert!(!line("publisher:").contains("# replace"));
    assert!(line("password:").contains("{ env: "));
    for (number, line) in text.lines().enumerate() {
        assert!(line.chars().count() <= 120, "line {}: {line}", number + 1);
        assert_eq!(line.trim_end(), line, "line {}", number + 1);
    }
    let page = fs::read_to_string(folder.path().join("createUiDefinition.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&page).unwrap();
    let template = fs::read_to_string(folder.path().join("mainTemplate.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&template).unwrap();
}
