//! What follows an apply where it is asked for: records beside the promoted images, then locks. A
//! resumed apply makes up for what an interrupted one left.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use wharf_oci::{Digest, Manifest, Tag};

use crate::cli::PromoteApplyArgs;
use crate::clock;
use crate::commands::remote::one_line;
use crate::commands::{Context, variable};
use crate::image_lock::{self, LockState};
use crate::promote::apply::ImageOutcome;
use crate::promote::manifests::{Fetched, Manifests};
use crate::promote::plan::{Content, Item, Plan, PlanAction};
use crate::promote::record::{PromotedRoot, Promotion, Recorded, runner};
use crate::registry::{Registry, RegistryError};

/// The records and locks of one image.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sealed {
    /// The plan of the offer.
    plan: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    records: Vec<Recorded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<LockState>,
    /// Why not all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Records and locks what is in place now.
pub(super) async fn seal(
    args: &PromoteApplyArgs,
    plan: &Plan,
    to: &Arc<Registry>,
    outcomes: &[ImageOutcome],
    context: &Context,
) -> Vec<Sealed> {
    if !args.record && !args.lock {
        return Vec::new();
    }
    let release = plan.content();
    let (by, run) = runner(&variable);
    let promotion = Promotion {
        plan_digest: plan.digest(),
        offer: release.offer.clone(),
        by: args.record_by.clone().unwrap_or(by),
        run,
        time: clock::now(),
    };
    let mut all = Vec::new();
    for (item, _) in release.items.iter().zip(outcomes).filter(|(_, at)| at.state.is_done()) {
        let mut sealed = Sealed { plan: item.plan.clone(), ..Sealed::default() };
        let done = seal_image(args, &promotion, release, to, item, &mut sealed).await;
        if let Err(error) = done {
            let message = one_line(&error);
            context.output.failure(&format!("{}: {message}", item.plan), None);
            sealed.error = Some(message);
        }
        if sealed.lock == Some(LockState::Unsupported) {
            let host = to.host().as_str();
            context.output.warning(&format!("{}: {}", item.plan, image_lock::unsupported(host)));
        }
        all.push(sealed);
    }
    all
}

async fn seal_image(
    args: &PromoteApplyArgs,
    promotion: &Promotion,
    release: &Content,
    to: &Arc<Registry>,
    item: &Item,
    sealed: &mut Sealed,
) -> Result<(), RegistryError> {
    // An image that was in place before the plan was not promoted by it.
    if args.record && item.action == PlanAction::Copy {
        let from = format!("{}/{}", release.from.login_server, item.source);
        for subject in &item.manifests {
            let steps = item.tags.iter().filter(|step| step.digest == subject.digest);
            let tags: Vec<&Tag> = steps.map(|step| &step.tag).collect();
            if tags.is_empty() {
                continue;
            }
            let (plan, from, repo) = (item.plan.as_str(), from.clone(), &item.destination);
            let root = PromotedRoot { subject, plan, from, repo, tags };
            sealed.records.push(promotion.record(to, &root).await?);
        }
    }
    if args.lock {
        let tags = item.tags.iter().map(|step| &step.tag);
        let manifests = match manifests_of(to, item).await? {
            Ok(manifests) => manifests,
            Err(url) => {
                sealed.error = Some(format!("{url} is not there"));
                return Ok(());
            }
        };
        sealed.lock = Some(image_lock::lock(to, &item.destination, tags, manifests).await?);
    }
    Ok(())
}

/// All manifests of an image. A plan does not list those of an image that was in place; the registry
/// knows them. The inner error is the address of a missing one.
async fn manifests_of(
    to: &Arc<Registry>,
    item: &Item,
) -> Result<Result<Vec<Digest>, String>, RegistryError> {
    if !item.manifests.is_empty() {
        return Ok(Ok(item.manifests.iter().map(|manifest| manifest.digest).collect()));
    }
    let mut roots: Vec<Digest> = item.tags.iter().map(|step| step.digest).collect();
    roots.sort_unstable();
    roots.dedup();
    let fetched = Manifests::new(Arc::clone(to)).tree(&item.destination, &roots).await?;
    Ok(match fetched {
        Fetched::Tree(tree) => Ok(tree.manifests.iter().map(Manifest::digest).collect()),
        Fetched::Missing(url) => Err(url),
    })
}

impl Sealed {
    /// Whether all of it was done.
    pub(super) fn is_whole(&self) -> bool {
        self.error.is_none() && self.lock != Some(LockState::Unsupported)
    }

    pub(super) fn plan(&self) -> &str {
        &self.plan
    }

    /// A line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for record in &self.records {
            let mut line = format!("record {} of {}", record.digest, record.subject.short());
            if record.already {
                line.push_str(": already");
            }
            lines.push(line);
        }
        match self.lock {
            Some(LockState::Locked) => lines.push("locked, except latest".to_owned()),
            Some(LockState::Unsupported) => lines.push("not locked: no locks there".to_owned()),
            None => {}
        }
        lines.extend(self.error.iter().map(|error| format!("not sealed: {error}")));
        lines
    }
}

/// All lines, for a terminal.
pub(super) fn text(all: &[Sealed]) -> String {
    let mut text = String::new();
    for sealed in all {
        for line in sealed.lines() {
            let _ = writeln!(text, "{} {line}", sealed.plan);
        }
    }
    text
}
