//! An offer file as types: one struct per mapping, one field per key, in the order of the offer
//! reference. The way from text to types is in `parse`; the marketplace's view of them is in
//! `rules`.
//!
//! Invariant: an `Offer` keeps every format rule of the reference. Texts under the marketplace's
//! rules (titles, addresses, identifiers) are plain strings on purpose: their faults are findings.

use std::collections::BTreeMap;

use serde::Deserialize;
use wharf_oci::{RepoName, Tag};

use super::forms::RepoNameText;
pub use super::images::{Attestation, ContainerConfig, Image, PlatformBuild};
pub use super::layers::{Compression, DebInput, DirInput, FileInput, Layer, LayerInput, TarInput};
use super::mapping::mapping;
pub use super::market::{
    Lead, LeadDestination, Link, ListingTranslation, PlanTranslation, Resale, ResaleChannel,
    Screenshot, Video,
};
pub use super::origin::{ImageSource, MadeFrom};
pub use super::plans::{
    Audience, Bundle, Certification, Cluster, CustomMeter, ImagePlan, KubernetesPlan, Licence,
    Plan, PlanImage, PlanKind, PriceUnit, Prices, Region, Resources, Scope, Tenant, Visibility,
};
use super::secrets::Secret;
use super::texts::{Terms, Text};
use super::values::{LoginServer, PlanId, RegistryName, RelativePath};

mapping! {
    /// The whole file.
    Offer {
        /// Which format the file has; 1.
        version: u64,
        /// The publisher ID of the Partner Center account.
        publisher: String,
        /// Who the offer is.
        offer: Identity,
        /// The registries, by the name that `--to` and `--from` take.
        registries: BTreeMap<RegistryName, Registry>,
        /// What customers read and see.
        listing: Listing,
        /// The terms.
        legal: Legal,
        /// Where the offer stands in the marketplace.
        properties: Properties,
        /// Who sees the preview.
        preview: Preview,
        /// Where the contacts of interested customers go.
        #[serde(default)]
        leads: Option<Lead>,
        /// Which partners may sell it.
        #[serde(default)]
        resale: Option<Resale>,
        /// What the certification team has to know.
        #[serde(default)]
        certification_notes: Option<Text>,
        /// The plans; at least one, with different IDs.
        plans: Vec<Plan>,
    }

    /// Who the offer is.
    Identity {
        /// `externalId`; it can never change.
        id: String,
        /// Its name within Partner Center.
        alias: String,
        /// The registry that Microsoft copies from; a key of `registries`.
        registry: RegistryName,
        /// Whether Microsoft sells it.
        #[serde(default)]
        sell_through_microsoft: bool,
    }

    /// A registry of the publisher.
    Registry {
        /// Where it listens.
        login_server: LoginServer,
        /// What stands before every repository.
        #[serde(default)]
        #[schemars(with = "Option<RepoNameText>")]
        prefix: Option<RepoName>,
        /// Whether it speaks plain HTTP.
        #[serde(default)]
        plain_http: bool,
        /// How Azure knows it.
        #[serde(default)]
        azure: Option<AzureRegistry>,
        /// Where its credentials are.
        #[serde(default)]
        credentials: Option<Credentials>,
    }

    /// How Azure knows a registry.
    AzureRegistry {
        /// The subscription's GUID.
        subscription_id: String,
        /// The resource group.
        resource_group: String,
        /// The name, without `.azurecr.io`.
        registry_name: String,
        /// The GUID of the tenant that the subscription belongs to; bundles of Kubernetes plans are
        /// found by it.
        #[serde(default)]
        tenant_id: Option<String>,
    }

    /// Where the credentials of a registry are.
    Credentials {
        /// The user.
        username: Secret,
        /// The password.
        password: Secret,
    }

    /// What customers read and see.
    Listing {
        /// The language of all texts.
        #[serde(default = "default_language")]
        language: String,
        /// The title.
        title: String,
        /// One sentence for search results.
        search_summary: String,
        /// A plain paragraph.
        short_description: String,
        /// The long text, simple HTML.
        description: Text,
        /// Words to be found by.
        #[serde(default)]
        keywords: Vec<String>,
        /// Where the privacy policy is.
        privacy_policy: String,
        /// Where support is.
        support_url: String,
        /// The same for government customers.
        #[serde(default)]
        government_support_url: Option<String>,
        /// Useful links.
        #[serde(default)]
        links: Vec<Link>,
        /// People.
        contacts: Contacts,
        /// Where the pictures are published.
        #[serde(default)]
        asset_base_url: Option<String>,
        /// The logos.
        logos: Logos,
        /// The screenshots.
        #[serde(default)]
        screenshots: Vec<Screenshot>,
        /// The videos.
        #[serde(default)]
        videos: Vec<Video>,
        /// The same in other languages.
        #[serde(default)]
        translations: Vec<ListingTranslation>,
    }

    /// The people of an offer.
    Contacts {
        /// Whom customers ask.
        support: Contact,
        /// Whom Microsoft asks.
        engineering: Contact,
        /// Whom partners ask.
        #[serde(default)]
        csp: Option<PartnerContact>,
    }

    /// Someone to ask.
    Contact {
        /// Name.
        name: String,
        /// Mail address.
        email: String,
        /// Telephone number.
        phone: String,
    }

    /// Whom partners ask.
    PartnerContact {
        /// Name.
        name: String,
        /// Mail address.
        email: String,
        /// Telephone number.
        phone: String,
        /// Marketing material.
        #[serde(default)]
        url: Option<String>,
    }

    /// The logos.
    Logos {
        /// 216 to 350 pixels, square.
        large: RelativePath,
        /// 90 × 90.
        #[serde(default)]
        medium: Option<RelativePath>,
        /// 48 × 48.
        #[serde(default)]
        small: Option<RelativePath>,
        /// 255 × 115.
        #[serde(default)]
        wide: Option<RelativePath>,
    }

    /// The terms: one of the two, which the rules check.
    Legal {
        /// Microsoft's standard contract.
        #[serde(default)]
        standard_contract: bool,
        /// Terms of the publisher.
        #[serde(default)]
        terms: Option<Terms>,
    }

    /// Where the offer stands in the marketplace.
    Properties {
        /// Categories with their subcategories.
        categories: BTreeMap<String, Vec<String>>,
    }

    /// Who sees the preview.
    Preview {
        /// Azure subscriptions.
        #[serde(default)]
        subscriptions: Vec<PreviewSubscription>,
        /// More of them, in a table with the columns `Id`, `Description` and `Type`.
        #[serde(default)]
        csv: Option<RelativePath>,
    }

    /// A subscription that sees the preview.
    PreviewSubscription {
        /// Its GUID.
        id: String,
        /// A note about it.
        #[serde(default)]
        label: Option<String>,
    }
}

impl Offer {
    /// The plan with this ID.
    #[must_use]
    pub fn plan(&self, id: &PlanId) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.id == *id)
    }

    /// The images of all plans, in the order of the file.
    pub fn images(&self) -> impl Iterator<Item = &PlanImage> {
        self.plans.iter().flat_map(Plan::images)
    }

    /// The plans of one image each, with their places in `plans`.
    pub fn image_plans(&self) -> impl Iterator<Item = (usize, &Plan, &ImagePlan)> {
        self.plans.iter().enumerate().filter_map(|(place, plan)| match &plan.kind {
            PlanKind::Image(image) => Some((place, plan, &**image)),
            PlanKind::Kubernetes(_) => None,
        })
    }

    /// The plans of Kubernetes applications, with their places in `plans`.
    pub fn kubernetes_plans(&self) -> impl Iterator<Item = (usize, &Plan, &KubernetesPlan)> {
        self.plans.iter().enumerate().filter_map(|(place, plan)| match &plan.kind {
            PlanKind::Kubernetes(application) => Some((place, plan, &**application)),
            PlanKind::Image(_) => None,
        })
    }

    /// Sets the tags of earlier versions of a plan of one image, as if the file listed them.
    pub fn take_published_tags(&mut self, plan: usize, tags: Vec<Tag>) {
        let plan = self.plans.get_mut(plan).map(|plan| &mut plan.kind);
        if let Some(PlanKind::Image(plan)) = plan {
            plan.image.image.published_tags = tags;
        }
    }
}

fn default_language() -> String {
    "en-us".to_owned()
}
