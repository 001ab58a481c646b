//! `Descriptor`: the pointer of a manifest to content, and the lenient reader of other programs'
//! descriptors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::members::{Faults, each, members, number, text};
use crate::{Digest, MediaType, Platform};

/// A pointer to content (image-spec, "Content Descriptors").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type of the content.
    pub media_type: MediaType,
    /// The digest of the content.
    pub digest: Digest,
    /// The size of the content, in bytes.
    pub size: u64,
    /// Other addresses of the content (non-distributable layers).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Free text, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The content itself in base64, when it is small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The platform of the image, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The artifact type of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// A descriptor with nothing but the three required fields.
    #[must_use]
    pub const fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            data: None,
            platform: None,
            artifact_type: None,
        }
    }

    /// Whether a registry or a layout may lack the content: registries may refuse the layer, or it
    /// has another address.
    #[must_use]
    pub fn may_be_elsewhere(&self) -> bool {
        self.media_type.is_nondistributable() || !self.urls.is_empty()
    }

    /// Whether a copy leaves the content at its source: registries may refuse it, and it has
    /// another address. With only one of the two, the copy would lose an available layer.
    #[must_use]
    pub fn stays_elsewhere(&self) -> bool {
        self.media_type.is_nondistributable() && !self.urls.is_empty()
    }
}

impl Descriptor {
    /// Reads a descriptor of another program; `None` without a digest. Any other field may be
    /// missing or of another kind: a missing type is `application/octet-stream`, a missing size 0.
    /// `place` names the descriptor in a fault.
    pub(crate) fn read(raw: &RawValue, place: &str, faults: &mut Faults) -> Option<Self> {
        let odd = match serde_json::from_str(raw.get()) {
            Ok(descriptor) => return Some(descriptor),
            Err(error) => reason(&error),
        };
        let names = ["mediaType", "digest", "size", "urls", "artifactType"];
        let found = members(raw.get(), names).map(|found| found.values);
        let [media_type, digest, size, urls, artifact_type] = found.unwrap_or_default();
        let Some(read) = Self::essence(media_type, digest, size) else {
            faults.wrong(|| format!("`{place}` has no digest that can be one: {odd}"));
            return None;
        };
        faults.odd(|| format!("`{place}`: {odd}"));
        let urls = urls.and_then(|urls| serde_json::from_str(urls.get()).ok());
        let (urls, artifact_type) = (urls.unwrap_or_default(), text(artifact_type));
        Some(Self { urls, artifact_type, ..read })
    }

    /// As [`Self::read`], without annotations, and with the first address only: a descriptor with
    /// an address counts, not how many it has.
    pub(crate) fn read_outline(raw: &RawValue, place: &str, faults: &mut Faults) -> Option<Self> {
        let found = members(raw.get(), ["mediaType", "digest", "size", "urls"]);
        let [media_type, digest, size, urls] = found.map(|found| found.values).unwrap_or_default();
        let Some(read) = Self::essence(media_type, digest, size) else {
            faults.wrong(|| format!("`{place}` has no digest that can be one"));
            return None;
        };
        let (mut first, mut are_text) = (None, true);
        let is_list = urls.is_some_and(|urls| {
            each(urls, |_, url| {
                if first.is_none() {
                    first = text(Some(url));
                }
                are_text &= url.get().starts_with('"');
            })
        });
        let urls = first.filter(|_| is_list && are_text).into_iter().collect();
        Some(Self { urls, ..read })
    }

    fn essence(
        media_type: Option<&RawValue>,
        digest: Option<&RawValue>,
        size: Option<&RawValue>,
    ) -> Option<Self> {
        let digest = text(digest)?.parse().ok()?;
        let media_type = text(media_type).and_then(|text| text.parse().ok());
        let media_type = media_type.unwrap_or(MediaType::OCTET_STREAM);
        Some(Self::new(media_type, digest, number(size).unwrap_or_default()))
    }
}

/// The fault found by the JSON parser, without its position: the position is within a fragment.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(reason, _)| reason.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Algorithm, Digester};

    #[test]
    fn a_layer_may_be_elsewhere_for_its_type_or_its_addresses_and_stays_there_for_both() {
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
        for (media_type, has_urls, may_be, stays) in [
            (layer, false, false, false),
            (layer, true, true, false),
            (foreign, false, true, false),
            (foreign, true, true, true),
        ] {
            let digest = Digester::digest(Algorithm::Sha256, b"layer");
            let mut one = Descriptor::new(media_type.parse().unwrap(), digest, 5);
            one.urls = vec!["https://layers.example.com/x".to_owned(); usize::from(has_urls)];
            let case = format!("{media_type}, urls: {has_urls}");
            assert_eq!((one.may_be_elsewhere(), one.stays_elsewhere()), (may_be, stays), "{case}");
        }
    }
}
