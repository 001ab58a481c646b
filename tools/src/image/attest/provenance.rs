//! An image's origin: an in-toto statement of version 1 with SLSA's provenance of version 1. The
//! statement is unsigned; a signature covers these bytes.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::description::{FileDigests, StatementSubject, hex};
use super::{Statement, TOOL, json, purl};

/// The type of the predicate.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";

/// The kind of build, `wharf package`, as a name; the offer reference explains its parameters.
const BUILD_TYPE: &str = "urn:wharf:package:v1";

/// The builder: this program, on any machine. The statement names nothing of the machine.
const BUILDER: &str = "urn:wharf:package";

/// An input of the build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildDependency {
    /// Its path in the offer, as `image.platforms[0].layers[1]`.
    pub name: String,
    /// Where it was: a path relative to the offer, or an image as the offer names it.
    pub uri: String,
    pub digest: InputDigest,
    /// More about it, for people.
    pub annotations: BTreeMap<&'static str, String>,
}

/// The digest of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InputDigest {
    /// Of a file.
    File(FileDigests),
    /// Of the names and contents of the files of a folder (in-toto's `dirHash`).
    Folder([u8; 32]),
    /// Of a manifest.
    Manifest(wharf_oci::Digest),
}

/// The content of a provenance statement.
#[derive(Debug, Clone)]
pub struct Provenance {
    pub subject: StatementSubject,
    /// The offer's own values.
    pub parameters: BTreeMap<&'static str, Value>,
    pub dependencies: Vec<BuildDependency>,
}

impl Provenance {
    #[must_use]
    pub fn statement(&self) -> Statement {
        let subject = Resource {
            name: purl::of_image(&self.subject),
            digest: of_digest(&self.subject.digest),
            ..Resource::default()
        };
        let statement = InToto {
            kind: "https://in-toto.io/Statement/v1",
            subject: [subject],
            predicate_type: PREDICATE_TYPE,
            predicate: Predicate {
                build_definition: BuildDefinition {
                    build_type: BUILD_TYPE,
                    external_parameters: &self.parameters,
                    resolved_dependencies: self.dependencies.iter().map(resource).collect(),
                },
                run_details: RunDetails {
                    builder: Builder { id: BUILDER, version: BTreeMap::from([TOOL]) },
                },
            },
        };
        Statement {
            media_type: "application/vnd.in-toto+json",
            predicate_type: Some(PREDICATE_TYPE),
            title: "provenance.json",
            annotations: BTreeMap::new(),
            bytes: json(&statement),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InToto<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: [Resource; 1],
    predicate_type: &'static str,
    predicate: Predicate<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<'a> {
    build_definition: BuildDefinition<'a>,
    run_details: RunDetails,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition<'a> {
    build_type: &'static str,
    external_parameters: &'a BTreeMap<&'static str, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resolved_dependencies: Vec<Resource>,
}

#[derive(Serialize)]
struct RunDetails {
    builder: Builder,
}

#[derive(Serialize)]
struct Builder {
    id: &'static str,
    version: BTreeMap<&'static str, &'static str>,
}

#[derive(Serialize, Default)]
struct Resource {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    uri: String,
    digest: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

fn resource(dependency: &BuildDependency) -> Resource {
    let digest = match &dependency.digest {
        InputDigest::File(digests) => {
            BTreeMap::from([("sha256", digests.sha256_hex()), ("sha1", digests.sha1_hex())])
        }
        InputDigest::Folder(hash) => BTreeMap::from([("dirHash", hex(hash))]),
        InputDigest::Manifest(digest) => of_digest(digest),
    };
    Resource {
        name: dependency.name.clone(),
        uri: dependency.uri.clone(),
        digest,
        annotations: dependency.annotations.clone(),
    }
}

fn of_digest(digest: &wharf_oci::Digest) -> BTreeMap<&'static str, String> {
    BTreeMap::from([(digest.algorithm().as_str(), digest.hex())])
}
