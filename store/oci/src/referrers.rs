//! `ReferrerList`: what refers to a manifest, as registries list it (distribution-spec, "Listing
//! Referrers"). Read leniently: entries stay as they came, and one that is no descriptor does not
//! spoil the others.
//!
//! Invariant: every entry is a descriptor with a digest, so that strict readers take the whole list.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Descriptor, MediaType};

/// One entry of a list, with all fields that it came with.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Referrer(Map<String, Value>);

/// A list of referrers, perhaps one page of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReferrerList(Vec<Referrer>);

/// The types of those fields that readers look at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read for its types")]
struct Shape {
    digest: String,
    media_type: Option<String>,
    size: Option<u64>,
    artifact_type: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
    urls: Option<Vec<String>>,
    data: Option<String>,
    platform: Option<Map<String, Value>>,
}

impl Referrer {
    fn read(value: &Value) -> Option<Self> {
        let shape = Shape::deserialize(value).ok().filter(|shape| is_digest(&shape.digest));
        shape.and(value.as_object()).map(|fields| Self(fields.clone()))
    }

    /// The digest, as it is written; perhaps by an algorithm that we do not know.
    #[must_use]
    pub fn digest(&self) -> &str {
        self.text("digest").unwrap_or_default()
    }

    /// What kind of artifact it is.
    #[must_use]
    pub fn artifact_type(&self) -> Option<&str> {
        self.text("artifactType")
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }
}

impl From<&Descriptor> for Referrer {
    fn from(descriptor: &Descriptor) -> Self {
        match serde_json::to_value(descriptor) {
            Ok(Value::Object(fields)) => Self(fields),
            _ => unreachable!("a descriptor serialises to an object"),
        }
    }
}

impl FromIterator<Referrer> for ReferrerList {
    fn from_iter<I: IntoIterator<Item = Referrer>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl ReferrerList {
    /// Reads an answer; `declared` is the `Content-Type` it came with. `None` when it is no index: then
    /// whoever sent it has no such list.
    #[must_use]
    pub fn parse(bytes: &[u8], declared: Option<&MediaType>) -> Option<Self> {
        let index: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
        let own = index.get("mediaType").and_then(Value::as_str);
        let is_index = |media_type: &str| media_type == MediaType::OCI_INDEX.as_str();
        let says_so = own.or(declared.map(MediaType::as_str)).is_some_and(is_index);
        match index.get("manifests") {
            Some(Value::Array(entries)) => {
                Some(entries.iter().filter_map(Referrer::read).collect())
            }
            // How some programs write an empty list.
            None | Some(Value::Null) if says_so => Some(Self::default()),
            _ => None,
        }
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[Referrer] {
        &self.0
    }

    /// Appends entries.
    pub fn extend(&mut self, more: impl IntoIterator<Item = Referrer>) {
        self.0.extend(more);
    }

    /// Leaves only those of one kind.
    pub fn retain_type(&mut self, artifact_type: &str) {
        self.0.retain(|entry| entry.artifact_type() == Some(artifact_type));
    }
}

impl IntoIterator for ReferrerList {
    type Item = Referrer;
    type IntoIter = std::vec::IntoIter<Referrer>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// As the index that it is in an answer.
impl Serialize for ReferrerList {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Index<'a> {
            schema_version: u32,
            media_type: MediaType,
            manifests: &'a [Referrer],
        }
        let media_type = MediaType::OCI_INDEX;
        Index { schema_version: 2, media_type, manifests: &self.0 }.serialize(serializer)
    }
}

/// `algorithm:encoded` of any algorithm (image-spec, "Digests").
fn is_digest(text: &str) -> bool {
    let Some((algorithm, encoded)) = text.split_once(':') else { return false };
    let letter = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let of_algorithm = |c: u8| letter(c) || matches!(c, b'+' | b'.' | b'_' | b'-');
    let of_encoded = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'=' | b'_' | b'-');
    algorithm.bytes().next().is_some_and(letter)
        && algorithm.bytes().all(of_algorithm)
        && !encoded.is_empty()
        && encoded.bytes().all(of_encoded)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn parse(value: &Value) -> Option<ReferrerList> {
        ReferrerList::parse(value.to_string().as_bytes(), None)
    }

    #[test]
    fn entries_stay_as_they_came() {
        let entry = json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": DIGEST, "size": 7,
            "artifactType": "application/a", "annotations": null, "io.example.extra": [1],
        });
        let other = json!({ "digest": "blake3:abc", "size": null });
        let list = json!({ "schemaVersion": 2, "manifests": [entry, other] });
        let mut list = parse(&list).unwrap();
        assert_eq!(list.entries()[0].digest(), DIGEST);
        let written = serde_json::to_value(&list).unwrap();
        assert_eq!(written["manifests"], json!([entry, other]));
        assert_eq!(written["mediaType"], MediaType::OCI_INDEX.as_str());
        list.retain_type("application/a");
        assert_eq!(serde_json::to_value(&list).unwrap()["manifests"], json!([entry]));
    }

    #[test]
    fn what_is_no_descriptor_is_left_out_and_spoils_nothing() {
        let odd = [
            json!(null),
            json!("text"),
            json!({}),
            json!({ "digest": null }),
            json!({ "digest": "latest" }),
            json!({ "digest": ":abc" }),
            json!({ "digest": "sha256:" }),
            json!({ "digest": DIGEST, "size": "12" }),
            json!({ "digest": DIGEST, "size": -1 }),
            json!({ "digest": DIGEST, "annotations": { "a": 1 } }),
            json!({ "digest": DIGEST, "artifactType": 5 }),
        ];
        for odd in odd {
            let good = json!({ "digest": DIGEST, "size": 7 });
            let list = parse(&json!({ "manifests": [odd, good] })).unwrap();
            assert_eq!(list.entries().len(), 1, "{odd}");
        }
    }

    #[test]
    fn only_an_index_is_a_list() {
        let index = "application/vnd.oci.image.index.v1+json";
        let empty = Some(ReferrerList::default());
        assert_eq!(parse(&json!({ "manifests": [] })), empty);
        assert_eq!(parse(&json!({ "mediaType": index, "manifests": null })), empty);
        assert_eq!(
            ReferrerList::parse(b"{\"schemaVersion\":2}", Some(&MediaType::OCI_INDEX)),
            empty
        );
        for other in [
            json!({}),
            json!([]),
            json!("text"),
            json!({ "manifests": {} }),
            json!({ "manifests": null }),
            json!({ "errors": [{ "code": "UNKNOWN" }] }),
            json!({ "referrers": [] }),
        ] {
            assert_eq!(parse(&other), None, "{other}");
        }
        let page = b"<!DOCTYPE html><title>Sign in</title>";
        assert_eq!(ReferrerList::parse(page, Some(&MediaType::OCI_INDEX)), None);
    }

    #[test]
    fn a_descriptor_of_ours_is_an_entry() {
        let ours = Descriptor::new(MediaType::OCI_MANIFEST, DIGEST.parse().unwrap(), 7);
        let entry = Referrer::from(&ours);
        let written = serde_json::to_value(&entry).unwrap();
        assert_eq!(written["mediaType"], MediaType::OCI_MANIFEST.as_str());
        assert_eq!(Referrer::read(&written), Some(entry));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_not_without_panic(text in "\\PC{0,300}") {
            if let Some(list) = ReferrerList::parse(text.as_bytes(), None) {
                let written = serde_json::to_vec(&list).unwrap();
                prop_assert_eq!(ReferrerList::parse(&written, None), Some(list));
            }
        }
    }
}
