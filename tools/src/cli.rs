//! The command line as types: what `wharf --help` says is the doc comments here. No logic.
//!
//! Invariant: a command stands here only when it does its work; command lines that scripts use are
//! never changed, only added to.

mod offer;
mod package;
mod promote;
mod push;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::offer::{
    AciArgs, AksArgs, BundleArgs, ChecklistArgs, ChecklistFormat, DeployArgs, DeployCommand,
    GroupFormat, InitArgs, LintArgs, NamedDigest, ObjectsFormat, OfferCommand, OfferDiffArgs,
    PinArgs, PublishedArgs, RecordArgs, RecordTarget, RenderArgs, SchemaArgs, SchemaFormat,
};
pub use self::package::{ExplainArgs, PackageArgs};
pub use self::promote::{
    LedgerArgs, ProgressForm, PromoteApplyArgs, PromoteCommand, PromotePlanArgs, Tier,
};
pub use self::push::{LoginArgs, PasswordPlace, PushArgs};

use crate::offer::values::{LoginServer, PlanId};
use crate::rules::{Profile, Severity};

/// From a publisher's build to a submitted marketplace offer.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct GlobalArgs {
    /// How results are written to stdout
    #[arg(long, global = true, env = "WHARF_OUTPUT_FORMAT", value_name = "FORMAT")]
    #[arg(default_value = "text")]
    pub output_format: OutputFormat,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, env = "WHARF_QUIET", conflicts_with = "verbose")]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    pub quiet: bool,
    /// Say more on stderr
    #[arg(short, long, global = true, env = "WHARF_VERBOSE")]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    pub verbose: bool,
    /// When to use colours; `NO_COLOR` is honoured
    #[arg(long, global = true, env = "WHARF_COLOR", value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
    /// Talk to every registry over plain HTTP
    #[arg(long, global = true, env = "WHARF_PLAIN_HTTP")]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    pub plain_http: bool,
    /// Trust the certificate authorities in this PEM file too
    #[arg(long, global = true, env = "WHARF_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Look for registry credentials in this file before Docker's config.json
    #[arg(long, global = true, env = "WHARF_AUTHFILE", value_name = "FILE")]
    pub authfile: Option<PathBuf>,
    /// Log in to this registry of Azure with Entra ID, as `az` is logged in (repeat for more)
    #[arg(long, global = true, env = "WHARF_ENTRA", value_name = "HOST", value_delimiter = ',')]
    pub entra: Vec<LoginServer>,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people
    Text,
    /// One JSON document: schemaVersion, command, and result or error
    Json,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal
    Auto,
    /// Also into files
    Always,
    /// Nowhere
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an OCI image layout of each plan from its build folders
    Package(PackageArgs),
    /// Check images, and an offer, before Microsoft does
    Verify(VerifyArgs),
    /// Say what differs between two images, or between the images of two releases
    Diff(DiffArgs),
    /// Push the images of an offer, or one image, to a registry
    Push(PushArgs),
    /// Copy the images of an offer from one registry to another
    Promote {
        /// What to do about it.
        #[command(subcommand)]
        command: PromoteCommand,
    },
    /// Begin an offer, check it, or render it for the marketplace
    Offer {
        /// What to do with it.
        #[command(subcommand)]
        command: OfferCommand,
    },
    /// Say which tags the plans of an offer should publish, and which versions no longer fit
    Tags(TagsArgs),
    /// List the rules, or explain one
    Rules(RulesArgs),
}

impl Command {
    /// What it is called in results.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Package(_) => "package",
            Self::Verify(_) => "verify",
            Self::Diff(_) => "diff",
            Self::Push(_) => "push",
            Self::Promote { command } => match command {
                PromoteCommand::Plan(_) => "promote plan",
                PromoteCommand::Apply(_) => "promote apply",
                PromoteCommand::Status(_) => "promote status",
                PromoteCommand::Undo(_) => "promote undo",
            },
            Self::Offer { command } => command.name(),
            Self::Tags(_) => "tags",
            Self::Rules(_) => "rules",
        }
    }
}

/// `wharf verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Images: an OCI layout, a folder of layouts, an OCI archive or docker-archive (plain, gzip or
    /// zstd), `-` for an archive on stdin, REGISTRY/REPOSITORY:TAG or @DIGEST; prefixes as skopeo
    /// has them (docker://, oci:DIR[:TAG], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME]).
    /// With --offer, none means the layouts of all its plans
    #[arg(required_unless_present = "offer", value_name = "TARGET")]
    pub targets: Vec<PathBuf>,
    /// The offer that the images belong to; it is checked too
    #[arg(long, value_name = "OFFER")]
    pub offer: Option<PathBuf>,
    /// Where the layouts of the offer are [default: `out` beside the offer]
    #[arg(long, env = "WHARF_LAYOUTS", value_name = "DIR", requires = "offer")]
    pub layouts: Option<PathBuf>,
    /// Also say what changed since this release: an image, or a folder with a layout per plan
    #[arg(long, value_name = "TARGET")]
    pub since: Option<OsString>,
    /// What scanners said.
    #[command(flatten)]
    pub scan: ScanArgs,
    /// What counts and how it is reported.
    #[command(flatten)]
    pub judge: JudgeArgs,
}

/// What scanners said of the images.
#[derive(Debug, Clone, Args)]
pub struct ScanArgs {
    /// A vulnerability report of an image (repeat for more): JSON of Trivy or Grype, SARIF, `CycloneDX`
    /// with vulnerabilities or VEX; `-` is stdin. It belongs to the image whose digest it names
    #[arg(long = "scan", value_name = "FILE")]
    pub scans: Vec<PathBuf>,
    /// How many days old a vulnerability report may be
    #[arg(long, env = "WHARF_REPORT_MAX_AGE", value_name = "DAYS", default_value = "30")]
    pub report_max_age: u32,
}

/// What else is given.
#[derive(Debug, Clone, Args)]
pub struct GivenArgs {
    /// The state of the registry that the offer is published from, as `az acr show -o json` or
    /// `az acr list` writes it (repeat for more files); `-` is stdin
    #[arg(long = "registry-state", value_name = "FILE", requires = "offer")]
    pub registry_states: Vec<PathBuf>,
    /// Findings that somebody took over, with a reason and a day: a YAML file (docs/how-to/ci.md); `-`
    /// is stdin
    #[arg(long, env = "WHARF_WAIVERS", value_name = "FILE")]
    pub waivers: Option<PathBuf>,
    /// What was published before [default: `wharf.published.jsonl` beside the offer, if it is there]
    #[arg(long, env = "WHARF_LEDGER", value_name = "FILE", requires = "offer")]
    pub ledger: Option<PathBuf>,
}

/// What counts as a failure, and where reports go.
#[derive(Debug, Clone, Args)]
pub struct JudgeArgs {
    /// Also write a report (repeat for more): text, json, junit, sarif, markdown, html, or github
    /// or azure (annotations); FILE `-` is stdout, and the result goes to stderr then
    #[arg(long = "report", value_name = "FORMAT=FILE")]
    pub reports: Vec<ReportTarget>,
    /// Where sources conflict: `strict` warns by the narrower one, `lenient` keeps to the wider
    #[arg(long, env = "WHARF_PROFILE", value_name = "PROFILE", default_value = "strict")]
    pub profile: Profile,
    /// The least severity that makes the exit code 1
    #[arg(long, env = "WHARF_FAIL_ON", value_name = "LEVEL", default_value = "error")]
    pub fail_on: Severity,
    /// What else is given.
    #[command(flatten)]
    pub given: GivenArgs,
}

/// A report file and its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportTarget {
    /// The format.
    pub format: ReportFormat,
    /// Where it goes; `-` is stdout.
    pub file: PathBuf,
}

impl ReportTarget {
    /// Whether it goes to stdout, by whatever name.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        is_stdout(&self.file)
    }
}

/// Whether a file that is written is stdout, by whatever name.
#[must_use]
pub fn is_stdout(file: &Path) -> bool {
    STDOUT_NAMES.iter().any(|name| file == Path::new(name))
}

/// The names of stdout.
const STDOUT_NAMES: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// The formats of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// What the terminal shows
    Text,
    /// The JSON envelope
    Json,
    /// `JUnit` XML, for test result pages
    Junit,
    /// SARIF 2.1.0, for code scanning pages
    Sarif,
    /// Markdown, for the summary of a run; added to the file that `GITHUB_STEP_SUMMARY` names
    Markdown,
    /// One page with pictures, which loads nothing
    Html,
    /// Annotations of GitHub
    Github,
    /// Annotations of Azure Pipelines
    Azure,
}

impl ReportFormat {
    /// All of them, as they are written.
    #[must_use]
    pub fn names() -> String {
        let names = Self::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        names.map(|name| name.get_name().to_owned()).collect::<Vec<_>>().join(", ")
    }
}

impl FromStr for ReportTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, file) =
            text.split_once('=').ok_or("write FORMAT=FILE, as json=report.json")?;
        if file.is_empty() {
            return Err("the file is missing after `=`".to_owned());
        }
        let format = ReportFormat::from_str(format, false)
            .map_err(|_| format!("`{format}` is none of {}", ReportFormat::names()))?;
        Ok(Self { format, file: PathBuf::from(file) })
    }
}

/// A report of a release; it has one format.
fn release_report(text: &str) -> Result<ReportTarget, String> {
    let target: ReportTarget = text.parse()?;
    if target.is_stdout() {
        return Err("stdout has the result; name a file".to_owned());
    }
    match target.format {
        ReportFormat::Markdown => Ok(target),
        _ => Err("a release is reported as markdown=FILE; --output-format json gives the rest"
            .to_owned()),
    }
}

/// `wharf diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// What was: an image in any form that `verify` reads, a folder of layouts, or an offer file,
    /// which stands for the layouts in `out` beside it
    #[arg(value_name = "BEFORE")]
    pub before: OsString,
    /// What is, in the same forms
    #[arg(value_name = "AFTER")]
    pub after: OsString,
    /// How the result is written [default: as --output-format says]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<DiffFormat>,
    /// Where the result goes [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// List everything, not only the first 50 of each kind
    #[arg(long)]
    pub all: bool,
    /// Exit with 1 when they differ; without this a difference is no failure
    #[arg(long)]
    pub exit_code: bool,
}

/// The formats of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// For a terminal
    Text,
    /// For a page or a pull request
    Markdown,
    /// The JSON envelope
    Json,
}

/// `wharf tags`.
#[derive(Debug, Args)]
pub struct TagsArgs {
    /// The offer file; versions are `image.version` and those of `image.publishedTags`
    pub offer: PathBuf,
    /// Only this plan (repeat for more)
    #[arg(long = "plan", value_name = "ID")]
    pub plans: Vec<PlanId>,
    /// Where sources conflict: `strict` lists tags that every page takes, `lenient` also X.Y.Z alone
    #[arg(long, env = "WHARF_PROFILE", value_name = "PROFILE", default_value = "strict")]
    pub profile: Profile,
    /// What was published before [default: `wharf.published.jsonl` beside the offer, if it is there]
    #[arg(long, env = "WHARF_LEDGER", value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// The same as `--profile lenient`
    #[arg(long, conflicts_with = "profile")]
    pub lenient: bool,
    /// How the result is written [default: as --output-format says]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<OutputFormat>,
}

/// `wharf rules`.
#[derive(Debug, Args)]
pub struct RulesArgs {
    /// Explain this rule
    pub id: Option<String>,
}

#[cfg(test)]
mod tests;
