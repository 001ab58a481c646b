//! The steps of a promotion, bound to their own digest.
//!
//! Invariant: a parsed plan is the made plan, byte for byte in meaning; each tag is resolved once,
//! and everything after that goes by digest.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wharf_oci::{Algorithm, Descriptor, Digest, Digester, Manifest, Reference, RepoName, Tag};

use super::companions::{Companion, CompanionAction};
use crate::moves::Write;
use crate::offer::model::Credentials;
use crate::offer::secrets::Secret;
use crate::offer::values::LoginServer;

/// The version of the plan's format.
const SCHEMA_VERSION: u32 = 2;

/// How much text of manifests a plan holds; an apply asks the source for the others.
const TEXTS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Largest plan file, in bytes: neither written nor read past it.
pub const PLAN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A plan as it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    schema_version: u32,
    #[serde(rename = "planDigest")]
    digest: Digest,
    content: Content,
}

/// The content of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Content {
    /// The ID of the offer.
    pub offer: String,
    pub from: RegistryRef,
    pub to: RegistryRef,
    /// Whether tags other than `latest` may be moved.
    pub allow_tag_move: bool,
    /// The images, one per plan of the offer.
    pub items: Vec<Item>,
    /// The manifests of these images as text, for a reader, and so that an apply need not ask for
    /// them again.
    #[serde(default, skip_serializing_if = "ManifestTexts::is_empty")]
    pub manifests: ManifestTexts,
}

/// Manifests as text, byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ManifestTexts(BTreeMap<Digest, String>);

/// A registry of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryRef {
    /// Its name in the offer.
    pub name: String,
    pub login_server: LoginServer,
    /// Whether it speaks plain HTTP.
    pub plain_http: bool,
    /// The places of its credentials; never the credentials themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<CredentialNames>,
    /// Where files of the offer are.
    pub offer_folder: std::path::PathBuf,
}

/// Where user and password stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialNames {
    username: SecretName,
    password: SecretName,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum SecretName {
    Env(String),
    File(crate::offer::values::RelativePath),
    KeyVault(crate::offer::values::KeyVaultSecret),
}

/// The image of one plan of the offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Item {
    /// The plan of the offer.
    pub plan: String,
    /// The repository it is in.
    pub source: RepoName,
    /// The repository it goes to.
    pub destination: RepoName,
    /// Whether the destination had no such repository.
    #[serde(default)]
    pub new_repository: bool,
    /// The planned action.
    pub action: PlanAction,
    /// The reason for doing nothing; for a lost manifest it has the exact address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The tags in the order of writing.
    pub tags: Vec<TagStep>,
    /// The manifests, each after those it lists.
    pub manifests: Vec<Descriptor>,
    /// Configurations and layers, each once.
    pub blobs: Vec<Descriptor>,
    /// The companions of these manifests, signatures for example, each after its subject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub companions: Vec<Companion>,
    /// The companions left out of the copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_behind: Vec<Digest>,
}

/// The action for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PlanAction {
    /// Copy it and write its tags.
    Copy,
    /// Nothing: it is there, and every tag points at it.
    #[serde(rename = "already")]
    UpToDate,
    /// Nothing: a tag points elsewhere.
    Refused,
    /// Nothing: another image of the plan writes the same tag.
    Conflict,
    /// Nothing: the source does not have it.
    #[serde(rename = "lost")]
    Missing,
}

/// A tag to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagStep {
    pub tag: Tag,
    /// What the source calls it, if not by this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
    /// Its planned digest.
    pub digest: Digest,
    /// Its digest when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
}

/// A tag or a digest of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SourceName {
    Tag(Tag),
    Digest(Digest),
}

/// What the source calls the target of a tag.
#[must_use]
pub fn reference_of(source: Option<&SourceName>, tag: &Tag) -> Reference {
    match source {
        None => Reference::Tag(tag.clone()),
        Some(SourceName::Tag(tag)) => Reference::Tag(tag.clone()),
        Some(SourceName::Digest(digest)) => Reference::Digest(*digest),
    }
}

/// Why a file is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Not of the format.
    #[error("this is not a promotion plan: {0}")]
    Malformed(String),
    /// Larger than an apply reads.
    #[error(
        "a plan of {bytes} bytes is larger than {PLAN_BYTES_MAX}: plan fewer images at once \
         (`--plan`, or a shorter file of images)"
    )]
    TooLarge { bytes: u64 },
    /// Of another version.
    #[error("the plan has format {found}, this wharf reads {SCHEMA_VERSION}")]
    Version { found: u32 },
    /// Changed after it was made.
    #[error("the plan says {said} but its content is {actual}: it was changed, make it again")]
    Changed { said: Digest, actual: Digest },
}

impl Plan {
    /// A plan of this content.
    #[must_use]
    pub fn new(content: Content) -> Self {
        Self { schema_version: SCHEMA_VERSION, digest: digest_of(&content), content }
    }

    /// Reads a plan and checks it against its digest.
    pub fn parse(bytes: &[u8]) -> Result<Self, PlanError> {
        bounded(bytes)?;
        let plan: Self = serde_json::from_slice(bytes)
            .map_err(|error| PlanError::Malformed(error.to_string()))?;
        if plan.schema_version != SCHEMA_VERSION {
            return Err(PlanError::Version { found: plan.schema_version });
        }
        let actual = digest_of(&plan.content);
        if actual != plan.digest {
            return Err(PlanError::Changed { said: plan.digest, actual });
        }
        Ok(plan)
    }

    /// The plan as it stands in a file.
    pub fn to_json(&self) -> Result<String, PlanError> {
        let text = serde_json::to_string_pretty(self);
        let mut text = text.expect("plans have only text keys");
        text.push('\n');
        bounded(text.as_bytes())?;
        Ok(text)
    }

    /// The digest of its content.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The content of the plan.
    #[must_use]
    pub const fn content(&self) -> &Content {
        &self.content
    }
}

fn bounded(text: &[u8]) -> Result<(), PlanError> {
    let bytes = text.len() as u64;
    if bytes > PLAN_BYTES_MAX { Err(PlanError::TooLarge { bytes }) } else { Ok(()) }
}

fn digest_of(content: &Content) -> Digest {
    let bytes = serde_json::to_vec(content).expect("plans have only text keys");
    Digester::digest(Algorithm::Sha256, &bytes)
}

impl CredentialNames {
    /// The places an offer names.
    #[must_use]
    pub fn of(credentials: &Credentials) -> Self {
        let name = |secret: &Secret| match secret {
            Secret::Env(name) => SecretName::Env(name.clone()),
            Secret::File(path) => SecretName::File(path.clone()),
            Secret::KeyVault(name) => SecretName::KeyVault(name.clone()),
        };
        Self { username: name(&credentials.username), password: name(&credentials.password) }
    }

    /// The same as the offer writes them.
    #[must_use]
    pub fn to_credentials(&self) -> Credentials {
        let secret = |name: &SecretName| match name {
            SecretName::Env(name) => Secret::Env(name.clone()),
            SecretName::File(path) => Secret::File(path.clone()),
            SecretName::KeyVault(name) => Secret::KeyVault(name.clone()),
        };
        Credentials { username: secret(&self.username), password: secret(&self.password) }
    }
}

impl ManifestTexts {
    /// Adds a manifest, as far as there is room. One that is no text is left out.
    pub fn add(&mut self, manifest: &Manifest) {
        let room = self.0.values().map(String::len).sum::<usize>() + manifest.bytes().len();
        if let Ok(text) = std::str::from_utf8(manifest.bytes())
            && room <= TEXTS_BYTES_MAX
        {
            self.0.entry(manifest.digest()).or_insert_with(|| text.to_owned());
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The manifest of a descriptor, if its text is here and has its digest.
    #[must_use]
    pub fn manifest(&self, descriptor: &Descriptor) -> Option<Manifest> {
        let text = self.0.get(&descriptor.digest)?;
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let manifest = Manifest::parse(bytes, Some(&descriptor.media_type)).ok()?;
        (manifest.digest() == descriptor.digest).then_some(manifest)
    }
}

/// The action for the other side's tags, at `REGISTRY/REPOSITORY`.
#[must_use]
pub fn decide(tags: &[TagStep], place: &str, allow_tag_move: bool) -> (PlanAction, String) {
    if let Some(reason) = tags.iter().find_map(|step| step.write().refusal(place, allow_tag_move)) {
        return (PlanAction::Refused, reason);
    }
    if tags.iter().all(|step| step.before == Some(step.digest)) {
        return (PlanAction::UpToDate, String::new());
    }
    (PlanAction::Copy, String::new())
}

impl Item {
    /// The image's missing companions.
    pub fn companions_to_copy(&self) -> impl Iterator<Item = &Companion> {
        self.companions.iter().filter(|at| at.action == CompanionAction::Copy)
    }

    /// Bytes of its blobs.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.blobs.iter().fold(0, |sum, blob| sum.saturating_add(blob.size))
    }
}

impl TagStep {
    /// What the source calls it.
    #[must_use]
    pub fn reference(&self) -> Reference {
        reference_of(self.source.as_ref(), &self.tag)
    }

    /// The effect of the write.
    #[must_use]
    pub const fn write(&self) -> Write<'_> {
        Write { tag: &self.tag, before: self.before, after: self.digest }
    }
}
