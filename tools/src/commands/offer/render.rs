//! `wharf offer render`.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use serde::Serialize;

use super::super::given::{Given, published};
use super::super::inputs::Inputs;
use super::super::{Context, variable, write_file, write_secret_file};
use super::diff;
use super::unpinned::unpinned;
use crate::cli::{OutputFormat, RenderArgs};
use crate::exit::Exit;
use crate::marketplace::payload::faults;
use crate::marketplace::render::live::Live;
use crate::marketplace::render::{Secrets, render};
use crate::marketplace::tree::ResourceTree;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::published::Published;
use crate::report::Report;
use crate::rules;

/// The written files, when the payload itself does not go to stdout.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    output: &'a Path,
    notes: &'a [String],
}

/// The payload is for another program: it is written as it is, without the envelope of results.
pub(super) fn run(args: &RenderArgs, context: &Context) -> anyhow::Result<Exit> {
    let mut file = OfferFile::open(&args.offer)?;
    let published = published(args.given.ledger.as_deref(), &mut file)?;
    let texts = Content::load(&file)?;
    let published = published.map(|state| Published::of(state, &file, &texts));
    let tree = args.tree.as_deref().map(|tree| open_tree(tree, &file)).transpose()?;
    let live = tree.as_ref().map(Live::of).unwrap_or_default();
    let state = published.as_ref().map(|at| at.state.clone()).unwrap_or_default();
    let live = live.with_published(&file, &state);
    let report = judged(args, &file, &texts, published, tree.as_ref())?;
    if report.exit() != Exit::Ok {
        show(&report, args, context)?;
        if !args.force {
            return Ok(report.exit());
        }
        context.output.warning("rendered although `offer lint` refuses the offer");
    }
    let secrets =
        if args.with_secrets { Secrets::Resolve(&variable) } else { Secrets::Placeholders };
    let mut rendered = render(&file, &texts, &secrets, Some(&live))?;
    if tree.is_some() {
        let unknown = faults(&serde_json::to_value(&rendered.payload)?).into_iter();
        let words = |fault: crate::marketplace::payload::PayloadFault| {
            format!("the payload at {}: {}", fault.at, fault.message)
        };
        rendered.notes.extend(unknown.map(words));
    }
    rendered.notes.extend(unpinned(&file, &texts, file.offer.plans.iter().enumerate()));
    for note in &rendered.notes {
        context.output.warning(note);
    }
    let mut text = serde_json::to_string_pretty(&rendered.payload)?;
    text.push('\n');
    match &args.output {
        None => context.output.raw(&text)?,
        Some(path) => {
            let write = if args.with_secrets { write_secret_file } else { write_file };
            let given = &args.given;
            let given = given.registry_states.iter().chain(&given.waivers).chain(&given.ledger);
            let read = given.map(PathBuf::as_path).chain(args.tree.as_deref());
            write(path, &text, &Inputs::of(&file).and(read))?;
            let written = Written { output: path, notes: &rendered.notes };
            context.output.note(&format!("wrote {}", path.display()));
            context.output.result("offer render", &written, |_| String::new())?;
        }
    }
    Ok(Exit::Ok)
}

/// The tree of another offer would put its bundles into the payload.
fn open_tree(tree: &Path, file: &OfferFile) -> anyhow::Result<ResourceTree> {
    let (tree, id) = (ResourceTree::open(tree)?, &file.offer.offer.id);
    ensure!(
        tree.offer_id() == id,
        "{} is the tree of the offer `{}`, not of `{id}`",
        tree.file().display(),
        tree.offer_id()
    );
    Ok(tree)
}

/// The findings of `offer lint` over the offer.
fn judged(
    args: &RenderArgs,
    file: &OfferFile,
    texts: &Content,
    published: Option<Published>,
    tree: Option<&ResourceTree>,
) -> anyhow::Result<Report> {
    let named = std::iter::once(args.offer.as_path());
    let mut given = Given::read(&args.given, None, named, Some(file))?;
    if let Some(tree) = tree {
        let state = published.as_ref().map(|at| at.state.clone()).unwrap_or_default();
        let compared = diff::evidence(file, texts, tree, &state);
        given.evidence.tree = Some(compared);
    }
    given.evidence.published = published;
    let judgement = rules::judge_offer(file, texts, &given.evidence, args.profile);
    let judgement = given.conclude(judgement, &[], true, args.profile);
    Ok(Report::new(Vec::new(), judgement, args.fail_on))
}

/// Stdout is for the payload, so findings go beside it; in JSON they are the result.
fn show(report: &Report, args: &RenderArgs, context: &Context) -> anyhow::Result<()> {
    if context.output.format() == OutputFormat::Text || args.force {
        context.output.result_aside(|paint| report.text(paint));
        return Ok(());
    }
    Ok(context.output.result("offer render", report, |paint| report.text(paint))?)
}
