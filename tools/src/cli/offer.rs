//! The arguments of `wharf offer`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{GivenArgs, JudgeArgs};
use crate::rules::{Profile, Severity};

/// `wharf offer`.
#[derive(Debug, Subcommand)]
pub enum OfferCommand {
    /// Check an offer file with every rule that needs no image and no network
    Lint(LintArgs),
    /// Write the payload that the Product Ingestion API takes, of an offer that `lint` accepts
    Render(RenderArgs),
    /// Write what to enter in Partner Center, page by page, with the pictures as customers see them
    Checklist(ChecklistArgs),
}

impl OfferCommand {
    /// What it is called in results.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lint(_) => "offer lint",
            Self::Render(_) => "offer render",
            Self::Checklist(_) => "offer checklist",
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
    /// A saved resource tree of the offer (`GET resource-tree/product/ID?targetType=live`): what is
    /// published stays in the payload, before what is new
    #[arg(long, value_name = "FILE")]
    pub tree: Option<PathBuf>,
    /// Render although `lint` would refuse the offer
    #[arg(long)]
    pub force: bool,
    /// Where sources conflict: `strict` warns by the narrower one, `lenient` keeps to the wider
    #[arg(long, env = "WHARF_PROFILE", value_name = "PROFILE", default_value = "strict")]
    pub profile: Profile,
    /// The least severity that keeps the offer from being rendered
    #[arg(long, env = "WHARF_FAIL_ON", value_name = "LEVEL", default_value = "error")]
    pub fail_on: Severity,
    /// What else is given.
    #[command(flatten)]
    pub given: GivenArgs,
}

/// `wharf offer checklist`.
#[derive(Debug, Args)]
pub struct ChecklistArgs {
    /// The offer file
    pub offer: PathBuf,
    /// `markdown` for a ticket, `html` for a page with pictures
    #[arg(long, value_name = "FORMAT", default_value = "markdown")]
    pub format: ChecklistFormat,
    /// Where it goes [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// How a checklist looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChecklistFormat {
    /// Task lists, as tickets take them
    Markdown,
    /// One page that loads nothing
    Html,
}
