//! `wharf offer`: a file per command.

mod bundle;
mod checklist;
mod deploy;
mod diff;
mod init;
mod lint;
mod pin;
mod published;
mod record;
mod render;
mod schema;
mod unpinned;

pub use self::init::ask::leave as leave_questions;
use super::Context;
use crate::cli::OfferCommand;
use crate::exit::Exit;

/// Runs the command.
pub fn run(command: &OfferCommand, context: &Context) -> anyhow::Result<Exit> {
    match command {
        OfferCommand::Init(args) => init::run(args, context),
        OfferCommand::Lint(args) => lint::run(args, context),
        OfferCommand::Pin(args) => pin::run(args, context),
        OfferCommand::Render(args) => render::run(args, context),
        OfferCommand::Bundle(args) => bundle::run(args, context),
        OfferCommand::Record(args) => record::run(args, context),
        OfferCommand::Published(args) => published::run(args, context),
        OfferCommand::Diff(args) => diff::run(args, context),
        OfferCommand::Checklist(args) => checklist::run(args, context),
        OfferCommand::Deploy { command } => deploy::run(command, context),
        OfferCommand::Schema(args) => schema::run(args, context),
    }
}
