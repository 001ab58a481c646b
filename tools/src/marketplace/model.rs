//! The resources of the Product Ingestion API as types: one struct per schema, one field per key,
//! spelled as the schemas do. A key that is not here cannot be sent (TEC-024).
//!
//! Invariant: every resource carries the version of its schema, spelled once, in [`schema`].

use std::collections::BTreeMap;

use serde::Serialize;

/// Where the schemas are.
const SCHEMAS: &str = "https://schema.mp.microsoft.com/schema";

/// The schemas, with the version of each that we speak.
pub mod schema {
    /// The envelope.
    pub const CONFIGURE: &str = "configure/2022-03-01-preview2";
    /// The offer itself.
    pub const PRODUCT: &str = "product/2022-03-01-preview3";
    /// Who sells.
    pub const SETUP: &str = "commercial-marketplace-setup/2022-03-01-preview2";
    /// Categories and terms.
    pub const PROPERTY: &str = "property/2022-03-01-preview5";
    /// Texts.
    pub const LISTING: &str = "listing/2022-03-01-preview5";
    /// Pictures.
    pub const ASSET: &str = "listing-asset/2022-03-01-preview5";
    /// Videos.
    pub const TRAILER: &str = "listing-trailer/2022-03-01-preview5";
    /// Who sees the preview.
    pub const OFFER_AVAILABILITY: &str = "price-and-availability-offer/2022-03-01-preview3";
    /// A plan.
    pub const PLAN: &str = "plan/2022-03-01-preview2";
    /// The texts of a plan. No container sample shows it; the version is the one of listings
    /// (INFERENCE).
    pub const PLAN_LISTING: &str = "plan-listing/2022-03-01-preview5";
    /// Who sees a plan.
    pub const PLAN_AVAILABILITY: &str = "price-and-availability-plan/2022-03-01-preview4";
    /// The image of a plan.
    pub const TECHNICAL: &str = "container-plan-technical-configuration/2022-03-01-preview3";
}

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
            /// Its schema.
            #[serde(rename = "$schema", serialize_with = "address")]
            pub schema: &'static str,
            $($(#[$field_doc])* pub $field: $kind,)*
        }
    )*};
}

resources! {
    /// The body of a `configure` request.
    Configure {
        /// What is to be, each before what refers to it.
        resources: Vec<Resource>,
    }

    /// The offer itself.
    Product {
        /// The name that the others in this payload refer to.
        resource_name: &'static str,
        /// Who it is.
        identity: Identity,
        /// What kind of offer.
        #[serde(rename = "type")]
        kind: &'static str,
        /// Its name within Partner Center.
        alias: String,
    }

    /// Who sells.
    Setup {
        /// The offer.
        product: Reference,
        /// Whether Microsoft does.
        sell_through_microsoft: bool,
    }

    /// Categories and terms.
    Property {
        /// The offer.
        product: Reference,
        /// `azureContainer`.
        kind: &'static str,
        /// The terms.
        #[serde(flatten)]
        terms: Terms,
        /// Categories with their subcategories.
        categories: BTreeMap<String, Vec<String>>,
    }

    /// Texts.
    Listing {
        /// The name that pictures refer to.
        resource_name: &'static str,
        /// The offer.
        product: Reference,
        /// `azureContainer`.
        kind: &'static str,
        /// Language of all texts.
        language_id: String,
        /// The title.
        title: String,
        /// The long text.
        description: String,
        /// One sentence.
        search_result_summary: String,
        /// A plain paragraph.
        short_description: String,
        /// The privacy policy.
        privacy_policy_link: String,
        /// Useful links.
        general_links: Vec<GeneralLink>,
        /// Support.
        global_support_website: String,
        /// Support for government customers.
        #[serde(skip_serializing_if = "Option::is_none")]
        government_support_website: Option<String>,
        /// Whom customers ask.
        support_contact: Contact,
        /// Whom Microsoft asks.
        engineering_contact: Contact,
        /// Whom partners ask.
        #[serde(skip_serializing_if = "Option::is_none")]
        cloud_solution_provider_contact: Option<Contact>,
    }

    /// A picture.
    ListingAsset {
        /// The offer.
        product: Reference,
        /// `azure`.
        kind: &'static str,
        /// The listing.
        listing: Reference,
        /// Which picture.
        #[serde(rename = "type")]
        asset: &'static str,
        /// The language of its caption.
        language_id: String,
        /// Its caption.
        description: String,
        /// Its place among those of its kind.
        display_order: usize,
        /// Its name.
        file_name: String,
        /// Its name for people.
        friendly_name: String,
        /// Where Microsoft fetches it.
        url: String,
    }

    /// A video.
    ListingTrailer {
        /// The offer.
        product: Reference,
        /// `azure`.
        kind: &'static str,
        /// The listing.
        listing: Reference,
        /// Where it plays.
        streaming_url: String,
        /// Title and picture by language.
        assets: BTreeMap<String, TrailerAsset>,
    }

    /// Who sees the preview.
    OfferAvailability {
        /// The offer.
        product: Reference,
        /// Who.
        preview_audiences: Vec<PreviewAudience>,
    }

    /// A plan.
    Plan {
        /// The name that the others in this payload refer to.
        resource_name: String,
        /// Who it is.
        identity: Identity,
        /// Its name within Partner Center.
        alias: String,
        /// The offer.
        product: Reference,
        /// In which clouds.
        azure_regions: Vec<&'static str>,
        /// Certifications for government customers.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        azure_government_certifications: Vec<Certification>,
    }

    /// The texts of a plan.
    PlanListing {
        /// The offer.
        product: Reference,
        /// The plan.
        plan: Reference,
        /// `azureContainer-plan` (INFERENCE from the names of other kinds).
        kind: &'static str,
        /// Language of all texts.
        language_id: String,
        /// The name that customers read.
        name: String,
        /// One sentence.
        summary: String,
        /// The long text.
        description: String,
    }

    /// Who sees a plan.
    PlanAvailability {
        /// The offer.
        product: Reference,
        /// The plan.
        plan: Reference,
        /// `visible` or `hidden`.
        visibility: &'static str,
        /// `public`.
        audience: &'static str,
    }

    /// The image of a plan.
    TechnicalConfiguration {
        /// The offer.
        product: Reference,
        /// The plan.
        plan: Reference,
        /// `image`.
        payload_type: &'static str,
        /// Where Microsoft copies it from.
        image_repository_details: ImageRepositoryDetails,
        /// What it copies.
        image_tags: Vec<String>,
    }
}

/// One resource of a payload.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each variant is the type of its name")]
pub enum Resource {
    Product(Product),
    Setup(Setup),
    Property(Property),
    Listing(Box<Listing>),
    ListingAsset(ListingAsset),
    ListingTrailer(ListingTrailer),
    OfferAvailability(OfferAvailability),
    Plan(Plan),
    PlanListing(PlanListing),
    PlanAvailability(PlanAvailability),
    TechnicalConfiguration(Box<TechnicalConfiguration>),
}

macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }
    )*};
}

parts! {
    /// The ID that the publisher gave.
    Identity {
        /// It.
        external_id: String,
    }

    /// A useful link.
    GeneralLink {
        /// Its text.
        display_text: String,
        /// Where it leads.
        link: String,
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

    /// Title and picture of a video.
    TrailerAsset {
        /// Title.
        title: String,
        /// Its picture.
        image_list: Vec<TrailerImage>,
    }

    /// The picture of a video.
    TrailerImage {
        /// Where Microsoft fetches it.
        url: String,
    }

    /// Someone who sees the preview.
    PreviewAudience {
        /// `subscription`.
        #[serde(rename = "type")]
        kind: &'static str,
        /// The GUID.
        id: String,
        /// A note.
        label: String,
    }

    /// A certification for government customers.
    Certification {
        /// Its name.
        name: String,
        /// Where it is described.
        link: String,
    }

    /// Where Microsoft copies an image from.
    ImageRepositoryDetails {
        /// The registry's subscription.
        subscription_id: String,
        /// Its resource group.
        resource_group_name: String,
        /// Its name, without a domain.
        registry_name: String,
        /// The admin user, or a placeholder.
        user_name: String,
        /// Its password, or a placeholder.
        password: String,
        /// The repository with its prefix.
        repository_name: String,
    }
}

/// A reference to a resource of the same payload.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// Its `resourceName`: 1 to 50 letters, digits, `-` and `_`.
    pub resource_name: String,
}

/// The terms. Only `standardMicrosoft` is in Microsoft's samples; the names of the others are
/// INFERENCE and stand only here.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "termsConditions")]
pub enum Terms {
    /// Microsoft's standard contract.
    #[serde(rename = "standardMicrosoft")]
    Standard,
    /// The publisher's own, as text.
    #[serde(rename = "custom", rename_all = "camelCase")]
    Text {
        /// The text.
        terms_of_use: String,
    },
    /// The publisher's own, as an address.
    #[serde(rename = "custom", rename_all = "camelCase")]
    Url {
        /// The address.
        terms_of_use_url: String,
    },
}
