//! The digests of an offer's tags: from its layouts, from the result of `wharf push`, or from the
//! ledger of a promotion.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use wharf_oci::{Digest, Tag};

use super::read;
use crate::cli::RecordArgs;
use crate::image::inputs;
use crate::offer::OfferFile;
use crate::offer::model::PlanImage;
use crate::promote::ledger;
use crate::published::{LedgerState, Submission};
use crate::source::Source;

type Tags = BTreeMap<Tag, Digest>;

/// Looks up the digests of an image's tags.
type Lookup = Box<dyn Fn(&PlanImage) -> anyhow::Result<Tags>>;

/// Gives each tag of the offer its digest. Tags of earlier versions keep their digests from the
/// ledger.
pub(super) fn fill(
    submissions: &mut [Submission],
    file: &OfferFile,
    args: &RecordArgs,
    state: &LedgerState,
) -> anyhow::Result<()> {
    let from: Lookup = match (&args.pushed, &args.promoted) {
        (Some(pushed), _) => {
            let pushed = Pushed::read(pushed)?;
            let prefixed = repositories(submissions);
            Box::new(move |image| pushed.tags(image, &prefixed))
        }
        (None, Some(path)) => {
            let history = ledger::open(path)?;
            let wanted = &file.offer.offer.registry;
            ensure!(
                history.to.name == wanted.as_str() && history.offer == file.offer.offer.id,
                "{} is a promotion of `{}` to `{}`; Microsoft copies `{}` from `{wanted}`",
                path.display(),
                history.offer,
                history.to.name,
                file.offer.offer.id
            );
            let known = known(file, state);
            let path = path.clone();
            Box::new(move |image| promoted(image, &history, &known, &path))
        }
        (None, None) => {
            let folder = args.layouts.clone().unwrap_or_else(|| file.folder().join("out"));
            Box::new(move |image| of_layout(image, &folder.join(image.id.as_str())))
        }
    };
    for (_, plan, kind) in file.offer.image_plans() {
        let Some(submission) = submissions.iter_mut().find(|at| at.plan == plan.id.as_str()) else {
            continue;
        };
        let tags = from(&kind.image)?;
        for item in &kind.image.image.expanded_tags {
            submission.tags.insert(item.tag.clone(), tags.get(&item.tag).copied());
        }
    }
    Ok(())
}

fn repositories(submissions: &[Submission]) -> BTreeMap<String, String> {
    let pairs = submissions.iter().map(|at| (at.plan.clone(), at.repository.clone()));
    pairs.filter_map(|(plan, repository)| Some((plan, repository?))).collect()
}

/// Refuses a set of digests without one for every tag of the image.
fn all_of(image: &PlanImage, tags: Tags, place: &str) -> anyhow::Result<Tags> {
    match image.image.expanded_tags.iter().find(|item| !tags.contains_key(&item.tag)) {
        None => Ok(tags),
        Some(item) => bail!("{place} says nothing of the tag `{}` of `{}`", item.tag, image.id),
    }
}

fn of_layout(image: &PlanImage, path: &Path) -> anyhow::Result<Tags> {
    let cannot = || {
        format!(
            "cannot read the layout of `{}`; give --layouts, --pushed, --promoted or --tree",
            image.id
        )
    };
    let source = Source::open_path(path).with_context(cannot)?;
    ensure!(
        !inputs::is_stale(source.roots(), &image.image),
        "{} was made from another version of the offer; package it again",
        path.display()
    );
    let tags = source.tags().map(|(tag, target)| (tag, target.digest)).collect();
    all_of(image, tags, &path.display().to_string())
}

/// The result of `wharf push --output-format json`.
#[derive(Deserialize)]
struct PushEnvelope {
    command: String,
    result: PushResult,
}

#[derive(Deserialize)]
struct PushResult {
    items: Vec<PushItem>,
}

#[derive(Deserialize)]
struct PushItem {
    plan: Option<String>,
    repository: String,
    state: String,
    #[serde(default)]
    tags: Vec<PushedTag>,
}

#[derive(Deserialize)]
struct PushedTag {
    tag: Tag,
    digest: Digest,
}

struct Pushed {
    name: String,
    items: Vec<PushItem>,
}

impl Pushed {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let envelope: PushEnvelope = serde_json::from_slice(&read(path)?).with_context(|| {
            format!("{name} is no result of `wharf push OFFER --to NAME --output-format json`")
        })?;
        ensure!(envelope.command == "push", "{name} is the result of `{}`", envelope.command);
        Ok(Self { name, items: envelope.result.items })
    }

    fn tags(&self, image: &PlanImage, wanted: &BTreeMap<String, String>) -> anyhow::Result<Tags> {
        let Self { name, items } = self;
        let item = items.iter().find(|item| item.plan.as_deref() == Some(image.id.as_str()));
        let item =
            item.with_context(|| format!("{name} says nothing of the plan `{}`", image.id))?;
        let is_there = matches!(item.state.as_str(), "pushed" | "unchanged");
        ensure!(is_there, "{name} says that `{}` is {}", image.id, item.state);
        if let Some(wanted) = wanted.get(image.id.plan()) {
            ensure!(
                *wanted == item.repository,
                "{name} says that `{}` went to `{}`; Microsoft copies it from `{wanted}`",
                image.id,
                item.repository
            );
        }
        all_of(image, item.tags.iter().map(|at| (at.tag.clone(), at.digest)).collect(), name)
    }
}

/// The digests of tags by the ledger of publications: a promotion writes down only its moved tags.
fn known(file: &OfferFile, state: &LedgerState) -> BTreeMap<String, Tags> {
    let offer = &file.offer;
    let Some(offer) = state.offer(&offer.publisher, &offer.offer.id) else {
        return BTreeMap::new();
    };
    let of_plan = |plan: &crate::published::PlanState| {
        let tags = plan.tags.iter();
        tags.filter_map(|(tag, at)| Some((tag.clone(), *at.digests.latest()?))).collect()
    };
    offer.plans.iter().map(|(id, plan)| (id.clone(), of_plan(plan))).collect()
}

fn promoted(
    image: &PlanImage,
    history: &ledger::LedgerHistory,
    known: &BTreeMap<String, Tags>,
    path: &Path,
) -> anyhow::Result<Tags> {
    let name = path.display();
    let item = history.item(image.id.as_str());
    let item = item.with_context(|| format!("{name} says nothing of the plan `{}`", image.id))?;
    match &item.state {
        Some((state, _)) if state.is_done() => {}
        Some((state, reason)) => {
            bail!("{name} says that `{}` is {}: {reason}", image.id, state.as_str())
        }
        None => bail!("{name} says that `{}` did not end; resume it", image.id),
    }
    let mut tags = known.get(image.id.plan()).cloned().unwrap_or_default();
    tags.extend(item.wanted.iter().map(|(tag, digest)| (tag.clone(), *digest)));
    tags.extend(item.tags.iter().map(|at| (at.tag.clone(), at.after)));
    let hint = format!(
        "{name} (ledgers of earlier versions lack tags that were in place before: give --layouts)"
    );
    all_of(image, tags, &hint)
}
