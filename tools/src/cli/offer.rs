//! The arguments of `wharf offer`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{GivenArgs, JudgeArgs};
use crate::offer::words::PlanId;
use crate::rules::Profile;

/// `wharf offer`.
#[derive(Debug, Subcommand)]
pub enum OfferCommand {
    /// Check an offer file with every rule that needs no image and no network
    Lint(LintArgs),
    /// Write the payload that the Product Ingestion API takes
    Render(RenderArgs),
    /// Lay out what Microsoft's packaging tool takes of Kubernetes plans, or take up what it made
    Bundle(BundleArgs),
}

impl OfferCommand {
    /// What it is called in results.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lint(_) => "offer lint",
            Self::Render(_) => "offer render",
            Self::Bundle(_) => "offer bundle",
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

/// `wharf offer bundle`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["output", "built"])))]
pub struct BundleArgs {
    /// The offer file
    pub offer: PathBuf,
    /// Only this Kubernetes plan (repeat for more)
    #[arg(long = "plan", value_name = "ID")]
    pub plans: Vec<PlanId>,
    /// Where the folders go, one for each plan
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Write version and digest of the bundle that was made into the offer: the digest itself, a file
    /// that names it or is its manifest, or, without a value, what the registry has
    #[arg(long, value_name = "FILE|DIGEST", num_args = 0..=1, default_missing_value = "registry")]
    pub built: Option<String>,
    /// Where sources conflict: `strict` warns by the narrower one, `lenient` keeps to the wider
    #[arg(long, env = "WHARF_PROFILE", value_name = "PROFILE", default_value = "strict")]
    pub profile: Profile,
    /// What else is given.
    #[command(flatten)]
    pub given: GivenArgs,
}
