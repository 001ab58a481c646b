//! `make bench-peers`: wharfd side by side with Debian's docker-registry and nginx, the same
//! content, in one run on one machine. Figures go to standard output as Markdown, progress to
//! standard error; a whole run also writes them to `benches/RESULTS.md`.
//!
//! Every peer's content is proven right before its speed is looked at.

mod access;
mod bench;
mod client;
mod cold;
mod content;
mod environment;
mod herd;
mod issuer;
mod load;
mod manifests;
mod peer;
mod process;
mod pushing;
mod reading;
mod relay;
mod report;
mod sink;
mod slow;
mod tls;
mod wrk;

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use tempfile::TempDir;

use bench::Bench;
use report::Table;

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");

const INTRODUCTION: &str = "\
Made by `make bench-peers`; see `benches/peers/`. Server, clients and upstream share the cores. A
client is a thread with one blocking socket that reads into a buffer of 256 KiB and throws the
bytes away; it is the same for every server. Each figure is the median of its runs. \"ours / best
peer\" is the ratio of wharfd to the better peer: above 1 is better for rates, below 1 for times
and costs. The figure in brackets is the ratio to what the target names. CPU is user and system
time of all processes of the server, from `/proc/PID/stat`; peak memory is `VmHWM`, reset before
the work. All servers write their access logs to files.";

/// wharfd side by side with docker-registry and nginx.
#[derive(Parser)]
struct Options {
    /// Small sizes and one run, to see that everything works; figures mean nothing
    #[arg(long)]
    quick: bool,
    /// How often each is measured; the median is shown [default: 3, or 1 with --quick]
    #[arg(long)]
    runs: Option<usize>,
    /// Where servers have their folders; takes 28 GiB [default: the folder for temporary files]
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Write the tables here too [default: benches/RESULTS.md when everything was measured in full]
    #[arg(long)]
    output: Option<PathBuf>,
    /// What to measure; everything when none is named
    parts: Vec<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Hot,
    Warm,
    Manifests,
    Cold,
    Herd,
    Rtt,
    Push,
    Through,
    Crowd,
    Access,
    Tls,
    Slow,
}

impl Part {
    fn measure(self, bench: &Bench) -> anyhow::Result<Vec<Table>> {
        match self {
            Self::Hot => reading::hot(bench),
            Self::Warm => reading::warm(bench),
            Self::Manifests => manifests::manifests(bench),
            Self::Cold => cold::cold(bench),
            Self::Herd => herd::herd(bench),
            Self::Rtt => cold::far(bench),
            Self::Push => pushing::alone(bench),
            Self::Through => pushing::through(bench),
            Self::Crowd => pushing::crowd(bench),
            Self::Access => access::access(bench),
            Self::Tls => tls::tls(bench),
            Self::Slow => slow::slow(bench),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runs = options.runs.unwrap_or(if options.quick { 1 } else { 3 }).max(1);
    let bed = match &options.folder {
        Some(folder) => TempDir::with_prefix_in("bench-peers-", folder)?,
        None => TempDir::with_prefix("bench-peers-")?,
    };
    let bench = Bench { quick: options.quick, runs, bed };
    let environment = environment::describe(bench.folder())?;
    let mut text = format!("# wharfd beside its peers\n\n{INTRODUCTION}\n\n{environment}");
    let _ = writeln!(text, "- runs of each: {runs}");
    print(&text);
    let all = Part::value_variants();
    for part in all.iter().filter(|part| options.parts.is_empty() || options.parts.contains(part)) {
        for table in part.measure(&bench)? {
            let table = format!("\n{}", table.markdown());
            print(&table);
            text.push_str(&table);
        }
    }
    let whole = !options.quick
        && all.iter().all(|part| options.parts.is_empty() || options.parts.contains(part));
    if let Some(path) = options.output.or_else(|| whole.then(|| RESULTS.into())) {
        std::fs::write(path, text)?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the tables are what this program is for")]
fn print(text: &str) {
    print!("{text}");
}
