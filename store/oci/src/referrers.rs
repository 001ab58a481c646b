//! `ReferrerList`: the referrers of a manifest, as registries list them (distribution-spec,
//! "Listing Referrers"). The parser is lenient: entries keep their fields, and a malformed entry
//! spoils no other.
//!
//! Invariant: every entry is a descriptor with a digest, so strict readers take the whole list. An
//! entry has at most [`REFERRER_BYTES_MAX`], so annotations do not decide the size of a list.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::limits::REFERRER_BYTES_MAX;
use crate::members::{each, members, text};
use crate::{Descriptor, Manifest, MediaType};

/// The fields of an entry too large even without annotations.
const ESSENTIAL: [&str; 4] = ["mediaType", "digest", "size", "artifactType"];

/// One entry of a list, with all its fields.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Referrer {
    json: Box<RawValue>,
    #[serde(skip)]
    digest: String,
    #[serde(skip)]
    artifact_type: Option<String>,
}

/// A list of referrers, perhaps one page of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReferrerList(Vec<Referrer>);

/// The types of the fields in use.
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
    /// The entry of a manifest known by `digest`.
    #[must_use]
    pub fn of(manifest: &Manifest, digest: &crate::Digest) -> Self {
        let mut descriptor = manifest.descriptor();
        descriptor.digest = *digest;
        descriptor.artifact_type = manifest.artifact_type().map(str::to_owned);
        descriptor.annotations = manifest.listed_annotations();
        Self::from(&descriptor)
    }

    /// Reads one entry, written by [`Self::json`] or by a registry.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Self> {
        Self::read(serde_json::from_slice(json).ok()?)
    }

    fn read(value: Value) -> Option<Self> {
        Shape::deserialize(&value).ok().filter(|shape| is_digest(&shape.digest))?;
        match value {
            Value::Object(fields) => Self::bounded(fields),
            _ => None,
        }
    }

    /// Leaves out fields of an entry too large; `None` when the rest is still too large.
    fn bounded(mut fields: Map<String, Value>) -> Option<Self> {
        if json_len(&fields) > REFERRER_BYTES_MAX {
            let annotations = fields.remove("annotations");
            if json_len(&fields) > REFERRER_BYTES_MAX {
                fields.retain(|name, _| ESSENTIAL.contains(&name.as_str()));
            }
            if json_len(&fields) > REFERRER_BYTES_MAX {
                fields.remove("artifactType");
            }
            if let Some(Value::Object(annotations)) = annotations {
                let fitting = fitting(&fields, annotations);
                if !fitting.is_empty() {
                    fields.insert("annotations".to_owned(), Value::Object(fitting));
                }
            }
        }
        let json = to_raw_value(&fields).ok()?;
        if json.get().len() > REFERRER_BYTES_MAX {
            return None;
        }
        let text = |field| fields.get(field).and_then(Value::as_str).map(str::to_owned);
        Some(Self { json, digest: text("digest")?, artifact_type: text("artifactType") })
    }

    /// The digest as text, perhaps of an unknown algorithm.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The artifact type.
    #[must_use]
    pub fn artifact_type(&self) -> Option<&str> {
        self.artifact_type.as_deref()
    }

    /// The entry as JSON text.
    #[must_use]
    pub fn json(&self) -> &str {
        self.json.get()
    }
}

impl PartialEq for Referrer {
    fn eq(&self, other: &Self) -> bool {
        self.json() == other.json()
    }
}

/// The size of a value as JSON, in bytes.
fn json_len(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| json.len())
}

/// The annotations, in their order, with room beside these fields.
fn fitting(fields: &Map<String, Value>, annotations: Map<String, Value>) -> Map<String, Value> {
    // The name of the field, its brackets, and a comma before it.
    let mut room =
        REFERRER_BYTES_MAX.saturating_sub(json_len(fields) + ",\"annotations\":{}".len());
    let fits = |(name, value): &(String, Value)| {
        let bytes = json_len(name) + ":,".len() + json_len(value);
        let is_room = bytes <= room;
        if is_room {
            room -= bytes;
        }
        is_room
    };
    annotations.into_iter().filter(fits).collect()
}

impl From<&Descriptor> for Referrer {
    fn from(descriptor: &Descriptor) -> Self {
        let Ok(Value::Object(fields)) = serde_json::to_value(descriptor) else {
            unreachable!("a descriptor serialises to an object")
        };
        Self::bounded(fields).expect("a digest, a size and a media type are short")
    }
}

impl FromIterator<Referrer> for ReferrerList {
    fn from_iter<I: IntoIterator<Item = Referrer>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl ReferrerList {
    /// Reads an answer; `declared` is its `Content-Type`. `None` when it is no index, so the
    /// registry has no such list.
    #[must_use]
    pub fn parse(bytes: &[u8], declared: Option<&MediaType>) -> Option<Self> {
        let json = std::str::from_utf8(bytes).ok()?;
        let [own, manifests] = members(json, ["mediaType", "manifests"]).ok()?.values;
        let own = text(own);
        let is_index = |media_type: &str| media_type == MediaType::OCI_INDEX.as_str();
        let says_so = own.as_deref().or(declared.map(MediaType::as_str)).is_some_and(is_index);
        let Some(manifests) = manifests else {
            // How some programs write an empty list.
            return says_so.then(Self::default);
        };
        // One entry at a time: read whole, small ones take ten times their size.
        let mut entries = Vec::new();
        let is_list = each(manifests, |_, entry| {
            entries.extend(Referrer::parse(entry.get().as_bytes()));
        });
        is_list.then_some(Self(entries))
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[Referrer] {
        &self.0
    }

    /// Appends an entry.
    pub fn push(&mut self, entry: Referrer) {
        self.0.push(entry);
    }
}

impl IntoIterator for ReferrerList {
    type Item = Referrer;
    type IntoIter = std::vec::IntoIter<Referrer>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Serialises as an index.
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
        let list = parse(&list).unwrap();
        let first = &list.entries()[0];
        assert_eq!((first.digest(), first.artifact_type()), (DIGEST, Some("application/a")));
        let written = serde_json::to_value(&list).unwrap();
        assert_eq!(written["manifests"], json!([entry, other]));
        assert_eq!(written["mediaType"], MediaType::OCI_INDEX.as_str());
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
        assert_eq!(Referrer::read(written), Some(entry.clone()));
        assert_eq!(Referrer::parse(entry.json().as_bytes()), Some(entry));
    }

    #[test]
    fn what_is_too_large_is_left_out_of_an_entry_and_the_entry_is_not() {
        let large = "x".repeat(REFERRER_BYTES_MAX);
        let fields = |more: Value| {
            let mut fields = json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": DIGEST, "size": 7,
            });
            fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            fields
        };
        let few = json!({ "a": "1", "z": "2" });
        let many = json!({ "a": "1", "large": large, "z": "2" });
        for (more, left) in [
            (json!({ "annotations": many }), json!({ "annotations": few })),
            (
                json!({ "artifactType": "application/a", "annotations": few, "extra": large }),
                json!({ "artifactType": "application/a", "annotations": few }),
            ),
            (json!({ "artifactType": large, "annotations": few }), json!({ "annotations": few })),
        ] {
            let entry = Referrer::read(fields(more)).unwrap();
            assert!(entry.json().len() <= REFERRER_BYTES_MAX);
            let written: Value = serde_json::from_str(entry.json()).unwrap();
            assert_eq!(written, fields(left));
            assert_eq!(Referrer::parse(entry.json().as_bytes()), Some(entry));
        }
        assert_eq!(Referrer::read(json!({ "digest": format!("{DIGEST}{large}") })), None);
    }

    #[test]
    fn an_entry_that_just_fits_is_whole_and_one_byte_more_is_not() {
        let entry = |size: usize| {
            let mut descriptor =
                Descriptor::new(MediaType::OCI_MANIFEST, DIGEST.parse().unwrap(), 7);
            descriptor.annotations.insert("a".to_owned(), "x".repeat(size));
            Referrer::from(&descriptor)
        };
        let empty = entry(0).json().len();
        let full = entry(REFERRER_BYTES_MAX - empty);
        assert_eq!(full.json().len(), REFERRER_BYTES_MAX);
        let over = entry(REFERRER_BYTES_MAX - empty + 1);
        assert!(over.json().len() < 300 && !over.json().contains("annotations"));
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
