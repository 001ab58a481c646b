//! The schemas, with the version of each we speak: the one table of them.
//!
//! Newer versions were seen of some (`configure` up to preview3, the technical configuration up to
//! preview5); the shapes we send are documented for these.

/// Where the schemas are.
pub const SCHEMAS: &str = "https://schema.mp.microsoft.com/schema";

pub const CONFIGURE: &str = "configure/2022-03-01-preview2";
/// The offer itself.
pub const PRODUCT: &str = "product/2022-03-01-preview3";
/// The offer's setup.
pub const SETUP: &str = "commercial-marketplace-setup/2022-03-01-preview2";
/// Categories and terms.
pub const PROPERTY: &str = "property/2022-03-01-preview5";
pub const LISTING: &str = "listing/2022-03-01-preview5";
pub const ASSET: &str = "listing-asset/2022-03-01-preview5";
pub const TRAILER: &str = "listing-trailer/2022-03-01-preview5";
/// The preview's audience.
pub const OFFER_AVAILABILITY: &str = "price-and-availability-offer/2022-03-01-preview3";
/// The applications' meters, the same for all plans.
pub const METERS: &str = "price-and-availability-custom-meter/2022-03-01-preview3";
/// The resellers.
pub const RESELLER: &str = "reseller/2022-03-01-preview2";
pub const PLAN: &str = "plan/2022-03-01-preview3";
/// The texts of a plan.
pub const PLAN_LISTING: &str = "plan-listing/2022-03-01-preview5";
/// A plan's audience and price.
pub const PLAN_AVAILABILITY: &str = "price-and-availability-plan/2022-03-01-preview4";
/// The image or the bundle of a plan.
pub const TECHNICAL: &str = "container-plan-technical-configuration/2022-03-01-preview3";
