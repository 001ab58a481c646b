//! The arguments of `wharf offer`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};

use wharf_oci::Digest;

use super::{GivenArgs, JudgeArgs};
use crate::offer::words::{ImageId, ImageName, PlanId};
use crate::rules::Profile;

/// `wharf offer`.
#[derive(Debug, Subcommand)]
pub enum OfferCommand {
    /// Check an offer file with every rule that needs no image and no network
    Lint(LintArgs),
    /// Write the digests of images into the values of their charts
    Pin(PinArgs),
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
            Self::Pin(_) => "offer pin",
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

/// `wharf offer pin`.
#[derive(Debug, Args)]
pub struct PinArgs {
    /// The offer file
    pub offer: PathBuf,
    /// Only this plan (repeat for more)
    #[arg(long = "plan", value_name = "ID")]
    pub plans: Vec<PlanId>,
    /// Take the digests from the ledger of a promotion
    #[arg(long, value_name = "LEDGER", group = "source")]
    pub promoted: Option<PathBuf>,
    /// Take them from what `wharf push --output-format json` said
    #[arg(long, value_name = "FILE", group = "source")]
    pub pushed: Option<PathBuf>,
    /// Take them from the layouts in this folder [default: `out` beside the offer]
    #[arg(long, value_name = "DIR", group = "source")]
    pub layouts: Option<PathBuf>,
    /// Take this one (repeat for more): NAME=DIGEST, or PLAN.NAME=DIGEST; alone it pins only those
    #[arg(long = "image", value_name = "NAME=DIGEST")]
    pub images: Vec<NamedDigest>,
    /// Change nothing; exit 1 when a chart is not pinned to these digests
    #[arg(long)]
    pub check: bool,
}

/// An image of a chart and its digest, as the command line names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedDigest {
    /// Its name, alone or behind its plan's ID and a dot.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
}

impl FromStr for NamedDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, digest) = text.split_once('=').ok_or("write NAME=DIGEST")?;
        let is_name = name.parse::<ImageName>().is_ok() || name.parse::<ImageId>().is_ok();
        if !is_name {
            return Err(format!("`{name}` is no name of an image; write NAME or PLAN.NAME"));
        }
        let digest = digest.parse().map_err(|_| format!("`{digest}` is no digest"))?;
        Ok(Self { name: name.to_owned(), digest })
    }
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
    #[arg(long, value_name = "FILE|DIGEST", num_args = 0..=1)]
    pub built: Option<Option<String>>,
    /// Where sources conflict: `strict` warns by the narrower one, `lenient` keeps to the wider
    #[arg(long, env = "WHARF_PROFILE", value_name = "PROFILE", default_value = "strict")]
    pub profile: Profile,
    /// What else is given.
    #[command(flatten)]
    pub given: GivenArgs,
}
