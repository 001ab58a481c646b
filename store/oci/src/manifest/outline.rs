//! The memory of an outline, and its annotations for a list of referrers.
//!
//! Invariant: the bound counts bytes of the content: a descriptor needs a brace, a digest its
//! algorithm.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};

use crate::{Descriptor, Digest};

/// Least memory of a piece on the heap.
const PIECE_BYTES: usize = 32;
/// Memory of a digest: in a list of named digests, and in a half-empty set of them.
const NAMED_BYTES: usize = 3 * size_of::<Digest>();
/// Copies of the bytes: texts of descriptors, and the stored record.
const COPIES: u64 = 2;
/// The shortest text of a digest, and of a descriptor with only a digest.
const DIGEST_BYTES: usize = 71;
pub(super) const DESCRIPTOR_BYTES: usize = DIGEST_BYTES + r#"{"digest":""}"#.len();

/// See [`super::Manifest::outline_bytes`].
pub(super) fn memory_bytes(bytes: &[u8]) -> u64 {
    let braces = bytes.split(|byte| *byte == b'{').count() - 1;
    let named = bytes.windows(3).filter(|window| window == b"sha").count();
    // A digest may be written with escapes, but then it needs an object around it.
    let named = named.max(braces).min(bytes.len() / DIGEST_BYTES);
    let braces = braces.min(bytes.len() / DESCRIPTOR_BYTES);
    let of_descriptors = braces.saturating_mul(size_of::<Descriptor>() + 2 * PIECE_BYTES);
    let of_digests = named.saturating_mul(NAMED_BYTES);
    (bytes.len() as u64)
        .saturating_mul(COPIES)
        .saturating_add(of_descriptors as u64)
        .saturating_add(of_digests as u64)
}

/// The annotations within so many bytes of JSON, in their order; none when a value is not text.
pub(super) fn annotations(json: &[u8], room: usize) -> BTreeMap<String, String> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    reader.deserialize_map(Fitting { room }).unwrap_or_default()
}

struct Fitting {
    room: usize,
}

impl<'de> Visitor<'de> for Fitting {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("annotations")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fitting = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<Text<'de>, Text<'de>>()? {
            let bytes = name.0.len() + value.0.len() + r#""":"","#.len();
            if let Some(left) = self.room.checked_sub(bytes) {
                self.room = left;
                fitting.insert(name.0.into_owned(), value.0.into_owned());
            }
        }
        Ok(fitting)
    }
}

/// A text, borrowed when it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
