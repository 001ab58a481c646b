//! An operator's commands on a store, wherever it is open: the command, its run, its report. The
//! way to a running server and back is in `maintenance/control.rs` and
//! `maintenance/control_client.rs`, the scrub in the background in `maintenance/scrubbing.rs`. The
//! work of each command is the store's.
//!
//! Invariant: one command works on a store at a time; a scrub in the background makes way for it.

pub(crate) mod control;
mod control_client;
pub(crate) mod readiness;
pub(crate) mod scrubbing;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use wharf_oci::{Digest, RepoName, Tag};
use wharf_store::{
    Eviction, Progress, RocksStore, ScrubPlan, ScrubReport, StoreError, Usage, Watch,
};

use crate::config::active::ActiveConfig;
use crate::push::outbox::Outbox;
use crate::push::outbox::report;
use crate::push::outbox::report::DropSelection;
use crate::push::write_once::WriteOnce;
use crate::runtime::blocking::BlockingPool;

use control_client::ControlAnswer;
use scrubbing::ScrubState;

/// A command on a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StoreCommand {
    /// Print the store's content and size.
    Stats,
    /// Read blobs and compare them with their digests.
    Scrub {
        /// The most bytes to read in a second.
        bytes_per_second: Option<u64>,
        /// Begin with the first blob instead of where the last scrub stopped.
        from_start: bool,
        /// Put nothing into quarantine.
        report_only: bool,
    },
    /// Give cached blobs up.
    Evict(#[serde(with = "EvictionWords")] Eviction),
    /// Write a copy that can be restored.
    Backup {
        /// A folder that does not exist.
        to: PathBuf,
    },
    /// Read everything, also the records, and change nothing.
    Verify,
    /// Print the blobs pending for upstreams.
    PushStatus,
    /// Give up blobs pending for upstreams.
    PushDrop {
        /// Only blobs of this repository.
        repository: Option<RepoName>,
        /// Only this blob.
        digest: Option<Digest>,
        /// Also blobs that were not refused.
        waiting: bool,
    },
    /// Allow one change of a write-once tag. A command on the server, not on the store.
    AllowTag {
        /// The repository, as clients name it.
        repository: RepoName,
        /// The tag.
        tag: Tag,
        /// The operator's reason.
        reason: String,
        /// How long the permission lasts.
        seconds: u64,
    },
}

/// The spelling of an [`Eviction`] between processes.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Eviction", rename_all = "snake_case", deny_unknown_fields)]
enum EvictionWords {
    DownTo { disk_bytes: u64 },
    UnusedSince { ms: u64 },
    Repository(RepoName),
    Quarantined,
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The store's own answer.
    pub result: Value,
    /// Stored bytes were found to be wrong, or pushed blobs were refused.
    pub damaged: bool,
    /// The command stopped as told.
    pub stopped: bool,
}

impl Report {
    /// The report of a complete command without damage.
    const fn whole(result: Value) -> Self {
        Self { result, damaged: false, stopped: false }
    }
}

/// Why there is no report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaintenanceError {
    /// The command asks for an impossible change.
    #[error("{0}")]
    Refused(String),
    /// The store cannot be used, or not now.
    #[error("{0}")]
    Unusable(String),
    /// The command began and failed.
    #[error("{0}")]
    Failed(String),
    /// The command stopped as told, at a point where it cannot continue later.
    #[error("{0}")]
    Stopped(String),
}

impl From<StoreError> for MaintenanceError {
    fn from(error: StoreError) -> Self {
        let text = wharf_client::chain(&error);
        match error {
            StoreError::Exists { .. } => Self::Refused(text),
            StoreError::NotAStore { .. }
            | StoreError::NewerFormat { .. }
            | StoreError::Locked { .. }
            | StoreError::NoStore { .. } => Self::Unusable(text),
            _ => Self::Failed(text),
        }
    }
}

/// The progress of a running command, and the means to stop it.
#[derive(Debug)]
pub struct ProgressMonitor {
    /// Receives the command's progress.
    pub progress: watch::Sender<Progress>,
    /// Becomes true when the command shall stop.
    pub stop: watch::Receiver<bool>,
}

impl ProgressMonitor {
    fn look(&self, progress: &Progress) -> ControlFlow<()> {
        self.progress.send_replace(*progress);
        if *self.stop.borrow() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Runs the command on the store in `folder`: inside the server that has it open, or else here.
pub async fn perform(
    folder: &Path,
    command: StoreCommand,
    monitor: ProgressMonitor,
) -> Result<Report, MaintenanceError> {
    let unreachable = match control_client::ask(folder, &command, &monitor).await {
        ControlAnswer::Answered(answer) => return answer,
        ControlAnswer::Nobody => None,
        ControlAnswer::Unreachable(error) => Some(error),
    };
    if matches!(command, StoreCommand::AllowTag { .. }) {
        let folder = folder.display();
        let text = match unreachable {
            None => format!("no server has {folder} open, so there is nothing to allow"),
            Some(error) => format!(
                "cannot connect to {folder}/control.sock: {error}; only a running server allows, and \
                 only its own user may ask it"
            ),
        };
        return Err(MaintenanceError::Unusable(text));
    }
    let folder = folder.to_owned();
    let here = move || {
        let store = open_here(&folder)?;
        Ok(run(&store, &command, &mut |progress| monitor.look(progress))?)
    };
    BlockingPool::default().run(here).await
}

/// Makes a store in `to` from a backup. Needs no server, because `to` must not exist.
pub async fn restore(
    from: PathBuf,
    to: PathBuf,
    monitor: ProgressMonitor,
) -> Result<Report, MaintenanceError> {
    let work = move || {
        let mut stopped = false;
        let copied = RocksStore::restore(&from, &to, &mut |progress| {
            let flow = monitor.look(progress);
            stopped |= flow.is_break();
            flow
        });
        match copied {
            Ok(copied) => Ok(Report { result: json(&copied), damaged: false, stopped: false }),
            Err(_) if stopped => Err(MaintenanceError::Stopped(format!(
                "stopped before the end; what was copied lies in {}.partial",
                to.display()
            ))),
            Err(error) => Err(error.into()),
        }
    };
    BlockingPool::default().run(work).await
}

/// Opens a store that exists; a typing mistake makes none.
fn open_here(folder: &Path) -> Result<RocksStore, MaintenanceError> {
    if folder.metadata().is_ok_and(|found| !found.is_dir()) {
        return Err(MaintenanceError::Unusable(format!("{} is not a folder", folder.display())));
    }
    // The command did not begin: an unreadable marker makes the store unusable.
    let exists = RocksStore::exists(folder)
        .map_err(|error| MaintenanceError::Unusable(wharf_client::chain(&error)))?;
    if !exists {
        return Err(StoreError::NoStore { path: folder.to_owned() }.into());
    }
    RocksStore::open(folder).map_err(|error| {
        let mut text = wharf_client::chain(&error);
        if matches!(error, StoreError::Locked { .. }) {
            text.push_str(", which does not answer; stop it, or wait until it has started");
        }
        MaintenanceError::Unusable(text)
    })
}

/// Runs the command on an open store. Blocks.
fn run(store: &RocksStore, command: &StoreCommand, watch: Watch<'_>) -> Result<Report, StoreError> {
    let mut stopped = false;
    let watch: Watch<'_> = &mut |progress: &Progress| {
        let flow = watch(progress);
        stopped |= flow.is_break();
        flow
    };
    let (result, damaged) = match command {
        StoreCommand::Stats => (json(&store.usage()?), false),
        StoreCommand::Scrub { bytes_per_second, from_start, report_only } => {
            let plan = ScrubPlan {
                bytes_per_second: *bytes_per_second,
                from_start: *from_start,
                quarantine: !report_only,
            };
            found(&store.scrub(&plan, watch)?)
        }
        StoreCommand::Verify => found(&store.verify(watch)?),
        StoreCommand::Evict(what) => (json(&store.evict(what, watch)?), false),
        StoreCommand::Backup { to } => (json(&store.backup(to)?), false),
        StoreCommand::PushStatus => {
            let status = report::status_of(store)?;
            (json(&status), status.has_refusals())
        }
        StoreCommand::PushDrop { repository, digest, waiting } => {
            let unwanted = unwanted(repository.as_ref(), digest.as_ref(), *waiting);
            (json(&report::give_up_in(store, unwanted)?), false)
        }
        // A running server answers before; without one the command was refused.
        StoreCommand::AllowTag { .. } => (Value::Null, false),
    };
    Ok(Report { result, damaged, stopped })
}

const fn unwanted<'a>(
    repository: Option<&'a RepoName>,
    digest: Option<&'a Digest>,
    waiting: bool,
) -> DropSelection<'a> {
    DropSelection { repository, digest, waiting }
}

fn found(scrubbed: &ScrubReport) -> (Value, bool) {
    (json(scrubbed), !scrubbed.damage.is_empty() || scrubbed.more_damage > 0)
}

fn json(result: &impl Serialize) -> Value {
    serde_json::to_value(result).expect("numbers, texts and paths of this process serialise")
}

/// An open store with the lock for its commands, for all tasks of this process that work on it.
#[derive(Clone)]
pub(crate) struct Maintenance {
    blocking: BlockingPool,
    store: Arc<RocksStore>,
    outbox: Outbox,
    write_once: Arc<WriteOnce>,
    config: Arc<ActiveConfig>,
    /// The results of the scrub in the background.
    scrubbed: Arc<StdMutex<ScrubState>>,
    /// Held while a probe writes to the store; one probe at a time, also when it never comes back.
    probing: Arc<Mutex<()>>,
    /// Held by the task that works on the store.
    work: Arc<Mutex<()>>,
    /// Whether a command works or waits for the lock.
    asked: Arc<AtomicBool>,
}

/// The lock of a command; released when dropped.
struct Turn {
    _asked: Asked,
    _work: OwnedMutexGuard<()>,
}

/// Marks that a command works or waits, for as long as it exists.
struct Asked(Arc<AtomicBool>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Maintenance {
    pub(crate) fn new(
        blocking: BlockingPool,
        store: Arc<RocksStore>,
        outbox: Outbox,
        write_once: Arc<WriteOnce>,
        config: Arc<ActiveConfig>,
    ) -> Self {
        let (work, asked) = (Arc::default(), Arc::default());
        let (scrubbed, probing) = (Arc::default(), Arc::default());
        Self { blocking, store, outbox, write_once, config, scrubbed, probing, work, asked }
    }

    /// The results of the scrub in the background, for metrics.
    pub(crate) fn scrub_state(&self) -> ScrubState {
        *self.scrubbed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a result of the scrub.
    pub(crate) fn scrubbed(&self, note: impl FnOnce(&mut ScrubState)) {
        note(&mut self.scrubbed.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Writes a small record durably to the store.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        let turn = Arc::clone(&self.probing).lock_owned().await;
        let store = Arc::clone(&self.store);
        let probe = move || {
            let tried = store.probe();
            drop(turn);
            tried
        };
        self.blocking.run(probe).await
    }

    /// The store's content and size, for metrics; `None`, after a warning in the log, when the
    /// store does not answer.
    pub(crate) async fn usage(&self) -> Option<Usage> {
        let store = Arc::clone(&self.store);
        let usage = self.blocking.run(move || store.usage()).await;
        usage.inspect_err(|error| tracing::error!(%error, "the store was not measured")).ok()
    }

    /// Runs the commands for the server instead of its store.
    async fn beside_the_store(
        &self,
        command: &StoreCommand,
    ) -> Option<Result<Report, MaintenanceError>> {
        match command {
            // The outbox knows better than the store, and must hear of it.
            StoreCommand::PushStatus => {
                let status = self.outbox.status();
                let damaged = status.has_refusals();
                Some(Ok(Report { damaged, ..Report::whole(json(&status)) }))
            }
            StoreCommand::PushDrop { repository, digest, waiting } => {
                let unwanted = unwanted(repository.as_ref(), digest.as_ref(), *waiting);
                let given_up = self.outbox.give_up(unwanted).await;
                let told = given_up.map(|given_up| Report::whole(json(&given_up)));
                Some(told.map_err(|error| MaintenanceError::Failed(error.to_string())))
            }
            StoreCommand::AllowTag { repository, tag, reason, seconds } => {
                let time = Duration::from_secs(*seconds);
                let upstreams = &self.config.current().upstreams;
                let allowed = self.write_once.allow(upstreams, repository, tag, reason, time);
                let result = serde_json::json!({
                    "allowed": format!("{repository}:{tag}"), "seconds": seconds,
                });
                Some(allowed.map(|()| Report::whole(result)).map_err(MaintenanceError::Refused))
            }
            _ => None,
        }
    }

    /// Runs a command, unless another one is running. It continues when the caller goes away, until
    /// its monitor says otherwise.
    async fn perform(
        self,
        command: StoreCommand,
        monitor: ProgressMonitor,
    ) -> Result<Report, MaintenanceError> {
        if let Some(answered) = self.beside_the_store(&command).await {
            return answered;
        }
        // Counting is cheap, and harms no other command.
        let turn = match command {
            StoreCommand::Stats => None,
            _ => Some(self.turn().await?),
        };
        let store = Arc::clone(&self.store);
        let work = move || {
            let report = run(&store, &command, &mut |progress| monitor.look(progress));
            drop(turn);
            report
        };
        Ok(self.blocking.run(work).await?)
    }

    async fn turn(&self) -> Result<Turn, MaintenanceError> {
        if self.asked.swap(true, Ordering::AcqRel) {
            let busy = "another command is working on this store; wait until it is done";
            return Err(MaintenanceError::Unusable(busy.to_owned()));
        }
        let asked = Asked(Arc::clone(&self.asked));
        Ok(Turn { _asked: asked, _work: Arc::clone(&self.work).lock_owned().await })
    }

    /// Whether a command waits for the work in the background.
    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}
