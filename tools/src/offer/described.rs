//! The offer's description of an image in the well-known annotations (image-spec, "Annotations":
//! `org.opencontainers.image.*`), so that a publisher writes it once.

use super::model::{Image, Offer, Plan};
use super::values::Annotations;

/// How these keys begin.
pub const PREFIX: &str = "org.opencontainers.image.";

/// The title is the plan's name as customers read it; the listing's title is not in it, because
/// editing it must not give a published version another digest. The vendor is the publisher. An
/// unwritten annotation is not made up: a licence of the marketplace is no SPDX expression, and
/// git's answer for a folder differs from machine to machine.
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
