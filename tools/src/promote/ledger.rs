//! The ledger of an apply: one JSON line per event, written before the next step. A killed program
//! loses no line. What must also survive a loss of power is synced, many events at once.
//!
//! Invariant: every event in the ledger has happened; before a tag is written, its old digest is on
//! the disk. A last line cut off by a crash is dropped, nothing else ever is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use wharf_oci::{Digest, RepoName, Tag, Timestamp};

use super::ImageState;
use super::plan::RegistryRef;
use crate::registry::{KeptSession, UploadOutcome};
use crate::{clock, input};

/// Largest ledger, in bytes.
const LEDGER_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Why there is no ledger to work with.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It cannot be read or written.
    #[error("cannot use the ledger {path}")]
    Io { path: PathBuf, source: io::Error },
    /// It exists, and the command line does not resume it.
    #[error("the ledger {path} exists; go on with --resume, or name another with --ledger")]
    Exists { path: PathBuf },
    /// Another program writes to it.
    #[error("another wharf is using the ledger {path}")]
    Busy { path: PathBuf },
    /// A line is no event.
    #[error("{path}:{line} is not a line of a ledger: {reason}")]
    Malformed {
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        reason: String,
    },
    /// It belongs to another plan.
    #[error("the ledger {path} belongs to the plan {found}, this is {expected}")]
    OtherPlan {
        path: PathBuf,
        /// The plan it belongs to.
        found: Digest,
        /// The plan at hand.
        expected: Digest,
    },
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// An apply starts.
    Begin { plan_digest: Digest, offer: String, to: RegistryRef, items: Vec<BeginItem> },
    /// An apply goes on.
    Resume,
    /// A blob is there.
    Blob {
        /// The plan of the offer.
        plan: String,
        digest: Digest,
        size_bytes: u64,
        how: UploadOutcome,
    },
    /// The upload of a blob goes on here.
    Session {
        /// The plan of the offer.
        plan: String,
        digest: Digest,
        #[serde(flatten)]
        session: KeptSession,
    },
    /// A manifest is there, by its digest.
    Manifest {
        /// The plan of the offer.
        plan: String,
        digest: Digest,
    },
    /// A tag is about to be written.
    Tagging {
        /// The plan of the offer.
        plan: String,
        tag: Tag,
        before: Option<Digest>,
        /// The tag's new digest.
        after: Digest,
    },
    /// A tag was written and looked at.
    Tagged {
        /// The plan of the offer.
        plan: String,
        tag: Tag,
    },
    /// An image ended.
    Item {
        /// The plan of the offer.
        plan: String,
        state: ImageState,
        /// Why, unless it is done.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// An undo put a tag back.
    Untagged {
        /// The plan of the offer.
        plan: String,
        tag: Tag,
        /// The tag's restored digest.
        restored: Digest,
    },
    /// The apply or the undo ended.
    End,
}

/// An image as the start of a ledger names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BeginItem {
    /// The plan of the offer.
    pub plan: String,
    pub destination: RepoName,
    /// The planned digest of each tag, an unchanged tag too; older ledgers have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<Tag, Digest>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    time: Timestamp,
    #[serde(flatten)]
    event: Event,
}

/// A ledger open for writing, by this program alone.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: Mutex<Written>,
    /// How many lines are on the disk. Held during a sync, so that many wait for one.
    synced: tokio::sync::Mutex<u64>,
}

/// The file, and how many lines were written by this program.
#[derive(Debug)]
struct Written {
    file: Arc<File>,
    lines: u64,
}

/// The state of all events of a ledger.
#[derive(Debug, Clone)]
pub struct LedgerHistory {
    pub plan_digest: Digest,
    pub offer: String,
    pub to: RegistryRef,
    /// The images, in the order of the plan.
    pub items: Vec<ItemHistory>,
    /// Whether the last run came to its end.
    pub is_ended: bool,
}

/// A ledger's events about one image.
#[derive(Debug, Clone)]
pub struct ItemHistory {
    /// The plan of the offer.
    pub plan: String,
    pub destination: RepoName,
    /// How it ended, and why; nothing when it did not end.
    pub state: Option<(ImageState, String)>,
    /// Whether tags of it were put back since.
    pub is_undone: bool,
    pub blobs: BTreeSet<Digest>,
    /// The open uploads of blobs.
    pub sessions: BTreeMap<Digest, KeptSession>,
    /// The planned digest of each tag, an unchanged tag too.
    pub wanted: BTreeMap<Tag, Digest>,
    /// Tags written, or about to be written, in order.
    pub tags: Vec<TagHistory>,
}

/// A ledger's events about one tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagHistory {
    pub tag: Tag,
    /// Its digest before the first run.
    pub before: Option<Digest>,
    /// Its planned digest.
    pub after: Digest,
}

impl Ledger {
    /// Starts a ledger; an existing file is never overwritten.
    pub fn create(path: &Path) -> Result<Self, LedgerError> {
        match OpenOptions::new().read(true).append(true).create_new(true).open(path) {
            Ok(file) => Self::lock(path, file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(LedgerError::Exists { path: path.to_owned() })
            }
            Err(source) => Err(LedgerError::Io { path: path.to_owned(), source }),
        }
    }

    /// Opens a ledger to go on, and returns its history. A line cut off by a crash is removed.
    pub fn reopen(path: &Path) -> Result<(Self, LedgerHistory), LedgerError> {
        let failed = |source| LedgerError::Io { path: path.to_owned(), source };
        let file =
            input::open_with(path, OpenOptions::new().read(true).append(true)).map_err(failed)?;
        let ledger = Self::lock(path, file)?;
        let written = ledger.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file: &File = &written.file;
        let mut text = Vec::new();
        file.take(LEDGER_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        text.truncate(whole);
        file.set_len(whole as u64).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        drop(written);
        let history = read(path, &text)?;
        Ok((ledger, history))
    }

    fn lock(path: &Path, file: File) -> Result<Self, LedgerError> {
        match file.try_lock() {
            Ok(()) => {
                let file = Mutex::new(Written { file: Arc::new(file), lines: 0 });
                Ok(Self { path: path.to_owned(), file, synced: tokio::sync::Mutex::default() })
            }
            Err(TryLockError::WouldBlock) => Err(LedgerError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => {
                Err(LedgerError::Io { path: path.to_owned(), source })
            }
        }
    }

    /// Appends an event.
    pub fn append(&self, event: Event) -> Result<(), LedgerError> {
        let failed = |source| LedgerError::Io { path: self.path.clone(), source };
        let time = clock::now();
        let mut line =
            serde_json::to_vec(&Line { time, event }).map_err(io::Error::other).map_err(failed)?;
        line.push(b'\n');
        let mut written = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        written.lines += 1;
        (&*written.file).write_all(&line).map_err(failed)
    }

    /// Waits until every event so far is on the disk.
    #[expect(
        clippy::disallowed_methods,
        reason = "tokio's own files do the same, without the lock of this one. One runs at a time"
    )]
    pub async fn sync(&self) -> Result<(), LedgerError> {
        let failed = |source| LedgerError::Io { path: self.path.clone(), source };
        let due = self.written().1;
        let mut synced = self.synced.lock().await;
        if *synced >= due {
            return Ok(());
        }
        let (file, lines) = self.written();
        let done = tokio::task::spawn_blocking(move || file.sync_data()).await;
        done.map_err(io::Error::from).and_then(|done| done).map_err(failed)?;
        *synced = lines;
        Ok(())
    }

    fn written(&self) -> (Arc<File>, u64) {
        let written = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&written.file), written.lines)
    }
}

/// Reads a ledger without writing to it.
pub fn open(path: &Path) -> Result<LedgerHistory, LedgerError> {
    let failed = |source| LedgerError::Io { path: path.to_owned(), source };
    let mut text = Vec::new();
    input::open(path)
        .map_err(failed)?
        .take(LEDGER_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(failed)?;
    read(path, &text)
}

fn read(path: &Path, text: &[u8]) -> Result<LedgerHistory, LedgerError> {
    let malformed = |line: usize, reason: String| LedgerError::Malformed {
        path: path.to_owned(),
        line: line + 1,
        reason,
    };
    let mut history: Option<LedgerHistory> = None;
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let is_cut = lines.peek().is_none() && !line.ends_with(b"\n");
        if is_cut {
            break;
        }
        let line: Line =
            serde_json::from_slice(line).map_err(|error| malformed(number, error.to_string()))?;
        match (&mut history, line.event) {
            (None, Event::Begin { plan_digest, offer, to, items }) => {
                let items = items.into_iter().map(ItemHistory::new).collect();
                history = Some(LedgerHistory { plan_digest, offer, to, items, is_ended: false });
            }
            (Some(history), event) => history.take(event),
            (None, _) => return Err(malformed(number, "it does not begin".to_owned())),
        }
    }
    history.ok_or_else(|| malformed(0, "it is empty".to_owned()))
}

impl ItemHistory {
    fn new(item: BeginItem) -> Self {
        Self {
            plan: item.plan,
            destination: item.destination,
            state: None,
            is_undone: false,
            blobs: BTreeSet::new(),
            sessions: BTreeMap::new(),
            wanted: item.tags,
            tags: Vec::new(),
        }
    }

    /// The digest of a tag in the promoted image.
    #[must_use]
    pub fn target(&self, tag: &Tag) -> Option<Digest> {
        let written = self.tags.iter().find(|at| at.tag == *tag).map(|at| at.after);
        written.or_else(|| self.wanted.get(tag).copied())
    }
}

impl LedgerHistory {
    fn take(&mut self, event: Event) {
        self.is_ended = matches!(event, Event::End);
        let name = match &event {
            Event::Blob { plan, .. }
            | Event::Session { plan, .. }
            | Event::Manifest { plan, .. }
            | Event::Tagging { plan, .. }
            | Event::Tagged { plan, .. }
            | Event::Item { plan, .. }
            | Event::Untagged { plan, .. } => plan.clone(),
            Event::Begin { .. } | Event::Resume | Event::End => return,
        };
        let Some(item) = self.items.iter_mut().find(|item| item.plan == name) else { return };
        match event {
            Event::Blob { digest, .. } => {
                item.sessions.remove(&digest);
                item.blobs.insert(digest);
            }
            Event::Session { digest, session, .. } => {
                item.sessions.insert(digest, session);
            }
            Event::Tagging { tag, before, after, .. } => {
                // A second run meets the tag where the first one put it; the first one counts.
                if !item.tags.iter().any(|seen| seen.tag == tag) {
                    item.tags.push(TagHistory { tag, before, after });
                }
            }
            Event::Item { state, reason, .. } => {
                item.state = Some((state, reason));
                item.is_undone = false;
            }
            // The tag has left its planned place: a resumed run writes it again.
            Event::Untagged { tag, .. } => {
                item.tags.retain(|seen| seen.tag != tag);
                item.state = None;
                item.is_undone = true;
            }
            Event::Manifest { .. }
            | Event::Tagged { .. }
            | Event::Begin { .. }
            | Event::Resume
            | Event::End => {}
        }
    }

    /// The image of a plan of the offer.
    #[must_use]
    pub fn item(&self, plan: &str) -> Option<&ItemHistory> {
        self.items.iter().find(|item| item.plan == plan)
    }

    /// How many images are in each state; an image without an end counts as unfinished.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for item in &self.items {
            let state = item.state.as_ref().map_or("unfinished", |(state, _)| state.as_str());
            *counts.entry(state).or_default() += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests;
