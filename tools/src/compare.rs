//! What a layout holds, held against what would be made now: the first place in which they differ,
//! for each platform that does.
//!
//! Invariant: a layer is read beside the one that is made, entry by entry, in bounded memory; one
//! that is the same is not made a second time. Whatever the layout holds, it is never an error here:
//! that it cannot be read is what differs.

mod entries;
mod header;
mod inflate;
mod layers;
mod list;
mod platforms;
mod values;

use std::fmt;
use std::io::Write;

use serde::Serialize;
use wharf_oci::Descriptor;

pub use self::layers::Rebuild;
use crate::image::build::{BuildError, BuiltImage};
use crate::shown::visible;
use crate::source::Source;

/// Most differences that are named of one plan: one for each platform and each tag.
const DIFFERENCES_MAX: usize = 100;

/// Longest value that is shown, in characters.
const VALUE_CHARS_MAX: usize = 100;

/// A place in which a layout is not what would be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The platform; nothing for what is about all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The layer, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// The file in the layer, or the document: `configuration`, `manifest`, `index`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What is other there, in words: how it would be, and how it was.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_empty = true;
        if let Some(platform) = &self.platform {
            f.write_str(&visible(platform))?;
            is_empty = false;
        }
        if let Some(layer) = self.layer {
            write!(f, "{}layer {layer}", if is_empty { "" } else { ", " })?;
            is_empty = false;
        }
        if let Some(place) = &self.place {
            write!(f, "{}{}", if is_empty { "" } else { ": " }, visible(place))?;
            is_empty = false;
        }
        write!(f, "{}{}", if is_empty { "" } else { ": " }, visible(&self.what))
    }
}

impl Difference {
    /// About the whole image.
    #[must_use]
    pub fn whole(place: Option<&str>, what: impl Into<String>) -> Self {
        Self { platform: None, layer: None, place: place.map(ToOwned::to_owned), what: what.into() }
    }
}

/// The image that would be made, and who makes its layers again.
pub struct Wanted<'a> {
    pub image: &'a BuiltImage,
    /// Writes the tar of a layer, by the places of its platform and its own, from 0.
    pub rebuild: &'a Rebuild<'a>,
}

/// Names the first difference of each platform, and then what else is other. None means the
/// bytes of `index.json` alone are other, or nothing is.
pub fn differences(layout: &Source, wanted: &Wanted<'_>) -> Result<Vec<Difference>, BuildError> {
    let mut found = match list::index_of(layout, wanted.image) {
        None => vec![Difference::whole(None, "the layout lists no index over the platforms")],
        Some(Err(error)) => vec![Difference::whole(Some("index"), error)],
        Some(Ok(index)) => {
            let found = platforms::differences(layout, &index, wanted)?;
            match list::index_document(&index, wanted.image) {
                Some(document) if found.is_empty() => vec![document],
                _ => found,
            }
        }
    };
    let is_explained = !found.is_empty();
    found.extend(list::roots(layout, wanted.image, is_explained));
    found.truncate(DIFFERENCES_MAX);
    Ok(found)
}

/// A digest as people read it.
fn short(descriptor: &Descriptor) -> String {
    descriptor.digest.short()
}

/// A value that fits a line.
fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(VALUE_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// What writes go to that are only counted or compared.
type Out<'a> = &'a mut (dyn Write + Send);

#[cfg(test)]
mod tests;
