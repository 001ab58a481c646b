//! A layout's inputs: the digest of the offer's image part, noted beside the tags in `index.json`,
//! where it changes no digest of the image.
//!
//! The digest covers every value of an offer with an effect on a byte of the layout: the making of
//! layers and their base, the configuration, labels and annotations with the values of the rest of
//! the offer (the plan's name, the publisher), and the tags with the target of each. It leaves out
//! values without such an effect: the destination of a push, tags of earlier versions, texts of the
//! listing, the spelling of a tag before its placeholders were filled. It leaves out inputs outside
//! the offer too: the files of folders and the present images of tags (`wharf package --check`
//! compares those), and values of the environment or the command line.

use wharf_oci::{Algorithm, Descriptor, Digest, Digester};

use crate::offer::model::{Image, MadeFrom};
use crate::offer::tags::TagTemplates;

/// The annotation for the digest, on every root of a layout by `wharf package`.
pub const INPUTS: &str = "wharf.image.inputs";

/// The digest of the offer's image part.
#[must_use]
pub fn digest_of(image: &Image) -> Digest {
    let mut content = Image {
        repository: "any".parse().unwrap_or_else(|_| image.repository.clone()),
        published_tags: Vec::new(),
        tags: TagTemplates::default(),
        // The values of these three are in `described`.
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
    // The derived form names every key and quotes every text: a key added later cannot be
    // forgotten, and no two different offers have the same form.
    Digester::digest(Algorithm::Sha256, format!("{content:?}").as_bytes())
}

/// The digest noted in a layout; `None` for a layout by another tool, or by an older wharf.
#[must_use]
pub fn recorded(roots: &[Descriptor]) -> Option<Digest> {
    roots.iter().find_map(|root| root.annotations.get(INPUTS)?.parse().ok())
}

/// Whether the offer has changed since the layout was made. A layout without a noted digest does
/// not count as stale.
#[must_use]
pub fn is_stale(roots: &[Descriptor], image: &Image) -> bool {
    recorded(roots).is_some_and(|recorded| recorded != digest_of(image))
}

#[cfg(test)]
mod tests;
