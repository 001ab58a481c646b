//! The command line of `wharf package`.

use std::path::PathBuf;

use clap::Args;

use crate::offer::values::PlanId;

/// What `wharf package --help` says at its end.
const PACKAGE_END: &str = "\
Exit codes: 0 made, or the same; 1 --check found a layout that differs or is missing; 2 a wrong offer,
input or disk; 130 interrupted. Ctrl-C leaves nothing behind, what a kill leaves goes with the next
run. At any moment there is at the place of a layout nothing, the old one or the whole new one.
Memory: some blocks of 1 MiB per job, and the names of what is in the layers; never a whole layer.";

/// `wharf package`.
#[derive(Debug, Args)]
#[command(after_long_help = PACKAGE_END)]
pub struct PackageArgs {
    /// The offer file
    pub offer: PathBuf,
    /// Only this plan (repeat for more)
    #[arg(long = "plan", value_name = "ID")]
    pub plans: Vec<PlanId>,
    /// Where the layouts go, one folder per plan [default: `out` beside the offer]
    #[arg(long, env = "WHARF_OUTPUT", value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// How many threads compress, and how many layers are made at once [default: one per core],
    /// at most 256; the bytes are the same for any number
    #[arg(long, env = "WHARF_JOBS", value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// The commit that the images are made from, for the annotation that says so
    #[arg(long, env = "WHARF_REVISION", value_name = "TEXT", value_parser = revision)]
    pub revision: Option<String>,
    /// Change nothing; build again beside each layout and name the first file, header field, value
    /// or byte that differs, for each platform that does. Exit code 1 when one differs
    #[arg(long, conflicts_with = "dry_run")]
    pub check: bool,
    /// Change nothing, make no folder; say the digests and sizes of what would be made
    #[arg(long)]
    pub dry_run: bool,
    /// What is explained.
    #[command(flatten)]
    pub explaining: ExplainArgs,
    /// Draw no progress bar. There is one only where stderr is a terminal and CI is not set
    #[arg(long, env = "WHARF_NO_PROGRESS")]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    pub no_progress: bool,
}

/// What an annotation holds is one line.
fn revision(text: &str) -> Result<String, &'static str> {
    let is_line = !text.trim().is_empty() && !text.contains(char::is_control);
    is_line.then(|| text.trim().to_owned()).ok_or("it is not one line of text")
}

/// What `wharf package` explains besides.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// Also say what each plan shares with the others, and what a first push and an update cost in
    /// bytes and requests
    #[arg(long, conflicts_with = "check")]
    pub explain: bool,
    /// Write the same as one page with pictures, which loads nothing; `-` is stdout, and the result
    /// goes to stderr then
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    pub explain_html: Option<PathBuf>,
}
