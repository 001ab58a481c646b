//! Lists of parts in SPDX 2.3.
//!
//! Invariant: every identifier is unique, and every relationship and licence names an existing
//! element.

#![expect(clippy::struct_field_names, reason = "the specification names the fields")]

use std::collections::{BTreeMap, BTreeSet};

use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};
use sha1::{Digest as _, Sha1};

use super::description::{Description, ListedFile, ListedFiles, SbomPart, StatementSubject, hex};
use super::{Statement, TOOL, json, purl, uuid};

/// The value for a field of SPDX without a known value.
const NO_ASSERTION: &str = "NOASSERTION";
/// The document within itself.
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
/// The image's own identifier.
const IMAGE: &str = "SPDXRef-Image";
/// The image below.
const BASE: &str = "SPDXRef-Base";

/// The list as a statement.
#[must_use]
pub fn statement(description: &Description) -> Statement {
    Statement {
        media_type: "application/spdx+json",
        predicate_type: None,
        title: "sbom.spdx.json",
        annotations: BTreeMap::new(),
        bytes: json(&document(description)),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<Package>,
    #[serde(skip_serializing_if = "FileList::is_empty")]
    files: FileList<'a>,
    relationships: Relationships<'a>,
    #[serde(rename = "hasExtractedLicensingInfos", skip_serializing_if = "Vec::is_empty")]
    licences: Vec<OtherLicence>,
}

#[derive(Serialize)]
struct CreationInfo {
    created: String,
    creators: [String; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Package {
    name: String,
    #[serde(rename = "SPDXID")]
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version_info: String,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_verification_code: Option<VerificationCode>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_package_purpose: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationCode {
    package_verification_code_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    file_name: String,
    #[serde(rename = "SPDXID")]
    id: String,
    checksums: [Checksum; 2],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: &'static str,
    relationship_type: &'static str,
    related_spdx_element: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OtherLicence {
    license_id: String,
    extracted_text: String,
    name: String,
}

fn document(description: &Description) -> Document<'_> {
    let subject = &description.subject;
    let others = other_licences(description);
    let mut packages = vec![whole(description)];
    let mut relationships = vec![relation(DOCUMENT, "DESCRIBES", IMAGE.to_owned())];
    for (number, platform) in (1..).zip(&description.platforms) {
        let id = format!("SPDXRef-Platform-{number}");
        relationships.push(relation(IMAGE, "CONTAINS", id.clone()));
        packages.push(image(platform, id));
    }
    if let Some(base) = &description.base {
        relationships.push(relation(IMAGE, "DESCENDANT_OF", BASE.to_owned()));
        packages.push(Package {
            name: base.name.clone(),
            id: BASE.to_owned(),
            version_info: base.digest.to_string(),
            checksums: vec![checksum("SHA256", base.digest.hex())],
            primary_package_purpose: Some("CONTAINER"),
            ..Package::unknown()
        });
    }
    for (number, part) in (1..).zip(description.packages.listed()) {
        let id = format!("SPDXRef-Package-{number}");
        relationships.push(relation(IMAGE, "CONTAINS", id.clone()));
        packages.push(package(part, id, description, &others));
    }
    let files = FileList(&description.files);
    let relationships = Relationships { of_packages: relationships, files: &description.files };
    Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: format!("{} {}", subject.name, subject.digest),
        document_namespace: uuid::urn("spdx", &subject.digest),
        creation_info: CreationInfo {
            created: description.created.to_string(),
            creators: [format!("Tool: {}-{}", TOOL.0, TOOL.1)],
            comment: cut(description),
        },
        packages,
        files,
        relationships,
        licences: others.into_values().collect(),
    }
}

/// The files; each is made when it is written, since there may be many.
struct FileList<'a>(&'a ListedFiles);

impl FileList<'_> {
    fn is_empty(&self) -> bool {
        self.0.listed().is_empty()
    }
}

impl Serialize for FileList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((1..).zip(self.0.listed()).map(file))
    }
}

/// All relationships, those of files last.
struct Relationships<'a> {
    of_packages: Vec<Relationship>,
    files: &'a ListedFiles,
}

impl Serialize for Relationships<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_seq(None)?;
        for relationship in &self.of_packages {
            all.serialize_element(relationship)?;
        }
        for number in 1..=self.files.listed().len() {
            all.serialize_element(&relation(IMAGE, "CONTAINS", file_id(number)))?;
        }
        all.end()
    }
}

fn file_id(number: usize) -> String {
    format!("SPDXRef-File-{number}")
}

/// The comment for a cut list: how much of the image it leaves out.
fn cut(description: &Description) -> Option<String> {
    let (files, packages) = (&description.files, &description.packages);
    if files.cut() == 0 && packages.cut() == 0 {
        return None;
    }
    Some(format!(
        "not everything is listed: {} more files and {} more packages are in the image",
        files.cut(),
        packages.cut()
    ))
}

/// The image the document is about.
fn whole(description: &Description) -> Package {
    let mut whole = image(&description.subject, IMAGE.to_owned());
    if !description.files.listed().is_empty() {
        whole.files_analyzed = true;
        whole.package_verification_code = Some(verification_code(&description.files));
    }
    whole
}

fn image(subject: &StatementSubject, id: String) -> Package {
    Package {
        name: subject.name.clone(),
        id,
        version_info: subject.version.clone(),
        checksums: vec![checksum("SHA256", subject.digest.hex())],
        external_refs: vec![purl_ref(purl::of_image(subject))],
        primary_package_purpose: Some("CONTAINER"),
        ..Package::unknown()
    }
}

/// The SHA-1 of the sorted SHA-1s of all listed files (SPDX 2.3, 7.9).
fn verification_code(files: &ListedFiles) -> VerificationCode {
    let mut all: Vec<[u8; 20]> = files.listed().iter().map(|file| file.digests.sha1).collect();
    all.sort_unstable();
    let mut hash = Sha1::new();
    for one in all {
        hash.update(hex(&one));
    }
    VerificationCode { package_verification_code_value: hex(&hash.finalize()) }
}

fn package(
    part: &SbomPart,
    id: String,
    description: &Description,
    others: &BTreeMap<String, OtherLicence>,
) -> Package {
    let reference = |name: &str| {
        others.get(name).map_or_else(|| NO_ASSERTION.to_owned(), |other| other.license_id.clone())
    };
    let declared = part.licence.as_ref().map(|licence| licence.expression(&reference));
    let archive = part.archive.map(|digest| checksum("SHA256", digest.hex()));
    Package {
        name: part.package.name.clone(),
        id,
        version_info: part.package.version.clone(),
        checksums: archive.into_iter().collect(),
        license_declared: declared.unwrap_or_else(|| NO_ASSERTION.to_owned()),
        external_refs: vec![purl_ref(purl::of_package(&part.package, description.system.as_ref()))],
        ..Package::unknown()
    }
}

/// The licences outside SPDX's list, by their names.
fn other_licences(description: &Description) -> BTreeMap<String, OtherLicence> {
    let licences = description.packages.listed().iter().filter_map(|part| part.licence.as_ref());
    let names: BTreeSet<&str> =
        licences.flat_map(super::licences::PackageLicence::others).collect();
    let numbered = (1..).zip(names);
    let other = |(number, name): (usize, &str)| {
        let other = OtherLicence {
            license_id: format!("LicenseRef-{number}"),
            extracted_text: format!("`{name}`: its text is in the package's copyright file"),
            name: name.to_owned(),
        };
        (name.to_owned(), other)
    };
    numbered.map(other).collect()
}

fn file((number, listed): (usize, &ListedFile)) -> File {
    File {
        file_name: format!("./{}", listed.path),
        id: file_id(number),
        checksums: [
            checksum("SHA1", listed.digests.sha1_hex()),
            checksum("SHA256", listed.digests.sha256_hex()),
        ],
    }
}

impl Package {
    /// A part without known facts.
    fn unknown() -> Self {
        Self {
            download_location: NO_ASSERTION,
            license_concluded: NO_ASSERTION,
            license_declared: NO_ASSERTION.to_owned(),
            copyright_text: NO_ASSERTION,
            ..Self::default()
        }
    }
}

const fn checksum(algorithm: &'static str, checksum_value: String) -> Checksum {
    Checksum { algorithm, checksum_value }
}

const fn purl_ref(reference_locator: String) -> ExternalRef {
    let (reference_category, reference_type) = ("PACKAGE-MANAGER", "purl");
    ExternalRef { reference_category, reference_type, reference_locator }
}

const fn relation(
    spdx_element_id: &'static str,
    relationship_type: &'static str,
    related_spdx_element: String,
) -> Relationship {
    Relationship { spdx_element_id, relationship_type, related_spdx_element }
}
