//! `wharfd tags`: an operator's commands to a running server about its tags. Their work is done in
//! the library, `write_once`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Subcommand};
use tokio::sync::watch;
use wharf_oci::{RepoName, Tag};
use wharf_proxy::Period;
use wharf_proxy::maintenance;
use wharf_proxy::maintenance::{MaintenanceError, ProgressMonitor, Report, StoreCommand};
use wharf_store::Progress;

use crate::cli::signals;
use crate::cli::store::failed;
use crate::{EXIT_FAILED, fail, in_runtime};

#[derive(Args)]
pub(crate) struct TagsArgs {
    #[command(subcommand)]
    command: Typed,
}

#[derive(Subcommand)]
enum Typed {
    /// Let one push or deletion change a write-once tag
    ///
    /// Asked of the wharfd that has the store open, and forgotten when that ends. The log says who
    /// was allowed what, and what came of it, with `audit`.
    Allow(Allow),
}

#[derive(Args)]
struct Allow {
    /// The tag, as clients of this wharfd name it
    #[arg(value_name = "NAME:TAG")]
    image: Image,
    /// Why; for the log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how long, at most 24h; the first change ends it
    #[arg(long = "for", value_name = "TIME", default_value = "10m")]
    time: Period,
    /// Folder of the store of the running server
    #[arg(long, value_name = "DIR", env = "WHARFD_STORE")]
    store: PathBuf,
}

/// A tag of a repository.
#[derive(Clone)]
struct Image {
    repository: RepoName,
    tag: Tag,
}

impl FromStr for Image {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (repository, tag) = text.rsplit_once(':').ok_or("write NAME:TAG")?;
        let repository = repository.parse().map_err(|error| format!("{error}"))?;
        let tag = tag.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { repository, tag })
    }
}

/// Runs the command; returns its exit code.
pub(crate) fn run(args: TagsArgs) -> ExitCode {
    let Typed::Allow(allow) = args.command;
    let Image { repository, tag } = allow.image;
    let said = format!("one change of {repository}:{tag} is allowed\n");
    let seconds = allow.time.0.as_secs();
    let command = StoreCommand::AllowTag { repository, tag, reason: allow.reason, seconds };
    match in_runtime(ask(allow.store, command)) {
        Ok(Ok(_)) => {
            // A closed pipe is the reader's choice.
            let _ = std::io::stdout().write_all(said.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Err(error)) => failed(&error),
        Err(error) => fail(EXIT_FAILED, &error),
    }
}

async fn ask(store: PathBuf, command: StoreCommand) -> Result<Report, MaintenanceError> {
    let (progress, _told) = watch::channel(Progress::default());
    let stop = signals::stop_on_signal()
        .map_err(|error| MaintenanceError::Failed(format!("signals cannot be caught: {error}")))?;
    maintenance::perform(&store, command, ProgressMonitor { progress, stop }).await
}
