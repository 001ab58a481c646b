//! The file: read whole, appended to under a lock and synced.
//!
//! Invariant: an append was checked against the file's content under the lock; a failed append
//! leaves the file as it was. No written byte is ever rewritten.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::record::Record;
use super::state::LedgerState;
use crate::input;

/// The name of the file beside an offer.
pub const LEDGER_NAME: &str = "wharf.published.jsonl";

/// Largest file, in bytes: a record has 1 KiB, so this is a release of 16 plans every day for 10 years.
const LEDGER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 256 * 1024;
/// How long another program may hold the lock; an append takes milliseconds.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often the lock is tried.
const LOCK_TRY_EVERY: Duration = Duration::from_millis(20);

/// Why there is no ledger to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishedError {
    /// It cannot be read or written.
    #[error("cannot use the ledger {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// It is too large.
    #[error("the ledger {} would have more than {LEDGER_BYTES_MAX} bytes", path.display())]
    TooLarge { path: PathBuf },
    /// A line is no record.
    #[error("{}:{line} is no record of what was published: {reason}", path.display())]
    Line {
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        reason: String,
    },
    /// Another program holds it.
    #[error("another program has held the ledger {} for {} seconds", path.display(), LOCK_WAIT_MAX.as_secs())]
    Busy { path: PathBuf },
}

/// A ledger with its records.
#[derive(Debug, Clone)]
pub struct PublishedFile {
    path: PathBuf,
    records: Vec<Record>,
}

/// The result of an append.
#[derive(Debug, Clone)]
pub struct AppendResult {
    /// The written records; none when all were known.
    pub records: Vec<Record>,
    /// Whether the file was made.
    pub is_new: bool,
}

impl PublishedFile {
    /// Reads a ledger.
    pub fn open(path: &Path) -> Result<Self, PublishedError> {
        let failed = |source| PublishedError::Io { path: path.to_owned(), source };
        let bytes = read(path, &mut input::open(path).map_err(failed)?)?;
        Ok(Self { path: path.to_owned(), records: parse(path, &bytes)? })
    }

    /// The named ledger, required to exist; else the one beside an offer, if it exists.
    pub fn find(folder: &Path, named: Option<&Path>) -> Result<Option<Self>, PublishedError> {
        match named {
            Some(path) => Self::open(path).map(Some),
            None => match Self::open(&folder.join(LEDGER_NAME)) {
                Err(PublishedError::Io { source, .. })
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    Ok(None)
                }
                found => found.map(Some),
            },
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its records, in the order of the file.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The state of all records together.
    #[must_use]
    pub fn state(&self) -> LedgerState {
        LedgerState::of(&self.records)
    }

    /// Appends the records of `decide`, made from the existing ones; a lock keeps other writers out
    /// meanwhile. A missing file is created. An error of `decide` writes nothing.
    pub fn append<E: From<PublishedError>>(
        path: &Path,
        decide: impl Fn(&[Record]) -> Result<Vec<Record>, E>,
    ) -> Result<AppendResult, E> {
        let failed = |source| PublishedError::Io { path: path.to_owned(), source };
        let is_new = !path.exists();
        // A ledger without records says nothing, so none is left by a refusal.
        if is_new && decide(&[])?.is_empty() {
            return Ok(AppendResult { records: Vec::new(), is_new: false });
        }
        let mut options = OpenOptions::new();
        let options = options.read(true).append(true).create(true);
        let mut file = input::open_with(path, options).map_err(failed)?;
        lock(path, &file)?;
        let bytes = read(path, &mut file)?;
        let records = decide(&parse(path, &bytes)?)?;
        if records.is_empty() {
            return Ok(AppendResult { records, is_new });
        }
        let mut text = String::new();
        if bytes.last().is_some_and(|last| *last != b'\n') {
            text.push('\n');
        }
        text.extend(records.iter().map(Record::line));
        let before = bytes.len() as u64;
        if before + text.len() as u64 > LEDGER_BYTES_MAX {
            return Err(PublishedError::TooLarge { path: path.to_owned() }.into());
        }
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        if let Err(source) = written {
            // A full disk may have taken a part; half a line would be damage.
            let _ = file.set_len(before);
            return Err(failed(source).into());
        }
        if is_new {
            sync_folder(path).map_err(failed)?;
        }
        Ok(AppendResult { records, is_new })
    }
}

/// Waits for the lock; closing the file releases it.
fn lock(path: &Path, file: &File) -> Result<(), PublishedError> {
    let until = Instant::now() + LOCK_WAIT_MAX;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(source)) => {
                return Err(PublishedError::Io { path: path.to_owned(), source });
            }
            Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                return Err(PublishedError::Busy { path: path.to_owned() });
            }
            Err(TryLockError::WouldBlock) => std::thread::park_timeout(LOCK_TRY_EVERY),
        }
    }
}

/// The name of a new file is only kept once its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn read(path: &Path, file: &mut File) -> Result<Vec<u8>, PublishedError> {
    let mut bytes = Vec::new();
    file.take(LEDGER_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| PublishedError::Io { path: path.to_owned(), source })?;
    if bytes.len() as u64 > LEDGER_BYTES_MAX {
        return Err(PublishedError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Reads every line; a repeated one counts once. A byte order mark, Windows' ends of lines and
/// empty lines come from editors, and mean nothing.
fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Record>, PublishedError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut records = Vec::new();
    let mut seen: BTreeSet<&[u8]> = BTreeSet::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || !seen.insert(line) {
            continue;
        }
        let refuse = |reason: String| PublishedError::Line {
            path: path.to_owned(),
            line: number + 1,
            reason,
        };
        records.push(read_line(line).map_err(refuse)?);
    }
    Ok(records)
}

fn read_line(line: &[u8]) -> Result<Record, String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("it has more than {LINE_BYTES_MAX} bytes"));
    }
    let marks: [&[u8]; 4] = [b"<<<<<<<", b"=======", b">>>>>>>", b"|||||||"];
    if marks.iter().any(|mark| line.starts_with(mark)) {
        return Err("a merge was not finished; keep the lines of both sides and remove the marks"
            .to_owned());
    }
    Record::read(line)
}
