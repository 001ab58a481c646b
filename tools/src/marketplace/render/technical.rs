//! What Microsoft copies for a plan: the tags of an image, or the bundles of an application. What is
//! live stays first: dropping a published bundle is refused (gh:Azure/partnercenter-cli-extension#192;
//! CONFLICT: a newer publisher's client removes some).

use super::live::Live;
use super::plan::PlanPart;
use super::{RenderError, Secrets, filled, product, repository};
use crate::marketplace::model::{
    BundleConfiguration, BundleReference, CnabReference, ImageConfiguration,
    ImageRepositoryDetails, Resource, schema,
};
use crate::offer::model::{self as offer, ImagePlan, KubernetesPlan, PlanKind};
use crate::offer::tags::TagTarget;
use crate::offer::{OfferError, OfferFile};

/// The registry that Microsoft copies from.
pub(super) struct Origin<'a> {
    azure: &'a offer::AzureRegistry,
    prefix: Option<&'a wharf_oci::RepoName>,
    /// Only plans of images need them: bundles are read by an application of Microsoft's.
    login: Option<(String, String)>,
}

impl<'a> Origin<'a> {
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
    /// What the reader should know.
    pub(super) notes: Vec<String>,
}

pub(super) fn resource(
    part: &PlanPart<'_>,
    origin: &Origin<'_>,
    live: Option<&Live>,
) -> Result<Technical, RenderError> {
    match &part.plan.kind {
        PlanKind::Image(plan) => Ok(of_image(part, plan, origin, live)),
        PlanKind::Kubernetes(plan) => Ok(of_bundles(part, plan, origin, live)?),
    }
}

fn of_image(
    part: &PlanPart<'_>,
    plan: &ImagePlan,
    origin: &Origin<'_>,
    live: Option<&Live>,
) -> Technical {
    let Origin { azure, prefix, login } = origin;
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
    Technical { resource: Some(resource), notes }
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
    origin: &Origin<'_>,
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
        Some(new) => match same_version(&references, &new) {
            None => references.push(CnabReference::New(new)),
            Some(there) if there.eq_ignore_ascii_case(&new.digest) => {}
            Some(there) => return Err(other_content(part, &new, &there)),
        },
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
    origin: &Origin<'_>,
) -> Result<Option<BundleReference>, OfferError> {
    let Some(bundle) = &plan.bundle else { return Ok(None) };
    let version = bundle.version.as_deref().or_else(|| part.content.manifest_version(part.place));
    let (Some(version), Some(digest)) = (version, &bundle.digest) else { return Ok(None) };
    let Origin { azure, prefix, .. } = origin;
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

/// The digest of the same version, where it is published.
fn same_version(references: &[CnabReference], new: &BundleReference) -> Option<String> {
    references.iter().find_map(|reference| match reference {
        CnabReference::Live(value) => {
            let is = |key: &str, mine: &str| {
                value.get(key).and_then(serde_json::Value::as_str).is_some_and(|it| it == mine)
            };
            let is_same = is("repositoryName", &new.repository_name) && is("tag", &new.tag);
            let digest = value.get("digest").and_then(serde_json::Value::as_str);
            is_same.then(|| digest.unwrap_or(&new.digest).to_owned())
        }
        CnabReference::New(_) => None,
    })
}

/// Microsoft refuses that too, days later (AC-troubleshoot).
fn other_content(part: &PlanPart<'_>, new: &BundleReference, there: &str) -> OfferError {
    let key = format!("plans[{}].bundle", part.place);
    let message = format!("the bundle {}:{} is published as {there}", new.repository_name, new.tag);
    let help = "a published version never changes: raise the version in manifest.yaml and make the \
                bundle again";
    part.file.error_at(&key, message, help)
}
