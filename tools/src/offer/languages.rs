//! The listing in each of its languages, side by side: the first, then its translations.

use super::content::Content;
use super::model::{Link, Offer, Screenshot, Video};

/// The listing in one language; a text missing from a translation is empty.
#[derive(Debug, Clone, Copy)]
pub struct InLanguage<'a> {
    /// The place among the translations; none of the first language.
    pub translation: Option<usize>,
    /// The language, as `de-de`.
    pub language: &'a str,
    pub title: &'a str,
    /// One sentence for search results.
    pub search_summary: &'a str,
    /// A plain paragraph.
    pub short_description: &'a str,
    /// The long text, read.
    pub description: &'a str,
    /// Words to be found by.
    pub keywords: &'a [String],
    pub links: &'a [Link],
    pub screenshots: &'a [Screenshot],
    pub videos: &'a [Video],
}

impl InLanguage<'_> {
    /// The key of one of its fields: `listing.title`, `listing.translations[0].title`.
    #[must_use]
    pub fn key(&self, field: &str) -> String {
        match self.translation {
            None => format!("listing.{field}"),
            Some(place) => format!("listing.translations[{place}].{field}"),
        }
    }

    /// Whether it is English, of any country.
    #[must_use]
    pub fn is_english(&self) -> bool {
        let start = self.language.get(..3).unwrap_or(self.language);
        start.eq_ignore_ascii_case("en") || start.eq_ignore_ascii_case("en-")
    }
}

/// Every language of the listing.
#[must_use]
pub fn languages<'a>(offer: &'a Offer, content: &'a Content) -> Vec<InLanguage<'a>> {
    let listing = &offer.listing;
    let mut all = vec![InLanguage {
        translation: None,
        language: &listing.language,
        title: &listing.title,
        search_summary: &listing.search_summary,
        short_description: &listing.short_description,
        description: &content.description,
        keywords: &listing.keywords,
        links: &listing.links,
        screenshots: &listing.screenshots,
        videos: &listing.videos,
    }];
    let translations = listing.translations.iter().zip(&content.translations).enumerate();
    all.extend(translations.map(|(place, (at, description))| InLanguage {
        translation: Some(place),
        language: &at.language,
        title: &at.title,
        search_summary: &at.search_summary,
        short_description: &at.short_description,
        description,
        keywords: &at.keywords,
        links: &at.links,
        screenshots: &at.screenshots,
        videos: &at.videos,
    }));
    all
}
