//! The arguments of `wharf offer`.

mod deploy;
mod init;

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use wharf_oci::{Digest, Timestamp};

pub use self::deploy::{AciArgs, AksArgs, DeployArgs, DeployCommand, GroupFormat, ObjectsFormat};
pub use self::init::InitArgs;
use super::{DiffFormat, GivenArgs, JudgeArgs};
use crate::offer::values::{ImageId, ImageName, PlanId};
use crate::rules::{Profile, Severity};

/// `wharf offer`.
#[derive(Debug, Subcommand)]
pub enum OfferCommand {
    /// Begin an offer: ask for what cannot be found out, and write offer.yaml with its files
    Init(Box<InitArgs>),
    /// Check an offer file with every rule that needs no image and no network
    Lint(LintArgs),
    /// Write the digests of images into the values of their charts
    Pin(PinArgs),
    /// Lay out what Microsoft's packaging tool takes of Kubernetes plans, or take up what it made
    Bundle(BundleArgs),
    /// Write the payload that the Product Ingestion API takes, of an offer that `lint` accepts
    Render(RenderArgs),
    /// Say what was submitted, or taken back: it is kept beside the offer, and rules judge by it
    Record(RecordArgs),
    /// Show what was submitted, and what of it is live
    Published(PublishedArgs),
    /// Say what the payload changes against what the marketplace has
    Diff(OfferDiffArgs),
    /// Write what to enter in Partner Center, page by page, with the pictures as customers see them
    Checklist(ChecklistArgs),
    /// Write what runs a plan in Azure: a container group, objects of Kubernetes, values of a chart
    Deploy {
        /// On which service.
        #[command(subcommand)]
        command: DeployCommand,
    },
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
            Self::Init(_) => "offer init",
            Self::Lint(_) => "offer lint",
            Self::Pin(_) => "offer pin",
            Self::Render(_) => "offer render",
            Self::Bundle(_) => "offer bundle",
            Self::Record(_) => "offer record",
            Self::Published(_) => "offer published",
            Self::Diff(_) => "offer diff",
            Self::Checklist(_) => "offer checklist",
            Self::Deploy { command } => command.name(),
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
    /// What the marketplace has: the answer of `GET resource-tree/product/ID?targetType=live`; what
    /// can never change is compared with it
    #[arg(long, value_name = "FILE")]
    pub tree: Option<PathBuf>,
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
    /// What was published before [default: `wharf.published.jsonl` beside the offer, if it is there]
    #[arg(long, env = "WHARF_LEDGER", value_name = "FILE")]
    pub ledger: Option<PathBuf>,
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

/// `wharf offer record`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["target", "withdraw"])))]
#[command(group(ArgGroup::new("digests").args(["layouts", "pushed", "promoted", "tree"])))]
pub struct RecordArgs {
    /// The offer file
    pub offer: PathBuf,
    /// Where it was submitted to
    #[arg(long, value_name = "TARGET")]
    pub target: Option<RecordTarget>,
    /// Take the digests from these layouts [default: `out` beside the offer]
    #[arg(long, env = "WHARF_LAYOUTS", value_name = "DIR")]
    pub layouts: Option<PathBuf>,
    /// Take the digests from the result of `wharf push --output-format json`
    #[arg(long, value_name = "FILE")]
    pub pushed: Option<PathBuf>,
    /// Take the digests from the ledger of `wharf promote apply`
    #[arg(long, value_name = "LEDGER")]
    pub promoted: Option<PathBuf>,
    /// Record what this saved resource tree says, instead of the offer; it knows no digests of tags
    #[arg(long, value_name = "FILE")]
    pub tree: Option<PathBuf>,
    /// Say that a plan (PLAN), or a tag, version or bundle of it (PLAN:VERSION), is no longer offered
    /// (repeat for more)
    #[arg(long, value_name = "PLAN[:VERSION]", conflicts_with = "digests")]
    pub withdraw: Vec<String>,
    /// When it was submitted [default: now]
    #[arg(long, value_name = "TIME")]
    pub time: Option<Timestamp>,
    /// Where it is kept [default: `wharf.published.jsonl` beside the offer]
    #[arg(long, env = "WHARF_LEDGER", value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Say what would be recorded, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Where something was submitted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecordTarget {
    /// Only the preview audience sees it
    Preview,
    /// Customers see it
    Live,
}

/// `wharf offer published`.
#[derive(Debug, Args)]
pub struct PublishedArgs {
    /// Only this offer; the ledger beside it is read
    pub offer: Option<PathBuf>,
    /// The ledger [default: `wharf.published.jsonl` beside the offer, or here]
    #[arg(long, env = "WHARF_LEDGER", value_name = "FILE")]
    pub ledger: Option<PathBuf>,
}

/// `wharf offer diff`.
#[derive(Debug, Args)]
pub struct OfferDiffArgs {
    /// The offer file
    pub offer: PathBuf,
    /// What the marketplace has: the answer of `GET resource-tree/product/ID?targetType=live`
    #[arg(long, value_name = "FILE")]
    pub tree: PathBuf,
    /// Only changes like this are meant, `*` stands for anything (repeat for more); with this, any
    /// other change is a failure
    #[arg(long = "allow", value_name = "KEY-GLOB")]
    pub allowed: Vec<String>,
    /// What was published before [default: `wharf.published.jsonl` beside the offer, if it is there]
    #[arg(long, env = "WHARF_LEDGER", value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// How the result is written [default: as --output-format says]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<DiffFormat>,
    /// Where the result goes [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
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
