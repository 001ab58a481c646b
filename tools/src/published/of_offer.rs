//! The submission of an offer file, and its facts from the ledger.

use std::collections::BTreeMap;

use wharf_oci::{Digest, Tag, Timestamp};

use super::record::{
    RecordedAudience, RecordedBundle, RecordedKind, RecordedLicence, RecordedScope, RecordedTerms,
    RecordedVisibility, Submission, SubmissionTarget,
};
use super::state::{LedgerState, PlanState};
use crate::moves::FLOATING_TAG;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::offer::model::{self as offer, Plan, PlanKind};

/// The offer's submission for each plan. Tags have no digest: only images know them. Live bundles
/// go along with the one of the offer, as they are appended to (facts §3.1). A bundle without a
/// version in the offer has the one of its manifest, from the content.
#[must_use]
pub fn submissions(
    file: &OfferFile,
    content: &Content,
    state: &LedgerState,
    target: SubmissionTarget,
    time: Timestamp,
) -> Vec<Submission> {
    let offer = &file.offer;
    let known = state.offer(&offer.publisher, &offer.offer.id);
    let plans = offer.plans.iter().enumerate().map(|(place, plan)| {
        let mut submission = submission(file, plan, target, time);
        if let PlanKind::Kubernetes(plan) = &plan.kind {
            submission.bundles =
                bundle(file, plan, content.manifest_version(place)).into_iter().collect();
        }
        if let PlanKind::Kubernetes(kind) = &plan.kind
            && kind.bundle.is_some()
            && let Some(known) = known.and_then(|known| known.plans.get(plan.id.as_str()))
        {
            carry_bundles(&mut submission, known);
        }
        submission
    });
    plans.collect()
}

fn carry_bundles(submission: &mut Submission, known: &PlanState) {
    for ((repository, version), state) in known.live_bundles() {
        let is_there = submission
            .bundles
            .iter()
            .any(|own| own.repository == *repository && own.version == *version);
        if !is_there {
            submission.bundles.push(RecordedBundle {
                repository: repository.clone(),
                version: version.clone(),
                digest: state.digests.latest().copied(),
            });
        }
    }
    submission.bundles.sort();
}

fn submission(
    file: &OfferFile,
    plan: &Plan,
    target: SubmissionTarget,
    time: Timestamp,
) -> Submission {
    let offer = &file.offer;
    let mut submission = Submission {
        time,
        target,
        publisher: offer.publisher.clone(),
        offer: offer.offer.id.clone(),
        sell_through_microsoft: Some(offer.offer.sell_through_microsoft),
        terms: Some(match offer.legal.terms {
            Some(_) => RecordedTerms::Custom,
            None => RecordedTerms::Standard,
        }),
        plan: plan.id.to_string(),
        kind: RecordedKind::Image,
        licence: Some(match plan.licence {
            offer::Licence::Free => RecordedLicence::Free,
            offer::Licence::Byol => RecordedLicence::Byol,
            offer::Licence::PayAsYouGo => RecordedLicence::PayAsYouGo,
        }),
        visibility: Some(match plan.visibility {
            offer::Visibility::Visible => RecordedVisibility::Visible,
            offer::Visibility::Hidden => RecordedVisibility::Hidden,
        }),
        audience: Some(RecordedAudience::Public),
        regions: plan.regions.iter().map(|region| region_word(*region).to_owned()).collect(),
        repository: None,
        tags: BTreeMap::new(),
        extension_type: None,
        scope: None,
        bundles: Vec::new(),
    };
    match &plan.kind {
        PlanKind::Image(plan) => {
            let image = &plan.image.image;
            submission.repository = Some(in_registry(file, image.repository.as_str()));
            submission.tags = tags(image);
        }
        PlanKind::Kubernetes(plan) => {
            submission.kind = RecordedKind::Kubernetes;
            if plan.audience.is_some() {
                submission.audience = Some(RecordedAudience::Private);
            }
            submission.extension_type = Some(plan.extension_type.clone());
            submission.scope = Some(match plan.scope {
                offer::Scope::Cluster => RecordedScope::Cluster,
                offer::Scope::Namespace => RecordedScope::Namespace,
            });
        }
    }
    submission
}

const fn region_word(region: offer::Region) -> &'static str {
    match region {
        offer::Region::AzureGlobal => "azureGlobal",
        offer::Region::AzureGovernment => "azureGovernment",
    }
}

fn tags(image: &offer::Image) -> BTreeMap<Tag, Option<Digest>> {
    let written = image.expanded_tags.iter().map(|item| item.tag.clone());
    written.chain(image.published_tags.iter().cloned()).map(|tag| (tag, None)).collect()
}

/// The bundle of the offer, with the version its payload says too.
fn bundle(
    file: &OfferFile,
    plan: &offer::KubernetesPlan,
    manifest_version: Option<&str>,
) -> Option<RecordedBundle> {
    let bundle = plan.bundle.as_ref()?;
    Some(RecordedBundle {
        repository: in_registry(file, bundle.repository.as_str()),
        version: bundle.version.as_deref().or(manifest_version)?.to_owned(),
        digest: bundle.digest,
    })
}

/// A repository on the registry Microsoft copies from.
fn in_registry(file: &OfferFile, repository: &str) -> String {
    let entry = file.offer.registries.get(&file.offer.offer.registry);
    match entry.and_then(|entry| entry.prefix.as_ref()) {
        Some(prefix) => format!("{prefix}/{repository}"),
        None => repository.to_owned(),
    }
}

/// Gives each image without a `publishedTags` of its own the live tags of earlier versions. The
/// file's own list counts as it is: TEC-018 reports a tag left out there.
pub fn complete(file: &mut OfferFile, state: &LedgerState) {
    let offer = &file.offer;
    let Some(known) = state.offer(&offer.publisher, &offer.offer.id) else { return };
    let mut additions = Vec::new();
    for (place, plan, kind) in offer.image_plans() {
        let key = format!("{}.publishedTags", kind.image.key);
        let Some(state) = known.plans.get(plan.id.as_str()).filter(|_| !file.has(&key)) else {
            continue;
        };
        let written = &kind.image.image.expanded_tags;
        let is_written = |tag: &Tag| written.iter().any(|item| item.tag == *tag);
        let tags = state.live_tags().map(|(tag, _)| tag);
        let tags = tags.filter(|tag| tag.as_str() != FLOATING_TAG && !is_written(tag));
        additions.push((place, tags.cloned().collect::<Vec<_>>()));
    }
    for (place, tags) in additions {
        file.offer.take_published_tags(place, tags);
    }
}
