//! The page of a release, of a plan or of what an apply did with it.

use std::path::Path;

use super::seal::Sealed;
use crate::promote::ImageState;
use crate::promote::apply::ImageOutcome;
use crate::promote::companions::{Companion, CompanionAction};
use crate::promote::plan::{Content, Item, Plan, PlanAction, RegistryRef};
use crate::report::release::{Mark, Release, ReleasedBytes, ReleasedImage, ReleasedTag};

/// The page of a plan before its apply.
pub(super) fn planned(plan: &Plan, file: &Path) -> Release {
    let content = plan.content();
    let images = content.items.iter().map(|item| {
        let (state, reason) = planned_state(item);
        let moved = ReleasedBytes::Planned { size_bytes: item.size_bytes() };
        image(content, item, &item.companions, (state, reason, moved))
    });
    let apply = format!("wharf promote apply {}", file.display());
    release(plan, images.collect(), vec![("To release it:", apply)])
}

/// The page of an apply.
pub(super) fn applied(
    plan: &Plan,
    outcomes: &[ImageOutcome],
    sealed: &[Sealed],
    ledger: &Path,
    going_on: &str,
) -> Release {
    let content = plan.content();
    let images = content.items.iter().zip(outcomes).map(|(item, outcome)| {
        let mark = if outcome.state.is_done() { Mark::Good } else { Mark::Bad };
        let state = (mark, outcome.state.as_str());
        let moved = ReleasedBytes::Moved(outcome.moved);
        let mut image = image(content, item, &outcome.companions, (state, &outcome.reason, moved));
        let of_image = sealed.iter().filter(|sealed| sealed.plan() == item.plan);
        image.sealed = of_image.flat_map(Sealed::lines).collect();
        image
    });
    let mut next = Vec::new();
    if outcomes.iter().any(|outcome| outcome.state == ImageState::Failed) {
        next.push(("To go on with what failed:", going_on.to_owned()));
    }
    let undo = format!("wharf promote undo {}", ledger.display());
    next.push(("To put the moved tags back (content and new tags stay):", undo));
    release(plan, images.collect(), next)
}

fn release(plan: &Plan, images: Vec<ReleasedImage>, next: Vec<(&'static str, String)>) -> Release {
    let content = plan.content();
    let side = |side: &RegistryRef| format!("{} ({})", side.name, side.login_server);
    Release {
        offer: content.offer.clone(),
        from: side(&content.from),
        to: side(&content.to),
        plan_digest: plan.digest(),
        images,
        next,
    }
}

fn planned_state(item: &Item) -> ((Mark, &'static str), &str) {
    let state = match item.action {
        PlanAction::Copy => (Mark::Waiting, "copy"),
        PlanAction::UpToDate => (Mark::Good, "already"),
        PlanAction::Refused => (Mark::Bad, "refused"),
        PlanAction::Conflict => (Mark::Bad, "conflict"),
        PlanAction::Missing => (Mark::Bad, "lost"),
    };
    (state, &item.reason)
}

fn image(
    content: &Content,
    item: &Item,
    companions: &[Companion],
    (state, reason, moved): ((Mark, &'static str), &str, ReleasedBytes),
) -> ReleasedImage {
    let at = |side: &RegistryRef, repo| format!("{}/{repo}", side.login_server);
    let (left, along): (Vec<&Companion>, Vec<&Companion>) =
        companions.iter().partition(|companion| companion.action == CompanionAction::Left);
    ReleasedImage {
        plan: item.plan.clone(),
        source: at(&content.from, &item.source),
        destination: at(&content.to, &item.destination),
        digest: item.tags.last().map(|step| step.digest),
        tags: (item.tags.iter())
            .map(|step| ReleasedTag {
                tag: step.tag.clone(),
                moved_from: step.before.filter(|before| *before != step.digest),
            })
            .collect(),
        state,
        reason: reason.to_owned(),
        moved,
        companions: along.into_iter().map(ToString::to_string).collect(),
        left_behind: left.into_iter().map(ToString::to_string).collect(),
        sealed: Vec::new(),
    }
}
