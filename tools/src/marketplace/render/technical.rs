//! The content that Microsoft copies for a plan: the tags of an image, or the bundles of an
//! application. Live bundles stay first: dropping a published bundle is refused
//! (gh:Azure/partnercenter-cli-extension#192; CONFLICT: a newer publisher's client removes some).

use serde_json::Value;

use super::live::Live;
use super::names::product;
use super::plan::PlanPart;
use crate::marketplace::model::{
    BundleConfiguration, BundleReference, CnabReference, ImageConfiguration,
    ImageRepositoryDetails, Resource, schema,
};
use crate::offer::model::{self as offer, ImagePlan, KubernetesPlan, PlanKind};
use crate::offer::secrets::{Secret, SecretError};
use crate::offer::tag_forms::TAGS_MAX;
use crate::offer::tags::TagTarget;
use crate::offer::{OfferError, OfferFile};

/// The value in a secret's place.
pub enum Secrets<'a> {
    /// `${env:NAME}` or `${file:PATH}`.
    Placeholders,
    /// The secret itself; the function looks up the environment.
    Resolve(&'a dyn Fn(&str) -> Option<String>),
}

/// Why there is no payload.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The offer lacks a required part of the payload.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// A secret cannot be had.
    #[error("the {what} of the registry `{registry}` cannot be had")]
    Secret {
        /// `username` or `password`.
        what: &'static str,
        registry: String,
        source: SecretError,
    },
}

/// The registry Microsoft copies from.
pub(super) struct SourceRegistry<'a> {
    azure: &'a offer::AzureRegistry,
    prefix: Option<&'a wharf_oci::RepoName>,
    /// Only plans of images need them: bundles are read by an application of Microsoft's.
    login: Option<(String, String)>,
}

impl<'a> SourceRegistry<'a> {
    pub(super) fn of(file: &'a OfferFile, secrets: &Secrets<'_>) -> Result<Self, RenderError> {
        let name = &file.offer.offer.registry;
        let key = format!("registries.{name}");
        let lacks = |what: &str, rule: &str| {
            let message = format!("the registry `{name}` has no `{what}` ({rule})");
            file.error_at(&key, message, "Microsoft copies the images from it; add the key")
        };
        let entry = file.offer.registries.get(name).ok_or_else(|| lacks("entry", "TEC-001"))?;
        let azure = entry.azure.as_ref().ok_or_else(|| lacks("azure", "TEC-001"))?;
        let login = if file.offer.image_plans().next().is_none() {
            None
        } else {
            let credentials =
                entry.credentials.as_ref().ok_or_else(|| lacks("credentials", "TEC-005"))?;
            let username = filled(file, secrets, "username", &credentials.username)?;
            Some((username, filled(file, secrets, "password", &credentials.password)?))
        };
        Ok(Self { azure, prefix: entry.prefix.as_ref(), login })
    }
}

/// The technical configuration of a plan, if there is anything to say yet.
pub(super) struct Technical {
    pub(super) resource: Option<Resource>,
    /// The remarks for the reader.
    pub(super) notes: Vec<String>,
}

pub(super) fn resource(
    part: &PlanPart<'_>,
    origin: &SourceRegistry<'_>,
    live: Option<&Live>,
) -> Result<Technical, RenderError> {
    match &part.plan.kind {
        PlanKind::Image(plan) => Ok(of_image(part, plan, origin, live)?),
        PlanKind::Kubernetes(plan) => Ok(of_bundles(part, plan, origin, live)?),
    }
}

fn of_image(
    part: &PlanPart<'_>,
    plan: &ImagePlan,
    origin: &SourceRegistry<'_>,
    live: Option<&Live>,
) -> Result<Technical, OfferError> {
    let SourceRegistry { azure, prefix, login } = origin;
    let (user_name, password) = login.clone().unwrap_or_default();
    let image = &plan.image.image;
    let mut image_tags = image_tags(image);
    let gone: Vec<String> = live
        .map(|live| live.tags(part.plan.id.as_str()))
        .unwrap_or_default()
        .into_iter()
        .filter(|tag| !image_tags.contains(tag))
        .collect();
    let mut notes = Vec::new();
    if !gone.is_empty() {
        // More of the offer's own are for a rule (TEC-009), and --force passes over it.
        if image_tags.len() <= TAGS_MAX && image_tags.len() + gone.len() > TAGS_MAX {
            return Err(no_room(part, plan, image_tags.len(), &gone));
        }
        let (id, tags) = (&part.plan.id, gone.join(", "));
        notes.push(format!(
            "the plan `{id}` keeps the tags that are live and that the offer does not list: {tags}"
        ));
    }
    image_tags.extend(gone);
    let resource = Resource::ImageConfiguration(Box::new(ImageConfiguration {
        schema: schema::TECHNICAL,
        product: product(),
        plan: part.reference(),
        payload_type: "image",
        image_repository_details: ImageRepositoryDetails {
            subscription_id: azure.subscription_id.clone(),
            resource_group_name: azure.resource_group.clone(),
            registry_name: azure.registry_name.clone(),
            user_name,
            password,
            repository_name: repository(*prefix, &image.repository),
        },
        image_tags,
    }));
    Ok(Technical { resource: Some(resource), notes })
}

/// A published tag stays, so the offer has to leave room for it.
fn no_room(part: &PlanPart<'_>, plan: &ImagePlan, own: usize, gone: &[String]) -> OfferError {
    let message = format!(
        "the plan `{}` would have {} tags, and {TAGS_MAX} is the most: {own} of the offer, and {} that \
         are live and not listed in it: {}",
        part.plan.id,
        own + gone.len(),
        gone.len(),
        gone.join(", ")
    );
    let help = "leave out tags of the offer until all have room; `wharf tags` says which it needs";
    part.file.error_at(&format!("{}.tags", plan.image.key), message, help)
}

/// `latest`, other tags of the index, tags of platforms, then tags of earlier versions: the order of
/// writing, read from its end.
fn image_tags(image: &offer::Image) -> Vec<String> {
    let of_index = |wanted: bool| {
        let tags = image.expanded_tags.iter();
        tags.filter(move |item| (item.target == TagTarget::Index) == wanted)
    };
    let is_latest = |tag: &str| tag == "latest";
    let mut tags: Vec<String> = of_index(true)
        .filter(|item| is_latest(item.tag.as_str()))
        .chain(of_index(true).filter(|item| !is_latest(item.tag.as_str())))
        .chain(of_index(false))
        .map(|item| item.tag.to_string())
        .collect();
    for tag in &image.published_tags {
        if !tags.iter().any(|known| known == tag.as_str()) {
            tags.push(tag.to_string());
        }
    }
    tags
}

fn of_bundles(
    part: &PlanPart<'_>,
    plan: &KubernetesPlan,
    origin: &SourceRegistry<'_>,
    live: Option<&Live>,
) -> Result<Technical, OfferError> {
    let id = &part.plan.id;
    let mut references: Vec<CnabReference> = live
        .map(|live| live.references(id.as_str()))
        .unwrap_or_default()
        .iter()
        .cloned()
        .map(CnabReference::Live)
        .collect();
    let mut notes = Vec::new();
    match new_reference(part, plan, origin)? {
        None => notes.push(format!(
            "the plan `{id}` has no bundle yet, so its technical configuration lacks it: make it with \
             `wharf offer bundle`, and write its version and digest into `bundle`"
        )),
        Some(new) => match references.iter_mut().find(|it| is_version_of(it, &new)) {
            None => references.push(CnabReference::New(new)),
            Some(there) => match digest(there) {
                // Recorded before its digest was known, it names nothing yet.
                None => *there = CnabReference::New(new),
                Some(digest) if digest.eq_ignore_ascii_case(&new.digest) => {}
                Some(digest) => return Err(other_content(part, &new, digest)),
            },
        },
    }
    for unknown in live.map(|live| live.unknown(id.as_str())).unwrap_or_default() {
        let is_there = |it: &CnabReference| {
            matches!(it, CnabReference::New(new)
            if *unknown == format!("{}:{}", new.repository_name, new.tag))
        };
        if !references.iter().any(is_there) {
            notes.push(format!(
                "the plan `{id}` leaves out the bundle {unknown}, which is live: nobody recorded its \
                 digest; record it again with the digest"
            ));
        }
    }
    if live.is_some() && references.len() > 1 {
        let earlier = references.len() - 1;
        notes.push(format!(
            "the plan `{id}` keeps {earlier} earlier bundle(s): pages disagree whether a published \
             one may be dropped"
        ));
    }
    if references.is_empty() {
        return Ok(Technical { resource: None, notes });
    }
    let resource = Resource::BundleConfiguration(BundleConfiguration {
        schema: schema::TECHNICAL,
        product: product(),
        plan: part.reference(),
        payload_type: "cnab",
        cluster_extension_type: plan.extension_type.clone(),
        cnab_references: references,
    });
    Ok(Technical { resource: Some(resource), notes })
}

/// The bundle of the offer, once it is made.
fn new_reference(
    part: &PlanPart<'_>,
    plan: &KubernetesPlan,
    origin: &SourceRegistry<'_>,
) -> Result<Option<BundleReference>, OfferError> {
    let Some(bundle) = &plan.bundle else { return Ok(None) };
    let version = bundle.version.as_deref().or_else(|| part.content.manifest_version(part.place));
    let (Some(version), Some(digest)) = (version, &bundle.digest) else { return Ok(None) };
    let SourceRegistry { azure, prefix, .. } = origin;
    let Some(tenant_id) = azure.tenant_id.clone() else {
        let registry = &part.file.offer.offer.registry;
        let message = format!("the registry `{registry}` has no `azure.tenantId` (API-001)");
        let help = "Microsoft finds bundles by it; copy it from `az account show`";
        return Err(part.file.error_at(&format!("registries.{registry}.azure"), message, help));
    };
    Ok(Some(BundleReference {
        tenant_id,
        subscription_id: azure.subscription_id.clone(),
        resource_group_name: azure.resource_group.clone(),
        registry_name: azure.registry_name.clone(),
        repository_name: repository(*prefix, &bundle.repository),
        tag: version.to_owned(),
        digest: digest.to_string(),
    }))
}

/// Whether it is the same version of the same bundle.
fn is_version_of(reference: &CnabReference, new: &BundleReference) -> bool {
    let CnabReference::Live(value) = reference else { return false };
    let is = |key: &str, mine: &str| value.get(key).and_then(Value::as_str) == Some(mine);
    is("repositoryName", &new.repository_name) && is("tag", &new.tag)
}

fn digest(reference: &CnabReference) -> Option<&str> {
    match reference {
        CnabReference::Live(value) => value.get("digest").and_then(Value::as_str),
        CnabReference::New(new) => Some(&new.digest),
    }
}

/// Microsoft refuses it too, days later (AC-troubleshoot).
fn other_content(part: &PlanPart<'_>, new: &BundleReference, there: &str) -> OfferError {
    let key = format!("plans[{}].bundle", part.place);
    let message = format!("the bundle {}:{} is published as {there}", new.repository_name, new.tag);
    let help = "a published version never changes: raise the version in manifest.yaml and make the \
                bundle again";
    part.file.error_at(&key, message, help)
}

/// The text for a secret of the registry.
fn filled(
    file: &OfferFile,
    secrets: &Secrets<'_>,
    what: &'static str,
    secret: &Secret,
) -> Result<String, RenderError> {
    let registry = &file.offer.offer.registry;
    match secrets {
        Secrets::Placeholders => Ok(secret.to_string()),
        Secrets::Resolve(variable) => secret
            .resolve(file.folder(), variable)
            .map(|value| value.expose().to_owned())
            .map_err(|source| RenderError::Secret { what, registry: registry.to_string(), source }),
    }
}

/// The repository with the prefix of its registry.
fn repository(prefix: Option<&wharf_oci::RepoName>, name: &wharf_oci::RepoName) -> String {
    match prefix {
        Some(prefix) => format!("{prefix}/{name}"),
        None => name.to_string(),
    }
}
