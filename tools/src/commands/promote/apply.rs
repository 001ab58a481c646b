//! `wharf promote apply`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;

use super::super::inputs::Inputs;
use super::super::remote::exit_of;
use super::super::{Context, publish};
use super::progress::{ApplyProgress, Asked};
use super::release;
use super::seal::{self, Sealed, seal};
use super::{companions_text, explained, open_sides, quota_of, state_style};
use crate::cli::PromoteApplyArgs;
use crate::exit::Exit;
use crate::input;
use crate::output::{Paint, Style, Table};
use crate::promote::ImageState;
use crate::promote::apply::{Apply, ImageOutcome};
use crate::promote::ledger::{BeginItem, Event, Ledger, LedgerError, LedgerHistory};
use crate::promote::plan::{PLAN_BYTES_MAX, Plan};
use crate::rules::image::size;
use crate::transfer::TransferBytes;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Applied<'a> {
    plan_digest: String,
    ledger: &'a Path,
    requests: u64,
    items: Vec<ImageOutcome>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sealed: Vec<Sealed>,
}

/// Applies a plan.
pub(super) async fn run(args: &PromoteApplyArgs, context: &Context) -> anyhow::Result<Exit> {
    let plan = read_plan(&args.plan)?;
    let path = args.ledger.clone().unwrap_or_else(|| {
        let mut path = args.plan.clone().into_os_string();
        path.push(".ledger");
        PathBuf::from(path)
    });
    let inputs = Inputs::none().and([args.plan.as_path(), path.as_path()]);
    publish::check_pages(&args.reports, &inputs)?;
    let promotion = plan.content();
    let quota = quota_of(args.tier);
    let (from, to) = open_sides(&promotion.from, &promotion.to, quota, context).await?;
    let (ledger, history) = open_ledger(&path, &plan, args.resume)?;
    ledger.sync().await?;
    let resume = resume_line(args);
    context.going_on.set(resume.clone());
    let read_back = args.read_back;
    let asked = Asked::new(&from, &to);
    let destination = Arc::clone(&to);
    let apply = Apply { content: promotion, from, to, ledger: &ledger, history, read_back };
    let progress = ApplyProgress::new(&context.output, args.progress, &apply);
    let items = apply.run(&progress).await.context(resume.clone())?;
    progress.end();
    if items.iter().any(|item| item.state == ImageState::Failed) {
        context.output.note(&resume);
    }
    let sealed = seal(args, &plan, &destination, &items, context).await;
    let failures = items.iter().filter_map(|item| item.failure.as_ref());
    let is_done = |item: &ImageOutcome| item.state.is_done();
    let exit = match exit_of(items.len(), failures.map(|error| error as _)) {
        Exit::Ok if !items.iter().all(is_done) || !sealed.iter().all(Sealed::is_whole) => {
            Exit::Partial
        }
        exit => exit,
    };
    let page = release::applied(&plan, &items, &sealed, &path, &resume);
    let markdown = |bytes_max| page.markdown(bytes_max);
    let exit = publish::pages(&args.reports, &markdown, &inputs, exit, context);
    let requests = asked.count();
    let plan_digest = plan.digest().to_string();
    let applied = Applied { plan_digest, ledger: &path, requests, items, sealed };
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
    file.take(PLAN_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(cannot)?;
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
    text.push_str(&seal::text(&applied.sealed));
    text.push_str(&totals_text(applied));
    let _ = writeln!(text, "ledger {}", applied.ledger.display());
    text
}

/// How many images ended how, and what it took.
fn totals_text(applied: &Applied<'_>) -> String {
    let mut moved = TransferBytes::default();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for item in &applied.items {
        moved.add(item.moved);
        *counts.entry(item.state.as_str()).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    format!(
        "{}: {} sent, {} sent once more, {} mounted, {} requests\n",
        if counts.is_empty() { "nothing to do".to_owned() } else { counts.join(", ") },
        size(moved.sent_bytes),
        size(moved.resent_bytes),
        size(moved.mounted_bytes),
        applied.requests,
    )
}
