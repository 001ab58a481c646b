//! The steps of a promotion, found out by reading both sides once and bound to their own digest.
//!
//! Invariant: a parsed plan is the made plan, byte for byte in meaning; each tag is resolved once,
//! and everything after that goes by digest.

use serde::{Deserialize, Serialize};
use wharf_oci::{Algorithm, Descriptor, Digest, Digester, Reference, RepoName, Tag};

use super::companions::{Companion, CompanionAction, RegistryPair};
use super::tree::{Fetched, fetch_tree};
use crate::moves::Write;
use crate::offer::model::Credentials;
use crate::offer::secrets::Secret;
use crate::offer::values::LoginServer;
use crate::registry::{Registry, RegistryError};

/// The version of the plan's format.
const SCHEMA_VERSION: u32 = 1;

/// Largest plan file.
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
}

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
    /// Nothing: the source does not have it.
    #[serde(rename = "lost")]
    Missing,
}

/// A tag to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagStep {
    pub tag: Tag,
    /// Its planned digest.
    pub digest: Digest,
    /// Its digest when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
}

/// Why a file is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Not of the format.
    #[error("this is not a promotion plan: {0}")]
    Malformed(String),
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
    #[must_use]
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        let mut text = text.expect("plans have only text keys");
        text.push('\n');
        text
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

/// The request to plan one image.
pub struct PlanRequest<'a> {
    /// The plan of the offer.
    pub plan: &'a str,
    /// The registry it is on.
    pub from: &'a Registry,
    /// The repository there.
    pub source: RepoName,
    /// The registry it goes to.
    pub to: &'a Registry,
    /// The repository there.
    pub destination: RepoName,
    /// The tags in the order of writing.
    pub tags: Vec<Tag>,
    /// Whether tags other than `latest` may be moved.
    pub allow_tag_move: bool,
}

impl PlanRequest<'_> {
    /// Reads both sides.
    pub async fn answer(self) -> Result<Item, RegistryError> {
        let mut item = Item {
            plan: self.plan.to_owned(),
            source: self.source.clone(),
            destination: self.destination.clone(),
            action: PlanAction::UpToDate,
            reason: String::new(),
            tags: Vec::new(),
            manifests: Vec::new(),
            blobs: Vec::new(),
            companions: Vec::new(),
            left_behind: Vec::new(),
        };
        let mut roots = Vec::new();
        for tag in &self.tags {
            let reference = Reference::Tag(tag.clone());
            let Some(found) = self.from.head_manifest(&self.source, &reference).await? else {
                let url = self.from.manifest_url(&self.source, &reference);
                return Ok(Item {
                    action: PlanAction::Missing,
                    reason: format!("{url} is not there"),
                    ..item
                });
            };
            let before = self.to.head_manifest(&self.destination, &reference).await?;
            let before = before.map(|found| found.digest);
            item.tags.push(TagStep { tag: tag.clone(), digest: found.digest, before });
            if !roots.contains(&found.digest) {
                roots.push(found.digest);
            }
        }
        match fetch_tree(self.from, &self.source, &roots).await? {
            Fetched::Tree(tree) => {
                item.manifests =
                    tree.manifests.iter().map(wharf_oci::Manifest::descriptor).collect();
                item.blobs = tree.blobs;
            }
            Fetched::Missing(url) => {
                return Ok(Item {
                    action: PlanAction::Missing,
                    reason: format!("{url} is not there"),
                    ..item
                });
            }
        }
        let sides = RegistryPair {
            from: self.from,
            source: &self.source,
            to: self.to,
            destination: &self.destination,
        };
        item.companions = sides.find(&item.manifests).await?;
        let left = item.companions.iter().filter(|at| at.action == CompanionAction::Left);
        item.left_behind = left.map(|companion| companion.digest).collect();
        let place = format!("{}/{}", self.to.host(), self.destination);
        (item.action, item.reason) = decide(&item.tags, &place, self.allow_tag_move);
        if item.action == PlanAction::UpToDate && item.companions_to_copy().next().is_some() {
            item.action = PlanAction::Copy;
        }
        Ok(item)
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
    /// The effect of the write.
    #[must_use]
    pub const fn write(&self) -> Write<'_> {
        Write { tag: &self.tag, before: self.before, after: self.digest }
    }
}
