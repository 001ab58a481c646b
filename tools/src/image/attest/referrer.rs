//! The manifests of statements, as referrers of their image (image-spec, "Guidelines for Artifact
//! Usage"): one layer with the statement, the empty configuration, and a `subject`.

use std::collections::BTreeMap;

use serde::Serialize;
use wharf_oci::{Descriptor, MediaType, Timestamp};

use super::{Statement, json};

/// The content of the empty configuration.
pub const EMPTY: &[u8] = b"{}";

/// The annotation for the type of an in-toto statement's content.
pub const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";

/// The annotation for the file name under which clients save a layer.
const TITLE: &str = "org.opencontainers.image.title";

/// The annotation with the time.
const CREATED: &str = "org.opencontainers.image.created";

/// The bytes of the manifest of a statement about this subject. `config` and `layer` are where its
/// blobs were put.
#[must_use]
pub fn manifest(
    statement: &Statement,
    subject: &Descriptor,
    created: Timestamp,
    [config, layer]: [&Descriptor; 2],
) -> Vec<u8> {
    let mut layer = layer.clone();
    layer.annotations.insert(TITLE.to_owned(), statement.title.to_owned());
    if let Some(kind) = statement.predicate_type {
        layer.annotations.insert(PREDICATE_TYPE.to_owned(), kind.to_owned());
    }
    json(&Artifact {
        schema_version: 2,
        media_type: MediaType::OCI_MANIFEST,
        artifact_type: statement.media_type,
        config,
        layers: [&layer],
        subject: &Descriptor::new(subject.media_type.clone(), subject.digest, subject.size),
        annotations: annotations(statement, created),
    })
}

/// The annotations of the manifest; lists of referrers repeat them.
#[must_use]
pub fn annotations(statement: &Statement, created: Timestamp) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([(CREATED.to_owned(), created.to_string())]);
    if let Some(kind) = statement.predicate_type {
        all.insert(PREDICATE_TYPE.to_owned(), kind.to_owned());
    }
    all.extend(statement.annotations.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    all
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the specification names the fields")]
struct Artifact<'a> {
    schema_version: u8,
    media_type: MediaType,
    artifact_type: &'static str,
    config: &'a Descriptor,
    layers: [&'a Descriptor; 1],
    subject: &'a Descriptor,
    annotations: BTreeMap<String, String>,
}
