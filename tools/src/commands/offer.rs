//! `wharf offer`: a file per command.

mod deploy;
mod lint;
mod render;

use super::Context;
use crate::cli::OfferCommand;
use crate::exit::Exit;

/// Runs the command.
pub fn run(command: &OfferCommand, context: &Context) -> anyhow::Result<Exit> {
    match command {
        OfferCommand::Lint(args) => lint::run(args, context),
        OfferCommand::Render(args) => render::run(args, context),
        OfferCommand::Deploy { command } => deploy::run(command, context),
    }
}
