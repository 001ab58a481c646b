//! `wharf promote status` and `wharf promote undo`.

use serde::Serialize;

use super::super::Context;
use super::super::remote::exit_of;
use super::{explained, open_side, state_style};
use crate::cli::LedgerArgs;
use crate::exit::Exit;
use crate::output::{Paint, Style, Table};
use crate::promote::ImageState;
use crate::promote::ledger::{self, Ledger};
use crate::promote::undo::{UndoState, Undone, undo};
use crate::registry::Quota;

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

/// Says how far an apply came.
pub(super) fn status(args: &LedgerArgs, context: &Context) -> anyhow::Result<Exit> {
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

/// Puts tags back.
pub(super) async fn take_back(args: &LedgerArgs, context: &Context) -> anyhow::Result<Exit> {
    let (ledger, history) = Ledger::reopen(&args.ledger)?;
    let registry = open_side(&history.to, Quota::default(), context).await?;
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
