//! `wharfd push`: the commands as typed. They go to a store and end like those of `wharfd store`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use wharf_oci::{Digest, RepoName};
use wharf_proxy::maintenance::StoreCommand;

use crate::cli::store;
use crate::cli::store::Common;

#[derive(Args)]
pub(crate) struct PushArgs {
    #[command(subcommand)]
    command: Typed,
}

#[derive(Subcommand)]
enum Typed {
    /// Print what waits for its upstream, and what went wrong; exit code 1 when something was refused
    Status(Common),
    /// Give up blobs that the upstream refused; they are not in their repositories any more
    Drop(Drop),
}

#[derive(Args)]
struct Drop {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    what: What,
    /// Also give up what was not refused and is still on its way
    #[arg(long)]
    waiting: bool,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
struct What {
    /// Only this blob
    #[arg(value_name = "DIGEST")]
    digest: Option<Digest>,
    /// Only of this repository
    #[arg(long = "repo", value_name = "NAME")]
    repository: Option<RepoName>,
}

/// Runs the command and shows its result; returns the exit code.
pub(crate) fn run(args: PushArgs) -> ExitCode {
    match args.command {
        Typed::Status(common) => store::ask("push status", common, StoreCommand::PushStatus),
        Typed::Drop(Drop { common, what: What { digest, repository }, waiting }) => {
            let command = StoreCommand::PushDrop { repository, digest, waiting };
            store::ask("push drop", common, command)
        }
    }
}
