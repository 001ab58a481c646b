//! The submissions in a saved resource tree. Trees know no digests of tags.

use anyhow::ensure;
use serde_json::Value;

use crate::marketplace::tree::{ResourceTree, SavedTechnical, TreeResource};
use crate::offer::OfferFile;
use crate::published::{
    RecordedAudience, RecordedBundle, RecordedKind, RecordedLicence, RecordedTerms,
    RecordedVisibility, Submission, SubmissionTarget,
};
use wharf_oci::Timestamp;

/// One submission per sold plan of the tree.
pub(super) fn submissions(
    file: &OfferFile,
    tree: &ResourceTree,
    target: SubmissionTarget,
    time: Timestamp,
) -> anyhow::Result<Vec<Submission>> {
    let place = tree.file().display();
    ensure!(
        tree.target().as_str() == target.as_str(),
        "{place} is of the target {}, not {target}; save the tree with targetType={target}",
        tree.target().as_str()
    );
    let id = &file.offer.offer.id;
    ensure!(
        tree.offer_id() == id,
        "{place} is of the offer `{}`, and {} of `{id}`",
        tree.offer_id(),
        file.path().display()
    );
    let sold = |plan: &&TreeResource| !plan.is_withdrawn();
    tree.of_kind("plan")
        .filter(sold)
        .map(|plan| submission(file, tree, plan, target, time))
        .collect()
}

fn submission(
    file: &OfferFile,
    tree: &ResourceTree,
    plan: &TreeResource,
    target: SubmissionTarget,
    time: Timestamp,
) -> anyhow::Result<Submission> {
    let place = tree.file().display();
    let Some(id) = plan.external_id() else {
        anyhow::bail!("{place} has a plan without an `identity.externalId`");
    };
    let setup = tree.of_kind("commercial-marketplace-setup").next();
    let property = tree.of_kind("property").next();
    let availability = tree.of_plan("price-and-availability-plan", plan).next();
    let text = |key: &str| availability.and_then(|at| at.text(key));
    let licence = availability.and_then(|at| licence(at.value.get("pricing")?));
    let mut submission = Submission {
        time,
        target,
        publisher: file.offer.publisher.clone(),
        offer: file.offer.offer.id.clone(),
        sell_through_microsoft: setup
            .and_then(|at| at.value.get("sellThroughMicrosoft")?.as_bool()),
        terms: property.and_then(|at| at.text("termsConditions")).map(|terms| match terms {
            "standardMicrosoft" => RecordedTerms::Standard,
            _ => RecordedTerms::Custom,
        }),
        plan: id.to_owned(),
        kind: RecordedKind::Image,
        licence,
        visibility: text("visibility").and_then(RecordedVisibility::of),
        audience: text("audience").and_then(RecordedAudience::of),
        regions: plan.regions().into_iter().map(str::to_owned).collect(),
        repository: None,
        tags: std::collections::BTreeMap::new(),
        extension_type: None,
        scope: None,
        bundles: Vec::new(),
    };
    match tree.technical(plan) {
        None => anyhow::bail!("{place} has no technical configuration of the plan `{id}`"),
        Some(technical) => fill(&mut submission, technical, &place.to_string())?,
    }
    Ok(submission)
}

/// The price of a plan. A free plan of an application has the model `payAsYouGo`, with nothing to
/// pay for Microsoft's meters.
fn licence(pricing: &Value) -> Option<RecordedLicence> {
    let model = pricing.get("licenseModel")?.as_str().and_then(RecordedLicence::of)?;
    let system = pricing.get("systemMeterPricing").and_then(|at| at.get("priceInputOption"));
    let is_free = system.and_then(Value::as_str) == Some("free");
    Some(if model == RecordedLicence::PayAsYouGo && is_free {
        RecordedLicence::Free
    } else {
        model
    })
}

fn fill(
    submission: &mut Submission,
    technical: SavedTechnical<'_>,
    place: &str,
) -> anyhow::Result<()> {
    let plan = &submission.plan;
    match technical.payload_type() {
        Some("image") => {
            submission.repository = technical.repository().map(str::to_owned);
            for tag in technical.image_tags() {
                let tag = tag.parse();
                let tag =
                    tag.map_err(|error| anyhow::anyhow!("{place}, plan `{plan}`: {error}"))?;
                submission.tags.insert(tag, None);
            }
        }
        Some("cnab") => {
            submission.kind = RecordedKind::Kubernetes;
            submission.extension_type = technical.extension_type().map(str::to_owned);
            for reference in technical.cnab_references() {
                let (Some(repository), Some(version)) = (reference.repository(), reference.tag())
                else {
                    anyhow::bail!("{place}, plan `{plan}`: a bundle has no repository or no tag");
                };
                let digest = reference.digest().map(str::parse).transpose();
                submission.bundles.push(RecordedBundle {
                    repository: repository.to_owned(),
                    version: version.to_owned(),
                    digest: digest
                        .map_err(|error| anyhow::anyhow!("{place}, plan `{plan}`: {error}"))?,
                });
            }
            submission.bundles.sort();
        }
        other => {
            let other = other.unwrap_or("none");
            anyhow::bail!("{place}, plan `{plan}`: the payload type is {other}, not image or cnab");
        }
    }
    Ok(())
}
