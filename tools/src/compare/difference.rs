//! One difference, and how its values are written.

use std::fmt;

use serde::Serialize;
use wharf_oci::Descriptor;

use crate::shown::visible;

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

/// A digest as people read it.
pub(super) fn short(descriptor: &Descriptor) -> String {
    descriptor.digest.short()
}

/// A value that fits a line.
pub(super) fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(VALUE_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
