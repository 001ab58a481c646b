//! Docker's first schema, signed inside (JWS JSON serialisation, as `libtrust` writes it). Its
//! digest is of the signed payload, not of the bytes (Docker registry specification, "Image
//! Manifest Version 2, Schema 1", "Signed Manifests").
//!
//! Invariant: beside the signed payload the bytes contain the signatures and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::Deserialize;

use crate::Digester;

/// The signed payload: the beginning of the bytes, and an end of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payload {
    length: usize,
    tail: Bytes,
}

/// A signed document; the payload is skipped.
#[derive(Deserialize)]
struct Document {
    signatures: Vec<Signature>,
}

/// The part after the payload.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rest {
    signatures: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Signature {
    protected: String,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Protected {
    format_length: usize,
    format_tail: String,
}

impl Payload {
    /// The payload of the signatures; `None` when they disagree, or are not alone.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let document: Document = serde_json::from_slice(bytes).ok()?;
        let mut of_each = document.signatures.iter().map(Signature::protected);
        let of_first = of_each.next()??;
        if of_each.any(|of_other| of_other.as_ref() != Some(&of_first)) {
            return None;
        }
        let (length, tail) = (of_first.format_length, decode(&of_first.format_tail)?);
        let rest = std::str::from_utf8(bytes.get(length..)?).ok()?.trim_start();
        let rest = format!("{{{}", rest.strip_prefix(',')?);
        let rest: Rest = serde_json::from_str(&rest).ok()?;
        (rest.signatures.len() == document.signatures.len())
            .then_some(Self { length, tail: tail.into() })
    }

    /// Hashes the payload.
    pub(super) fn hash(&self, bytes: &[u8], digester: &mut Digester) {
        digester.update(bytes.get(..self.length).unwrap_or_default());
        digester.update(&self.tail);
    }
}

impl Signature {
    fn protected(&self) -> Option<Protected> {
        serde_json::from_slice(&decode(&self.protected)?).ok()
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}
