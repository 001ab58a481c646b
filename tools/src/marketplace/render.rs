//! From an offer to the payload of one `configure` request: the product and its resources first,
//! then each plan and its resources.
//!
//! Invariant: the payload is made from the offer, its files and the saved tree alone, so the same
//! input gives the same bytes; no secret is in it unless the caller asks for secrets.

mod listing;
pub mod live;
mod names;
mod plan;
mod pricing;
mod technical;
mod whole;

use self::listing::Listings;
use self::live::Live;
use self::names::Names;
use self::plan::PlanPart;
use self::technical::SourceRegistry;
pub use self::technical::{RenderError, Secrets};
use super::form::{FillMethod, OfferForm};
use super::model::{Configure, schema};
use crate::offer::OfferFile;
use crate::offer::content::Content;

/// A payload, and the remarks for its reader.
#[derive(Debug, Clone)]
pub struct RenderedPayload {
    pub payload: Configure,
    /// The omitted values, and the values to enter in Partner Center, in sentences.
    pub notes: Vec<String>,
}

/// Makes the payload. With `live`, published bundles and tags stay in it.
pub fn render(
    file: &OfferFile,
    content: &Content,
    secrets: &Secrets<'_>,
    live: Option<&Live>,
) -> Result<RenderedPayload, RenderError> {
    let offer = &file.offer;
    let origin = SourceRegistry::of(file, secrets)?;
    let mut notes = by_hand(file, content);
    let mut resources = whole::resources(file, content)?;
    let listings = Listings::of(offer, content);
    resources.extend(listings.resources());
    if offer.listing.asset_base_url.is_none() {
        notes.push(
            "no pictures and videos are rendered: the offer has no `listing.assetBaseUrl`"
                .to_owned(),
        );
    }
    let mut names = Names::default();
    for place in 0..offer.plans.len() {
        let Some(part) = PlanPart::of(file, content, place, &mut names) else { continue };
        resources.extend(part.resources());
        let technical = technical::resource(&part, &origin, live)?;
        notes.extend(technical.notes);
        resources.extend(technical.resource);
    }
    let payload = Configure { schema: schema::CONFIGURE, resources };
    Ok(RenderedPayload { payload, notes })
}

/// The values of the offer that the payload lacks, from the form a person would fill.
fn by_hand(file: &OfferFile, content: &Content) -> Vec<String> {
    let form = OfferForm::of(file, content);
    let fields = form.fields().filter(|(_, field)| !field.value.is_nothing());
    fields
        .filter_map(|(sheet, field)| match field.way {
            FillMethod::Hand(why) => Some(format!(
                "`{}` is not in the payload: enter it in Partner Center, page \"{}\" ({why})",
                field.key,
                sheet.page.title()
            )),
            FillMethod::Api => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
