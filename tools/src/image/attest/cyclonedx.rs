//! Lists of parts in `CycloneDX` 1.6.
//!
//! Invariant: every `bom-ref` is unique, and every dependency names an existing one.

use std::collections::BTreeMap;

use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};

use super::description::{Description, ListedFile, SbomPart, StatementSubject};
use super::{Statement, TOOL, json, purl, uuid};

/// The image's own identifier within the document.
const IMAGE: &str = "image";
/// The same for the image below.
const BASE: &str = "base";

/// The list as a statement.
#[must_use]
pub fn statement(description: &Description) -> Statement {
    Statement {
        media_type: "application/vnd.cyclonedx+json",
        predicate_type: None,
        title: "sbom.cdx.json",
        annotations: BTreeMap::new(),
        bytes: json(&document(description)),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Components<'a>,
    dependencies: Vec<Dependency>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    compositions: Vec<Composition>,
}

#[derive(Serialize)]
struct Metadata {
    timestamp: String,
    tools: Tools,
    component: Component,
}

#[derive(Serialize)]
struct Tools {
    components: [Component; 1],
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    bom_ref: Option<String>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    licenses: Option<[Licensed; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Licensed {
    /// All names are in SPDX's list.
    Expression(String),
    /// Some are not; the whole is a name.
    License(Named),
}

#[derive(Serialize)]
struct Named {
    name: String,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    reference: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
}

#[derive(Serialize)]
struct Composition {
    aggregate: &'static str,
    assemblies: [&'static str; 1],
}

fn document(description: &Description) -> Document<'_> {
    let components = components(description);
    let references = components.iter().filter_map(|component| component.bom_ref.clone());
    let depends_on: Vec<String> = references.collect();
    let leaves = depends_on
        .iter()
        .map(|reference| Dependency { reference: reference.clone(), depends_on: Vec::new() });
    let leaves: Vec<Dependency> = leaves.collect();
    let is_cut = description.files.cut() > 0 || description.packages.cut() > 0;
    let composition = Composition { aggregate: "incomplete", assemblies: [IMAGE] };
    let tool = Component {
        kind: "application",
        name: TOOL.0.to_owned(),
        version: Some(TOOL.1.to_owned()),
        ..Component::default()
    };
    Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: uuid::urn("cyclonedx", &description.subject.digest),
        version: 1,
        metadata: Metadata {
            timestamp: description.created.to_string(),
            tools: Tools { components: [tool] },
            component: whole(description),
        },
        dependencies: [Dependency { reference: IMAGE.to_owned(), depends_on }]
            .into_iter()
            .chain(leaves)
            .collect(),
        components: Components { parts: components, files: description.files.listed() },
        compositions: is_cut.then_some(composition).into_iter().collect(),
    }
}

/// All components; those of files are made when they are written, since there may be many.
struct Components<'a> {
    parts: Vec<Component>,
    files: &'a [ListedFile],
}

impl Serialize for Components<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_seq(None)?;
        for part in &self.parts {
            all.serialize_element(part)?;
        }
        for (number, listed) in (1..).zip(self.files) {
            all.serialize_element(&file(number, listed))?;
        }
        all.end()
    }
}

/// The image the document is about.
fn whole(description: &Description) -> Component {
    let mut component = image(&description.subject, IMAGE.to_owned());
    let cut = [
        ("wharf:files:notListed", description.files.cut()),
        ("wharf:packages:notListed", description.packages.cut()),
    ];
    let cut = cut.into_iter().filter(|(_, count)| *count > 0);
    component
        .properties
        .extend(cut.map(|(name, count)| Property { name, value: count.to_string() }));
    component
}

/// An image. Its digest is in its purl: it is of the manifest, and `hashes` are of the thing itself.
fn image(subject: &StatementSubject, bom_ref: String) -> Component {
    let platform = subject
        .platform
        .as_ref()
        .map(|platform| Property { name: "wharf:image:platform", value: platform.to_string() });
    let digest = Property { name: "wharf:image:digest", value: subject.digest.to_string() };
    Component {
        kind: "container",
        bom_ref: Some(bom_ref),
        name: subject.name.clone(),
        version: Some(subject.version.clone()),
        hashes: vec![Hash { alg: "SHA-256", content: subject.digest.hex() }],
        purl: Some(purl::of_image(subject)),
        properties: [digest].into_iter().chain(platform).collect(),
        ..Component::default()
    }
}

/// All parts but the files.
fn components(description: &Description) -> Vec<Component> {
    let mut all = Vec::new();
    for (number, platform) in (1..).zip(&description.platforms) {
        all.push(image(platform, format!("platform-{number}")));
    }
    if let Some(base) = &description.base {
        all.push(Component {
            kind: "container",
            bom_ref: Some(BASE.to_owned()),
            name: base.name.clone(),
            version: Some(base.digest.to_string()),
            hashes: vec![Hash { alg: "SHA-256", content: base.digest.hex() }],
            ..Component::default()
        });
    }
    // Scanners look here for the distribution, and take its lists of vulnerabilities.
    if let Some(system) = &description.system {
        all.push(Component {
            kind: "operating-system",
            bom_ref: Some("system".to_owned()),
            name: system.id.clone(),
            version: Some(system.version.clone()).filter(|version| !version.is_empty()),
            ..Component::default()
        });
    }
    let packages = (1..).zip(description.packages.listed());
    all.extend(packages.map(|(number, part)| package(number, part, description)));
    all
}

fn package(number: usize, part: &SbomPart, description: &Description) -> Component {
    let licence = part.licence.as_ref().map(|licence| {
        if licence.others().next().is_none() {
            Licensed::Expression(licence.expression(&str::to_owned))
        } else {
            Licensed::License(Named { name: licence.expression(&str::to_owned) })
        }
    });
    let hash = |digest: &wharf_oci::Digest| Hash { alg: "SHA-256", content: digest.hex() };
    Component {
        kind: "library",
        bom_ref: Some(format!("package-{number}")),
        name: part.package.name.clone(),
        version: Some(part.package.version.clone()),
        hashes: part.archive.as_ref().map(hash).into_iter().collect(),
        licenses: licence.map(|licence| [licence]),
        purl: Some(purl::of_package(&part.package, description.system.as_ref())),
        ..Component::default()
    }
}

fn file(number: usize, listed: &ListedFile) -> Component {
    Component {
        kind: "file",
        bom_ref: Some(format!("file-{number}")),
        name: format!("/{}", listed.path),
        hashes: vec![
            Hash { alg: "SHA-256", content: listed.digests.sha256_hex() },
            Hash { alg: "SHA-1", content: listed.digests.sha1_hex() },
        ],
        ..Component::default()
    }
}
