//! `wharf offer diff`: the payload's changes to a saved resource tree.

mod text;

use std::path::PathBuf;

use anyhow::Context as _;
use regex::Regex;
use serde::Serialize;

use super::super::given::published;
use super::super::inputs::Inputs;
use super::super::remote::one_line;
use super::super::{Context, write_file};
use crate::cli::{DiffFormat, OfferDiffArgs, OutputFormat};
use crate::exit::Exit;
use crate::marketplace::diff::{Change, TreeDiff, compare};
use crate::marketplace::render::live::Live;
use crate::marketplace::render::{RenderError, Secrets, render};
use crate::marketplace::tree::ResourceTree;
use crate::offer::OfferFile;
use crate::offer::content::Content;
use crate::offer::error::{Diagnostic, OfferError};
use crate::output::{Paint, json};
use crate::published::{LedgerState, SubmissionTarget, submissions};
use wharf_oci::Timestamp;

/// The result.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Compared {
    offer: PathBuf,
    tree: PathBuf,
    #[serde(flatten)]
    diff: TreeDiff,
    /// Keys of changes outside the given allowances, if there are any allowances.
    unexpected: Vec<String>,
}

/// Runs the command.
pub(super) fn run(args: &OfferDiffArgs, context: &Context) -> anyhow::Result<Exit> {
    let mut file = OfferFile::open(&args.offer)?;
    let state = published(args.ledger.as_deref(), &mut file)?.unwrap_or_default();
    let tree = ResourceTree::open(&args.tree)?;
    let texts = Content::load(&file)?;
    let diff = of(&file, &texts, &tree, &state)?;
    let allowed = args.allowed.iter().map(|glob| matcher(glob)).collect::<Result<Vec<_>, _>>()?;
    let unexpected = unexpected(&diff.changes, &allowed);
    let compared =
        Compared { offer: args.offer.clone(), tree: args.tree.clone(), diff, unexpected };
    let read = [Some(args.tree.as_path()), args.ledger.as_deref()];
    let inputs = Inputs::of(&file).and(read.into_iter().flatten());
    publish(&compared, args, &inputs, context)?;
    let is_refused = compared.diff.changes.iter().any(|change| change.refused.is_some());
    let is_wrong = is_refused || !compared.unexpected.is_empty();
    Ok(if is_wrong { Exit::Findings } else { Exit::Ok })
}

/// The payload of an offer against a tree, with placeholders for its secrets. The payload is
/// rendered with the tree, so live bundles and tags stay in it.
pub(super) fn of(
    file: &OfferFile,
    texts: &Content,
    tree: &ResourceTree,
    state: &LedgerState,
) -> anyhow::Result<TreeDiff> {
    let live = Live::of(&without_clashes(file, texts, tree)).with_published(file, state);
    let rendered = render(file, texts, &Secrets::Placeholders, Some(&live))?;
    let payload = serde_json::to_value(&rendered.payload)?;
    Ok(compare(&payload, tree)?)
}

/// A version published with another digest cannot be rendered. Here the two are reported beside the
/// other refusals, so the published digest must not stand in the way.
fn without_clashes(file: &OfferFile, texts: &Content, tree: &ResourceTree) -> ResourceTree {
    let own = submissions(
        file,
        texts,
        &LedgerState::default(),
        SubmissionTarget::Live,
        Timestamp::default(),
    );
    let bundles = own.iter().flat_map(|own| own.bundles.iter().map(|at| (&own.plan, at)));
    bundles.fold(tree.clone(), |tree, (plan, bundle)| match bundle.digest {
        Some(digest) => {
            tree.without_other(plan, &bundle.repository, &bundle.version, &digest.to_string())
        }
        None => tree,
    })
}

/// The same for the rules, with the reason for a missing comparison in one line.
pub(super) fn evidence(
    file: &OfferFile,
    texts: &Content,
    tree: &ResourceTree,
    state: &LedgerState,
) -> Result<TreeDiff, String> {
    of(file, texts, tree, state).map_err(|error| match error.downcast_ref::<RenderError>() {
        Some(RenderError::Offer(OfferError::Invalid(faults))) => brief(faults),
        _ => one_line(error.as_ref()),
    })
}

/// Faults without their lines.
fn brief(faults: &[Diagnostic]) -> String {
    let fault = |fault: &Diagnostic| {
        format!("{}:{}: {}", fault.file.display(), fault.spot.line, fault.message)
    };
    faults.iter().map(fault).collect::<Vec<_>>().join("; ")
}

/// Without any allowance, every change is allowed.
fn unexpected(changes: &[Change], allowed: &[Regex]) -> Vec<String> {
    if allowed.is_empty() {
        return Vec::new();
    }
    let is_allowed = |change: &&Change| !allowed.iter().any(|glob| glob.is_match(&change.key));
    changes.iter().filter(is_allowed).map(|change| change.key.clone()).collect()
}

/// `*` stands for anything, everything else for itself.
fn matcher(glob: &str) -> anyhow::Result<Regex> {
    let parts: Vec<String> = glob.split('*').map(regex::escape).collect();
    let pattern = format!("^{}$", parts.join("(?s:.*)"));
    Regex::new(&pattern).with_context(|| format!("`{glob}` is too long for a pattern"))
}

fn publish(
    compared: &Compared,
    args: &OfferDiffArgs,
    inputs: &Inputs,
    context: &Context,
) -> anyhow::Result<()> {
    let format = args.format.unwrap_or(match context.output.format() {
        OutputFormat::Text => DiffFormat::Text,
        OutputFormat::Json => DiffFormat::Json,
    });
    let whole = match (format, &args.output) {
        (DiffFormat::Json, _) => json("offer diff", compared)?,
        (DiffFormat::Markdown, _) => text::markdown(&compared.diff, &compared.unexpected),
        (DiffFormat::Text, Some(_)) => {
            text::plain(&compared.diff, &compared.unexpected, Paint::PLAIN)
        }
        (DiffFormat::Text, None) => {
            text::plain(&compared.diff, &compared.unexpected, context.output.paint())
        }
    };
    match &args.output {
        None => Ok(context.output.raw(&whole)?),
        Some(path) => write_file(path, &whole, inputs),
    }
}

#[cfg(test)]
mod tests;
