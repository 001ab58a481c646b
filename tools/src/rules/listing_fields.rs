//! The texts of the listing and of its plans in every language, as rules go through them.

use super::view::OfferView;
use crate::offer::languages::{self, InLanguage};

/// Every language of the listing.
pub(super) fn languages<'a>(view: &OfferView<'a>) -> Vec<InLanguage<'a>> {
    languages::languages(view.offer, view.content)
}

/// Every description with its key.
pub(super) fn descriptions<'a>(view: &OfferView<'a>) -> Vec<(String, &'a str)> {
    let of_listing = languages(view).into_iter();
    let mut all: Vec<_> =
        of_listing.map(|texts| (texts.key("description"), texts.description)).collect();
    let translated = view.content.plan_translations.iter().map(Some).chain(std::iter::repeat(None));
    for (place, (text, translated)) in
        view.content.plan_descriptions.iter().zip(translated).enumerate()
    {
        all.push((format!("plans[{place}].description"), text));
        for (number, text) in translated.into_iter().flatten().enumerate() {
            all.push((format!("plans[{place}].translations[{number}].description"), text));
        }
    }
    all
}
