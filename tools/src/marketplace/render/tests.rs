//! The payload as a whole (against a golden file) and in the cases the example does not have.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::marketplace::payload::faults;
use crate::marketplace::tree::ResourceTree;
use crate::offer::fixture::{APPLICATION, Folder, OFFER, changed, with_application};

fn payload(offer: &str, secrets: &Secrets<'_>) -> Result<(Value, Vec<String>), RenderError> {
    let (file, content) = Folder::new().load(offer).unwrap_or_else(|error| panic!("{error}"));
    let rendered = render(&file, &content, secrets, None)?;
    Ok((serde_json::to_value(&rendered.payload).unwrap(), rendered.notes))
}

fn of_schema<'a>(payload: &'a Value, schema: &str) -> Vec<&'a Value> {
    let start = format!("https://schema.mp.microsoft.com/schema/{schema}/");
    let resources = payload["resources"].as_array().unwrap().iter();
    resources.filter(|at| at["$schema"].as_str().unwrap().starts_with(&start)).collect()
}

/// Compares with a golden file, and writes it anew when `WHARF_UPDATE_GOLDEN` is set; the change is then
/// reviewed.
fn golden(name: &str, rendered: &RenderedPayload) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/marketplace/golden");
    let whole = serde_json::to_value(&rendered.payload).unwrap();
    assert_eq!(faults(&whole), [], "{name}");
    let written = serde_json::json!({ "payload": rendered.payload, "notes": rendered.notes });
    let mut actual = serde_json::to_string_pretty(&written).unwrap();
    actual.push('\n');
    let golden = folder.join(format!("{name}.json"));
    if std::env::var_os("WHARF_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&golden, &actual).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        actual == expected,
        "{name}: set WHARF_UPDATE_GOLDEN=1 and review the change:\n{actual}"
    );
}

#[test]
fn the_example_renders_to_its_golden_payload() {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = OfferFile::open(&tools.join("examples/tidepool-cache/offer.yaml")).unwrap();
    let content = Content::load(&file).unwrap();
    golden("example", &render(&file, &content, &Secrets::Placeholders, None).unwrap());
}

/// The offer of an application with a bundle, with pieces replaced.
fn sold(changes: &[(&str, &str)]) -> String {
    let (before, _) = OFFER.split_once("plans:\n").unwrap();
    let bundle = "bundle: { repository: tidepool/bundle, version: 1.0.1, digest: \"sha256:";
    let bundle = format!("{bundle}{}\" }}", "5f".repeat(32));
    let mut offer = format!("{before}plans:\n{APPLICATION}    {bundle}\n")
        .replacen("  alias: Tidepool\n", "  alias: Tidepool\n  sellThroughMicrosoft: true\n", 1)
        .replacen(
            "      registryName: quayline\n",
            "      registryName: quayline\n      tenantId: 1d0e7f42-9a0b-4e5d-8f3a-2b6c917c1f2d\n",
            1,
        );
    for (from, to) in changes {
        assert!(offer.contains(from), "the offer does not hold {from:?}");
        offer = offer.replacen(from, to, 1);
    }
    offer
}

const PRICES: &str = "prices: { unit: perCore, usdPerHour: 0.02 }";

/// Each kind of plan, each licence, each unit, tables, translations, and live content.
#[test]
fn offers_render_to_their_golden_payloads() {
    let live = live();
    let csv = ("preview:\n", "preview:\n  csv: preview.csv\n");
    let private = ("    namespace:", "    audience: { csv: tenants.csv }\n    namespace:");
    let mut table: Vec<(String, String, Option<&Live>)> = vec![
        ("image-plans".to_owned(), OFFER.to_owned(), None),
        ("image-plans-live".to_owned(), OFFER.to_owned(), Some(&live)),
        ("both-kinds".to_owned(), with_application(), None),
        ("application-live".to_owned(), sold(&[]), Some(&live)),
        ("application-free".to_owned(), sold(&[("payAsYouGo", "free"), (PRICES, "")]), None),
        ("application-byol".to_owned(), sold(&[("payAsYouGo", "byol"), (PRICES, "")]), None),
        ("tables".to_owned(), sold(&[csv, private]), None),
        ("translations".to_owned(), translated(), None),
        ("every-key".to_owned(), include_str!("../form/full.yaml").to_owned(), None),
    ];
    for unit in [
        "perCore",
        "perEveryCoreInCluster",
        "perNode",
        "perEveryNodeInCluster",
        "perPod",
        "perCluster",
    ] {
        let prices = format!("prices: {{ unit: {unit}, usdPerHour: 0.5 }}");
        table.push((format!("unit-{unit}"), sold(&[(PRICES, &prices)]), None));
    }
    for (name, offer, live) in table {
        let (file, content) =
            Folder::new().load(&offer).unwrap_or_else(|error| panic!("{name}: {error}"));
        let rendered = render(&file, &content, &Secrets::Placeholders, live).unwrap();
        let again = render(&file, &content, &Secrets::Placeholders, live).unwrap();
        assert_eq!(rendered.payload, again.payload, "{name}");
        golden(&name, &rendered);
    }
}

/// The offer in two languages.
fn translated() -> String {
    let listing = "  translations:\n    - { language: de-de, title: Tidepool, searchSummary: Ein Speicher., \
                   shortDescription: Sicher., description: <p>Ein Speicher.</p> }\nlegal:\n";
    let plan = "    licence: byol\n    translations:\n      - { language: de-de, name: Dienst, \
                summary: Der Dienst., description: <p>Nur das.</p> }\n";
    changed(&[("legal:\n", listing), ("    licence: byol\n", plan)])
}

/// The published state: an earlier bundle of one plan, an earlier tag of another.
fn live() -> Live {
    let schema =
        |name: &str| format!("https://schema.mp.microsoft.com/schema/{name}/2022-03-01-preview3");
    let plan = |id: &str| {
        serde_json::json!({ "$schema": schema("plan"), "id": format!("plan/1/{id}"),
            "identity": { "externalId": id }, "product": "product/1" })
    };
    let technical = |id: &str, more: Value| {
        let mut resource = serde_json::json!({
            "$schema": schema("container-plan-technical-configuration"),
            "product": "product/1", "plan": format!("plan/1/{id}") });
        resource.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        resource
    };
    let reference = serde_json::json!({
        "tenantId": "t", "subscriptionId": "s", "resourceGroupName": "g", "registryName": "quayline",
        "repositoryName": "live/tidepool/bundle", "tag": "1.0.0", "digest": "sha256:00" });
    let tree = serde_json::json!({ "target": { "targetType": "live" }, "resources": [
        { "$schema": schema("product"), "id": "product/1", "identity": { "externalId": "tidepool" } },
        plan("cluster"), plan("server"),
        technical("cluster", serde_json::json!({ "payloadType": "cnab", "cnabReferences": [reference] })),
        technical("server", serde_json::json!({ "payloadType": "image", "imageTags": ["latest", "1.3.0-all"] })),
    ] });
    let bytes = serde_json::to_vec(&tree).unwrap();
    Live::of(&ResourceTree::parse(Path::new("tree.json"), &bytes).unwrap())
}

#[test]
fn what_is_live_stays_before_what_is_new_and_is_never_other_content() {
    let live = live();
    let with = |offer: &str| {
        let (file, content) = Folder::new().load(offer).unwrap_or_else(|error| panic!("{error}"));
        render(&file, &content, &Secrets::Placeholders, Some(&live))
    };
    let rendered = with(&sold(&[])).unwrap();
    let payload = serde_json::to_value(&rendered.payload).unwrap();
    let references =
        &of_schema(&payload, "container-plan-technical-configuration")[0]["cnabReferences"];
    assert_eq!(references[0]["tag"], "1.0.0");
    assert_eq!(references[1]["tag"], "1.0.1");
    assert!(
        rendered.notes.iter().any(|note| note.contains("1 earlier bundle")),
        "{:?}",
        rendered.notes
    );
    let error = with(&sold(&[("version: 1.0.1", "version: 1.0.0")])).unwrap_err().to_string();
    assert!(error.contains("is published as sha256:00"), "{error}");
}

#[test]
fn live_tags_that_have_no_room_are_refused_and_named() {
    let with = |tags: usize| {
        let list: Vec<String> = (0..tags).map(|at| format!("t{at}")).collect();
        let tags = format!("tags: [{}]", list.join(", "));
        let all = "tags: [latest, \"{version}-all\", \"{version}-test\", \"{version}-{platform}\"]";
        let (file, content) = Folder::new().load(&changed(&[(all, &tags)])).unwrap();
        render(&file, &content, &Secrets::Placeholders, Some(&live())).map_err(|it| it.to_string())
    };
    // Two more are live.
    let payload = serde_json::to_value(with(14).unwrap().payload).unwrap();
    let technical = of_schema(&payload, "container-plan-technical-configuration");
    assert_eq!(technical[0]["imageTags"].as_array().unwrap().len(), 16);
    let said = with(15).unwrap_err();
    assert!(said.contains("would have 17 tags, and 16 is the most: 15 of the offer"), "{said}");
    assert!(said.contains("latest, 1.3.0-all"), "{said}");
    // More of the offer's own are the affair of TEC-009.
    assert!(with(17).is_ok());
}

#[test]
fn a_live_bundle_without_a_digest_is_no_reference_and_gives_way_to_the_offer() {
    use crate::published::tests::{application, digest};
    use crate::published::{LedgerState, Record};

    let offer = sold(&[]);
    let (file, content) = Folder::new().load(&offer).unwrap();
    let of = |live: &Live| {
        let rendered = render(&file, &content, &Secrets::Placeholders, Some(live)).unwrap();
        let payload = serde_json::to_value(&rendered.payload).unwrap();
        assert_eq!(faults(&payload), []);
        let technical = of_schema(&payload, "container-plan-technical-configuration");
        let references = technical[0]["cnabReferences"].as_array().unwrap();
        let named = |it: &Value| format!("{}@{}", it["tag"], it["digest"]).replace('"', "");
        (references.iter().map(named).collect::<Vec<_>>(), rendered.notes)
    };
    let new = format!("1.0.1@sha256:{}", "5f".repeat(32));
    let mut submission = application();
    submission.bundles[0].digest = None;
    let mut known = submission.bundles[0].clone();
    known.version = "0.9.0".to_owned();
    known.digest = Some(digest("nine"));
    submission.bundles.push(known);
    let records = [Record::Submitted(Box::new(submission))];
    let live = Live::default().with_published(&file, &LedgerState::of(&records));
    let (references, notes) = of(&live);
    assert_eq!(references, [format!("0.9.0@{}", digest("nine")), new.clone()]);
    assert!(notes.iter().any(|note| note.contains("live/tidepool/bundle:1.0.0")), "{notes:?}");
    let null = serde_json::json!({ "cnabReferences": [
        { "repositoryName": "live/tidepool/bundle", "tag": "1.0.1", "digest": null }] });
    assert_eq!(of(&Live::of_plan("cluster", null)).0, [new]);
}

#[test]
fn a_plan_without_its_bundle_says_so() {
    let offer = with_application();
    let (whole, notes) = payload(&offer, &Secrets::Placeholders).unwrap();
    let technical = of_schema(&whole, "container-plan-technical-configuration");
    assert_eq!(technical.len(), 2);
    assert!(notes.iter().any(|note| note.contains("`cluster` has no bundle yet")), "{notes:?}");
}

#[test]
fn references_point_at_resources_that_stand_before_them() {
    let (payload, _) = payload(OFFER, &Secrets::Placeholders).unwrap();
    let mut known = BTreeSet::new();
    for resource in payload["resources"].as_array().unwrap() {
        for key in ["product", "plan", "listing"] {
            if let Some(name) = resource[key]["resourceName"].as_str() {
                assert!(known.contains(name), "{key} {name} is not known yet");
            }
        }
        if let Some(name) = resource["resourceName"].as_str() {
            assert!(known.insert(name.to_owned()), "{name} stands twice");
            assert!(name.len() <= 50);
        }
    }
    assert_eq!(known.len(), 4);
}

#[test]
fn secrets_are_placeholders_unless_they_are_asked_for() {
    let variable = |name: &str| (name == "QUAY_PASSWORD").then(|| "hunter2".to_owned());
    let (shown, _) = payload(OFFER, &Secrets::Placeholders).unwrap();
    let details = &of_schema(&shown, "container-plan-technical-configuration")[0];
    let details = &details["imageRepositoryDetails"];
    assert_eq!(details["userName"], "${env:QUAY_USER}");
    assert_eq!(details["password"], "${env:QUAY_PASSWORD}");
    let error = payload(OFFER, &Secrets::Resolve(&variable)).unwrap_err();
    assert!(error.to_string().contains("username"), "{error}");
    let both = |_: &str| Some("hunter2".to_owned());
    let (filled, _) = payload(OFFER, &Secrets::Resolve(&both)).unwrap();
    assert_eq!(filled.to_string().matches("hunter2").count(), 4);
    assert!(!shown.to_string().contains("hunter2"));
}

#[test]
fn the_technical_configuration_lists_latest_first_and_published_tags_last() {
    let offer =
        changed(&[("      created:", "      publishedTags: [1.3.0-all, latest]\n      created:")]);
    let (payload, _) = payload(&offer, &Secrets::Placeholders).unwrap();
    let technical = of_schema(&payload, "container-plan-technical-configuration");
    let tags = serde_json::json!([
        "latest",
        "1.4.0-all",
        "1.4.0-test",
        "1.4.0-linux-amd64",
        "1.4.0-linux-arm64",
        "1.3.0-all"
    ]);
    assert_eq!(technical[0]["imageTags"], tags);
    assert_eq!(technical[0]["imageRepositoryDetails"]["repositoryName"], "live/tidepool/server");
    assert_eq!(technical[1]["plan"]["resourceName"], "plan-probe");
}

#[test]
fn pictures_are_left_out_and_said_without_an_address_for_them() {
    let offer = changed(&[("  assetBaseUrl: https://assets.quayline.dev/t\n", "")]);
    let (without, notes) = payload(&offer, &Secrets::Placeholders).unwrap();
    assert!(of_schema(&without, "listing-asset").is_empty());
    assert!(of_schema(&without, "listing-trailer").is_empty());
    assert!(notes.iter().any(|note| note.contains("assetBaseUrl")), "{notes:?}");
    let (with, _) = payload(OFFER, &Secrets::Placeholders).unwrap();
    let assets = of_schema(&with, "listing-asset");
    assert_eq!(assets.len(), 5);
    assert_eq!(assets[4]["type"], "azureLogoScreenshot");
    assert_eq!(assets[4]["url"], "https://assets.quayline.dev/t/screen.png");
    let trailer = of_schema(&with, "listing-trailer")[0];
    assert_eq!(trailer["assets"]["en-us"]["title"], "Tour");
}

#[test]
fn each_kind_of_terms_has_its_key() {
    let property = |legal: &str| {
        let offer = changed(&[("  terms: { file: terms.txt }", legal)]);
        payload(&offer, &Secrets::Placeholders)
            .map(|(payload, _)| of_schema(&payload, "property")[0].clone())
    };
    assert_eq!(
        property("  standardContract: true").unwrap()["termsConditions"],
        "standardMicrosoft"
    );
    let url = property("  terms: { url: https://quayline.dev/terms }").unwrap();
    assert_eq!(url["termsOfUseUrl"], "https://quayline.dev/terms");
    assert_eq!(property("  terms: Be kind.").unwrap()["termsOfUse"], "Be kind.");
    assert!(property("  standardContract: false").is_err());
}

#[test]
fn long_plan_ids_that_are_cut_stay_apart() {
    let long = "s".repeat(60);
    let first = format!("id: {long}a");
    let second = format!("id: {long}b");
    let offer = changed(&[("id: server", &first), ("id: probe", &second)]);
    let (payload, _) = payload(&offer, &Secrets::Placeholders).unwrap();
    let plans = of_schema(&payload, "plan");
    let names: BTreeSet<&str> =
        plans.iter().map(|plan| plan["resourceName"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|name| name.len() == 50));
}

#[test]
fn an_offer_whose_registry_azure_does_not_know_cannot_be_rendered() {
    let offer = changed(&[("  registry: production", "  registry: staging")]);
    let error = payload(&offer, &Secrets::Placeholders).unwrap_err().to_string();
    assert!(error.contains("TEC-001") && error.contains("staging"), "{error}");
}

#[test]
fn what_the_offer_says_and_the_payload_does_not_is_named_with_its_page() {
    let keys =
        "leads: { destination: salesforce, account: x }\nresale: { channel: none }\nplans:\n";
    let offer = changed(&[("plans:\n", keys)]);
    let (whole, notes) = payload(&offer, &Secrets::Placeholders).unwrap();
    for (key, page) in [
        ("`leads.destination`", "Customer leads"),
        ("`leads.account`", "Customer leads"),
        ("`listing.keywords`", "Offer listing"),
        ("`certificationNotes`", "Review and publish"),
        ("`plans[0].licence`", "Pricing and availability"),
    ] {
        let is_named = |note: &String| note.starts_with(key) && note.contains(page);
        assert!(notes.iter().any(is_named), "{key}: {notes:?}");
    }
    assert_eq!(of_schema(&whole, "reseller")[0]["resellerChannelState"], "none");
}
