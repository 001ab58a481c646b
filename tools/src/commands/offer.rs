//! `wharf offer`: a file per command.

mod checklist;
mod diff;
mod lint;
mod published;
mod record;
mod render;

use super::Context;
use crate::cli::OfferCommand;
use crate::exit::Exit;

/// Runs the command.
pub fn run(command: &OfferCommand, context: &Context) -> anyhow::Result<Exit> {
    match command {
        OfferCommand::Lint(args) => lint::run(args, context),
        OfferCommand::Render(args) => render::run(args, context),
        OfferCommand::Record(args) => record::run(args, context),
        OfferCommand::Published(args) => published::run(args, context),
        OfferCommand::Diff(args) => diff::run(args, context),
        OfferCommand::Checklist(args) => checklist::run(args, context),
    }
}
