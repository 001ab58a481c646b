//! From an offer to the payload of one `configure` request: the product and its resources first,
//! then each plan and its resources.
//!
//! Invariant: the payload is made from the offer, its files and the saved tree alone, so the same
//! input gives the same bytes; no secret is in it unless the caller asks for secrets.

mod listing;
pub mod live;
mod plan;
mod pricing;
mod technical;
mod whole;

use std::collections::BTreeSet;

use self::listing::Listings;
use self::live::Live;
use self::plan::PlanPart;
use self::technical::Origin;
use super::form::{Form, Way};
use super::model::{Configure, Reference, schema};
use crate::offer::content::Content;
use crate::offer::model as offer;
use crate::offer::secrets::{Secret, SecretError};
use crate::offer::{OfferError, OfferFile};

const PRODUCT: &str = "product";
const KIND: &str = "azureContainer";
/// Longest `resourceName`.
const RESOURCE_NAME_CHARS_MAX: usize = 50;

/// The value in a secret's place.
pub enum Secrets<'a> {
    /// `${env:NAME}` or `${file:PATH}`.
    Placeholders,
    /// The secret itself; the function looks up the environment.
    Resolve(&'a dyn Fn(&str) -> Option<String>),
}

/// A payload, and the remarks for its reader.
#[derive(Debug, Clone)]
pub struct Rendered {
    pub payload: Configure,
    /// The omitted values, and the values to enter in Partner Center, in sentences.
    pub notes: Vec<String>,
}

/// Why there is no payload.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The offer lacks a required part of the payload.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// A secret cannot be had.
    #[error("the {what} of the registry `{registry}` cannot be had")]
    Secret {
        /// `username` or `password`.
        what: &'static str,
        registry: String,
        source: SecretError,
    },
}

/// Makes the payload. With `live`, published bundles and tags stay in it.
pub fn render(
    file: &OfferFile,
    content: &Content,
    secrets: &Secrets<'_>,
    live: Option<&Live>,
) -> Result<Rendered, RenderError> {
    let offer = &file.offer;
    let origin = Origin::of(file, secrets)?;
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
    Ok(Rendered { payload, notes })
}

/// The values of the offer that the payload lacks, from the form a person would fill.
fn by_hand(file: &OfferFile, content: &Content) -> Vec<String> {
    let form = Form::of(file, content);
    let fields = form.fields().filter(|(_, field)| !field.value.is_nothing());
    fields
        .filter_map(|(sheet, field)| match field.way {
            Way::Hand(why) => Some(format!(
                "`{}` is not in the payload: enter it in Partner Center, page \"{}\" ({why})",
                field.key,
                sheet.page.title()
            )),
            Way::Api => None,
        })
        .collect()
}

fn product() -> Reference {
    Reference { resource_name: PRODUCT.to_owned() }
}

/// The names of the resources of a payload.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    /// A name, cut to the schema's length and kept apart by a number where the cut made two equal.
    fn take(&mut self, whole: &str) -> String {
        let cut: String = whole.chars().take(RESOURCE_NAME_CHARS_MAX).collect();
        let numbered = (2..).map(|number: u32| {
            let number = format!("-{number}");
            let kept = RESOURCE_NAME_CHARS_MAX - number.len();
            format!("{}{number}", cut.chars().take(kept).collect::<String>())
        });
        let name = std::iter::once(cut.clone())
            .chain(numbered)
            .find(|name| !self.0.contains(name))
            .unwrap_or_default();
        self.0.insert(name.clone());
        name
    }
}

/// The text for a secret of the registry.
fn filled(
    file: &OfferFile,
    secrets: &Secrets<'_>,
    what: &'static str,
    secret: &Secret,
) -> Result<String, RenderError> {
    let registry = &file.offer.offer.registry;
    match secrets {
        Secrets::Placeholders => Ok(secret.to_string()),
        Secrets::Resolve(variable) => secret
            .resolve(file.folder(), variable)
            .map(|value| value.expose().to_owned())
            .map_err(|source| RenderError::Secret { what, registry: registry.to_string(), source }),
    }
}

/// The repository with the prefix of its registry.
fn repository(prefix: Option<&wharf_oci::RepoName>, name: &wharf_oci::RepoName) -> String {
    match prefix {
        Some(prefix) => format!("{prefix}/{name}"),
        None => name.to_string(),
    }
}

/// A member of an audience.
fn audience(kind: &'static str, id: &str, label: &str) -> super::model::Audience {
    super::model::Audience { kind, id: id.to_owned(), label: label.to_owned() }
}

/// The plans of applications, with their own meters.
fn meters(offer: &offer::Offer) -> impl Iterator<Item = &offer::CustomMeter> {
    let prices = offer.kubernetes_plans().filter_map(|(_, _, plan)| plan.prices.as_ref());
    prices.flat_map(|prices| &prices.meters)
}

#[cfg(test)]
mod tests;
