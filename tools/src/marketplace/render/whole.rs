//! The resources of the offer as a whole, without its texts and plans.

use std::collections::BTreeMap;

use super::names::{KIND, PRODUCT, audience, product};
use crate::marketplace::model::{
    Meter, Meters, OfferAvailability, Product, Property, Reseller, Resource, ResourceAudience,
    ResourceIdentity, ResourceTerms, Setup, schema,
};
use crate::offer::content::Content;
use crate::offer::model::{CustomMeter, Offer, ResaleChannel};
use crate::offer::texts::Terms;
use crate::offer::{OfferError, OfferFile};

/// The product and its own resources.
pub(super) fn resources(file: &OfferFile, content: &Content) -> Result<Vec<Resource>, OfferError> {
    let offer = &file.offer;
    let mut resources = vec![
        Resource::Product(Product {
            schema: schema::PRODUCT,
            resource_name: PRODUCT,
            identity: ResourceIdentity { external_id: offer.offer.id.clone() },
            kind: KIND,
            alias: offer.offer.alias.clone(),
        }),
        Resource::Setup(Setup {
            schema: schema::SETUP,
            product: product(),
            sell_through_microsoft: offer.offer.sell_through_microsoft,
        }),
        Resource::Property(Property {
            schema: schema::PROPERTY,
            product: product(),
            kind: KIND,
            terms: terms(file, content)?,
            categories: offer.properties.categories.clone(),
        }),
        Resource::OfferAvailability(OfferAvailability {
            schema: schema::OFFER_AVAILABILITY,
            product: product(),
            preview_audiences: preview(offer, content),
        }),
    ];
    let custom_meters: BTreeMap<_, _> = meters(offer)
        .map(|meter| {
            let unit_of_measure = meter.unit.clone();
            (meter.id.clone(), Meter { display_name: meter.name.clone(), unit_of_measure })
        })
        .collect();
    if !custom_meters.is_empty() {
        let schema = schema::METERS;
        resources.push(Resource::Meters(Meters { schema, product: product(), custom_meters }));
    }
    resources.extend(reseller(offer));
    Ok(resources)
}

fn terms(file: &OfferFile, content: &Content) -> Result<ResourceTerms, OfferError> {
    match (&file.offer.legal.terms, &content.terms) {
        (Some(Terms::Url(url)), _) => Ok(ResourceTerms::Url { terms_of_use_url: url.clone() }),
        (Some(Terms::Text(_)), Some(text)) => {
            Ok(ResourceTerms::Text { terms_of_use: text.clone() })
        }
        _ if file.offer.legal.standard_contract => Ok(ResourceTerms::Standard),
        _ => Err(file.error_at(
            "legal",
            "there are no terms (OFR-009)",
            "write either `standardContract: true` or `terms`",
        )),
    }
}

/// Those the offer names, then those of its table it does not name.
fn preview(offer: &Offer, content: &Content) -> Vec<ResourceAudience> {
    let named = offer
        .preview
        .subscriptions
        .iter()
        .map(|one| audience("subscription", &one.id, one.label.as_deref().unwrap_or_default()));
    let mut all: Vec<ResourceAudience> = named.collect();
    for row in content.preview_table.iter().flat_map(|table| &table.rows) {
        if !all.iter().any(|known| known.id.eq_ignore_ascii_case(&row.id)) {
            all.push(audience("subscription", &row.id, &row.description));
        }
    }
    all
}

/// The shape is from another publisher's client (release-engineering/cloudpub); Microsoft's page
/// names the resource without a sample.
fn reseller(offer: &Offer) -> Option<Resource> {
    let resale = offer.resale.as_ref()?;
    let reseller_channel_state = match resale.channel {
        ResaleChannel::All => "all",
        ResaleChannel::None => "none",
        ResaleChannel::Selected => "some",
    };
    let partner = |at: &crate::offer::market::ResalePartner| {
        audience("tenant", &at.id, at.label.as_deref().unwrap_or_default())
    };
    let audiences = resale.partners.iter().map(partner).collect();
    let schema = schema::RESELLER;
    let product = product();
    Some(Resource::Reseller(Reseller { schema, product, reseller_channel_state, audiences }))
}

/// The plans of applications, with their own meters.
fn meters(offer: &Offer) -> impl Iterator<Item = &CustomMeter> {
    let prices = offer.kubernetes_plans().filter_map(|(_, _, plan)| plan.prices.as_ref());
    prices.flat_map(|prices| &prices.meters)
}
