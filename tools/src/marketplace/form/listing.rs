//! The page of texts and pictures, once for each language.

use super::sheet::{FieldValue, FillMethod, NOT_IN_SCHEMA, Page, Sheet, item};
use crate::offer::content::Content;
use crate::offer::languages::{InLanguage, languages};
use crate::offer::model::{Contact, Offer};

/// Why pictures cannot be in the payload.
const NO_ADDRESS: &str =
    "the offer has no `listing.assetBaseUrl`, and the API takes addresses only";

pub(super) fn sheets(offer: &Offer, content: &Content) -> Vec<Sheet> {
    let has_address = offer.listing.asset_base_url.is_some();
    let pictures = if has_address { FillMethod::Api } else { FillMethod::Hand(NO_ADDRESS) };
    let sheet = |in_language: InLanguage<'_>| {
        let mut sheet = Sheet::new(Page::OfferListing, Some(in_language.language.to_owned()));
        texts(&mut sheet, &in_language);
        if in_language.translation.is_none() {
            shared(&mut sheet, offer);
            logos(&mut sheet, offer, pictures);
        }
        screens(&mut sheet, &in_language, pictures);
        sheet
    };
    languages(offer, content).into_iter().map(sheet).collect()
}

fn texts(sheet: &mut Sheet, texts: &InLanguage<'_>) {
    let key = |name: &str| texts.key(name);
    sheet.api(key("language"), "Language", FieldValue::text(texts.language));
    sheet.api(key("title"), "Name", FieldValue::text(texts.title));
    let summary = FieldValue::text(texts.search_summary);
    sheet.api(key("searchSummary"), "Search results summary", summary);
    let short = FieldValue::text(texts.short_description);
    sheet.api(key("shortDescription"), "Short description", short);
    let description = FieldValue::Long(texts.description.to_owned());
    sheet.api(key("description"), "Description", description);
    let keywords = FieldValue::list(texts.keywords);
    sheet.hand(key("keywords"), "Search keywords", keywords, NOT_IN_SCHEMA);
    let links = texts.links.iter().map(|link| item(&link.title, Some(&link.url)));
    sheet.api(key("links"), "Useful links", FieldValue::items(links));
}

/// The common fields of all languages.
fn shared(sheet: &mut Sheet, offer: &Offer) {
    let listing = &offer.listing;
    let privacy = FieldValue::text(&listing.privacy_policy);
    sheet.api("listing.privacyPolicy", "Privacy policy link", privacy);
    let support = FieldValue::text(&listing.support_url);
    sheet.api("listing.supportUrl", "Support website (Azure Global)", support);
    let support = FieldValue::optional(listing.government_support_url.as_ref());
    sheet.api("listing.governmentSupportUrl", "Support website (Azure Government)", support);
    let contacts = &listing.contacts;
    contact(sheet, "support", "Support contact", &contacts.support);
    contact(sheet, "engineering", "Engineering contact", &contacts.engineering);
    if let Some(partner) = &contacts.csp {
        let person = Contact {
            name: partner.name.clone(),
            email: partner.email.clone(),
            phone: partner.phone.clone(),
        };
        contact(sheet, "csp", "CSP program contact", &person);
        let url = FieldValue::optional(partner.url.as_ref());
        sheet.hand("listing.contacts.csp.url", "CSP marketing materials", url, NOT_IN_SCHEMA);
    }
}

fn contact(sheet: &mut Sheet, name: &str, label: &str, person: &Contact) {
    let key = |field: &str| format!("listing.contacts.{name}.{field}");
    sheet.api(key("name"), format!("{label}: name"), FieldValue::text(&person.name));
    sheet.api(key("email"), format!("{label}: email"), FieldValue::text(&person.email));
    sheet.api(key("phone"), format!("{label}: phone"), FieldValue::text(&person.phone));
}

fn logos(sheet: &mut Sheet, offer: &Offer, way: FillMethod) {
    let logos = &offer.listing.logos;
    for (name, label, path) in [
        ("large", "Logo: large", Some(&logos.large)),
        ("medium", "Logo: medium (90 × 90)", logos.medium.as_ref()),
        ("small", "Logo: small (48 × 48)", logos.small.as_ref()),
        ("wide", "Logo: wide (255 × 115)", logos.wide.as_ref()),
    ] {
        let value = path.map_or(FieldValue::Nothing, |path| FieldValue::Picture(path.to_string()));
        sheet.add(format!("listing.logos.{name}"), label, value, way);
    }
}

fn screens(sheet: &mut Sheet, texts: &InLanguage<'_>, way: FillMethod) {
    for (place, screenshot) in texts.screenshots.iter().enumerate() {
        let (key, number) = (texts.key(&format!("screenshots[{place}]")), place + 1);
        let picture = FieldValue::Picture(screenshot.file.to_string());
        sheet.add(format!("{key}.file"), format!("Screenshot {number}"), picture, way);
        let caption = FieldValue::text(&screenshot.caption);
        sheet.add(format!("{key}.caption"), format!("Caption {number}"), caption, way);
    }
    for (place, video) in texts.videos.iter().enumerate() {
        let (key, number) = (texts.key(&format!("videos[{place}]")), place + 1);
        let title = FieldValue::text(&video.title);
        sheet.add(format!("{key}.title"), format!("Video {number}: name"), title, way);
        sheet.add(
            format!("{key}.url"),
            format!("Video {number}: address"),
            FieldValue::text(&video.url),
            way,
        );
        let picture = FieldValue::Picture(video.thumbnail.to_string());
        sheet.add(format!("{key}.thumbnail"), format!("Video {number}: thumbnail"), picture, way);
    }
}
