//! The keys of each schema, as Microsoft's samples and models spell them.

/// The keys of an object.
pub(super) type Keys = [Key];

pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) is_needed: bool,
    pub(super) shape: Shape,
}

/// The kind of value at a key.
pub(super) enum Shape {
    Text,
    Flag,
    Number,
    /// One of these.
    Word(&'static [&'static str]),
    List(&'static Shape),
    Object(&'static Keys),
    /// Keys the publisher chooses, as the function takes them.
    Map(fn(&str) -> bool, &'static Shape),
    Reference,
}

impl Shape {
    pub(super) const fn what(&self) -> &'static str {
        match self {
            Self::Text | Self::Word(_) => "a text",
            Self::Flag => "true or false",
            Self::Number => "a number",
            Self::List(_) => "a list",
            Self::Object(_) | Self::Map(..) => "an object",
            Self::Reference => "a reference",
        }
    }
}

const fn needed(name: &'static str, shape: Shape) -> Key {
    Key { name, is_needed: true, shape }
}

const fn optional(name: &'static str, shape: Shape) -> Key {
    Key { name, is_needed: false, shape }
}

const SCHEMA: Key = needed("$schema", Shape::Text);
const PRODUCT: Key = needed("product", Shape::Reference);
const PLAN: Key = needed("plan", Shape::Reference);
const NAME: Key = optional("resourceName", Shape::Text);

/// Whether this is a language as the API writes it: `en-us`, `zh-hans-cn`.
#[must_use]
pub fn is_language(key: &str) -> bool {
    let mut parts = key.split('-');
    let first = parts.next().unwrap_or_default();
    let is_small = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    (2..=3).contains(&first.len())
        && is_small(first)
        && key.len() <= 20
        && parts.all(|part| (2..=8).contains(&part.len()) && is_small(part))
}

/// A category or subcategory: `container-images`.
fn is_category(key: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !key.is_empty() && key.chars().all(is_word)
}

/// The ID of a meter, as the application sends it.
fn is_meter(key: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !key.is_empty() && key.len() <= 50 && key.chars().all(is_word)
}

const IDENTITY: &Keys = &[needed("externalId", Shape::Text)];
const PRODUCT_KEYS: &Keys = &[
    SCHEMA,
    NAME,
    needed("identity", Shape::Object(IDENTITY)),
    needed("type", Shape::Word(&["azureContainer"])),
    needed("alias", Shape::Text),
];
const SETUP: &Keys = &[SCHEMA, PRODUCT, needed("sellThroughMicrosoft", Shape::Flag)];
const PROPERTY: &Keys = &[
    SCHEMA,
    PRODUCT,
    needed("kind", Shape::Word(&["azureContainer"])),
    needed("termsConditions", Shape::Word(&["standardMicrosoft", "custom"])),
    optional("termsOfUse", Shape::Text),
    optional("termsOfUseUrl", Shape::Text),
    needed("categories", Shape::Map(is_category, &Shape::List(&Shape::Text))),
];
const CONTACT: &Keys =
    &[needed("name", Shape::Text), needed("email", Shape::Text), needed("phone", Shape::Text)];
const LINK: &Keys = &[needed("displayText", Shape::Text), needed("link", Shape::Text)];
const LISTING: &Keys = &[
    SCHEMA,
    NAME,
    PRODUCT,
    needed("kind", Shape::Word(&["azureContainer"])),
    needed("languageId", Shape::Text),
    needed("title", Shape::Text),
    needed("description", Shape::Text),
    needed("searchResultSummary", Shape::Text),
    needed("shortDescription", Shape::Text),
    needed("privacyPolicyLink", Shape::Text),
    optional("generalLinks", Shape::List(&Shape::Object(LINK))),
    needed("globalSupportWebsite", Shape::Text),
    optional("governmentSupportWebsite", Shape::Text),
    needed("supportContact", Shape::Object(CONTACT)),
    needed("engineeringContact", Shape::Object(CONTACT)),
    optional("cloudSolutionProviderContact", Shape::Object(CONTACT)),
];
const ASSETS: Shape = Shape::Word(&[
    "azureLogoSmall",
    "azureLogoMedium",
    "azureLogoLarge",
    "azureLogoWide",
    "azureLogoScreenshot",
    "azureLogoHero",
    "pdfDocument",
]);
const ASSET: &Keys = &[
    SCHEMA,
    PRODUCT,
    needed("kind", Shape::Word(&["azure"])),
    needed("listing", Shape::Reference),
    needed("type", ASSETS),
    needed("languageId", Shape::Text),
    needed("description", Shape::Text),
    needed("displayOrder", Shape::Number),
    needed("fileName", Shape::Text),
    needed("friendlyName", Shape::Text),
    needed("url", Shape::Text),
];
const TRAILER_IMAGE: &Keys = &[needed("url", Shape::Text)];
const TRAILER_ASSET: &Keys = &[
    needed("title", Shape::Text),
    needed("imageList", Shape::List(&Shape::Object(TRAILER_IMAGE))),
];
const TRAILER: &Keys = &[
    SCHEMA,
    PRODUCT,
    needed("kind", Shape::Word(&["azure"])),
    needed("listing", Shape::Reference),
    needed("streamingUrl", Shape::Text),
    needed("assets", Shape::Map(is_language, &Shape::Object(TRAILER_ASSET))),
];
const AUDIENCE: &Keys = &[
    needed("type", Shape::Word(&["subscription", "tenant"])),
    needed("id", Shape::Text),
    needed("label", Shape::Text),
];
const AUDIENCES: Shape = Shape::List(&Shape::Object(AUDIENCE));
const OFFER_AVAILABILITY: &Keys = &[SCHEMA, PRODUCT, needed("previewAudiences", AUDIENCES)];
const METER: &Keys = &[needed("displayName", Shape::Text), needed("unitOfMeasure", Shape::Text)];
const METERS: &Keys =
    &[SCHEMA, PRODUCT, needed("customMeters", Shape::Map(is_meter, &Shape::Object(METER)))];
const RESELLER: &Keys = &[
    SCHEMA,
    PRODUCT,
    needed("resellerChannelState", Shape::Word(&["none", "some", "all"])),
    needed("audiences", AUDIENCES),
];
const PLAN_KEYS: &Keys = &[
    SCHEMA,
    NAME,
    PRODUCT,
    needed("identity", Shape::Object(IDENTITY)),
    needed("alias", Shape::Text),
    needed("azureRegions", Shape::List(&Shape::Word(&["azureGlobal", "azureGovernment"]))),
    optional("azureGovernmentCertifications", Shape::List(&Shape::Object(CERTIFICATION))),
];
const CERTIFICATION: &Keys = &[needed("name", Shape::Text), needed("link", Shape::Text)];
const PLAN_LISTING: &Keys = &[
    SCHEMA,
    PRODUCT,
    PLAN,
    needed("kind", Shape::Word(&["azureContainer-plan"])),
    needed("languageId", Shape::Text),
    needed("name", Shape::Text),
    needed("summary", Shape::Text),
    needed("description", Shape::Text),
];
const UNITS: Shape = Shape::Word(&[
    "free",
    "perCore",
    "perEveryCoreInCluster",
    "perNode",
    "perEveryNodeInCluster",
    "perPod",
    "perCluster",
]);
const SYSTEM_METER: &Keys = &[needed("priceInputOption", UNITS), optional("price", Shape::Number)];
const TERM: &Keys = &[needed("type", Shape::Word(&["month"])), needed("value", Shape::Number)];
const INCLUDED: &Keys = &[
    needed("billingTerm", Shape::Object(TERM)),
    needed("quantity", Shape::Number),
    needed("isInfinite", Shape::Flag),
];
const METER_PRICE: &Keys = &[
    needed("pricePerPaymentInUsd", Shape::Number),
    needed("includedQuantities", Shape::List(&Shape::Object(INCLUDED))),
];
const CUSTOM_METERS: &Keys = &[
    needed("priceInputOption", Shape::Word(&["usd"])),
    needed("meters", Shape::Map(is_meter, &Shape::Object(METER_PRICE))),
];
const PRICING: &Keys = &[
    needed("licenseModel", Shape::Word(&["byol", "payAsYouGo"])),
    optional("systemMeterPricing", Shape::Object(SYSTEM_METER)),
    optional("customMeters", Shape::Object(CUSTOM_METERS)),
];
const PLAN_AVAILABILITY: &Keys = &[
    SCHEMA,
    PRODUCT,
    PLAN,
    needed("visibility", Shape::Word(&["visible", "hidden"])),
    needed("audience", Shape::Word(&["public", "private"])),
    optional("privateAudiences", AUDIENCES),
    optional("customerMarkets", Shape::Word(&["allMarkets"])),
    optional("markets", Shape::List(&Shape::Text)),
    optional("pricing", Shape::Object(PRICING)),
];
const REPOSITORY: &Keys = &[
    needed("subscriptionId", Shape::Text),
    needed("resourceGroupName", Shape::Text),
    needed("registryName", Shape::Text),
    needed("userName", Shape::Text),
    needed("password", Shape::Text),
    needed("repositoryName", Shape::Text),
];
const BUNDLE: &Keys = &[
    needed("tenantId", Shape::Text),
    needed("subscriptionId", Shape::Text),
    needed("resourceGroupName", Shape::Text),
    needed("registryName", Shape::Text),
    needed("repositoryName", Shape::Text),
    needed("tag", Shape::Text),
    needed("digest", Shape::Text),
];
const TECHNICAL: &Keys = &[
    SCHEMA,
    PRODUCT,
    PLAN,
    needed("payloadType", Shape::Word(&["image", "cnab"])),
    optional("imageRepositoryDetails", Shape::Object(REPOSITORY)),
    optional("imageTags", Shape::List(&Shape::Text)),
    optional("clusterExtensionType", Shape::Text),
    optional("cnabReferences", Shape::List(&Shape::Object(BUNDLE))),
];

/// The keys of a schema, by its name without version.
pub(super) fn of(kind: &str) -> Option<&'static Keys> {
    Some(match kind {
        "product" => PRODUCT_KEYS,
        "commercial-marketplace-setup" => SETUP,
        "property" => PROPERTY,
        "listing" => LISTING,
        "listing-asset" => ASSET,
        "listing-trailer" => TRAILER,
        "price-and-availability-offer" => OFFER_AVAILABILITY,
        "price-and-availability-custom-meter" => METERS,
        "reseller" => RESELLER,
        "plan" => PLAN_KEYS,
        "plan-listing" => PLAN_LISTING,
        "price-and-availability-plan" => PLAN_AVAILABILITY,
        "container-plan-technical-configuration" => TECHNICAL,
        _ => return None,
    })
}
