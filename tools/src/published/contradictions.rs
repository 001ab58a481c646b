//! A submission's contradictions of the published state: changes to immutable fields (facts §1.7).
//! The rules of an offer and `wharf offer record` judge by this, so they cannot differ.
//!
//! A preview's fields may change, but for the type of a cluster extension and for bundles, because
//! Microsoft has copied them by then; a repository may be refused.

use std::collections::BTreeMap;

use super::record::{RecordedAudience, RecordedKind, RecordedTerms, Submission};
use super::state::{LedgerState, OfferState, PlanState};
use crate::moves::FLOATING_TAG;
use crate::offer::tag_forms::version_of;
use crate::offer::values::ImageVersion;

/// The fact that a submission contradicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContradictionTopic {
    /// The ID of the offer.
    OfferId,
    Publisher,
    /// The kind of the product, and the biller.
    Sale,
    /// The kind of the terms.
    Terms,
    /// A plan's existence.
    Plan,
    /// The price of a plan.
    Licence,
    Regions,
    /// Its audience.
    Audience,
    /// A repository of another offer.
    TakenRepository,
    Repository,
    /// The growth of versions.
    Version,
    /// The target of a tag.
    TagDigest,
    /// A tag's existence.
    Tag,
    /// The type of its cluster extension.
    ExtensionType,
    /// How often it is installed in a cluster.
    Scope,
    /// The growth of bundles' versions, and the bundles' existence.
    Bundle,
    /// The digest of a bundle's version.
    BundleDigest,
}

/// A submission against the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    pub about: ContradictionTopic,
    /// The plan; none for the offer.
    pub plan: Option<String>,
    /// Whether it will be refused; else it may be.
    pub is_certain: bool,
    /// The difference, with both values.
    pub message: String,
}

/// Everything these submissions of one offer, one per plan, say against the ledger.
#[must_use]
pub fn contradictions(state: &LedgerState, submissions: &[Submission]) -> Vec<Contradiction> {
    let Some(first) = submissions.first() else { return Vec::new() };
    let mut found = Found { plan: None, all: Vec::new() };
    identity(state, submissions, first, &mut found);
    let known = state.offer(&first.publisher, &first.offer);
    if let Some(known) = known {
        offer(known, submissions, first, &mut found);
    }
    for submission in submissions {
        found.plan = Some(submission.plan.clone());
        others(state, submission, &mut found);
        if let Some(known) = known.and_then(|known| known.plans.get(&submission.plan)) {
            plan(known, submission, &mut found);
            match submission.kind {
                RecordedKind::Image => image(known, submission, &mut found),
                RecordedKind::Kubernetes => application(known, submission, &mut found),
            }
        }
    }
    found.all
}

struct Found {
    plan: Option<String>,
    all: Vec<Contradiction>,
}

impl Found {
    fn refused(&mut self, about: ContradictionTopic, message: String) {
        self.add(about, true, message);
    }

    fn add(&mut self, about: ContradictionTopic, is_certain: bool, message: String) {
        self.all.push(Contradiction { about, plan: self.plan.clone(), is_certain, message });
    }
}

/// The same offer under another name: of another publisher, or with a fact no two offers share. IDs
/// of plans say nothing: most offers have a plan `standard`.
fn identity(
    state: &LedgerState,
    submissions: &[Submission],
    first: &Submission,
    found: &mut Found,
) {
    let Submission { publisher, offer, .. } = first;
    if state.offer(publisher, offer).is_some() {
        return;
    }
    for (known_publisher, known_offer) in state.offers.keys() {
        if known_offer == offer && known_publisher != publisher {
            let message =
                format!("`{offer}` was submitted by `{known_publisher}`, not `{publisher}`");
            found.refused(ContradictionTopic::Publisher, message);
        }
    }
    for ((known_publisher, known_offer), known) in &state.offers {
        let is_it = submissions.iter().any(|submission| {
            let Some(plan) = known.plans.get(&submission.plan) else { return false };
            let has = |known: &super::ValueHistory<String>, value: &Option<String>| {
                value.as_ref().is_some_and(|value| known.all().any(|at| at == value))
            };
            has(&plan.repository, &submission.repository)
                || has(&plan.extension_type, &submission.extension_type)
        });
        if known_publisher == publisher && is_it {
            let message =
                format!("these plans were submitted as the offer `{known_offer}`, not `{offer}`");
            found.refused(ContradictionTopic::OfferId, message);
        }
    }
}

fn offer(known: &OfferState, submissions: &[Submission], first: &Submission, found: &mut Found) {
    if known.terms.was_live(&RecordedTerms::Standard) && first.terms == Some(RecordedTerms::Custom)
    {
        let message = "the offer is live with the standard contract, and cannot have other terms";
        found.refused(ContradictionTopic::Terms, message.to_owned());
    }
    if let Some(sold) = first.sell_through_microsoft
        && known.sell_through_microsoft.was_live(&!sold)
    {
        let message = format!("`sellThroughMicrosoft` is live as {}, not {sold}", !sold);
        found.refused(ContradictionTopic::Sale, message);
    }
    for (id, plan) in &known.plans {
        if plan.life.is_live() && !submissions.iter().any(|submission| submission.plan == *id) {
            let message = format!(
                "the plan `{id}` is live and missing; where you stopped selling it, say so with \
                 `wharf offer record --withdraw {id}`"
            );
            found.refused(ContradictionTopic::Plan, message);
        }
    }
}

/// The facts no two offers of a publisher, or no two plans, may share.
fn others(state: &LedgerState, submission: &Submission, found: &mut Found) {
    for ((publisher, offer), known) in &state.offers {
        let is_same_offer = *offer == submission.offer;
        if *publisher != submission.publisher {
            continue;
        }
        for (id, plan) in &known.plans {
            let is_same = is_same_offer && *id == submission.plan;
            if !is_same_offer
                && let Some(repository) = &submission.repository
                && plan.repository.all().any(|at| at == repository)
            {
                let message = format!("the offer `{offer}` has the repository `{repository}` too");
                found.refused(ContradictionTopic::TakenRepository, message);
            }
            if !is_same
                && let Some(kind) = &submission.extension_type
                && plan.extension_type.all().any(|at| at == kind)
            {
                let message =
                    format!("the plan `{id}` of the offer `{offer}` has the type `{kind}` too");
                found.refused(ContradictionTopic::ExtensionType, message);
            }
        }
    }
}

fn plan(known: &PlanState, submission: &Submission, found: &mut Found) {
    if let Some(kind) = known.kind.live().find(|kind| **kind != submission.kind) {
        let message = format!("the plan is live as `{kind}`, not `{}`", submission.kind);
        found.refused(ContradictionTopic::Sale, message);
    }
    if let Some(licence) = submission.licence
        && let Some(other) = known.licence.live().find(|other| **other != licence)
    {
        let message = format!("the licence is live as `{other}`, not `{licence}`");
        found.refused(ContradictionTopic::Licence, message);
    }
    if known.audience.was_live(&RecordedAudience::Public)
        && submission.audience == Some(RecordedAudience::Private)
    {
        let message = "the plan is live for everyone and cannot become private";
        found.refused(ContradictionTopic::Audience, message.to_owned());
    }
    if !submission.regions.is_empty() {
        for region in known.regions.live().filter(|region| !submission.regions.contains(*region)) {
            found.refused(ContradictionTopic::Regions, format!("`{region}` is live and missing"));
        }
    }
}

fn image(known: &PlanState, submission: &Submission, found: &mut Found) {
    if let Some(repository) = &submission.repository {
        for other in known.repository.all().filter(|other| *other != repository) {
            let is_live = known.repository.was_live(other);
            let place = if is_live { "live" } else { "in the preview" };
            let message = format!("the repository is {place} as `{other}`, not `{repository}`");
            found.add(ContradictionTopic::Repository, is_live, message);
        }
    }
    // A tag's former target is with customers, also after the tag's withdrawal.
    for (tag, state) in known.tags.iter().filter(|(_, state)| state.life.was_live()) {
        match submission.tags.get(tag) {
            None if !state.life.is_live() => {}
            None => {
                let message = format!(
                    "the tag `{tag}` is live and missing; where you stopped offering it, say so with \
                     `wharf offer record --withdraw {}:{tag}`",
                    submission.plan
                );
                found.refused(ContradictionTopic::Tag, message);
            }
            Some(Some(digest)) if !moves(tag.as_str()) => {
                if let Some(other) = state.digests.live().find(|other| *other != digest) {
                    let verb = if state.life.is_live() { "is" } else { "was" };
                    let message = format!("the tag `{tag}` {verb} live as {other}, not {digest}");
                    found.refused(ContradictionTopic::TagDigest, message);
                }
            }
            Some(_) => {}
        }
    }
    versions(known, submission, found);
}

/// Whether a tag may move with every release: `latest`, and `X.Y` (IOT).
fn moves(tag: &str) -> bool {
    tag == FLOATING_TAG || is_rolling(tag)
}

fn is_rolling(tag: &str) -> bool {
    tag.split('.').count() == 2 && version_of(tag).is_some_and(|(_, rest)| rest.is_empty())
}

/// A new tag must not be of a version below a live one. More tags of the live version itself are no
/// other version.
fn versions(known: &PlanState, submission: &Submission, found: &mut Found) {
    let version = |tag: &str| version_of(tag).map(|(version, _)| version);
    // A withdrawn version was a version all the same.
    let live = known.tags.iter().filter(|(_, state)| state.life.was_live());
    let live = live.filter(|(tag, _)| !is_rolling(tag.as_str()));
    let Some(highest) =
        live.filter_map(|(tag, _)| version(tag.as_str())).max_by_key(ImageVersion::numbers)
    else {
        return;
    };
    let mut lower: BTreeMap<[u64; 3], ImageVersion> = BTreeMap::new();
    for tag in submission.tags.keys().map(wharf_oci::Tag::as_str) {
        let is_known =
            known.tags.iter().any(|(at, state)| at.as_str() == tag && state.life.was_live());
        let Some(version) = version(tag).filter(|_| !is_known) else { continue };
        let [major, minor, _] = version.numbers();
        let [top_major, top_minor, _] = highest.numbers();
        let is_lower = if is_rolling(tag) {
            (major, minor) < (top_major, top_minor)
        } else {
            version.numbers() < highest.numbers()
        };
        if is_lower {
            lower.entry(version.numbers()).or_insert(version);
        }
    }
    for version in lower.into_values() {
        let message = format!("{version} is not greater than {highest}, which was published");
        found.refused(ContradictionTopic::Version, message);
    }
}

fn application(known: &PlanState, submission: &Submission, found: &mut Found) {
    if let Some(kind) = &submission.extension_type
        && let Some(other) = known.extension_type.all().find(|other| *other != kind)
    {
        let message =
            format!("the type of the cluster extension was published as `{other}`, not `{kind}`");
        found.refused(ContradictionTopic::ExtensionType, message);
    }
    if let Some(scope) = submission.scope
        && let Some(other) = known.scope.live().find(|other| **other != scope)
    {
        let message = format!("the scope is live as `{other}`, not `{scope}`");
        found.refused(ContradictionTopic::Scope, message);
    }
    for ((repository, version), _) in known.live_bundles() {
        let is_it =
            |own: &&super::RecordedBundle| own.repository == *repository && own.version == *version;
        if submission.bundles.iter().find(is_it).is_none() {
            let message = format!(
                "the bundle `{repository}:{version}` is live and missing; where you stopped offering \
                 it, say so with `wharf offer record --withdraw {}:{version}`",
                submission.plan
            );
            found.refused(ContradictionTopic::Bundle, message);
        }
    }
    bundles(known, submission, found);
}

fn bundles(known: &PlanState, submission: &Submission, found: &mut Found) {
    let numbers = |version: &str| version.parse().ok().map(|at: ImageVersion| at.numbers());
    let live = known.bundles.iter().filter(|(_, state)| state.life.was_live());
    let highest = live
        .filter_map(|((_, version), _)| Some((numbers(version)?, version)))
        .max_by_key(|(numbers, _)| *numbers);
    for bundle in &submission.bundles {
        let key = (bundle.repository.clone(), bundle.version.clone());
        let name = format!("{}:{}", bundle.repository, bundle.version);
        match (known.bundles.get(&key), highest) {
            (Some(state), _) => {
                if let Some(digest) = bundle.digest
                    && let Some(other) = state.digests.all().find(|other| **other != digest)
                {
                    let message =
                        format!("the bundle `{name}` was published as {other}, not {digest}");
                    found.refused(ContradictionTopic::BundleDigest, message);
                }
            }
            (None, Some((highest, text))) => {
                if numbers(&bundle.version).is_some_and(|own| own <= highest) {
                    let message = format!(
                        "the bundle `{name}` is not greater than {text}, which was published"
                    );
                    found.refused(ContradictionTopic::Bundle, message);
                }
            }
            (None, None) => {}
        }
    }
}
