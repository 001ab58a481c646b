//! The listing in every language, with its pictures and videos.

use std::collections::BTreeMap;

use super::{KIND, product};
use crate::marketplace::model::{
    Contact, GeneralLink, Listing, ListingAsset, ListingTrailer, Reference, Resource, TrailerAsset,
    TrailerImage, schema,
};
use crate::offer::content::Content;
use crate::offer::model::{self as offer, Link, Offer, Screenshot, Video};
use crate::offer::words::RelativePath;

const LISTING: &str = "listing";

/// The listings of an offer: the first language, then its translations.
pub(super) struct Listings<'a> {
    offer: &'a Offer,
    all: Vec<Texts<'a>>,
}

/// What one language says.
struct Texts<'a> {
    /// The `resourceName`.
    name: String,
    language: &'a str,
    title: &'a str,
    search_summary: &'a str,
    short_description: &'a str,
    description: &'a str,
    links: &'a [Link],
    screenshots: &'a [Screenshot],
    videos: &'a [Video],
}

impl<'a> Listings<'a> {
    pub(super) fn of(offer: &'a Offer, content: &'a Content) -> Self {
        let listing = &offer.listing;
        let mut all = vec![Texts {
            name: LISTING.to_owned(),
            language: &listing.language,
            title: &listing.title,
            search_summary: &listing.search_summary,
            short_description: &listing.short_description,
            description: &content.description,
            links: &listing.links,
            screenshots: &listing.screenshots,
            videos: &listing.videos,
        }];
        let translations = listing.translations.iter().zip(&content.translations).enumerate();
        all.extend(translations.map(|(place, (at, description))| Texts {
            name: format!("{LISTING}-{}", place + 2),
            language: &at.language,
            title: &at.title,
            search_summary: &at.search_summary,
            short_description: &at.short_description,
            description,
            links: or(&at.links, &listing.links),
            screenshots: or(&at.screenshots, &listing.screenshots),
            videos: or(&at.videos, &listing.videos),
        }));
        Self { offer, all }
    }

    /// The resources, each before what refers to it.
    pub(super) fn resources(&self) -> Vec<Resource> {
        let mut resources = Vec::new();
        for texts in &self.all {
            resources.push(Resource::Listing(Box::new(self.listing(texts))));
            if let Some(base) = &self.offer.listing.asset_base_url {
                resources.extend(self.assets(texts, base));
                resources.extend(trailers(texts, base));
            }
        }
        resources
    }

    fn listing(&self, texts: &Texts<'_>) -> Listing {
        let shared = &self.offer.listing;
        let contact = |at: &offer::Contact| {
            let (name, email, phone) = (at.name.clone(), at.email.clone(), at.phone.clone());
            Contact { name, email, phone }
        };
        let partner = |at: &offer::PartnerContact| {
            let (name, email, phone) = (at.name.clone(), at.email.clone(), at.phone.clone());
            Contact { name, email, phone }
        };
        let link =
            |at: &Link| GeneralLink { display_text: at.title.clone(), link: at.url.clone() };
        Listing {
            schema: schema::LISTING,
            resource_name: texts.name.clone(),
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

    fn assets(&self, texts: &Texts<'_>, base: &str) -> Vec<Resource> {
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
            let name = path.as_str().rsplit('/').next().unwrap_or_default().to_owned();
            Resource::ListingAsset(ListingAsset {
                schema: schema::ASSET,
                product: product(),
                kind: "azure",
                listing: Reference { resource_name: texts.name.clone() },
                asset,
                language_id: texts.language.to_owned(),
                description,
                display_order,
                file_name: name.clone(),
                friendly_name: name,
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

fn trailers(texts: &Texts<'_>, base: &str) -> Vec<Resource> {
    let trailer = |video: &Video| {
        let image_list = vec![TrailerImage { url: picture_url(base, &video.thumbnail) }];
        let asset = TrailerAsset { title: video.title.clone(), image_list };
        Resource::ListingTrailer(ListingTrailer {
            schema: schema::TRAILER,
            product: product(),
            kind: "azure",
            listing: Reference { resource_name: texts.name.clone() },
            streaming_url: video.url.clone(),
            assets: BTreeMap::from([(texts.language.to_owned(), asset)]),
        })
    };
    texts.videos.iter().map(trailer).collect()
}
