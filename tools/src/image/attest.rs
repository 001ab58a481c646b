//! Statements about an image: lists of its parts (SBOM) in `CycloneDX` and SPDX, and its origin
//! (in-toto provenance). Each is a blob, and a manifest refers from it to the subject (image-spec,
//! "Image Manifest" with `subject`).
//!
//! Invariant: every byte follows from the offer, its inputs and the version of wharf; no clock,
//! host name, user, absolute path or number of threads goes in. Lists are sorted and bounded, and a
//! cut list says so.

pub mod cyclonedx;
pub mod description;
pub mod licences;
pub mod provenance;
pub mod purl;
pub mod referrer;
pub mod spdx;
mod uuid;

use std::collections::BTreeMap;

/// The name and the version of this program, as statements give them.
const TOOL: (&str, &str) = ("wharf", env!("CARGO_PKG_VERSION"));

/// A finished statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its media type; clients find the manifest by it too.
    pub media_type: &'static str,
    /// The type of the predicate, for statements of in-toto.
    pub predicate_type: Option<&'static str>,
    /// The name a client gives the file.
    pub title: &'static str,
    /// More annotations of its manifest.
    pub annotations: BTreeMap<&'static str, String>,
    pub bytes: Vec<u8>,
}

/// How JSON is written: in one line, keys in the order of the types.
fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("maps with text keys always serialise")
}
