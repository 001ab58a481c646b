//! The listing in every language, with its pictures and videos.

use std::collections::BTreeMap;

use super::names::{KIND, product};
use crate::marketplace::model::{
    GeneralLink, ListingAsset, ListingTrailer, ProductListing, Reference, Resource,
    ResourceContact, TrailerAsset, TrailerImage, schema,
};
use crate::offer::content::Content;
use crate::offer::languages::{InLanguage, languages};
use crate::offer::model::{self as offer, Link, Offer, Video};
use crate::offer::values::RelativePath;

const LISTING: &str = "listing";

/// The listings of an offer: the first language, then its translations.
pub(super) struct Listings<'a> {
    offer: &'a Offer,
    all: Vec<Named<'a>>,
}

/// The texts of one language; a text missing from a translation is the first language's.
struct Named<'a> {
    /// The `resourceName`.
    name: String,
    texts: InLanguage<'a>,
}

impl<'a> Listings<'a> {
    pub(super) fn of(offer: &'a Offer, content: &'a Content) -> Self {
        let first = &offer.listing;
        let named = |texts: InLanguage<'a>| match texts.translation {
            None => Named { name: LISTING.to_owned(), texts },
            Some(place) => Named {
                name: format!("{LISTING}-{}", place + 2),
                texts: InLanguage {
                    links: or(texts.links, &first.links),
                    screenshots: or(texts.screenshots, &first.screenshots),
                    videos: or(texts.videos, &first.videos),
                    ..texts
                },
            },
        };
        Self { offer, all: languages(offer, content).into_iter().map(named).collect() }
    }

    /// The resources, each before the ones with a reference to it.
    pub(super) fn resources(&self) -> Vec<Resource> {
        let mut resources = Vec::new();
        for named in &self.all {
            resources.push(Resource::Listing(Box::new(self.listing(named))));
            if let Some(base) = &self.offer.listing.asset_base_url {
                resources.extend(self.assets(named, base));
                resources.extend(trailers(named, base));
            }
        }
        resources
    }

    fn listing(&self, Named { name, texts }: &Named<'_>) -> ProductListing {
        let shared = &self.offer.listing;
        let contact = |at: &offer::Contact| {
            let (name, email, phone) = (at.name.clone(), at.email.clone(), at.phone.clone());
            ResourceContact { name, email, phone }
        };
        let partner = |at: &offer::PartnerContact| {
            let (name, email, phone) = (at.name.clone(), at.email.clone(), at.phone.clone());
            ResourceContact { name, email, phone }
        };
        let link = |at: &Link| GeneralLink { display_text: at.title.clone(), link: at.url.clone() };
        ProductListing {
            schema: schema::LISTING,
            resource_name: name.clone(),
            product: product(),
            kind: KIND,
            language_id: texts.language.to_owned(),
            title: texts.title.to_owned(),
            description: texts.description.to_owned(),
            search_result_summary: texts.search_summary.to_owned(),
            short_description: texts.short_description.to_owned(),
            privacy_policy_link: shared.privacy_policy.clone(),
            general_links: texts.links.iter().map(link).collect(),
            global_support_website: shared.support_url.clone(),
            government_support_website: shared.government_support_url.clone(),
            support_contact: contact(&shared.contacts.support),
            engineering_contact: contact(&shared.contacts.engineering),
            cloud_solution_provider_contact: shared.contacts.csp.as_ref().map(partner),
        }
    }

    fn assets(&self, Named { name, texts }: &Named<'_>, base: &str) -> Vec<Resource> {
        let logos = &self.offer.listing.logos;
        let logo = |asset, path| (asset, path, String::new(), 0);
        let mut all = vec![logo("azureLogoLarge", &logos.large)];
        for (asset, path) in [
            ("azureLogoMedium", &logos.medium),
            ("azureLogoSmall", &logos.small),
            ("azureLogoWide", &logos.wide),
        ] {
            all.extend(path.iter().map(|path| logo(asset, path)));
        }
        let screenshots = texts.screenshots.iter().enumerate();
        all.extend(screenshots.map(|(order, screenshot)| {
            ("azureLogoScreenshot", &screenshot.file, screenshot.caption.clone(), order)
        }));
        let asset = |(asset, path, description, display_order): (_, &RelativePath, _, _)| {
            let file = path.as_str().rsplit('/').next().unwrap_or_default().to_owned();
            Resource::ListingAsset(ListingAsset {
                schema: schema::ASSET,
                product: product(),
                kind: "azure",
                listing: Reference { resource_name: name.clone() },
                asset,
                language_id: texts.language.to_owned(),
                description,
                display_order,
                file_name: file.clone(),
                friendly_name: file,
                url: picture_url(base, path),
            })
        };
        all.into_iter().map(asset).collect()
    }
}

/// A translation's own, or those of the first language.
fn or<'a, T>(own: &'a [T], first: &'a [T]) -> &'a [T] {
    if own.is_empty() { first } else { own }
}

/// The address of a picture: the base and the path as the offer writes it.
fn picture_url(base: &str, path: &RelativePath) -> String {
    format!("{}/{}", base.trim_end_matches('/'), path)
}

fn trailers(Named { name, texts }: &Named<'_>, base: &str) -> Vec<Resource> {
    let trailer = |video: &Video| {
        let image_list = vec![TrailerImage { url: picture_url(base, &video.thumbnail) }];
        let asset = TrailerAsset { title: video.title.clone(), image_list };
        Resource::ListingTrailer(ListingTrailer {
            schema: schema::TRAILER,
            product: product(),
            kind: "azure",
            listing: Reference { resource_name: name.clone() },
            streaming_url: video.url.clone(),
            assets: BTreeMap::from([(texts.language.to_owned(), asset)]),
        })
    };
    texts.videos.iter().map(trailer).collect()
}
