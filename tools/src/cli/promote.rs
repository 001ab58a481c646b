//! The arguments of `wharf promote`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ReportTarget, release_report};
use crate::offer::values::{PlanId, RegistryName};

/// `wharf promote`.
#[derive(Debug, Subcommand)]
pub enum PromoteCommand {
    /// Find out what has to be copied, and write it down; changes nothing
    Plan(PromotePlanArgs),
    /// Copy what a plan says
    Apply(PromoteApplyArgs),
    /// Say how far an apply came
    Status(LedgerArgs),
    /// Put the tags back to where they pointed before an apply
    Undo(LedgerArgs),
}

/// `wharf promote plan`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("images_from").required(true).args(["offer", "images"])))]
pub struct PromotePlanArgs {
    /// The offer file
    pub offer: Option<PathBuf>,
    /// Images that no offer describes: a YAML file (docs/how-to/promotion.md)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["offer", "plans"])]
    pub images: Option<PathBuf>,
    /// The registry to copy from
    #[arg(long, value_name = "NAME")]
    pub from: RegistryName,
    /// The registry to copy to
    #[arg(long, value_name = "NAME")]
    pub to: RegistryName,
    /// Only this plan (repeat for more)
    #[arg(long = "plan", value_name = "ID")]
    pub plans: Vec<PlanId>,
    /// Where the plan goes [default: stdout]
    #[arg(long, value_name = "PLAN")]
    pub output: Option<PathBuf>,
    /// Move tags that point elsewhere; without this only `latest` moves
    #[arg(long)]
    pub allow_tag_move: bool,
    /// Also look for signatures and other companions of images that are in place already
    #[arg(long)]
    pub late_companions: bool,
    /// The tier of the registries: its limits bound the requests, and tell how long an apply takes
    #[arg(long, env = "WHARF_REGISTRY_TIER", value_name = "TIER")]
    pub tier: Option<Tier>,
    /// Also write the plan as a page for a pull request or a ticket (repeat for more): `markdown=FILE`
    #[arg(long = "report", value_name = "FORMAT=FILE", value_parser = release_report)]
    pub reports: Vec<ReportTarget>,
}

/// `wharf promote apply`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct PromoteApplyArgs {
    /// The plan
    pub plan: PathBuf,
    /// Where progress is kept [default: PLAN with `.ledger` added]
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Go on where the ledger stops
    #[arg(long)]
    pub resume: bool,
    /// Look at every manifest and blob in the end, not only at the tags
    #[arg(long)]
    pub read_back: bool,
    /// The tier of the registries: its limits bound the requests
    #[arg(long, env = "WHARF_REGISTRY_TIER", value_name = "TIER")]
    pub tier: Option<Tier>,
    /// How progress is written to stderr: `auto` draws on a terminal, `json` writes a line a second
    #[arg(long, value_name = "FORM", default_value = "auto")]
    pub progress: ProgressForm,
    /// Leave a record of the promotion (an in-toto statement) beside each promoted image, once per plan
    #[arg(long, env = "WHARF_RECORD")]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    pub record: bool,
    /// Who the record says promotes [default: the user that CI names, or this machine's]
    #[arg(long, env = "WHARF_RECORD_BY", value_name = "NAME")]
    pub record_by: Option<String>,
    /// Lock every tag but `latest`, and the manifests, as Azure Container Registry can
    #[arg(long, env = "WHARF_LOCK")]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    pub lock: bool,
    /// Also write the release as a page for a pull request or a ticket (repeat for more):
    /// `markdown=FILE`
    #[arg(long = "report", value_name = "FORMAT=FILE", value_parser = release_report)]
    pub reports: Vec<ReportTarget>,
}

/// The forms of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressForm {
    /// A bar on a terminal, words elsewhere
    Auto,
    /// Lines of JSON
    Json,
    /// None
    None,
}

/// The tiers of Azure Container Registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tier {
    /// 5,000 reads and 1,000 writes a minute for one identity
    Basic,
    /// The same
    Standard,
    /// 10,000 reads and 2,000 writes a minute for one identity
    Premium,
}

/// Commands about a ledger.
#[derive(Debug, Args)]
pub struct LedgerArgs {
    /// The ledger
    pub ledger: PathBuf,
}
