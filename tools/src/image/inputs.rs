//! What a layout was made from: the digest of the offer's image part, noted beside the tags in
//! `index.json`, where it changes no digest of the image.

use wharf_oci::{Algorithm, Descriptor, Digest, Digester};

use crate::offer::model::Image;

/// The annotation of every root of a layout that `wharf package` made.
pub const INPUTS: &str = "wharf.image.inputs";

/// The digest of everything that an offer says of an image, but for where it is pushed to. What the
/// build folders hold is not in it: `wharf package --check` compares that.
#[must_use]
pub fn digest_of(image: &Image) -> Digest {
    let content = Image {
        repository: "any".parse().unwrap_or_else(|_| image.repository.clone()),
        published_tags: Vec::new(),
        ..image.clone()
    };
    // The derived form names every key, so that one that is added later cannot be forgotten.
    Digester::digest(Algorithm::Sha256, format!("{content:?}").as_bytes())
}

/// What a layout says it was made from; `None` when somebody else made it, or an older wharf.
#[must_use]
pub fn recorded(roots: &[Descriptor]) -> Option<Digest> {
    roots.iter().find_map(|root| root.annotations.get(INPUTS)?.parse().ok())
}
