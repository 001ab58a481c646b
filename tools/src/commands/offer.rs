//! `wharf offer`: a file per command.

mod lint;
mod render;
mod schema;

use super::Context;
use crate::cli::OfferCommand;
use crate::exit::Exit;

/// Runs the command.
pub fn run(command: &OfferCommand, context: &Context) -> anyhow::Result<Exit> {
    match command {
        OfferCommand::Lint(args) => lint::run(args, context),
        OfferCommand::Render(args) => render::run(args, context),
        OfferCommand::Schema(args) => schema::run(args, context),
    }
}
