//! The pages of Partner Center with their fields, filled from an offer: a person's input, and the
//! part of it the API takes instead. The payload's notes and the checklist are made from it.
//!
//! Invariant: every key of an offer is a field here, or stands in [`ELSEWHERE`]; no secret is in it.

mod listing;
mod plans;
mod sheet;
mod whole;

pub use self::sheet::{FieldItem, FieldValue, FillMethod, FormField, Page, Sheet};
use crate::offer::OfferFile;
use crate::offer::content::Content;

/// All pages of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferForm {
    /// In the order in which a person fills them.
    pub sheets: Vec<Sheet>,
}

/// Keys for `wharf` alone, or within another part of the payload: the end of a key, and its
/// destination.
pub const ELSEWHERE: &[(&str, &str)] = &[
    ("version", "the format of the file"),
    ("offer.registry", "which of the registries Microsoft copies from"),
    ("registries.*.loginServer", "where wharf pushes"),
    ("registries.*.plainHttp", "how wharf pushes"),
    ("listing.assetBaseUrl", "the start of the addresses of pictures"),
    ("plans[].kind", "what the plan is made of"),
    ("plans[].image.**", "the image, which Microsoft copies"),
    ("plans[].images.**", "the images of the chart, which the bundle names"),
    ("plans[].resources.**", "what `offer deploy` writes"),
    ("plans[].chart", "the bundle"),
    ("plans[].manifest", "the bundle"),
    ("plans[].uiDefinition", "the bundle"),
    ("plans[].armTemplate", "the bundle"),
    ("plans[].clusters", "the bundle: its manifest and template"),
    ("plans[].scope", "the bundle: its manifest"),
    ("plans[].namespace", "the bundle: its manifest"),
];

impl OfferForm {
    /// Fills the pages.
    #[must_use]
    pub fn of(file: &OfferFile, content: &Content) -> Self {
        let offer = &file.offer;
        let mut sheets = vec![whole::setup(offer), whole::leads(offer)];
        sheets.push(whole::properties(offer, content));
        sheets.extend(listing::sheets(offer, content));
        sheets.push(whole::preview(offer, content));
        for (place, plan) in offer.plans.iter().enumerate() {
            sheets.extend(plans::sheets(file, content, place, plan));
        }
        sheets.push(whole::resell(offer));
        sheets.push(whole::review(content));
        Self { sheets }
    }

    /// Every field with its page.
    pub fn fields(&self) -> impl Iterator<Item = (&Sheet, &FormField)> {
        self.sheets.iter().flat_map(|sheet| sheet.fields.iter().map(move |field| (sheet, field)))
    }
}

#[cfg(test)]
mod tests;
