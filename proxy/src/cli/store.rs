//! `wharfd store`: the commands as typed, and how each ends, also those of `wharfd push`. The
//! commands themselves are in the library, `maintenance`; the printing is in `cli/store/show.rs`.

mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use tokio::sync::watch;
use wharf_oci::RepoName;
use wharf_proxy::maintenance;
use wharf_proxy::maintenance::{MaintenanceError, ProgressMonitor, Report, StoreCommand};
use wharf_proxy::{ByteSize, Period};
use wharf_store::{Eviction, Progress};

use crate::cli::signals;
use crate::{EXIT_CONFIG, EXIT_FAILED, EXIT_INTERRUPTED, fail, in_runtime};

/// Stored bytes differ from the original ones, or an upstream refused a pushed blob.
const EXIT_FINDINGS: u8 = 1;
/// The command began and failed.
const EXIT_SOME_FAILED: u8 = 3;

#[derive(Args)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    command: Typed,
}

#[derive(Subcommand)]
enum Typed {
    /// Print what the store holds and takes
    Stats(Common),
    /// Read blobs, compare them with their digests, put what is damaged into quarantine
    ///
    /// Goes on where the last scrub stopped. Ctrl-C stops it; exit code 1 when there is damage.
    Scrub(Scrub),
    /// Give up blobs that can be fetched again
    Evict(Evict),
    /// Write a copy of the store into a new folder, also while wharfd serves from it
    Backup {
        #[command(flatten)]
        common: Common,
        /// Folder for the copy; must not exist
        #[arg(long, value_name = "DIR")]
        output: PathBuf,
    },
    /// Make a store from a backup
    Restore {
        /// Folder of the backup
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// Folder for the store; must not exist
        #[arg(long, value_name = "NEWDIR")]
        store: PathBuf,
        /// Form of the result on stdout
        #[arg(long, value_enum, default_value = "text")]
        output_format: OutputFormat,
    },
    /// Read everything, records and accounts too, and change nothing; exit code 1 when there is damage
    Verify(Common),
}

#[derive(Args)]
pub(crate) struct Common {
    /// Folder of the store
    #[arg(long, value_name = "DIR", env = "WHARFD_STORE")]
    store: PathBuf,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value = "text")]
    output_format: OutputFormat,
}

#[derive(Args)]
struct Scrub {
    #[command(flatten)]
    common: Common,
    /// Read at most this many bytes a second, such as 50MiB [default: as fast as it goes]
    #[arg(long, value_name = "SIZE")]
    rate: Option<ByteSize>,
    /// Begin with the first blob instead of where the last scrub stopped
    #[arg(long)]
    from_start: bool,
    /// Put nothing into quarantine
    #[arg(long)]
    report_only: bool,
}

#[derive(Args)]
struct Evict {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    what: What,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Least recently used first, until the store takes at most this on disk, such as 20GiB
    #[arg(long, value_name = "SIZE")]
    down_to: Option<ByteSize>,
    /// What nobody read for so long, such as 30d
    #[arg(long, value_name = "TIME")]
    unused_for: Option<Period>,
    /// What this repository cached, unless another one has it too
    #[arg(long, value_name = "NAME")]
    repository: Option<RepoName>,
    /// What was put into quarantine
    #[arg(long)]
    quarantined: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    Text,
    Json,
}

/// A command ready to run.
struct Task {
    name: &'static str,
    store: PathBuf,
    work: Work,
    output_format: OutputFormat,
}

enum Work {
    Ask(StoreCommand),
    Restore { from: PathBuf },
}

/// Runs the command and shows its result; returns the exit code.
pub(crate) fn run(args: StoreArgs) -> ExitCode {
    match task(args.command) {
        Ok(task) => run_task(task),
        Err(error) => fail(EXIT_CONFIG, &error),
    }
}

/// Sends this command to the store; `name` is the command's.
pub(crate) fn ask(name: &'static str, common: Common, command: StoreCommand) -> ExitCode {
    let Common { store, output_format } = common;
    run_task(Task { name, store, work: Work::Ask(command), output_format })
}

fn run_task(task: Task) -> ExitCode {
    let (name, output_format) = (task.name, task.output_format);
    let report = match in_runtime(follow(task)) {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => return failed(&error),
        Err(error) => return fail(EXIT_FAILED, &error),
    };
    match output_format {
        OutputFormat::Json => show::json(&report.result),
        OutputFormat::Text => show::text(name, &report.result),
    }
    match report {
        Report { stopped: true, .. } => ExitCode::from(EXIT_INTERRUPTED),
        Report { damaged: true, .. } => ExitCode::from(EXIT_FINDINGS),
        Report { .. } => ExitCode::SUCCESS,
    }
}

/// Prints why there is no report.
pub(crate) fn failed(error: &MaintenanceError) -> ExitCode {
    let code = match error {
        MaintenanceError::Refused(_) => EXIT_CONFIG,
        MaintenanceError::Unusable(_) => EXIT_FAILED,
        MaintenanceError::Failed(_) => EXIT_SOME_FAILED,
        MaintenanceError::Stopped(_) => EXIT_INTERRUPTED,
    };
    fail(code, error)
}

/// The typed command, with absolute folders: the server's working directory is another one.
fn task(typed: Typed) -> std::io::Result<Task> {
    let (name, common, command) = match typed {
        Typed::Stats(common) => ("stats", common, StoreCommand::Stats),
        Typed::Verify(common) => ("verify", common, StoreCommand::Verify),
        Typed::Scrub(Scrub { common, rate, from_start, report_only }) => {
            let bytes_per_second = rate.map(|rate| rate.0).filter(|rate| *rate > 0);
            let command = StoreCommand::Scrub { bytes_per_second, from_start, report_only };
            ("scrub", common, command)
        }
        Typed::Evict(Evict { common, what }) => ("evict", common, StoreCommand::Evict(what.into())),
        Typed::Backup { common, output } => {
            ("backup", common, StoreCommand::Backup { to: std::path::absolute(output)? })
        }
        Typed::Restore { from, store, output_format } => {
            return Ok(Task {
                name: "restore",
                store,
                work: Work::Restore { from },
                output_format,
            });
        }
    };
    let Common { store, output_format } = common;
    Ok(Task { name, store, work: Work::Ask(command), output_format })
}

impl From<What> for Eviction {
    fn from(what: What) -> Self {
        match what {
            What { down_to: Some(size), .. } => Self::DownTo { disk_bytes: size.0 },
            What { unused_for: Some(span), .. } => {
                let now = std::time::SystemTime::now();
                let since = now.checked_sub(span.0).unwrap_or(std::time::UNIX_EPOCH);
                let since = since.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                Self::UnusedSince { ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX) }
            }
            What { repository: Some(repo), .. } => Self::Repository(repo),
            // The group lets nothing else through.
            What { .. } => Self::Quarantined,
        }
    }
}

/// Runs the task, with progress for the person at the terminal.
async fn follow(task: Task) -> Result<Report, MaintenanceError> {
    let (progress, told) = watch::channel(Progress::default());
    // The first Ctrl-C stops the command where it can go on later; the second ends the process.
    let stop = signals::stop_on_signal()
        .map_err(|error| MaintenanceError::Failed(format!("signals cannot be caught: {error}")))?;
    let drawing = tokio::spawn(show::progress(task.name, told));
    let monitor = ProgressMonitor { progress, stop };
    let report = match task.work {
        Work::Ask(command) => maintenance::perform(&task.store, command, monitor).await,
        Work::Restore { from } => maintenance::restore(from, task.store, monitor).await,
    };
    // The monitor is gone by now, which is the end of the drawing.
    let _ = drawing.await;
    report
}
