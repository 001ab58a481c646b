//! `wharf promote`: plan, apply, status, undo.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;

use super::inputs::Inputs;
use super::remote::{Endpoint, exit_of, open};
use super::{Context, variable, write_file};
use crate::cli::{LedgerArgs, PromoteApplyArgs, PromoteCommand, PromotePlanArgs};
use crate::exit::Exit;
use crate::input;
use crate::offer::OfferFile;
use crate::offer::registries::{RegistryTarget, target};
use crate::output::{Paint, Style, Table};
use crate::promote::ImageState;
use crate::promote::apply::{Apply, ImageOutcome};
use crate::promote::companions::{Companion, CompanionAction};
use crate::promote::ledger::{self, BeginItem, Event, Ledger, LedgerError, LedgerHistory};
use crate::promote::plan::{
    Content, CredentialNames, Item, PLAN_BYTES_MAX, Plan, PlanAction, PlanRequest, RegistryRef,
};
use crate::promote::undo::{UndoState, Undone, undo};
use crate::registry::Registry;
use crate::rules::image::size;

/// Runs the command.
pub async fn run(command: &PromoteCommand, context: &Context) -> anyhow::Result<Exit> {
    match command {
        PromoteCommand::Plan(args) => make_plan(args, context).await,
        PromoteCommand::Apply(args) => apply(args, context).await,
        PromoteCommand::Status(args) => status(args, context),
        PromoteCommand::Undo(args) => take_back(args, context).await,
    }
}

async fn make_plan(args: &PromotePlanArgs, context: &Context) -> anyhow::Result<Exit> {
    let file = OfferFile::open(&args.offer)?;
    let plans = file.select_images(&args.plans)?;
    let (from, to) = (target(&file, &args.from, &variable)?, target(&file, &args.to, &variable)?);
    let sides = (side(&from, &file, context)?, side(&to, &file, context)?);
    let registries = (open_side(&sides.0, context).await?, open_side(&sides.1, context).await?);
    let mut items = Vec::new();
    for plan in plans {
        context.output.note(&format!("looking at {}", plan.id));
        let question = PlanRequest {
            plan: plan.id.as_str(),
            from: &registries.0,
            source: from.repository(&plan.image.repository),
            to: &registries.1,
            destination: to.repository(&plan.image.repository),
            tags: plan.image.expanded_tags.iter().map(|expanded| expanded.tag.clone()).collect(),
            allow_tag_move: args.allow_tag_move,
        };
        let item = question.answer().await.with_context(|| format!("plan {}", plan.id))?;
        for left in item.companions.iter().filter(|at| at.action == CompanionAction::Left) {
            context.output.warning(&format!("{}: {left}", item.plan));
        }
        items.push(item);
    }
    let promotion = Content {
        offer: file.offer.offer.id.clone(),
        from: sides.0,
        to: sides.1,
        allow_tag_move: args.allow_tag_move,
        items,
    };
    let exit = planned_exit(&promotion.items);
    let plan = Plan::new(promotion);
    match &args.output {
        Some(path) => {
            write_file(path, &plan.to_json(), &Inputs::of(&file))?;
            context.output.result("promote plan", &plan, |paint| plan_text(&plan, path, paint))?;
        }
        None => context.output.raw(&plan.to_json())?,
    }
    Ok(exit)
}

fn side(
    target: &RegistryTarget,
    file: &OfferFile,
    context: &Context,
) -> anyhow::Result<RegistryRef> {
    let folder = std::path::absolute(file.folder()).context("cannot find the offer's folder")?;
    Ok(RegistryRef {
        name: target.name.to_string(),
        login_server: target.login_server.clone(),
        plain_http: target.plain_http || context.global.plain_http,
        credentials: target.credentials.as_ref().map(CredentialNames::of),
        offer_folder: folder,
    })
}

async fn open_side(side: &RegistryRef, context: &Context) -> anyhow::Result<Arc<Registry>> {
    let credentials = side.credentials.as_ref().map(CredentialNames::to_credentials);
    let endpoint = Endpoint {
        name: &side.name,
        host: &side.login_server,
        plain_http: side.plain_http,
        credentials: credentials.as_ref(),
        folder: &side.offer_folder,
    };
    open(&endpoint, context).await
}

/// A plan that cannot do everything fails at once.
fn planned_exit(items: &[Item]) -> Exit {
    let stuck =
        items.iter().any(|item| matches!(item.action, PlanAction::Missing | PlanAction::Refused));
    if stuck { Exit::Partial } else { Exit::Ok }
}

fn plan_text(plan: &Plan, path: &Path, paint: Paint) -> String {
    let mut table = Table::new(&["PLAN", "FROM", "TO", "DIGEST", "SIZE", "ACTION"]);
    let promotion = plan.content();
    for item in &promotion.items {
        let (style, action) = match item.action {
            PlanAction::Copy => (Style::Good, "copy".to_owned()),
            PlanAction::UpToDate => (Style::Plain, "already".to_owned()),
            PlanAction::Refused => (Style::Error, format!("refused: {}", item.reason)),
            PlanAction::Missing => (Style::Error, format!("lost: {}", item.reason)),
        };
        let bytes = item.size_bytes();
        let digest = item.tags.last().map_or_else(|| "-".to_owned(), |step| step.digest.short());
        let cells = [
            item.plan.clone(),
            format!("{}/{}", promotion.from.login_server, item.source),
            format!("{}/{}", promotion.to.login_server, item.destination),
            digest,
            size(bytes),
        ];
        let styled = cells.into_iter().map(|cell| (Style::Plain, cell));
        table.styled_row(styled.chain([(style, action)]));
    }
    let mut text = table.render(paint);
    for item in &promotion.items {
        text.push_str(&companions_text(&item.plan, &item.companions));
    }
    let _ = writeln!(text, "plan {} in {}", plan.digest(), path.display());
    text
}

/// Signatures and the like, one line each.
fn companions_text(plan: &str, companions: &[Companion]) -> String {
    let mut text = String::new();
    for companion in companions {
        let _ = writeln!(text, "{plan} with {companion}");
    }
    text
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Applied<'a> {
    plan_digest: String,
    ledger: &'a Path,
    items: Vec<ImageOutcome>,
}

async fn apply(args: &PromoteApplyArgs, context: &Context) -> anyhow::Result<Exit> {
    let plan = read_plan(&args.plan)?;
    let path = args.ledger.clone().unwrap_or_else(|| {
        let mut path = args.plan.clone().into_os_string();
        path.push(".ledger");
        PathBuf::from(path)
    });
    let promotion = plan.content();
    let from = open_side(&promotion.from, context).await?;
    let to = open_side(&promotion.to, context).await?;
    let (ledger, history) = open_ledger(&path, &plan, args.resume)?;
    let resume = resume_line(args);
    context.going_on.set(resume.clone());
    let apply = Apply { content: promotion, from, to, ledger: &ledger, history };
    let items = apply.run(&|text| context.output.note(text)).await.context(resume.clone())?;
    if items.iter().any(|item| item.state == ImageState::Failed) {
        context.output.note(&resume);
    }
    let failures = items.iter().filter_map(|item| item.failure.as_ref());
    let exit = match exit_of(items.len(), failures.map(|error| error as _)) {
        Exit::Ok if items.iter().any(|item| !item.state.is_done()) => Exit::Partial,
        exit => exit,
    };
    let applied = Applied { plan_digest: plan.digest().to_string(), ledger: &path, items };
    context.output.result("promote apply", &applied, |paint| applied_text(&applied, paint))?;
    Ok(exit)
}

/// How to go on with an apply.
fn resume_line(args: &PromoteApplyArgs) -> String {
    let ledger = args.ledger.as_ref().map(|path| format!(" --ledger {}", path.display()));
    let ledger = ledger.unwrap_or_default();
    format!("go on with `wharf promote apply {}{ledger} --resume`", args.plan.display())
}

fn read_plan(path: &Path) -> anyhow::Result<Plan> {
    let cannot = || format!("cannot use the plan {}", path.display());
    let file = input::open(path).with_context(cannot)?;
    let mut bytes = Vec::new();
    file.take(PLAN_BYTES_MAX).read_to_end(&mut bytes).with_context(cannot)?;
    Plan::parse(&bytes).with_context(cannot)
}

/// A ledger for this plan: a fresh one, or the one to go on with.
fn open_ledger(
    path: &Path,
    plan: &Plan,
    resume: bool,
) -> anyhow::Result<(Ledger, Option<LedgerHistory>)> {
    if resume {
        let (ledger, history) = Ledger::reopen(path)?;
        if history.plan_digest != plan.digest() {
            let (found, expected) = (history.plan_digest, plan.digest());
            return Err(LedgerError::OtherPlan { path: path.to_owned(), found, expected }.into());
        }
        ledger.append(Event::Resume)?;
        return Ok((ledger, Some(history)));
    }
    let ledger = Ledger::create(path)?;
    let content = plan.content();
    let items = content.items.iter().map(|item| BeginItem {
        plan: item.plan.clone(),
        destination: item.destination.clone(),
        tags: item.tags.iter().map(|step| (step.tag.clone(), step.digest)).collect(),
    });
    ledger.append(Event::Begin {
        plan_digest: plan.digest(),
        offer: content.offer.clone(),
        to: content.to.clone(),
        items: items.collect(),
    })?;
    Ok((ledger, None))
}

fn state_style(state: ImageState) -> Style {
    match state {
        ImageState::Promoted => Style::Good,
        ImageState::UpToDate => Style::Plain,
        ImageState::Refused | ImageState::Missing | ImageState::Failed => Style::Error,
    }
}

/// A state with its reason, for the last column.
fn explained(state: &str, reason: &str) -> String {
    if reason.is_empty() { state.to_owned() } else { format!("{state}: {reason}") }
}

fn applied_text(applied: &Applied<'_>, paint: Paint) -> String {
    let headings = ["PLAN", "DESTINATION", "DIGEST", "SENT", "MOUNTED", "SKIPPED", "STATE"];
    let mut table = Table::new(&headings);
    for item in &applied.items {
        let cells = [
            item.plan.clone(),
            item.destination.clone(),
            item.digest.map_or_else(|| "-".to_owned(), |digest| digest.short()),
            size(item.moved.sent_bytes),
            size(item.moved.mounted_bytes),
            size(item.moved.skipped_bytes),
        ];
        let plain = cells.into_iter().map(|cell| (Style::Plain, cell));
        let state = explained(item.state.as_str(), &item.reason);
        table.styled_row(plain.chain([(state_style(item.state), state)]));
    }
    let mut text = table.render(paint);
    for item in &applied.items {
        text.push_str(&companions_text(&item.plan, &item.companions));
    }
    let _ = writeln!(text, "ledger {}", applied.ledger.display());
    text
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    plan_digest: String,
    offer: String,
    ended: bool,
    items: Vec<StatusItem>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusItem {
    plan: String,
    destination: String,
    /// Nothing when it did not come to its end.
    state: Option<ImageState>,
    /// Whether its tags were put back since.
    undone: bool,
    reason: String,
    blobs: usize,
    tags: Vec<String>,
}

fn status(args: &LedgerArgs, context: &Context) -> anyhow::Result<Exit> {
    let history = ledger::open(&args.ledger)?;
    let items = history.items.iter().map(|item| {
        let (state, reason) = item.state.clone().unzip();
        StatusItem {
            plan: item.plan.clone(),
            destination: format!("{}/{}", history.to.login_server, item.destination),
            state,
            undone: item.is_undone,
            reason: reason.unwrap_or_default(),
            blobs: item.blobs.len(),
            tags: item.tags.iter().map(|tag| tag.tag.to_string()).collect(),
        }
    });
    let status = Status {
        plan_digest: history.plan_digest.to_string(),
        offer: history.offer.clone(),
        ended: history.is_ended,
        items: items.collect(),
    };
    context.output.result("promote status", &status, |paint| status_text(&status, paint))?;
    let done = status.items.iter().all(|item| item.state.is_some_and(ImageState::is_done));
    Ok(if done { Exit::Ok } else { Exit::Partial })
}

fn status_text(status: &Status, paint: Paint) -> String {
    let mut table = Table::new(&["PLAN", "DESTINATION", "BLOBS", "TAGS", "STATE"]);
    for item in &status.items {
        let (style, word) = match item.state {
            Some(state) => (state_style(state), state.as_str()),
            None if item.undone => (Style::Warning, "undone"),
            None => (Style::Warning, "unfinished"),
        };
        let cells = [
            item.plan.clone(),
            item.destination.clone(),
            item.blobs.to_string(),
            item.tags.join(","),
        ];
        let plain = cells.into_iter().map(|cell| (Style::Plain, cell));
        table.styled_row(plain.chain([(style, explained(word, &item.reason))]));
    }
    table.render(paint)
}

async fn take_back(args: &LedgerArgs, context: &Context) -> anyhow::Result<Exit> {
    let (ledger, history) = Ledger::reopen(&args.ledger)?;
    let registry = open_side(&history.to, context).await?;
    let undone = undo(&history, &registry, &ledger).await?;
    let failures: Vec<_> = undone.iter().filter_map(|tag| tag.failure.as_ref()).collect();
    let exit = match exit_of(undone.len(), failures.into_iter().map(|error| error as _)) {
        Exit::Ok if undone.iter().any(is_left) => Exit::Partial,
        exit => exit,
    };
    context.output.result("promote undo", &undone, |paint| undone_text(&undone, paint))?;
    Ok(exit)
}

/// Whether a tag's return to its old digest was due and is outstanding. A tag new with a release
/// has no old digest: every release has some, and undoing leaves them.
fn is_left(tag: &Undone) -> bool {
    !matches!(tag.state, UndoState::Restored | UndoState::UpToDate | UndoState::WasNew)
}

fn undone_text(undone: &[Undone], paint: Paint) -> String {
    let mut table = Table::new(&["PLAN", "TAG", "DIGEST", "STATE"]);
    for tag in undone {
        let (style, state) = match tag.state {
            UndoState::Restored => (Style::Good, "restored"),
            UndoState::UpToDate => (Style::Plain, "already"),
            UndoState::WasNew => (Style::Plain, "left: it was not there before"),
            UndoState::MovedSince => (Style::Warning, "left: it was moved since"),
            UndoState::Gone => (Style::Error, "left: what it pointed at is gone"),
            UndoState::Failed => (Style::Error, "failed"),
        };
        table.styled_row([
            (Style::Plain, tag.plan.clone()),
            (Style::Plain, tag.name.clone()),
            (Style::Plain, tag.digest.map_or_else(|| "-".to_owned(), |digest| digest.short())),
            (style, explained(state, &tag.reason)),
        ]);
    }
    table.render(paint)
}
