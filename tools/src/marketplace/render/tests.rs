//! The payload as a whole (against a golden file) and in the cases that the example does not have.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::offer::fixture::{Folder, OFFER, changed, with_application};

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

/// Writes the golden file anew when `WHARF_UPDATE_GOLDEN` is set; the change is then reviewed.
#[test]
fn the_example_renders_to_its_golden_payload() {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = OfferFile::open(&tools.join("examples/tidepool-cache/offer.yaml")).unwrap();
    let content = Content::load(&file).unwrap();
    let rendered = render(&file, &content, &Secrets::Placeholders, None).unwrap();
    let mut actual = serde_json::to_string_pretty(&rendered.payload).unwrap();
    actual.push('\n');
    let golden = tools.join("src/marketplace/render/golden-example.json");
    if std::env::var_os("WHARF_UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &actual).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    assert!(actual == expected, "set WHARF_UPDATE_GOLDEN=1 and review the change:\n{actual}");
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
fn an_offer_with_a_kubernetes_application_is_not_rendered_by_half() {
    let error = payload(&with_application(), &Secrets::Placeholders).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("the plan `cluster` is a Kubernetes application"), "{message}");
    assert!(message.contains("kind: kubernetes"), "{message}");
}

#[test]
fn what_the_offer_says_and_the_payload_does_not_is_named() {
    let keys =
        "leads: { destination: salesforce, account: x }\nresale: { channel: none }\nplans:\n";
    let preview = "preview:\n  csv: preview.csv\n";
    let offer = changed(&[("plans:\n", keys), ("preview:\n", preview)]);
    let (_, notes) = payload(&offer, &Secrets::Placeholders).unwrap();
    for key in ["`leads`", "`resale`", "`preview.csv`"] {
        assert!(notes.iter().any(|note| note.starts_with(key)), "{key}: {notes:?}");
    }
}
