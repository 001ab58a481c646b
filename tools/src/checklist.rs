//! The checklist of an offer: every page of Partner Center with its values ready to copy, the API's
//! fields and a person's, and the pictures as customers will see them.
//!
//! Invariant: no secret is in it, only where one is; every text of the offer is shown as a text.

pub mod html;
pub mod markdown;
mod seen;

use std::collections::BTreeMap;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::input;
use crate::marketplace::form::{FillMethod, OfferForm, Sheet};
use crate::offer::OfferFile;
use crate::offer::content::{Content, picture_paths};
use crate::offer::model::Offer;
use crate::pictures;

/// Largest picture in a page, and all of them together, in bytes.
const PICTURE_BYTES_MAX: u64 = 2 * 1024 * 1024;
const PICTURES_BYTES_MAX: u64 = 24 * 1024 * 1024;

/// An offer's pages of Partner Center.
pub struct Checklist<'a> {
    offer: &'a Offer,
    content: &'a Content,
    form: OfferForm,
    /// The pictures, by their keys.
    pictures: BTreeMap<String, Embedded>,
}

/// A picture inside a page.
struct Embedded {
    /// Its bytes, as an address.
    uri: String,
    width: u32,
    height: u32,
}

impl<'a> Checklist<'a> {
    /// Fills the pages and reads the pictures. A picture too large for a page, or gone by now, is
    /// only named.
    #[must_use]
    pub fn of(file: &'a OfferFile, content: &'a Content) -> Self {
        let mut left = PICTURES_BYTES_MAX;
        let mut embedded = BTreeMap::new();
        for (key, path) in picture_paths(file) {
            let most = left.min(PICTURE_BYTES_MAX);
            let Some((picture, bytes)) = embed(&file.resolve(path), most) else { continue };
            left = left.saturating_sub(bytes);
            embedded.insert(key, picture);
        }
        Self { offer: &file.offer, content, form: OfferForm::of(file, content), pictures: embedded }
    }

    /// How many fields have a value, and how many of these a person enters.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let filled = self.form.fields().filter(|(_, field)| !field.value.is_nothing());
        filled.fold((0, 0), |(all, by_hand), (_, field)| {
            (all + 1, by_hand + usize::from(matches!(field.way, FillMethod::Hand(_))))
        })
    }
}

fn embed(path: &std::path::Path, most: u64) -> Option<(Embedded, u64)> {
    let mut bytes = Vec::new();
    input::open(path).ok()?.take(most + 1).read_to_end(&mut bytes).ok()?;
    let size = bytes.len() as u64;
    if size > most {
        return None;
    }
    match pictures::inspect(&bytes) {
        pictures::PictureContent::Png(picture) => {
            let uri = format!("data:image/png;base64,{}", STANDARD.encode(&bytes));
            let (width, height) = (picture.width, picture.height);
            Some((Embedded { uri, width, height }, size))
        }
        pictures::PictureContent::NotPng(_) => None,
    }
}

/// The heading of a page: `Plan listing: server, en-us`.
fn heading(sheet: &Sheet) -> String {
    match &sheet.of {
        Some(of) => format!("{}: {of}", sheet.page.title()),
        None => sheet.page.title().to_owned(),
    }
}

/// The labels of a page's empty fields.
fn empty_fields(sheet: &Sheet) -> Vec<&str> {
    let empty = sheet.fields.iter().filter(|field| field.value.is_nothing());
    empty.map(|field| field.label.as_str()).collect()
}

#[cfg(test)]
mod tests;
