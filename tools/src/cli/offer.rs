//! The arguments of `wharf offer`.

mod deploy;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub use self::deploy::{AciArgs, AksArgs, DeployArgs, DeployCommand, GroupFormat, ObjectsFormat};
use super::JudgeArgs;

/// `wharf offer`.
#[derive(Debug, Subcommand)]
pub enum OfferCommand {
    /// Check an offer file with every rule that needs no image and no network
    Lint(LintArgs),
    /// Write the payload that the Product Ingestion API takes
    Render(RenderArgs),
    /// Write what runs a plan in Azure: a container group, objects of Kubernetes, values of a chart
    Deploy {
        /// On which service.
        #[command(subcommand)]
        command: DeployCommand,
    },
}

impl OfferCommand {
    /// What it is called in results.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lint(_) => "offer lint",
            Self::Render(_) => "offer render",
            Self::Deploy { command } => command.name(),
        }
    }
}

/// `wharf offer lint`.
#[derive(Debug, Args)]
pub struct LintArgs {
    /// The offer file
    pub offer: PathBuf,
    /// What counts and how it is reported.
    #[command(flatten)]
    pub judge: JudgeArgs,
}

/// `wharf offer render`.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// The offer file
    pub offer: PathBuf,
    /// Where the payload goes [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Put the secrets themselves into the payload instead of placeholders
    #[arg(long)]
    pub with_secrets: bool,
}
