//! The resources of the Product Ingestion API as types: one struct per schema, one field per key,
//! spelled as the schemas do. A key missing here cannot be sent (TEC-024).
//!
//! Invariant: every resource carries the version of its schema, spelled once, in [`schema`].

mod parts;
pub mod schema;

use std::collections::BTreeMap;

use serde::Serialize;

pub use self::parts::{
    BundleReference, CnabReference, CustomMeterPricing, GeneralLink, ImageRepositoryDetails,
    IncludedQuantity, Meter, MeterPrice, Pricing, Reference, ResourceAudience,
    ResourceCertification, ResourceContact, ResourceIdentity, ResourceTerms, SystemMeterPricing,
    Term, TrailerAsset, TrailerImage,
};
use self::schema::SCHEMAS;

/// The address of a schema.
fn address<S: serde::Serializer>(name: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{SCHEMAS}/{name}"))
}

macro_rules! resources {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            #[serde(rename = "$schema", serialize_with = "address")]
            pub schema: &'static str,
            $($(#[$field_doc])* pub $field: $kind,)*
        }
    )*};
}

resources! {
    /// The body of a `configure` request.
    Configure {
        /// The wanted resources, each before the ones with a reference to it.
        resources: Vec<Resource>,
    }

    /// The offer itself.
    Product {
        /// The name the others in this payload refer to.
        resource_name: &'static str,
        identity: ResourceIdentity,
        #[serde(rename = "type")]
        kind: &'static str,
        /// Its name within Partner Center.
        alias: String,
    }

    /// The offer's setup.
    Setup {
        product: Reference,
        /// Whether Microsoft does.
        sell_through_microsoft: bool,
    }

    /// Categories and terms.
    Property {
        product: Reference,
        /// `azureContainer`.
        kind: &'static str,
        #[serde(flatten)]
        terms: ResourceTerms,
        categories: BTreeMap<String, Vec<String>>,
    }

    ProductListing {
        /// The name for pictures to refer to.
        resource_name: String,
        product: Reference,
        /// `azureContainer`.
        kind: &'static str,
        /// Language of all texts.
        language_id: String,
        title: String,
        /// The long text.
        description: String,
        search_result_summary: String,
        /// A plain paragraph.
        short_description: String,
        /// The privacy policy.
        privacy_policy_link: String,
        general_links: Vec<GeneralLink>,
        global_support_website: String,
        /// Support for government customers.
        #[serde(skip_serializing_if = "Option::is_none")]
        government_support_website: Option<String>,
        support_contact: ResourceContact,
        engineering_contact: ResourceContact,
        #[serde(skip_serializing_if = "Option::is_none")]
        cloud_solution_provider_contact: Option<ResourceContact>,
    }

    ListingAsset {
        product: Reference,
        /// `azure`.
        kind: &'static str,
        listing: Reference,
        #[serde(rename = "type")]
        asset: &'static str,
        /// The language of its caption.
        language_id: String,
        description: String,
        /// Its place among those of its kind.
        display_order: usize,
        file_name: String,
        friendly_name: String,
        url: String,
    }

    ListingTrailer {
        product: Reference,
        /// `azure`.
        kind: &'static str,
        listing: Reference,
        streaming_url: String,
        /// Title and picture by language.
        assets: BTreeMap<String, TrailerAsset>,
    }

    /// The preview's audience.
    OfferAvailability {
        product: Reference,
        preview_audiences: Vec<ResourceAudience>,
    }

    /// The meters of the offer's applications.
    Meters {
        product: Reference,
        custom_meters: BTreeMap<String, Meter>,
    }

    /// The resellers of the offer.
    Reseller {
        product: Reference,
        /// `none`, `some` or `all`.
        reseller_channel_state: &'static str,
        /// Those of `some`.
        audiences: Vec<ResourceAudience>,
    }

    ProductPlan {
        /// The name the others in this payload refer to.
        resource_name: String,
        identity: ResourceIdentity,
        /// Its name within Partner Center.
        alias: String,
        product: Reference,
        azure_regions: Vec<&'static str>,
        /// Certifications for government customers.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        azure_government_certifications: Vec<ResourceCertification>,
    }

    /// The texts of a plan.
    PlanListing {
        product: Reference,
        plan: Reference,
        /// `azureContainer-plan`.
        kind: &'static str,
        /// Language of all texts.
        language_id: String,
        /// The name customers read.
        name: String,
        summary: String,
        /// The long text.
        description: String,
    }

    /// A plan's audience and price.
    PlanAvailability {
        product: Reference,
        plan: Reference,
        /// `visible` or `hidden`.
        visibility: &'static str,
        /// `public` or `private`.
        audience: &'static str,
        /// Those of `private`.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        private_audiences: Vec<ResourceAudience>,
        /// `allMarkets` where no market is listed.
        #[serde(skip_serializing_if = "Option::is_none")]
        customer_markets: Option<&'static str>,
        /// Countries and regions, by two small letters.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        markets: Vec<String>,
        /// Its price; none where Microsoft does not sell.
        #[serde(skip_serializing_if = "Option::is_none")]
        pricing: Option<Pricing>,
    }

    /// The image of a plan.
    ImageConfiguration {
        product: Reference,
        plan: Reference,
        /// `image`.
        payload_type: &'static str,
        /// Where Microsoft copies it from.
        image_repository_details: ImageRepositoryDetails,
        image_tags: Vec<String>,
    }

    /// The bundles of a plan.
    BundleConfiguration {
        product: Reference,
        plan: Reference,
        /// `cnab`.
        payload_type: &'static str,
        /// `Publisher.Application`.
        cluster_extension_type: String,
        /// The bundles that Microsoft copies: all published ones, then the newest.
        cnab_references: Vec<CnabReference>,
    }
}

/// One resource of a payload.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Resource {
    Product(Product),
    Setup(Setup),
    Property(Property),
    Listing(Box<ProductListing>),
    ListingAsset(ListingAsset),
    ListingTrailer(ListingTrailer),
    OfferAvailability(OfferAvailability),
    Plan(ProductPlan),
    PlanListing(PlanListing),
    PlanAvailability(Box<PlanAvailability>),
    ImageConfiguration(Box<ImageConfiguration>),
    BundleConfiguration(BundleConfiguration),
    Meters(Meters),
    Reseller(Reseller),
}
