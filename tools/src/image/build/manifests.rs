//! The manifests of an image as they are written, and the roots by which a layout lists them.

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_oci::{Descriptor, MediaType};

use super::BuiltPlatform;
use crate::image::inputs::{self, INPUTS};
use crate::image::layout::REF_NAME;
use crate::offer::model::Image;
use crate::offer::tags::TagTarget;

/// A manifest or an index, in the order in which its fields are written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest<'a> {
    pub(super) schema_version: u8,
    pub(super) media_type: MediaType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) config: Option<&'a Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) layers: Option<&'a [Descriptor]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) manifests: Option<&'a [Descriptor]>,
    pub(super) annotations: BTreeMap<String, String>,
}

pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("maps with text keys always serialise")
}

/// The descriptor of a platform's manifest, as the index lists it.
pub(super) fn child(built: &BuiltPlatform) -> Descriptor {
    Descriptor { platform: Some(built.platform.clone()), ..built.manifest.clone() }
}

/// One descriptor per tag, in the order in which tags are written.
pub(super) fn roots(image: &Image, index: &Descriptor, children: &[Descriptor]) -> Vec<Descriptor> {
    let inputs = inputs::digest_of(image).to_string();
    let named = |tag: &wharf_oci::Tag, target: &Descriptor| {
        let mut root = target.clone();
        root.annotations.insert(REF_NAME.to_owned(), tag.to_string());
        root.annotations.insert(INPUTS.to_owned(), inputs.clone());
        root
    };
    image
        .expanded_tags
        .iter()
        .filter_map(|expanded| match expanded.target {
            TagTarget::Index => Some(named(&expanded.tag, index)),
            TagTarget::Platform(place) => {
                children.get(place).map(|child| named(&expanded.tag, child))
            }
        })
        .collect()
}
