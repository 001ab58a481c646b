//! A plan: its identity, its texts in every language, its audience and its price.

use super::names::{Names, audience, product};
use super::pricing::pricing;
use crate::marketplace::model::{
    PlanAvailability, PlanListing, ProductPlan, Reference, Resource, ResourceAudience,
    ResourceCertification, ResourceIdentity, schema,
};
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::offer::model::{self as offer, KubernetesPlan, PlanKind, Region, Visibility};

/// A plan on its way into the payload.
pub(super) struct PlanPart<'a> {
    pub(super) file: &'a OfferFile,
    pub(super) content: &'a Content,
    /// Its place in the offer.
    pub(super) place: usize,
    pub(super) plan: &'a offer::Plan,
    /// The `resourceName`.
    name: String,
}

impl<'a> PlanPart<'a> {
    pub(super) fn of(
        file: &'a OfferFile,
        content: &'a Content,
        place: usize,
        names: &mut Names,
    ) -> Option<Self> {
        let plan = file.offer.plans.get(place)?;
        let name = names.take(&format!("plan-{}", plan.id));
        Some(Self { file, content, place, plan, name })
    }

    /// The reference of others to it.
    pub(super) fn reference(&self) -> Reference {
        Reference { resource_name: self.name.clone() }
    }

    /// The plan, then its resources except the technical configuration.
    pub(super) fn resources(&self) -> Vec<Resource> {
        let plan = self.plan;
        let region = |region: &Region| match region {
            Region::AzureGlobal => "azureGlobal",
            Region::AzureGovernment => "azureGovernment",
        };
        let certification = |at: &offer::Certification| ResourceCertification {
            name: at.name.clone(),
            link: at.url.clone(),
        };
        let certifications = plan.government_certifications.iter().map(certification);
        let mut resources = vec![Resource::Plan(ProductPlan {
            schema: schema::PLAN,
            resource_name: self.name.clone(),
            identity: ResourceIdentity { external_id: plan.id.to_string() },
            alias: plan.name.clone(),
            product: product(),
            azure_regions: plan.regions.iter().map(region).collect(),
            azure_government_certifications: certifications.collect(),
        })];
        resources.extend(self.listings());
        resources.push(Resource::PlanAvailability(Box::new(self.availability())));
        resources
    }

    fn listings(&self) -> Vec<Resource> {
        let plan = self.plan;
        let descriptions = &self.content.plan_descriptions;
        let description = descriptions.get(self.place).map(String::as_str).unwrap_or_default();
        let language = &self.file.offer.listing.language;
        let first = (language, &plan.name, &plan.summary, description);
        let translated = self.content.plan_translations.get(self.place);
        let translations = plan.translations.iter().zip(translated.into_iter().flatten());
        let translations =
            translations.map(|(at, text)| (&at.language, &at.name, &at.summary, text.as_str()));
        let listing =
            |(language, name, summary, description): (&String, &String, &String, &str)| {
                Resource::PlanListing(PlanListing {
                    schema: schema::PLAN_LISTING,
                    product: product(),
                    plan: self.reference(),
                    kind: "azureContainer-plan",
                    language_id: language.clone(),
                    name: name.clone(),
                    summary: summary.clone(),
                    description: description.to_owned(),
                })
            };
        std::iter::once(first).chain(translations).map(listing).collect()
    }

    fn availability(&self) -> PlanAvailability {
        let visibility = match self.plan.visibility {
            Visibility::Visible => "visible",
            Visibility::Hidden => "hidden",
        };
        let (schema, product, plan) = (schema::PLAN_AVAILABILITY, product(), self.reference());
        let bare = PlanAvailability {
            schema,
            product,
            plan,
            visibility,
            audience: "public",
            private_audiences: Vec::new(),
            customer_markets: None,
            markets: Vec::new(),
            pricing: None,
        };
        // Of a plan of an image there is only this page (AC-plan-availability).
        let PlanKind::Kubernetes(application) = &self.plan.kind else { return bare };
        let markets = &application.markets;
        PlanAvailability {
            audience: if application.audience.is_some() { "private" } else { "public" },
            private_audiences: self.tenants(application),
            // The word for all markets is from another publisher's client (cloudpub).
            customer_markets: markets.is_empty().then_some("allMarkets"),
            markets: markets.iter().map(|market| market.to_ascii_lowercase()).collect(),
            pricing: Some(pricing(self.plan.licence, application)),
            ..bare
        }
    }

    /// Those the plan names, then those of its table it does not name.
    fn tenants(&self, application: &KubernetesPlan) -> Vec<ResourceAudience> {
        let named = application.audience.iter().flat_map(|at| &at.tenants);
        let named =
            named.map(|one| audience("tenant", &one.id, one.label.as_deref().unwrap_or_default()));
        let mut all: Vec<ResourceAudience> = named.collect();
        let known: std::collections::BTreeSet<String> =
            all.iter().map(|one| one.id.to_ascii_lowercase()).collect();
        let rows = self.content.audience_tables.get(&self.place);
        let rows = rows.into_iter().flat_map(|table| &table.rows);
        let new = rows.filter(|row| !known.contains(&row.id.to_ascii_lowercase()));
        all.extend(new.map(|row| audience("tenant", &row.id, &row.description)));
        all
    }
}
