//! The required and the forbidden parts of a checklist.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::marketplace::form::FieldValue;
use crate::offer::fixture::{Folder, OFFER, changed, with_application};

fn both(offer: &str) -> (String, String) {
    let folder = Folder::new();
    let (file, content) = folder.load(offer).unwrap_or_else(|error| panic!("{error}"));
    let checklist = Checklist::of(&file, &content);
    (markdown::write(&checklist), html::write(&checklist))
}

#[test]
fn every_value_of_every_page_is_in_both_forms() {
    let folder = Folder::new();
    let (file, content) = folder.load(&with_application()).unwrap();
    let checklist = Checklist::of(&file, &content);
    let (markdown, html) = (markdown::write(&checklist), html::write(&checklist));
    let mut count = 0;
    for (sheet, field) in checklist.form.fields() {
        let values = match &field.value {
            FieldValue::Text(text) | FieldValue::Picture(text) => vec![text.clone()],
            FieldValue::List(items) => {
                items.iter().flat_map(|item| [item.value.clone(), item.beside.clone()]).collect()
            }
            FieldValue::Long(text) => text.lines().map(str::to_owned).collect(),
            FieldValue::Nothing => continue,
        };
        for value in values {
            count += 1;
            assert!(markdown.contains(&value), "{} in {:?}", field.key, sheet.page);
            let escaped = maud::html! { (value) }.into_string();
            assert!(html.contains(&escaped), "{} in {:?}", field.key, sheet.page);
        }
    }
    assert!(count > 60, "{count}");
    assert!(markdown.contains("- [ ] Offer ID: `tidepool`"));
    assert_eq!(html.matches("type=\"checkbox\"").count(), checklist.counts().0);
}

#[test]
fn pictures_are_inside_and_nothing_is_loaded() {
    let (_, html) = both(OFFER);
    // The large logo twice in the shop and on two grounds, three others on two, two screens.
    assert_eq!(html.matches("src=\"data:image/png;base64,").count(), 2 + 2 * 4 + 2);
    assert!(!html.contains("src=\"http") && !html.contains("<script") && !html.contains("<link"));
    assert!(html.contains("default-src &#39;none&#39;") || html.contains("default-src 'none'"));
}

#[test]
fn texts_of_the_offer_stay_texts() {
    let hostile = "title: \"<img src=x onerror=a()> `b` | *c*\"";
    let (markdown, html) = both(&changed(&[("title: Tidepool Cache", hostile)]));
    assert!(!html.contains("<img src=x"), "markup of the offer");
    assert!(html.contains("&lt;img src=x onerror=a()&gt;"));
    assert!(markdown.contains("``<img src=x onerror=a()> `b` | *c*``"), "{markdown}");
}

#[test]
fn secrets_are_only_named() {
    let leads = "leads: { destination: azureTable, secret: { env: LEADS_TABLE } }\nplans:\n";
    let (markdown, html) = both(&changed(&[("plans:\n", leads)]));
    for text in [markdown, html] {
        assert!(text.contains("${env:QUAY_PASSWORD}") && text.contains("${env:LEADS_TABLE}"));
    }
}

#[test]
fn what_is_entered_by_hand_is_counted_and_marked() {
    let folder = Folder::new();
    let (file, content) = folder.load(OFFER).unwrap();
    let checklist = Checklist::of(&file, &content);
    let (all, by_hand) = checklist.counts();
    let markdown = markdown::write(&checklist);
    assert_eq!(markdown.matches("- [ ] ").count(), all);
    assert_eq!(markdown.matches("**by hand** (").count(), by_hand);
    // The publisher, keywords, notes, and the licences of two images.
    assert_eq!(by_hand, 5);
}
