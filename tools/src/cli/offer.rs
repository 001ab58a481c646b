//! The arguments of `wharf offer`.

mod init;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub use self::init::InitArgs;
use super::JudgeArgs;

/// `wharf offer`.
#[derive(Debug, Subcommand)]
pub enum OfferCommand {
    /// Begin an offer: ask for what cannot be found out, and write offer.yaml with its files
    Init(Box<InitArgs>),
    /// Check an offer file with every rule that needs no image and no network
    Lint(LintArgs),
    /// Write the payload that the Product Ingestion API takes
    Render(RenderArgs),
}

impl OfferCommand {
    /// What it is called in results.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "offer init",
            Self::Lint(_) => "offer lint",
            Self::Render(_) => "offer render",
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
