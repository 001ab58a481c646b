//! The arguments of `wharf offer`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::JudgeArgs;

/// `wharf offer`.
#[derive(Debug, Subcommand)]
pub enum OfferCommand {
    /// Check an offer file with every rule that needs no image and no network
    Lint(LintArgs),
    /// Write the payload that the Product Ingestion API takes
    Render(RenderArgs),
    /// Write what an offer file may hold: as JSON Schema for editors, or as a reference to read
    ///
    /// An editor with a YAML language server completes and checks an offer that starts with the line
    /// `# yaml-language-server: $schema=offer.schema.json`.
    Schema(SchemaArgs),
}

impl OfferCommand {
    /// What it is called in results.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lint(_) => "offer lint",
            Self::Render(_) => "offer render",
            Self::Schema(_) => "offer schema",
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

/// `wharf offer schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub format: SchemaFormat,
    /// Where it goes [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// How the keys of an offer are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaFormat {
    /// JSON Schema, draft 2020-12
    Json,
    /// A reference to read
    Markdown,
}
