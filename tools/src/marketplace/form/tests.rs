//! Every key of an offer is walked: another value of it changes the payload, or a field a person
//! fills, or it stands in [`ELSEWHERE`]. So no written value can be lost in silence.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ELSEWHERE, FillMethod, OfferForm};
use crate::marketplace::payload::faults;
use crate::marketplace::render::{Secrets, render};
use crate::offer::fixture::{Folder, TABLED};
use crate::offer::model::Offer;
use crate::pictures::tests::png;

const FULL: &str = include_str!("full.yaml");

fn full() -> Vec<Value> {
    let own_terms = FULL.replacen("  standardContract: true", "  terms: { file: terms.txt }", 1);
    let terms_url = FULL.replacen(
        "  standardContract: true",
        "  terms: { url: https://quayline.dev/terms }",
        1,
    );
    let texts = [FULL.to_owned(), own_terms, terms_url];
    texts.iter().map(|text| serde_saphyr::from_str(text).unwrap()).collect()
}

/// Files beside the offer, and others in their place.
fn folder() -> Folder {
    let folder = Folder::new();
    for name in ["large", "medium", "small", "wide", "screen", "video"] {
        // Their sizes do not matter here, and small ones are read quickly.
        folder.write(&format!("{name}.png"), png(9, 9, [1, 2, 3]));
        folder.write(&format!("other-{name}.png"), png(9, 9, [1, 2, 3]));
    }
    folder.write("other-description.html", "<p>Another.</p>");
    folder.write("other-terms.txt", "Be kinder.");
    let another = TABLED.replace('0', "1");
    folder.write("other-preview.csv", format!("Id,Description,Type\n{another},,SubscriptionId\n"));
    folder.write("other-tenants.csv", format!("Id,Description,Type\n{another},,TenantId\n"));
    folder
}

/// The products of an offer: its payload, a person's input, and all fields.
struct Outcome {
    payload: Option<Value>,
    by_hand: Vec<String>,
    fields: Vec<String>,
}

fn outcome(folder: &Folder, offer: &Value) -> Result<Outcome, String> {
    let text = serde_json::to_string(offer).unwrap();
    let (file, content) = folder.load(&text).map_err(|error| error.to_string())?;
    let rendered = render(&file, &content, &Secrets::Placeholders, None);
    let payload = rendered.ok().map(|at| serde_json::to_value(&at.payload).unwrap());
    let form = OfferForm::of(&file, &content);
    let shown = |by_hand: bool| {
        let fields = form.fields();
        let fields =
            fields.filter(|(_, field)| !by_hand || matches!(field.way, FillMethod::Hand(_)));
        fields.map(|(sheet, field)| format!("{:?} {field:?}", sheet.of)).collect()
    };
    Ok(Outcome { payload, by_hand: shown(true), fields: shown(false) })
}

/// `plans[0].name` as `plans[].name`, and names of registries as `*`.
fn general(path: &str) -> String {
    let mut general = String::new();
    for c in path.chars().filter(|c| !c.is_ascii_digit()) {
        general.push(c);
    }
    general.replace("registries.production", "registries.*")
}

fn is_elsewhere(path: &str) -> bool {
    let path = general(path);
    ELSEWHERE.iter().any(|(pattern, _)| match pattern.strip_suffix(".**") {
        Some(start) => path == start || path.starts_with(&format!("{start}.")),
        None => path == *pattern || path.starts_with(&format!("{pattern}[")),
    })
}

/// Every value without values in it, with its path and its pointer.
fn leaves(value: &Value, path: &str, pointer: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(keys) => {
            for (key, value) in keys {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(value, &format!("{path}{dot}{key}"), &format!("{pointer}/{key}"), found);
            }
        }
        Value::Array(values) => {
            for (place, value) in values.iter().enumerate() {
                leaves(value, &format!("{path}[{place}]"), &format!("{pointer}/{place}"), found);
            }
        }
        _ => found.push((path.to_owned(), pointer.to_owned())),
    }
}

/// Other values of the same kind; the first the file format takes is used.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(flag) => vec![json!(!flag)],
        Value::Number(number) if number.is_u64() => vec![json!(number.as_u64().unwrap() + 1)],
        Value::Number(number) => vec![json!(number.as_f64().unwrap() + 1.0)],
        Value::String(text) => {
            let last = text.chars().last().unwrap_or('a');
            let next = match last {
                '0'..='8' | 'a'..='y' | 'A'..='Y' => char::from(u8::try_from(last).unwrap() + 1),
                '9' => '8',
                _ => 'x',
            };
            let flipped: String =
                text.chars().take(text.chars().count() - 1).chain([next]).collect();
            let words = [
                "hidden",
                "azureGovernment",
                "free",
                "perNode",
                "salesforce",
                "all",
                "container-apps",
            ];
            let mut all = vec![json!(format!("other-{text}")), json!(flipped)];
            all.extend(words.map(|word| json!(word)));
            all
        }
        _ => Vec::new(),
    }
}

#[test]
fn no_secret_of_an_address_is_in_a_form() {
    let link = ("https://quayline.dev/guide", "https://u:PLANTEDPW@quayline.dev/guide");
    let leads = "leads: { destination: httpsEndpoint, url: \"https://a.dev/x?sig=PLANTEDSIG&code=PLANTEDCODE\" }\nlegal:\n";
    let offer = crate::offer::fixture::changed(&[link, ("legal:\n", leads)]);
    let (file, content) = folder().load(&offer).unwrap_or_else(|error| panic!("{error}"));
    let form = format!("{:?}", OfferForm::of(&file, &content));
    assert!(form.contains("https://a.dev/x?sig=(not shown)"), "{form}");
    let notes = render(&file, &content, &Secrets::Placeholders, None).unwrap().notes;
    for text in [form, notes.join("\n")] {
        assert!(!text.contains("PLANTED"), "{text}");
    }
}

#[test]
fn no_key_of_an_offer_is_lost_in_silence() {
    let folder = folder();
    let mut walked = 0;
    let mut lost = Vec::new();
    for offer in full() {
        let before = outcome(&folder, &offer).unwrap();
        assert_eq!(faults(before.payload.as_ref().unwrap()), []);
        let mut found = Vec::new();
        leaves(&offer, "", "", &mut found);
        for (path, pointer) in found.iter().filter(|(path, _)| !is_elsewhere(path)) {
            let change = |to: Value| {
                let mut changed = offer.clone();
                *changed.pointer_mut(pointer).unwrap() = to;
                outcome(&folder, &changed).ok()
            };
            let value = offer.pointer(pointer).unwrap();
            // The file format takes few words at some keys, and names of existing files at others.
            let after = others(value).into_iter().find_map(change);
            let Some(after) = after else {
                lost.push(format!("{path}: no other value fits"));
                continue;
            };
            walked += 1;
            if after.payload == before.payload && after.by_hand == before.by_hand {
                lost.push(format!("{path}: neither in the payload nor by hand"));
            }
            if after.fields == before.fields {
                lost.push(format!("{path}: not on a page of the checklist"));
            }
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    assert!(walked > 200, "{walked}");
}

/// An image's keys in the payload.
#[test]
fn repository_and_tags_of_an_image_reach_the_payload() {
    let (folder, offer) = (folder(), &full()[0]);
    let before = outcome(&folder, offer).unwrap();
    for (pointer, to) in [
        ("/plans/0/image/repository", json!("tidepool/other")),
        ("/plans/0/image/version", json!("1.4.1")),
        ("/plans/0/image/tags/1", json!("{version}-other")),
        ("/plans/0/image/publishedTags/0", json!("1.2.0-all")),
        ("/offer/registry", json!("other")),
    ] {
        let mut changed = offer.clone();
        *changed.pointer_mut(pointer).unwrap() = to;
        let after = outcome(&folder, &changed).ok().and_then(|after| after.payload);
        assert_ne!(after, before.payload, "{pointer}");
    }
}

/// The keys of a type, from the message of `serde` about an unknown one.
fn known_keys(offer: &Value, pointer: &str) -> Option<Vec<String>> {
    let mut changed = offer.clone();
    changed.pointer_mut(pointer)?.as_object_mut()?.insert("zzz".to_owned(), json!(1));
    let error = serde_json::from_value::<Offer>(changed).err()?.to_string();
    let (_, known) = error.split_once("unknown field `zzz`, expected")?;
    Some(known.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

fn mappings(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(keys) => {
            found.push(pointer.to_owned());
            for (key, value) in keys {
                mappings(value, &format!("{pointer}/{key}"), found);
            }
        }
        Value::Array(values) => {
            for (place, value) in values.iter().enumerate() {
                mappings(value, &format!("{pointer}/{place}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn the_offer_that_is_walked_has_every_key_of_the_types() {
    let general =
        |pointer: &str| pointer.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let (mut there, mut known) = (BTreeSet::new(), BTreeSet::new());
    for offer in full() {
        let mut found = Vec::new();
        mappings(&offer, "", &mut found);
        // An image's own keys reach the image, not Partner Center.
        for pointer in found.iter().filter(|at| !at.contains("/image")) {
            let keys = offer.pointer(pointer).unwrap().as_object().unwrap().keys();
            there.extend(keys.map(|key| format!("{}/{key}", general(pointer))));
            let keys = known_keys(&offer, pointer).into_iter().flatten();
            known.extend(keys.map(|key| format!("{}/{key}", general(pointer))));
        }
    }
    assert!(known.len() > 100, "{}", known.len());
    // A place of credentials is one of three, and a text stands in the file or in another.
    let missing: Vec<&String> = known.difference(&there).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
