//! `wharf promote`: plan, apply, status, undo.

mod apply;
mod ledgers;
mod plan;
mod progress;
mod release;
mod seal;

use std::fmt::Write as _;
use std::sync::Arc;

use super::Context;
use super::remote::{Endpoint, open_within};
use crate::cli::{PromoteCommand, Tier};
use crate::exit::Exit;
use crate::output::Style;
use crate::promote::ImageState;
use crate::promote::companions::Companion;
use crate::promote::plan::{CredentialNames, RegistryRef};
use crate::registry::{Quota, Registry};

/// Runs the command.
pub async fn run(command: &PromoteCommand, context: &Context) -> anyhow::Result<Exit> {
    match command {
        PromoteCommand::Plan(args) => plan::run(args, context).await,
        PromoteCommand::Apply(args) => apply::run(args, context).await,
        PromoteCommand::Status(args) => ledgers::status(args, context),
        PromoteCommand::Undo(args) => ledgers::take_back(args, context).await,
    }
}

/// The limits of a tier, for one identity: best-effort numbers of the service's documents.
fn quota_of(tier: Option<Tier>) -> Quota {
    let (reads, writes) = match tier {
        None => return Quota::default(),
        Some(Tier::Basic | Tier::Standard) => (5_000, 1_000),
        Some(Tier::Premium) => (10_000, 2_000),
    };
    Quota { reads_per_minute: Some(reads), writes_per_minute: Some(writes) }
}

/// Opens both sides: one client for one registry, so that it keeps one count of requests.
async fn open_sides(
    from: &RegistryRef,
    to: &RegistryRef,
    quota: Quota,
    context: &Context,
) -> anyhow::Result<(Arc<Registry>, Arc<Registry>)> {
    let source = open_side(from, quota, context).await?;
    let is_one = from.login_server == to.login_server
        && from.plain_http == to.plain_http
        && from.credentials == to.credentials
        && from.offer_folder == to.offer_folder;
    if is_one {
        return Ok((Arc::clone(&source), source));
    }
    Ok((source, open_side(to, quota, context).await?))
}

async fn open_side(
    side: &RegistryRef,
    quota: Quota,
    context: &Context,
) -> anyhow::Result<Arc<Registry>> {
    let credentials = side.credentials.as_ref().map(CredentialNames::to_credentials);
    let endpoint = Endpoint {
        name: &side.name,
        host: &side.login_server,
        plain_http: side.plain_http,
        credentials: credentials.as_ref(),
        folder: &side.offer_folder,
    };
    open_within(&endpoint, quota, context).await
}

/// Signatures and the like, one line each.
fn companions_text(plan: &str, companions: &[Companion]) -> String {
    let mut text = String::new();
    for companion in companions {
        let _ = writeln!(text, "{plan} with {companion}");
    }
    text
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
