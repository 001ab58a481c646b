//! What an offer says of an image in the annotations that everybody knows (image-spec,
//! "Annotations": `org.opencontainers.image.*`), so that nobody has to write it twice.

use std::collections::BTreeMap;

use super::model::{Image, Offer, Plan};

/// How these keys begin.
pub const PREFIX: &str = "org.opencontainers.image.";

/// Texts by their keys.
pub type Annotations = BTreeMap<String, String>;

/// The title is the plan's name, which customers read; the title of the listing is not in it, because
/// editing that must not give a published version another digest. The vendor is the publisher. What
/// nobody wrote is not made up: a licence of the marketplace is no SPDX expression, and what git says
/// of a folder differs from machine to machine.
pub(super) fn described(offer: &Offer, plan: &Plan, image: &Image) -> Annotations {
    let said = [
        ("title", Some(&plan.name)),
        ("vendor", Some(&offer.publisher)),
        ("licenses", image.licences.as_ref()),
        ("source", image.source.as_ref()),
        ("revision", image.revision.as_ref()),
    ];
    let said = said.into_iter().filter_map(|(key, value)| Some((key, value?.trim())));
    said.filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (format!("{PREFIX}{key}"), value.to_owned()))
        .collect()
}
