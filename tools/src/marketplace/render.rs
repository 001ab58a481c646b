//! From an offer to the payload of one `configure` request: the product first, then what refers to
//! it, then each plan with what refers to it.
//!
//! Invariant: the payload is made from what stands in the offer alone, so the same file gives the
//! same bytes; no secret is in it unless the caller asks for secrets.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{
    Certification, Configure, Contact, GeneralLink, Identity, ImageRepositoryDetails, Listing,
    ListingAsset, ListingTrailer, OfferAvailability, Plan, PlanAvailability, PlanListing,
    PreviewAudience, Product, Property, Reference, Resource, Setup, TechnicalConfiguration, Terms,
    TrailerAsset, TrailerImage, schema,
};
use crate::offer::content::Content;
use crate::offer::model::{self as offer, Offer, PlanKind, Region, Visibility};
use crate::offer::secrets::{Secret, SecretError};
use crate::offer::tags::TagTarget;
use crate::offer::texts::Terms as OfferTerms;
use crate::offer::words::RelativePath;
use crate::offer::{OfferError, OfferFile};

const PRODUCT: &str = "product";
const LISTING: &str = "listing";
const KIND: &str = "azureContainer";
/// Longest `resourceName`.
const RESOURCE_NAME_CHARS_MAX: usize = 50;

/// What stands where a secret belongs.
pub enum Secrets<'a> {
    /// `${env:NAME}` or `${file:PATH}`.
    Placeholders,
    /// The secret itself; the function looks up the environment.
    Resolve(&'a dyn Fn(&str) -> Option<String>),
}

/// A payload, and what the reader should know about it.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The payload.
    pub payload: Configure,
    /// What was left out, in sentences.
    pub notes: Vec<String>,
}

/// Why there is no payload.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The offer lacks something that the payload must have.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// A secret cannot be had.
    #[error("the {what} of the registry `{registry}` cannot be had")]
    Secret {
        /// `username` or `password`.
        what: &'static str,
        /// The registry.
        registry: String,
        /// Why.
        source: SecretError,
    },
}

/// Makes the payload.
pub fn render(
    file: &OfferFile,
    content: &Content,
    secrets: &Secrets<'_>,
) -> Result<Rendered, RenderError> {
    let offer = &file.offer;
    refuse_applications(file)?;
    let mut notes = by_hand(offer);
    let mut resources = vec![
        Resource::Product(Product {
            schema: schema::PRODUCT,
            resource_name: PRODUCT,
            identity: Identity { external_id: offer.offer.id.clone() },
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
        Resource::Listing(Box::new(listing(offer, content))),
    ];
    match &offer.listing.asset_base_url {
        Some(base) => {
            resources.extend(assets(offer, base));
            resources.extend(trailers(offer, base));
        }
        None => notes.push(
            "no pictures and videos are rendered: the offer has no `listing.assetBaseUrl`"
                .to_owned(),
        ),
    }
    if !offer.listing.keywords.is_empty() {
        notes.push(
            "the keywords have no key in the payload: enter them in Partner Center".to_owned(),
        );
    }
    resources.push(Resource::OfferAvailability(preview(offer)));
    let registry = Registry::of(file, secrets)?;
    let mut names = BTreeSet::new();
    for (plan, description) in offer.plans.iter().zip(&content.plan_descriptions) {
        let name = resource_name(plan, &mut names);
        resources.extend(plan_resources(offer, plan, description, &name, &registry));
    }
    let payload = Configure { schema: schema::CONFIGURE, resources };
    Ok(Rendered { payload, notes })
}

/// Half of an application would be worse than nothing: a plan for a few tenants would go to everyone,
/// and that can never be taken back.
fn refuse_applications(file: &OfferFile) -> Result<(), OfferError> {
    let Some((place, plan, _)) = file.offer.kubernetes_plans().next() else { return Ok(()) };
    let message =
        format!("the plan `{}` is a Kubernetes application, which is not rendered", plan.id);
    let help =
        "enter the offer in Partner Center; `package`, `verify`, `push` and `promote` take it";
    Err(file.error_at(&format!("plans[{place}].kind"), message, help))
}

/// What the offer says and the payload does not.
fn by_hand(offer: &Offer) -> Vec<String> {
    let translated = offer.plans.iter().any(|plan| !plan.translations.is_empty());
    let left = [
        ("`leads`", offer.leads.is_some()),
        ("`resale`", offer.resale.is_some()),
        ("`preview.csv`", offer.preview.csv.is_some()),
        ("`listing.translations`", !offer.listing.translations.is_empty()),
        ("`translations` of plans", translated),
    ];
    let left = left.into_iter().filter(|(_, is_said)| *is_said);
    left.map(|(key, _)| format!("{key} is not in the payload: enter it in Partner Center"))
        .collect()
}

fn product() -> Reference {
    Reference { resource_name: PRODUCT.to_owned() }
}

/// `plan-ID`, cut to what the schema takes and kept apart by a number where the cut made two equal.
fn resource_name(plan: &offer::Plan, names: &mut BTreeSet<String>) -> String {
    let whole = format!("plan-{}", plan.id);
    let cut: String = whole.chars().take(RESOURCE_NAME_CHARS_MAX).collect();
    let numbered = (2..).map(|number: u32| {
        let number = format!("-{number}");
        let kept = RESOURCE_NAME_CHARS_MAX - number.len();
        format!("{}{number}", cut.chars().take(kept).collect::<String>())
    });
    let name = std::iter::once(cut.clone())
        .chain(numbered)
        .find(|name| !names.contains(name))
        .unwrap_or(whole);
    names.insert(name.clone());
    name
}

fn terms(file: &OfferFile, content: &Content) -> Result<Terms, OfferError> {
    match (&file.offer.legal.terms, &content.terms) {
        (Some(OfferTerms::Url(url)), _) => Ok(Terms::Url { terms_of_use_url: url.clone() }),
        (Some(OfferTerms::Text(_)), Some(text)) => Ok(Terms::Text { terms_of_use: text.clone() }),
        _ if file.offer.legal.standard_contract => Ok(Terms::Standard),
        _ => Err(file.error_at(
            "legal",
            "there are no terms (OFR-009)",
            "write either `standardContract: true` or `terms`",
        )),
    }
}

fn listing(offer: &Offer, content: &Content) -> Listing {
    let texts = offer.listing.clone();
    let contact = |at: offer::Contact| Contact { name: at.name, email: at.email, phone: at.phone };
    let partner =
        |at: offer::PartnerContact| Contact { name: at.name, email: at.email, phone: at.phone };
    let link = |at: offer::Link| GeneralLink { display_text: at.title, link: at.url };
    Listing {
        schema: schema::LISTING,
        resource_name: LISTING,
        product: product(),
        kind: KIND,
        language_id: texts.language,
        title: texts.title,
        description: content.description.clone(),
        search_result_summary: texts.search_summary,
        short_description: texts.short_description,
        privacy_policy_link: texts.privacy_policy,
        general_links: texts.links.into_iter().map(link).collect(),
        global_support_website: texts.support_url,
        government_support_website: texts.government_support_url,
        support_contact: contact(texts.contacts.support),
        engineering_contact: contact(texts.contacts.engineering),
        cloud_solution_provider_contact: texts.contacts.csp.map(partner),
    }
}

/// The address of a picture: the base and the path as the offer writes it.
fn picture_url(base: &str, path: &RelativePath) -> String {
    format!("{}/{}", base.trim_end_matches('/'), path)
}

fn assets(offer: &Offer, base: &str) -> Vec<Resource> {
    let logos = &offer.listing.logos;
    let logo = |asset, path| (asset, path, String::new(), 0);
    let mut all = vec![logo("azureLogoLarge", &logos.large)];
    for (asset, path) in [
        ("azureLogoMedium", &logos.medium),
        ("azureLogoSmall", &logos.small),
        ("azureLogoWide", &logos.wide),
    ] {
        all.extend(path.iter().map(|path| logo(asset, path)));
    }
    let screenshots = offer.listing.screenshots.iter().enumerate();
    all.extend(screenshots.map(|(order, screenshot)| {
        ("azureLogoScreenshot", &screenshot.file, screenshot.caption.clone(), order)
    }));
    let asset = |(asset, path, description, display_order): (_, &RelativePath, _, _)| {
        let name = path.as_str().rsplit('/').next().unwrap_or_default().to_owned();
        Resource::ListingAsset(ListingAsset {
            schema: schema::ASSET,
            product: product(),
            kind: "azure",
            listing: Reference { resource_name: LISTING.to_owned() },
            asset,
            language_id: offer.listing.language.clone(),
            description,
            display_order,
            file_name: name.clone(),
            friendly_name: name,
            url: picture_url(base, path),
        })
    };
    all.into_iter().map(asset).collect()
}

fn trailers(offer: &Offer, base: &str) -> Vec<Resource> {
    let trailer = |video: &offer::Video| {
        let image_list = vec![TrailerImage { url: picture_url(base, &video.thumbnail) }];
        let asset = TrailerAsset { title: video.title.clone(), image_list };
        Resource::ListingTrailer(ListingTrailer {
            schema: schema::TRAILER,
            product: product(),
            kind: "azure",
            listing: Reference { resource_name: LISTING.to_owned() },
            streaming_url: video.url.clone(),
            assets: BTreeMap::from([(offer.listing.language.clone(), asset)]),
        })
    };
    offer.listing.videos.iter().map(trailer).collect()
}

fn preview(offer: &Offer) -> OfferAvailability {
    let audience = |subscription: &offer::PreviewSubscription| PreviewAudience {
        kind: "subscription",
        id: subscription.id.clone(),
        label: subscription.label.clone().unwrap_or_default(),
    };
    OfferAvailability {
        schema: schema::OFFER_AVAILABILITY,
        product: product(),
        preview_audiences: offer.preview.subscriptions.iter().map(audience).collect(),
    }
}

/// The registry that Microsoft copies from.
struct Registry<'a> {
    azure: &'a offer::AzureRegistry,
    prefix: Option<&'a wharf_oci::RepoName>,
    user_name: String,
    password: String,
}

impl<'a> Registry<'a> {
    fn of(file: &'a OfferFile, secrets: &Secrets<'_>) -> Result<Self, RenderError> {
        let name = &file.offer.offer.registry;
        let key = format!("registries.{name}");
        let lacks = |what: &str, rule: &str| {
            let message = format!("the registry `{name}` has no `{what}` ({rule})");
            file.error_at(&key, message, "Microsoft copies the images from it; add the key")
        };
        let entry = file.offer.registries.get(name).ok_or_else(|| lacks("entry", "TEC-001"))?;
        let azure = entry.azure.as_ref().ok_or_else(|| lacks("azure", "TEC-001"))?;
        let credentials =
            entry.credentials.as_ref().ok_or_else(|| lacks("credentials", "TEC-005"))?;
        let filled = |what, secret: &Secret| match secrets {
            Secrets::Placeholders => Ok(secret.to_string()),
            Secrets::Resolve(variable) => secret
                .resolve(file.folder(), variable)
                .map(|value| value.expose().to_owned())
                .map_err(|source| RenderError::Secret { what, registry: name.to_string(), source }),
        };
        Ok(Self {
            azure,
            prefix: entry.prefix.as_ref(),
            user_name: filled("username", &credentials.username)?,
            password: filled("password", &credentials.password)?,
        })
    }
}

fn plan_resources(
    offer: &Offer,
    plan: &offer::Plan,
    description: &str,
    name: &str,
    registry: &Registry<'_>,
) -> Vec<Resource> {
    let reference = || Reference { resource_name: name.to_owned() };
    let region = |region: &Region| match region {
        Region::AzureGlobal => "azureGlobal",
        Region::AzureGovernment => "azureGovernment",
    };
    let certification =
        |at: &offer::Certification| Certification { name: at.name.clone(), link: at.url.clone() };
    let mut resources = vec![
        Resource::Plan(Plan {
            schema: schema::PLAN,
            resource_name: name.to_owned(),
            identity: Identity { external_id: plan.id.to_string() },
            alias: plan.name.clone(),
            product: product(),
            azure_regions: plan.regions.iter().map(region).collect(),
            azure_government_certifications: plan
                .government_certifications
                .iter()
                .map(certification)
                .collect(),
        }),
        Resource::PlanListing(PlanListing {
            schema: schema::PLAN_LISTING,
            product: product(),
            plan: reference(),
            kind: "azureContainer-plan",
            language_id: offer.listing.language.clone(),
            name: plan.name.clone(),
            summary: plan.summary.clone(),
            description: description.to_owned(),
        }),
        Resource::PlanAvailability(PlanAvailability {
            schema: schema::PLAN_AVAILABILITY,
            product: product(),
            plan: reference(),
            visibility: match plan.visibility {
                Visibility::Visible => "visible",
                Visibility::Hidden => "hidden",
            },
            audience: "public",
        }),
    ];
    if let PlanKind::Image(plan) = &plan.kind {
        let technical = technical(&plan.image.image, reference(), registry);
        resources.push(Resource::TechnicalConfiguration(Box::new(technical)));
    }
    resources
}

fn technical(
    image: &offer::Image,
    plan: Reference,
    registry: &Registry<'_>,
) -> TechnicalConfiguration {
    let Registry { azure, prefix, user_name, password } = registry;
    let repository_name = match prefix {
        Some(prefix) => format!("{prefix}/{}", image.repository),
        None => image.repository.to_string(),
    };
    TechnicalConfiguration {
        schema: schema::TECHNICAL,
        product: product(),
        plan,
        payload_type: "image",
        image_repository_details: ImageRepositoryDetails {
            subscription_id: azure.subscription_id.clone(),
            resource_group_name: azure.resource_group.clone(),
            registry_name: azure.registry_name.clone(),
            user_name: user_name.clone(),
            password: password.clone(),
            repository_name,
        },
        image_tags: image_tags(image),
    }
}

/// `latest`, other tags of the index, tags of platforms, then tags of earlier versions: the order of
/// writing, read from its end.
fn image_tags(image: &offer::Image) -> Vec<String> {
    let of_index = |wanted: bool| {
        let tags = image.expanded_tags.iter();
        tags.filter(move |item| (item.target == TagTarget::Index) == wanted)
    };
    let is_latest = |tag: &str| tag == "latest";
    let mut tags: Vec<String> = of_index(true)
        .filter(|item| is_latest(item.tag.as_str()))
        .chain(of_index(true).filter(|item| !is_latest(item.tag.as_str())))
        .chain(of_index(false))
        .map(|item| item.tag.to_string())
        .collect();
    for tag in &image.published_tags {
        if !tags.iter().any(|known| known == tag.as_str()) {
            tags.push(tag.to_string());
        }
    }
    tags
}

#[cfg(test)]
mod tests;
