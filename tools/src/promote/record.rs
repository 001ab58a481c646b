//! The record of a promotion: an in-toto statement, unsigned, as a referrer of each promoted root
//! manifest at the destination. It says what came from where to where, by whom, when, and by which
//! plan; docs/how-to/promotion.md describes its fields.
//!
//! Invariant: one promotion has one record. The same subject, source, destination and plan are never
//! recorded twice.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use wharf_oci::{Descriptor, Digest, Manifest, MediaType, Reference, RepoName, Tag, Timestamp};

use crate::image::attest::{Statement, referrer};
use crate::registry::{BlobSource, Registry, RegistryError};

/// The type of the predicate.
pub const PREDICATE_TYPE: &str = "urn:wharf:promotion:v1";

/// The media type of statements of in-toto, and the artifact type of their manifests.
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The annotations by which a record is known without a look at its statement.
const PLAN: &str = "wharf.promotion.plan";
const FROM: &str = "wharf.promotion.from";
const TO: &str = "wharf.promotion.to";

/// How many referrers of a subject are looked at for an earlier record.
const REFERRERS_MAX: usize = 1000;

/// The common part of all records of one promotion.
#[derive(Debug, Clone)]
pub struct Promotion {
    pub plan_digest: Digest,
    /// The ID of the offer.
    pub offer: String,
    /// Who promotes, as far as this machine says.
    pub by: String,
    /// The address of the run of CI, if it is one.
    pub run: Option<String>,
    pub time: Timestamp,
}

/// A promoted root manifest.
#[derive(Debug, Clone)]
pub struct PromotedRoot<'a> {
    pub subject: &'a Descriptor,
    /// The plan of the offer.
    pub plan: &'a str,
    /// `REGISTRY/REPOSITORY` where it was.
    pub from: String,
    /// The repository it is in now.
    pub repo: &'a RepoName,
    /// The tags that point at it now.
    pub tags: Vec<&'a Tag>,
}

/// A record, and whether it is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// The promoted root manifest.
    pub subject: Digest,
    /// The manifest of the record.
    pub digest: Digest,
    /// Whether an earlier run of the same plan had left it.
    pub already: bool,
}

impl Promotion {
    /// Leaves a record beside a root manifest, unless it has one of the same promotion.
    pub async fn record(
        &self,
        registry: &Registry,
        root: &PromotedRoot<'_>,
    ) -> Result<Recorded, RegistryError> {
        let subject = root.subject.digest;
        let to = format!("{}/{}", registry.host(), root.repo);
        let statement = self.statement(root, &to);
        if let Some(digest) = earlier(registry, root, &statement).await? {
            return Ok(Recorded { subject, digest, already: true });
        }
        let media_type = IN_TOTO.parse().unwrap_or(MediaType::OCTET_STREAM);
        let mut parts = [
            (Bytes::from_static(referrer::EMPTY), MediaType::OCI_EMPTY),
            (Bytes::from(statement.bytes.clone()), media_type),
        ]
        .map(|(bytes, media_type)| BlobSource::memory(bytes, media_type));
        let [config, layer] = parts.each_ref().map(BlobSource::descriptor);
        let made = referrer::manifest(&statement, root.subject, self.time, [config, layer]);
        let made = Manifest::parse(Bytes::from(made), Some(&MediaType::OCI_MANIFEST));
        let manifest = made.map_err(|source| RegistryError::Manifest {
            url: registry.manifest_url(root.repo, &Reference::Digest(subject)),
            source,
        })?;
        for part in &mut parts {
            registry.upload(root.repo, part, &[]).await?;
        }
        let reference = Reference::Digest(manifest.digest());
        registry.put_manifest(root.repo, &reference, &manifest).await?;
        registry.list_referrer(root.repo, &subject, &manifest).await?;
        Ok(Recorded { subject, digest: manifest.digest(), already: false })
    }

    fn statement(&self, root: &PromotedRoot<'_>, to: &str) -> Statement {
        let statement = InToto {
            kind: "https://in-toto.io/Statement/v1",
            subject: [Subject { name: to, digest: digest_set(&root.subject.digest) }],
            predicate_type: PREDICATE_TYPE,
            predicate: Predicate {
                from: &root.from,
                to,
                tags: &root.tags,
                promoted_by: &self.by,
                promoted_on: self.time,
                run: self.run.as_deref(),
                plan: PlanName {
                    offer: &self.offer,
                    plan: root.plan,
                    digest: digest_set(&self.plan_digest),
                },
                tool: BTreeMap::from([("wharf", env!("CARGO_PKG_VERSION"))]),
            },
        };
        Statement {
            media_type: IN_TOTO,
            predicate_type: Some(PREDICATE_TYPE),
            title: "promotion.json",
            annotations: BTreeMap::from([
                (PLAN, self.plan_digest.to_string()),
                (FROM, root.from.clone()),
                (TO, to.to_owned()),
            ]),
            bytes: serde_json::to_vec(&statement).expect("maps with text keys always serialise"),
        }
    }
}

/// The record of the same promotion that the subject has already.
async fn earlier(
    registry: &Registry,
    root: &PromotedRoot<'_>,
    statement: &Statement,
) -> Result<Option<Digest>, RegistryError> {
    let listed = registry.referrers(root.repo, &root.subject.digest).await?;
    for digest in listed.into_iter().take(REFERRERS_MAX) {
        // A list may name what was deleted since.
        let reference = Reference::Digest(digest);
        let Some(manifest) = registry.manifest(root.repo, &reference).await? else { continue };
        if manifest.artifact_type() == Some(IN_TOTO) && is_of(&manifest, root, statement) {
            return Ok(Some(digest));
        }
    }
    Ok(None)
}

fn is_of(manifest: &Manifest, root: &PromotedRoot<'_>, statement: &Statement) -> bool {
    let said = manifest.annotations();
    let is_promotion = said.get(referrer::PREDICATE_TYPE).is_some_and(|at| at == PREDICATE_TYPE);
    let is_subject =
        manifest.subject().is_some_and(|subject| subject.digest == root.subject.digest);
    let is_same = |(key, value): (&&str, &String)| said.get(*key) == Some(value);
    is_promotion && is_subject && statement.annotations.iter().all(is_same)
}

/// The variables with the name of a user: of GitHub, GitLab, Azure Pipelines, and of Unix.
const USERS: [&str; 5] =
    ["GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_REQUESTEDFOR", "USER", "LOGNAME"];

/// Who runs this program and where, by the variables that CI sets, else by the name of the user.
#[must_use]
pub fn runner(variable: &dyn Fn(&str) -> Option<String>) -> (String, Option<String>) {
    let value = |name: &str| variable(name).filter(|value| !value.is_empty());
    let by = USERS.iter().find_map(|name| value(name));
    let github = || {
        let server = value("GITHUB_SERVER_URL")?;
        let (repository, run) = (value("GITHUB_REPOSITORY")?, value("GITHUB_RUN_ID")?);
        Some(format!("{server}/{repository}/actions/runs/{run}"))
    };
    let azure = || {
        let (collection, project) = (value("SYSTEM_COLLECTIONURI")?, value("SYSTEM_TEAMPROJECT")?);
        let build = value("BUILD_BUILDID")?;
        Some(format!("{collection}{project}/_build/results?buildId={build}"))
    };
    let run = github().or_else(|| value("CI_JOB_URL")).or_else(azure);
    (by.unwrap_or_else(|| "unknown".to_owned()), run)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InToto<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: [Subject<'a>; 1],
    predicate_type: &'static str,
    predicate: Predicate<'a>,
}

#[derive(Serialize)]
struct Subject<'a> {
    name: &'a str,
    digest: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<'a> {
    from: &'a str,
    to: &'a str,
    tags: &'a [&'a Tag],
    promoted_by: &'a str,
    promoted_on: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a str>,
    plan: PlanName<'a>,
    tool: BTreeMap<&'static str, &'static str>,
}

#[derive(Serialize)]
struct PlanName<'a> {
    offer: &'a str,
    plan: &'a str,
    digest: BTreeMap<&'static str, String>,
}

fn digest_set(digest: &Digest) -> BTreeMap<&'static str, String> {
    BTreeMap::from([(digest.algorithm().as_str(), digest.hex())])
}

#[cfg(test)]
mod tests;
