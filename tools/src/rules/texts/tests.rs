//! Every text of the offer has exactly one check: the fields are read from the types themselves.
#![allow(clippy::unwrap_used)]

mod market;

use std::collections::BTreeSet;

use market::market_fates;

use super::super::Profile;
use super::super::tests::{Change, file, findings, market_offer, text};
use crate::offer::fixture::{TABLED, changed, with_application};

const MODEL: [&str; 4] = [
    include_str!("../../offer/model.rs"),
    include_str!("../../offer/plans.rs"),
    include_str!("../../offer/market.rs"),
    include_str!("../../offer/images.rs"),
];

/// Types with rules by their kind of plan, or made in code.
const OF_KUBERNETES: [&str; 4] = ["KubernetesPlan", "WrittenPlan", "Bundle", "PlanImage"];

/// A word with a character that reverses the text after it.
const POISON: &str = "\"a\\u202Eb\"";

/// The treatment of a text.
enum Fate {
    /// Its rule finds the poison, at this key, and no other rule does.
    Judged(&'static str, &'static str, Change),
    /// A value for programs, free to hold any characters.
    Program,
}

/// Each field of the types with its fate.
#[expect(clippy::too_many_lines, reason = "a table, one row per field")]
fn fates() -> Vec<(&'static str, Fate)> {
    let judged = |rule, key, from, before: &str, after: &str| {
        Fate::Judged(rule, key, text(from, format!("{before}{POISON}{after}")))
    };
    let csp = |name: &str, email: &str, url: &str| {
        let email = format!("email: {email}, phone: \"+1 206 555 0144\", url: {url} }}");
        text("  assetBaseUrl:", format!("    csp: {{ name: {name}, {email}\n  assetBaseUrl:"))
    };
    let phone = text(
        "  assetBaseUrl:",
        format!("    csp: {{ name: P, email: p@a.dev, phone: {POISON} }}\n  assetBaseUrl:"),
    );
    let certification = |entry: String| {
        text("licence: byol", format!("governmentCertifications: [{entry}]\n    licence: byol"))
    };
    let image = |entry: String| text("      created:", format!("      {entry}\n      created:"));
    let config = |entry: String| text("        user:", format!("        {entry}\n        user:"));
    let poisoned =
        |html: &'static str| format!("<p>cache{html}</p><p>Needs 1 core.</p>").into_bytes();
    vec![
        (
            "Offer.publisher",
            judged("OFR-004", "publisher", "publisher: quayline", "publisher: ", ""),
        ),
        (
            "Offer.certification_notes",
            judged("LST-027", "certificationNotes", "Start it and ask port 8080.", "", ""),
        ),
        ("Identity.id", judged("OFR-001", "offer.id", "id: tidepool\n", "id: ", "\n")),
        ("Identity.alias", judged("LST-026", "offer.alias", "alias: Tidepool", "alias: ", "")),
        (
            "AzureRegistry.subscription_id",
            judged(
                "TEC-001",
                "registries.production.azure.subscriptionId",
                "7c1f2d64-9a0b-4e5d-8f3a-2b6c91d0e7f4",
                "",
                "",
            ),
        ),
        (
            "AzureRegistry.tenant_id",
            judged(
                "TEC-001",
                "registries.production.azure.tenantId",
                "      registryName: quayline",
                "      registryName: quayline\n      tenantId: ",
                "",
            ),
        ),
        (
            "AzureRegistry.resource_group",
            judged(
                "TEC-002",
                "registries.production.azure.resourceGroup",
                "quayline-registries",
                "",
                "",
            ),
        ),
        (
            "AzureRegistry.registry_name",
            judged(
                "TEC-003",
                "registries.production.azure.registryName",
                "registryName: quayline",
                "registryName: ",
                "",
            ),
        ),
        (
            "Listing.language",
            judged(
                "LST-028",
                "listing.language",
                "  title: Tidepool",
                "  language: ",
                "\n  title: Tidepool",
            ),
        ),
        ("Listing.title", judged("LST-026", "listing.title", "Tidepool Cache", "", "")),
        (
            "Listing.search_summary",
            judged(
                "LST-003",
                "listing.searchSummary",
                "A cache that says when it is well.",
                "",
                "",
            ),
        ),
        (
            "Listing.short_description",
            judged("LST-004", "listing.shortDescription", "A cache with safe defaults.", "", ""),
        ),
        (
            "Listing.description",
            Fate::Judged(
                "LST-027",
                "listing.description",
                file("description.html", poisoned("\u{202e}")),
            ),
        ),
        ("Listing.keywords", judged("LST-026", "listing.keywords[1]", "[cache]", "[cache, ", "]")),
        (
            "Listing.privacy_policy",
            judged("LST-010", "listing.privacyPolicy", "https://quayline.dev/privacy", "", ""),
        ),
        (
            "Listing.support_url",
            judged("LST-013", "listing.supportUrl", "https://quayline.dev/support", "", ""),
        ),
        (
            "Listing.government_support_url",
            judged(
                "LST-014",
                "listing.governmentSupportUrl",
                "  links:",
                "  governmentSupportUrl: ",
                "\n  links:",
            ),
        ),
        (
            "Listing.asset_base_url",
            judged("LST-025", "listing.assetBaseUrl", "https://assets.quayline.dev/t", "", ""),
        ),
        ("Link.title", judged("LST-026", "listing.links[0].title", "title: Guide", "title: ", "")),
        (
            "Link.url",
            judged("LST-011", "listing.links[0].url", "https://quayline.dev/guide", "", ""),
        ),
        (
            "Contact.name",
            judged("LST-026", "listing.contacts.support.name", "name: Support", "name: ", ""),
        ),
        (
            "Contact.email",
            judged("LST-012", "listing.contacts.support.email", "support@quayline.dev", "", ""),
        ),
        (
            "Contact.phone",
            judged("LST-012", "listing.contacts.support.phone", "\"+1 206 555 0142\"", "", ""),
        ),
        (
            "PartnerContact.name",
            Fate::Judged(
                "LST-026",
                "listing.contacts.csp.name",
                csp(POISON, "p@a.dev", "https://a.dev"),
            ),
        ),
        (
            "PartnerContact.email",
            Fate::Judged(
                "LST-012",
                "listing.contacts.csp.email",
                csp("P", POISON, "https://a.dev"),
            ),
        ),
        ("PartnerContact.phone", Fate::Judged("LST-012", "listing.contacts.csp.phone", phone)),
        (
            "PartnerContact.url",
            Fate::Judged("LST-025", "listing.contacts.csp.url", csp("P", "p@a.dev", POISON)),
        ),
        (
            "Screenshot.caption",
            judged(
                "LST-026",
                "listing.screenshots[0].caption",
                "caption: One day",
                "caption: ",
                "",
            ),
        ),
        ("Video.title", judged("LST-026", "listing.videos[0].title", "title: Tour", "title: ", "")),
        ("Video.url", judged("LST-020", "listing.videos[0].url", "https://vimeo.com/1", "", "")),
        (
            "Legal.terms",
            Fate::Judged("LST-027", "legal.terms", file("terms.txt", "Be\u{202e} kind.\n")),
        ),
        (
            "Properties.categories",
            judged(
                "LST-026",
                "properties.categories.data[0]",
                "containers: [container-images]",
                "containers: [container-images]\n    data: [",
                "]",
            ),
        ),
        (
            "PreviewSubscription.id",
            judged(
                "OFR-007",
                "preview.subscriptions[0].id",
                "id: 3f0c8a52-61d7-4b89-9e24-d5a7c0b1f386",
                "id: ",
                "",
            ),
        ),
        (
            "PreviewSubscription.label",
            judged("LST-026", "preview.subscriptions[0].label", "label: Test", "label: ", ""),
        ),
        ("Plan.name", judged("LST-026", "plans[0].name", "name: Server", "name: ", "")),
        ("Plan.summary", judged("PLN-004", "plans[0].summary", "The server.", "", "")),
        (
            "Plan.description",
            judged("LST-027", "plans[1].description", "<p>Nothing but a health check.</p>", "", ""),
        ),
        (
            "Certification.name",
            Fate::Judged(
                "LST-026",
                "plans[0].governmentCertifications[0].name",
                certification(format!("{{ name: {POISON}, url: https://a.dev/ }}")),
            ),
        ),
        (
            "Certification.url",
            Fate::Judged(
                "PLN-009",
                "plans[0].governmentCertifications[0].url",
                certification(format!("{{ name: F, url: {POISON} }}")),
            ),
        ),
        (
            "Image.annotations",
            Fate::Judged(
                "LST-027",
                "plans[0].image.annotations.a",
                image(format!("annotations: {{ a: {POISON} }}")),
            ),
        ),
        (
            "Image.source",
            Fate::Judged("LST-026", "plans[0].image.source", image(format!("source: {POISON}"))),
        ),
        (
            "Image.revision",
            Fate::Judged(
                "LST-026",
                "plans[0].image.revision",
                image(format!("revision: {POISON}")),
            ),
        ),
        (
            "Image.licences",
            Fate::Judged(
                "LST-026",
                "plans[0].image.licences",
                image(format!("licences: {POISON}")),
            ),
        ),
        (
            "PlatformBuild.os_version",
            judged(
                "LST-026",
                "plans[0].image.platforms[0].osVersion",
                "        - platform: linux/amd64",
                "        - platform: linux/amd64\n          osVersion: ",
                "",
            ),
        ),
        (
            "ContainerConfig.labels",
            Fate::Judged(
                "LST-027",
                "plans[0].image.config.labels.a",
                config(format!("labels: {{ a: {POISON} }}")),
            ),
        ),
        ("ContainerConfig.entrypoint", Fate::Program),
        ("ContainerConfig.cmd", Fate::Program),
        ("ContainerConfig.env", Fate::Program),
        ("ContainerConfig.user", Fate::Program),
        ("ContainerConfig.stop_signal", Fate::Program),
    ]
}

/// The fields of types with free text, as `Type.field`.
fn fields() -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    let mut of = String::new();
    for line in MODEL.into_iter().flat_map(str::lines).map(str::trim) {
        if let Some(name) = line.strip_suffix(" {") {
            of = name.rsplit(' ').next().unwrap().to_owned();
        }
        let Some((name, kind)) = line.strip_suffix(',').and_then(|line| line.split_once(": "))
        else {
            continue;
        };
        let name = name.trim_start_matches("pub ");
        let words: Vec<&str> = kind.split(|c: char| !c.is_alphanumeric()).collect();
        let is_text = words.iter().any(|word| matches!(*word, "String" | "Text" | "Terms"));
        let is_text = is_text && !OF_KUBERNETES.contains(&of.as_str());
        if is_text && name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            fields.insert(format!("{of}.{name}"));
        }
    }
    fields
}

#[test]
fn every_text_of_the_offer_is_known_here() {
    let known: BTreeSet<String> =
        fates().iter().chain(&market_fates()).map(|(field, _)| (*field).to_owned()).collect();
    assert_eq!(fields(), known);
}

#[test]
fn every_text_is_judged_by_exactly_one_rule() {
    for (field, fate) in fates().into_iter().chain(market_fates()) {
        let Fate::Judged(rule, key, change) = fate else { continue };
        let found = findings(Some(&change), Profile::Strict);
        // A keyword absent from every text is another fault.
        let of_poison = found.iter().filter(|finding| {
            finding.place.key.as_deref() == Some(key) && !matches!(finding.rule, "LST-009")
        });
        let rules: BTreeSet<&str> = of_poison.clone().map(|finding| finding.rule).collect();
        assert_eq!(rules, BTreeSet::from([rule]), "{field}: {found:#?}");
        for finding in of_poison {
            assert!(
                finding.place.line > Some(1) || field == "Offer.publisher",
                "{field}: {finding:?}"
            );
        }
    }
}

#[test]
fn joiners_are_allowed_where_letters_need_them() {
    for good in ["نرم\u{200c}افزار", "क्\u{200d}ष", "👩\u{200d}💻"] {
        assert_eq!(super::hidden(good, |_| false), None, "{good}");
    }
    for bad in ["Tide\u{200c}pool", "\u{200d}x", "नमस्ते\u{200d}"] {
        assert!(super::hidden(bad, |_| false).is_some(), "{bad}");
    }
}

#[test]
fn descriptions_in_tables_are_judged_like_labels() {
    let table = |kind: &str| {
        format!("Id,Description,Type\n{TABLED},Us,{kind}\n{TABLED},\"<b>x</b>\nline2\",{kind}\n")
    };
    let preview = changed(&[("preview:\n", "preview:\n  csv: poisoned.csv\n")]);
    let tenants = with_application().replacen(
        "    chart: chart\n",
        "    audience: { csv: poisoned.csv }\n    chart: chart\n",
        1,
    );
    let place = "plans[2].audience.csv";
    for (offer, kind, key) in
        [(preview, "SubscriptionId", "preview.csv"), (tenants, "TenantId", place)]
    {
        let files = vec![("poisoned.csv", table(kind).into_bytes())];
        let found = findings(Some(&Change::Whole(offer, files)), Profile::Strict);
        let said: Vec<&str> = found
            .iter()
            .filter(|it| it.rule == "LST-026" && it.place.key.as_deref() == Some(key))
            .map(|it| it.message.as_str())
            .collect();
        assert_eq!(said.len(), 2, "{found:#?}");
        assert!(said.iter().all(|it| it.contains("description in line 3")), "{said:?}");
    }
}
