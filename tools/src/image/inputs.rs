//! What a layout was made from: the digest of the offer's image part, noted beside the tags in
//! `index.json`, where it changes no digest of the image.
//!
//! In it is everything an offer says and that changes a byte of the layout: how layers are made
//! and what they start from, the configuration, labels and annotations with what the rest of the
//! offer fills in (the plan's name, the publisher), and the tags with what each points at. Not in it
//! is what changes none: where the image is pushed to, tags of earlier versions, texts of the listing,
//! how a tag was spelled before its placeholders were filled. What stands in no offer is not in it
//! either: the files of folders and the images that tags mean today, which `wharf package --check`
//! compares, and what the environment or the command line says.

use wharf_oci::{Algorithm, Descriptor, Digest, Digester};

use crate::offer::model::{Image, MadeFrom};
use crate::offer::tags::TagTemplates;

/// The annotation of every root of a layout that `wharf package` made.
pub const INPUTS: &str = "wharf.image.inputs";

/// The digest of the offer's image part.
#[must_use]
pub fn digest_of(image: &Image) -> Digest {
    let mut content = Image {
        repository: "any".parse().unwrap_or_else(|_| image.repository.clone()),
        published_tags: Vec::new(),
        tags: TagTemplates::default(),
        // What these three say is in `described`.
        source: None,
        revision: None,
        licences: None,
        ..image.clone()
    };
    let is_adopted = |build| matches!(MadeFrom::of(image, build), MadeFrom::Adopt(_));
    let has_labels = !image.platforms.iter().all(is_adopted);
    content.described.retain(|key, _| {
        let is_label = has_labels && !image.config.labels.contains_key(key);
        is_label || !image.annotations.contains_key(key)
    });
    // The derived form names every key and quotes every text, so that one that is added later cannot
    // be forgotten, and no two offers that differ have the same.
    Digester::digest(Algorithm::Sha256, format!("{content:?}").as_bytes())
}

/// What a layout says it was made from; `None` when somebody else made it, or an older wharf.
#[must_use]
pub fn recorded(roots: &[Descriptor]) -> Option<Digest> {
    roots.iter().find_map(|root| root.annotations.get(INPUTS)?.parse().ok())
}

/// Whether a layout was made from something else than what the offer says now. One that does not say
/// what it was made from is not known to be stale.
#[must_use]
pub fn is_stale(roots: &[Descriptor], image: &Image) -> bool {
    recorded(roots).is_some_and(|recorded| recorded != digest_of(image))
}

#[cfg(test)]
mod tests;
