//! The offer file: from bytes to types, with the place of every value kept for messages. The
//! marketplace's requirements are in `rules`; an offer's products are in `marketplace` and `image`.
//!
//! Invariant: an [`OfferFile`] keeps every format rule of the offer reference, and its `offer`
//! equals its text.

pub mod audience;
mod check;
pub mod content;
pub mod described;
pub mod error;
mod examples;
pub mod excerpt;
mod faults;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod forms;
pub mod globs;
pub mod images;
mod key_vault;
pub mod languages;
pub mod layers;
mod mapping;
pub mod market;
pub mod model;
pub mod origin;
pub(crate) mod parse;
pub mod patterns;
pub mod plans;
mod quoted;
pub mod reference;
pub mod registries;
pub mod schema;
pub mod secrets;
pub mod source_map;
pub mod tag_forms;
pub mod tags;
pub mod texts;
mod tree;
mod unread;
pub mod values;
mod walk;

use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use error::{Diagnostic, OfferError};
pub use model::Offer;

use crate::input;
use error::OFFER_SIZE_BYTES_MAX;
use model::{Plan, PlanImage};
use source_map::{SourceMap, Spot};
use values::{PlanId, RelativePath};

/// An offer with the file it came from.
#[derive(Debug, Clone)]
pub struct OfferFile {
    pub offer: Offer,
    path: PathBuf,
    folder: PathBuf,
    text: String,
    spots: SourceMap,
}

impl OfferFile {
    /// Reads and checks an offer file.
    pub fn open(path: &Path) -> Result<Self, OfferError> {
        let failed = |source| OfferError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = input::open(path).map_err(failed)?;
        file.take(OFFER_SIZE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        Self::parse(path, bytes)
    }

    /// Checks the content of an offer file; `path` is where relative paths start, and for messages.
    pub fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, OfferError> {
        if bytes.len() as u64 > OFFER_SIZE_BYTES_MAX {
            return Err(OfferError::TooLarge(path.to_owned()));
        }
        // Letters of ours have a zero in one of their two bytes.
        if matches!(bytes.first_chunk(), Some([0xff, 0xfe] | [0xfe, 0xff] | [0, _] | [_, 0])) {
            return Err(OfferError::Utf16(path.to_owned()));
        }
        let mut text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let lines = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count();
            OfferError::NotUtf8 { path: path.to_owned(), line: lines + 1 }
        })?;
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
        let spots = SourceMap::read(&text);
        let offer = faults::read(path, &text, &spots).map_err(OfferError::Invalid)?;
        let folder = match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
            Some(parent) => parent.to_owned(),
            None => PathBuf::from("."),
        };
        let mut file = Self { offer, path: path.to_owned(), folder, text, spots };
        check::check(&mut file).map_err(OfferError::Invalid)?;
        Ok(file)
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where its relative paths start.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file a path of the offer means.
    #[must_use]
    pub fn resolve(&self, path: &RelativePath) -> PathBuf {
        self.folder.join(path.as_str())
    }

    /// Every file a value of the offer may name, layers and archives among them; of a chart, also
    /// its two handwritten files.
    #[must_use]
    pub fn named_files(&self) -> Vec<PathBuf> {
        let charts = self.offer.kubernetes_plans().map(|(_, _, plan)| self.resolve(&plan.chart));
        let of_charts = charts.flat_map(|at| [at.join("Chart.yaml"), at.join("values.yaml")]);
        let values =
            source_map::values(&self.text).into_iter().map(|value| self.folder.join(value));
        values.chain(of_charts).collect()
    }

    /// Where a value stands; `path` is like `plans[0].image.version`.
    #[must_use]
    pub fn spot(&self, path: &str) -> Spot {
        self.spots.find(path)
    }

    /// A line of the file, from 1, without its end.
    #[must_use]
    pub fn line(&self, number: usize) -> Option<&str> {
        self.text.lines().nth(number.checked_sub(1)?)
    }

    /// Whether a key stands in the file.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.spots.contains(path)
    }

    /// A fault at the place of a value.
    #[must_use]
    pub fn diagnostic(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(&self.path, &self.text, self.spot(path), message)
    }

    /// A fault at the place of a value, as an error with advice.
    #[must_use]
    pub fn error_at(
        &self,
        path: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> OfferError {
        OfferError::Invalid(vec![self.diagnostic(path, message).help(help)])
    }

    /// The plans with these IDs in the order of the file, each with its place in `plans`; all of
    /// them when none is named.
    pub fn select(&self, ids: &[PlanId]) -> Result<Vec<(usize, &Plan)>, OfferError> {
        if let Some(unknown) = ids.iter().find(|id| self.offer.plan(id).is_none()) {
            let known: Vec<&str> = self.offer.plans.iter().map(|plan| plan.id.as_str()).collect();
            return Err(OfferError::NoSuchPlan {
                path: self.path.clone(),
                id: unknown.to_string(),
                known: known.join(", "),
            });
        }
        let all = self.offer.plans.iter().enumerate();
        Ok(all.filter(|(_, plan)| ids.is_empty() || ids.contains(&plan.id)).collect())
    }

    /// The images of these plans in the order of the file; those of all plans when none is named.
    pub fn select_images(&self, ids: &[PlanId]) -> Result<Vec<&PlanImage>, OfferError> {
        let plans = self.select(ids)?;
        Ok(plans.into_iter().flat_map(|(_, plan)| plan.images()).collect())
    }

    /// The image at this place among those of all plans.
    #[must_use]
    pub fn image(&self, place: usize) -> Option<&PlanImage> {
        self.offer.images().nth(place)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wrong_offers;
