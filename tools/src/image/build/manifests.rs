//! The manifests of an image, and the roots of its layout.

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_oci::{Descriptor, MediaType};

use super::built::BuiltPlatform;
use crate::image::codec::{CODEC, Codec};
use crate::image::inputs::{self, INPUTS};
use crate::image::layout::REF_NAME;
use crate::offer::model::Image;
use crate::offer::tags::TagTarget;

/// A manifest or an index; its fields are in the order of the JSON.
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

/// One descriptor per tag, in the order of the tags.
pub(super) fn roots(image: &Image, index: &Descriptor, children: &[Descriptor]) -> Vec<Descriptor> {
    let inputs = inputs::digest_of(image).to_string();
    let codec = Codec::from(image.compression);
    let named = |tag: &wharf_oci::Tag, target: &Descriptor| {
        let mut root = target.clone();
        root.annotations.insert(REF_NAME.to_owned(), tag.to_string());
        root.annotations.insert(INPUTS.to_owned(), inputs.clone());
        root.annotations.insert(CODEC.to_owned(), codec.name().to_owned());
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
