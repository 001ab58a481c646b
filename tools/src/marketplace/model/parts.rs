//! The parts of resources: objects without a schema of their own.

use serde::Serialize;

macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }
    )*};
}

parts! {
    /// The ID the publisher gave.
    ResourceIdentity {
        external_id: String,
    }

    /// A useful link.
    GeneralLink {
        display_text: String,
        link: String,
    }

    /// A contact person.
    ResourceContact {
        name: String,
        email: String,
        phone: String,
    }

    /// Title and picture of a video.
    TrailerAsset {
        title: String,
        image_list: Vec<TrailerImage>,
    }

    /// The picture of a video.
    TrailerImage {
        url: String,
    }

    /// A member of an audience: of a preview, of a private plan, or a reseller.
    ResourceAudience {
        /// `subscription` or `tenant`.
        #[serde(rename = "type")]
        kind: &'static str,
        id: String,
        label: String,
    }

    /// A certification for government customers.
    ResourceCertification {
        name: String,
        link: String,
    }

    /// A meter of the application's own.
    Meter {
        /// The name customers read.
        display_name: String,
        /// One of it, in a word.
        unit_of_measure: String,
    }

    /// The price of a plan.
    Pricing {
        /// `byol` or `payAsYouGo`.
        license_model: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        system_meter_pricing: Option<SystemMeterPricing>,
        #[serde(skip_serializing_if = "Option::is_none")]
        custom_meters: Option<CustomMeterPricing>,
    }

    /// The price of Microsoft's meter.
    SystemMeterPricing {
        /// The meter's unit, or `free`.
        price_input_option: &'static str,
        /// US dollars for one of it and an hour.
        #[serde(skip_serializing_if = "Option::is_none")]
        price: Option<f64>,
    }

    /// The prices of the application's meters.
    CustomMeterPricing {
        /// `usd`: prices of other currencies are worked out from it.
        price_input_option: &'static str,
        /// By the IDs of the meters.
        meters: std::collections::BTreeMap<String, MeterPrice>,
    }

    /// The price of one meter.
    MeterPrice {
        /// US dollars for one.
        price_per_payment_in_usd: f64,
        included_quantities: Vec<IncludedQuantity>,
    }

    /// How many of a meter are free in a time.
    IncludedQuantity {
        billing_term: Term,
        quantity: u64,
        /// Whether there is no end to it.
        is_infinite: bool,
    }

    /// A billing period.
    Term {
        /// `month`.
        #[serde(rename = "type")]
        kind: &'static str,
        value: u32,
    }

    /// Where Microsoft copies an image from.
    ImageRepositoryDetails {
        /// The registry's subscription.
        subscription_id: String,
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

    /// Where Microsoft copies a bundle from.
    BundleReference {
        /// The tenant of the subscription.
        tenant_id: String,
        /// The registry's subscription.
        subscription_id: String,
        resource_group_name: String,
        /// Its name, without a domain.
        registry_name: String,
        /// The repository with its prefix.
        repository_name: String,
        tag: String,
        digest: String,
    }
}

/// A bundle customers may install.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum CnabReference {
    /// As Partner Center has it, with keys we may not know.
    Live(serde_json::Value),
    /// As the offer has it.
    New(BundleReference),
}

/// A reference to a resource of the same payload.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// Its `resourceName`: 1 to 50 letters, digits, `-` and `_`.
    pub resource_name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "termsConditions")]
pub enum ResourceTerms {
    /// Microsoft's standard contract.
    #[serde(rename = "standardMicrosoft")]
    Standard,
    /// The publisher's own, as text.
    #[serde(rename = "custom", rename_all = "camelCase")]
    Text { terms_of_use: String },
    /// The publisher's own, as an address.
    #[serde(rename = "custom", rename_all = "camelCase")]
    Url { terms_of_use_url: String },
}
