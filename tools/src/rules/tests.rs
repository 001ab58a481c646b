//! Every rule of the offer with an offer at fault. The same offer without the change breaks none,
//! so each row shows both sides. Image rules are in `image_tests`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod listing_rows;
pub(super) mod market_offer;
mod market_rows;
mod offer_lines;

use std::collections::BTreeSet;

use super::*;
use crate::offer::fixture::{APPLICATION, Folder, OFFER, changed};
use crate::pictures::tests::png;

/// A change to the faultless offer.
pub(super) enum Change {
    /// A piece of its text is replaced.
    Text(&'static str, String),
    /// One of its files has other bytes.
    File(&'static str, Vec<u8>),
    /// It is another offer, with these files beside it.
    Whole(String, Vec<(&'static str, Vec<u8>)>),
}

pub(super) fn text(from: &'static str, to: impl Into<String>) -> Change {
    Change::Text(from, to.into())
}

pub(super) fn file(name: &'static str, bytes: impl Into<Vec<u8>>) -> Change {
    Change::File(name, bytes.into())
}

fn picture(name: &'static str, width: u32, height: u32) -> Change {
    file(name, png(width, height, [20, 90, 160]))
}

pub(super) fn findings(change: Option<&Change>, profile: Profile) -> Vec<Finding> {
    let folder = Folder::new();
    let offer = match change {
        Some(Change::Text(from, to)) => changed(&[(from, to)]),
        Some(Change::File(name, bytes)) => {
            folder.write(name, bytes);
            OFFER.to_owned()
        }
        Some(Change::Whole(offer, files)) => {
            for (name, bytes) in files {
                folder.write(name, bytes);
            }
            offer.clone()
        }
        None => OFFER.to_owned(),
    };
    let (file, content) = folder.load(&offer).unwrap_or_else(|error| panic!("{error}"));
    judge_offer(&file, &content, &Evidence::default(), profile).findings
}

const TITLE: &str = "title: Tidepool Cache";
const TEST_TAG: &str = "\"{version}-test\"";
const PLATFORM_TAG: &str = "\"{version}-{platform}\"";
const SUBSCRIPTION: &str = "{ id: 3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386, label: Test }";
const REPOSITORY: &str = "      repository: tidepool/server\n";
const VIDEO: &str = "- { title: Tour, url: https://vimeo.com/1, thumbnail: video.png }";

/// The rule, its breach, the severity, and the finding's key.
#[expect(clippy::too_many_lines, reason = "a table, one row per case")]
fn identity_rows() -> Vec<(&'static str, Change, Severity, &'static str)> {
    use Severity::{Error, Warning};
    let subscriptions = |count: usize| {
        let more = format!("\n    - {SUBSCRIPTION}").repeat(count - 1);
        text(SUBSCRIPTION, format!("{SUBSCRIPTION}{more}"))
    };
    let certifications = |url: &str| {
        let entry =
            format!("governmentCertifications: [{{ name: F, url: {url} }}]\n    licence: byol");
        text("licence: byol", entry)
    };
    vec![
        ("OFR-001", text("id: tidepool\n", "id: Tidepool\n"), Error, "offer.id"),
        ("OFR-001", text("id: tidepool\n", "id: ab\n"), Error, "offer.id"),
        ("OFR-001", text("id: tidepool\n", "id: _ab\n"), Error, "offer.id"),
        ("OFR-002", text("id: tidepool\n", "id: tidepool-\n"), Warning, "offer.id"),
        ("OFR-004", text("publisher: quayline", "publisher: my company"), Error, "publisher"),
        (
            "OFR-006",
            text("  registry: production", "  registry: production\n  sellThroughMicrosoft: true"),
            Error,
            "offer.sellThroughMicrosoft",
        ),
        (
            "OFR-007",
            text("id: 3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386", "id: me"),
            Error,
            "preview.subscriptions[0].id",
        ),
        ("OFR-007", subscriptions(11), Warning, "preview.subscriptions"),
        ("OFR-007", subscriptions(101), Error, "preview.subscriptions"),
        ("OFR-009", text("legal:", "legal:\n  standardContract: true"), Error, "legal"),
        (
            "OFR-009",
            text("  terms: { file: terms.txt }", "  standardContract: false"),
            Error,
            "legal",
        ),
        ("OFR-010", file("terms.txt", "x".repeat(10_001)), Error, "legal.terms"),
        ("OFR-010", text("{ file: terms.txt }", "{ url: terms }"), Error, "legal.terms.url"),
        (
            "OFR-012",
            text("[container-images]", "[boxes]"),
            Error,
            "properties.categories.containers[0]",
        ),
        ("OFR-012", text("containers:", "storage:"), Error, "properties.categories"),
        (
            "OFR-012",
            text("[container-images]", "[container-images, container-apps, container-apps]"),
            Error,
            "properties.categories.containers",
        ),
        ("OFR-014", text("alias: Tidepool", "alias: ' '"), Error, "offer.alias"),
        (
            "OFR-015",
            text("certificationNotes: Start it and ask port 8080.\n", ""),
            Warning,
            "certificationNotes",
        ),
        ("PLN-001", text("id: server", "id: ab"), Error, "plans[0].id"),
        ("PLN-003", text("name: Probe", "name: server"), Error, "plans[1].name"),
        (
            "PLN-003",
            text("name: Probe", format!("name: {}", "y".repeat(201))),
            Error,
            "plans[1].name",
        ),
        (
            "PLN-003",
            text("name: Probe", format!("name: {}", "y".repeat(51))),
            Warning,
            "plans[1].name",
        ),
        ("PLN-004", text("summary: The probe.", "summary: ''"), Error, "plans[1].summary"),
        (
            "PLN-004",
            text("Nothing but a health check.", "n ".repeat(1_600)),
            Error,
            "plans[1].description",
        ),
        (
            "PLN-005",
            text("<p>Nothing but a health check.</p>", "{ file: description.html }"),
            Warning,
            "plans[1].description",
        ),
        (
            "PLN-006",
            text("repository: tidepool/probe", "repository: tidepool/server"),
            Error,
            "plans[1].image.repository",
        ),
        ("PLN-009", certifications("x"), Error, "plans[0].governmentCertifications[0].url"),
        (
            "PLN-010",
            text("summary: The server.", "summary: The server.\n    visibility: hidden"),
            Warning,
            "plans",
        ),
        ("DEP-001", text("cpu: 1,", "cpu: 32,"), Error, "plans[0].resources.cpu"),
        ("DEP-001", text("memoryGb: 1.5", "memoryGb: 241"), Error, "plans[0].resources.memoryGb"),
        ("DEP-001", text("cpu: 1,", "cpu: 0.5,"), Warning, "plans[0].resources.cpu"),
        ("DEP-002", text("cpu: 1,", "cpu: 4.5,"), Warning, "plans[0].resources.cpu"),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table, one row per case")]
fn technical_rows() -> Vec<(&'static str, Change, Severity, &'static str)> {
    use Severity::{Error, Warning};
    let repository =
        |name: String| text("repository: tidepool/server", format!("repository: {name}"));
    let published = |tags: &str| {
        text("      created:", format!("      publishedTags: [{tags}]\n      created:"))
    };
    let many = (0..12).map(|number| format!("\"1.0.{number}\"")).collect::<Vec<_>>().join(", ");
    let few = (0..9).map(|number| format!("\"1.0.{number}\"")).collect::<Vec<_>>().join(", ");
    let group = |name: String| text("quayline-registries", name);
    let credentials = "    credentials:\n      username: { env: QUAY_USER }\n      password: { env: QUAY_PASSWORD }\n";
    vec![
        (
            "TEC-001",
            text("7c1f2d64-", "7c1f2d6-"),
            Error,
            "registries.production.azure.subscriptionId",
        ),
        (
            "TEC-001",
            text("  registry: production", "  registry: staging"),
            Error,
            "registries.staging",
        ),
        (
            "TEC-002",
            group("a group".to_owned()),
            Error,
            "registries.production.azure.resourceGroup",
        ),
        ("TEC-002", group("g".repeat(91)), Warning, "registries.production.azure.resourceGroup"),
        (
            "TEC-003",
            text("registryName: quayline", "registryName: quayline.azurecr.io"),
            Error,
            "registries.production.azure.registryName",
        ),
        (
            "TEC-003",
            text("registryName: quayline", "registryName: Quayline"),
            Warning,
            "registries.production.azure.registryName",
        ),
        (
            "TEC-004",
            text("registryName: quayline", "registryName: otherline"),
            Warning,
            "registries.production.loginServer",
        ),
        ("TEC-005", text(credentials, ""), Error, "registries.production"),
        ("TEC-006", repository("r".repeat(96)), Error, "plans[0].image.repository"),
        ("TEC-009", published(&many), Error, "plans[0].image.tags"),
        (
            "TEC-010",
            text(TEST_TAG, format!("\"1.4-{}\"", "t".repeat(100))),
            Error,
            "plans[0].image.tags[2]",
        ),
        ("TEC-011", text("tags: [latest, ", "tags: ["), Error, "plans[0].image.tags"),
        (
            "TEC-011",
            text(
                "tags: [latest, \"{version}-all\", \"{version}-test\", \"{version}-{platform}\"]\n      platforms:\n        - platform: linux/amd64\n          layers:\n            - { tar",
                "tags: [\"{version}-all\", \"{version}-test\", \"{version}-{platform}\"]\n      platforms:\n        - platform: linux/amd64\n          layers:\n            - { tar",
            ),
            Error,
            "plans[1].image.tags",
        ),
        (
            "TEC-012",
            text(
                "tags: [latest, \"{version}-all\", \"{version}-test\", \"{version}-{platform}\"]",
                "tags: [latest, \"v-{platform}\"]",
            ),
            Error,
            "plans[0].image.tags",
        ),
        ("TEC-013", text(TEST_TAG, "\"v{version}-test\""), Error, "plans[0].image.tags[2]"),
        ("TEC-013", text("\"{version}-all\"", "\"{version}\""), Warning, "plans[0].image.tags[1]"),
        ("TEC-014", text(PLATFORM_TAG, "\"{version}-x\""), Error, "plans[0].image.tags"),
        ("TEC-016", published("\"1.4.0-other\""), Error, "plans[0].image.version"),
        ("TEC-016", published("\"1.10\""), Error, "plans[0].image.version"),
        ("TEC-017", published("1.4.0-all"), Error, "plans[0].image.tags"),
        (
            "TEC-019",
            text(TEST_TAG, "\"{version}-test\", \"{version}-TEST\""),
            Error,
            "plans[0].image.tags[3]",
        ),
        ("TEC-019", published("\"1.0\", \"1.0\""), Error, "plans[0].image.publishedTags[1]"),
        ("TEC-021", text(TEST_TAG, "\"{version}-test-12\""), Warning, "plans[0].image.tags[2]"),
        (
            "TEC-021",
            text(TEST_TAG, "\"{version}-test-patched\""),
            Warning,
            "plans[0].image.tags[2]",
        ),
        ("TEC-020", text(TEST_TAG, "\"{version}-x\""), Warning, "plans[0].image.tags"),
        ("TEC-022", text(TEST_TAG, "\"{version}-test-linux\""), Error, "plans[0].image.tags[2]"),
        (
            "TEC-022",
            text(PLATFORM_TAG, "\"{version}-{arch}-windows\""),
            Error,
            "plans[0].image.tags[3]",
        ),
        ("TEC-023", published(&few), Warning, "plans[0].image.tags"),
    ]
}

fn all_rows() -> Vec<(&'static str, Change, Severity, &'static str)> {
    let rows = [identity_rows(), listing_rows::rows(), technical_rows(), market_rows::rows()];
    rows.into_iter().flatten().collect()
}

#[test]
fn the_offer_of_the_tests_breaks_no_rule() {
    assert_eq!(findings(None, Profile::Strict), []);
}

#[test]
fn every_offer_rule_finds_what_breaks_it_and_names_the_key_and_line() {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for (id, change, severity, key) in all_rows() {
        seen.insert(id);
        let found = findings(Some(&change), Profile::Strict);
        let fits = |finding: &&Finding| {
            finding.rule == id
                && finding.severity == severity
                && finding.place.key.as_deref() == Some(key)
                && finding.place.line.is_some()
        };
        if !found.iter().any(|finding| fits(&finding)) {
            let other: Vec<String> = found
                .iter()
                .map(|at| {
                    format!("{} {:?} {:?} {}", at.rule, at.severity, at.place.key, at.message)
                })
                .collect();
            wrong.push(format!("{id} {severity:?} at {key}: found {other:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let all: BTreeSet<&str> = all()
        .filter(|rule| matches!(rule.check, Check::Offer(_)) && !needs_evidence(rule.id))
        .map(|rule| rule.id)
        .collect();
    assert_eq!(seen, all, "every offer rule has a row and every row a rule");
}

/// Whether a rule needs more than an offer: the state of a registry, with tests of its own, or the
/// ledger.
fn needs_evidence(id: &str) -> bool {
    // Rules about texts against images have their rows with the images. Rules about charts and
    // applications have tables of their own.
    let mut published = published::RULES.iter().chain(published_tree::RULES);
    id.starts_with("REG-")
        || id.starts_with("K8S-")
        || id == "IMG-048"
        || published.any(|rule| rule.id == id)
}

#[test]
fn rules_about_what_was_published_are_named_as_not_looked_at() {
    let judged = |offer: &str| {
        let folder = Folder::new();
        let (file, content) = folder.load(offer).unwrap_or_else(|error| panic!("{error}"));
        judge_offer(&file, &content, &Evidence::default(), Profile::Strict)
    };
    let judgement = judged(OFFER);
    let open: Vec<&str> = judgement.gaps[&Gap::Ledger].iter().copied().collect();
    let expected = [
        "OFR-003", "OFR-011", "PLN-002", "PLN-007", "PLN-008", "TEC-007", "TEC-008", "TEC-016",
        "TEC-017", "TEC-018",
    ];
    assert_eq!(open, expected);
    assert_eq!(judgement.outcomes["PLN-008"], Outcome::NotLookedAt);
    let standard = changed(&[("terms: { file: terms.txt }", "standardContract: true")]);
    assert_eq!(judged(&standard).outcomes["OFR-011"], Outcome::NotApplicable);
    // The published tags decide two of them.
    let tags = "\"{version}-{platform}\"]";
    let with = changed(&[(tags, "\"{version}-{platform}\"]\n      publishedTags: [\"0.9.0\"]")]);
    assert_eq!(judged(&with).outcomes["TEC-016"], Outcome::Passed);
    assert_eq!(judged(&with).outcomes["TEC-017"], Outcome::Passed);
}

#[test]
fn the_lenient_profile_keeps_to_the_wider_of_two_values() {
    let wide = text(TITLE, format!("title: {}", "t".repeat(51)));
    assert_eq!(findings(Some(&wide), Profile::Strict).len(), 1);
    assert_eq!(findings(Some(&wide), Profile::Lenient), []);
    let too_wide = text(TITLE, format!("title: {}", "t".repeat(201)));
    assert_eq!(findings(Some(&too_wide), Profile::Lenient).len(), 1);
}

#[test]
fn ids_are_unique_and_every_rule_says_everything() {
    let mut ids = BTreeSet::new();
    for rule in all() {
        assert!(ids.insert(rule.id), "{} stands twice", rule.id);
        let texts = [rule.title, rule.source, rule.why, rule.fix];
        assert!(texts.iter().all(|text| text.len() > 2), "{} lacks a text", rule.id);
        assert!(find(&rule.id.to_lowercase()).is_some());
    }
    assert!(ids.len() >= 25);
}

#[test]
fn no_finding_weighs_more_than_its_rule_says() {
    for (id, change, severity, _) in all_rows() {
        assert!(severity <= find(id).unwrap().severity, "{id}");
        for finding in findings(Some(&change), Profile::Strict) {
            let rule = find(finding.rule).unwrap();
            assert!(finding.severity <= rule.severity, "{}", finding.rule);
        }
    }
}

#[test]
fn addresses_of_other_registries_are_not_asked_for() {
    let file = Folder::new();
    let offer =
        changed(&[("loginServer: quaylinestaging.azurecr.io", "loginServer: localhost:5000")]);
    let (file, content) = file.load(&offer).unwrap();
    assert_eq!(judge_offer(&file, &content, &Evidence::default(), Profile::Strict).findings, []);
}

#[test]
fn an_offer_of_applications_may_be_sold_by_microsoft_and_a_table_is_an_audience() {
    let (before, _) = OFFER.split_once("plans:\n").unwrap();
    let offer = format!("{before}plans:\n{APPLICATION}");
    let sold = offer.replacen(
        "  alias: Tidepool\n",
        "  alias: Tidepool\n  sellThroughMicrosoft: true\n",
        1,
    );
    let list =
        "  subscriptions:\n    - { id: 3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386, label: Test }\n";
    let table = sold.replacen(list, "  csv: preview.csv\n", 1);
    assert!(table.contains("csv") && table.contains("sellThrough"));
    let (file, content) = Folder::new().load(&table).unwrap_or_else(|error| panic!("{error}"));
    let judgement = judge_offer(&file, &content, &Evidence::default(), Profile::Strict);
    for rule in ["OFR-006", "OFR-007"] {
        assert_eq!(judgement.outcomes[rule], Outcome::Passed, "{:?}", judgement.findings);
    }
}
