//! The audit log: pushes, deletions, logins, overrides and reloads, each with its caller. A line is
//! an event with the action in a field `audit`, and the target `audit`; how an event becomes a line
//! is in `observe/audit_log/lines.rs`. A thread of its own appends to the file, and opens it anew
//! when told to, so that it can be moved away.
//!
//! Invariant: no request waits for the disk here. Lines that the file does not take are counted and
//! reported once per outage; the queue is bounded, and so is the wait of a shutdown for it.

mod lines;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use wharf_client::runtime::mutex::Mutex;

use crate::limits::{AUDIT_CLOSE_TIMEOUT, AUDIT_LINES_MAX};

pub(crate) use lines::{AuditLines, ExceptAudit};

/// One per process, as the log is.
static QUEUE: Mutex<Option<SyncSender<Message>>> = Mutex::new(None);
/// Whether lines go to a file.
static TO_FILE: AtomicBool = AtomicBool::new(false);
static LOST: AtomicU64 = AtomicU64::new(0);

enum Message {
    Line(String),
    /// Lines go into this file from here on.
    File(File, PathBuf),
    /// Lines go into no file any more.
    Nowhere,
    /// Answered once all lines before it are written.
    Flushed(SyncSender<()>),
}

/// Lines that were not written, since the start.
pub(crate) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// Whether lines go to a file and not into the ordinary log.
pub(super) fn has_file() -> bool {
    TO_FILE.load(Ordering::Relaxed)
}

/// Opens the file, or opens it anew; `None` lets lines go into the ordinary log. Blocks.
pub(crate) fn open(path: Option<&Path>) -> io::Result<()> {
    let mut queue = QUEUE.lock();
    let Some(path) = path else {
        TO_FILE.store(false, Ordering::Relaxed);
        if let Some(queue) = &*queue {
            let _ = queue.try_send(Message::Nowhere);
        }
        return Ok(());
    };
    let file = open_file(path)?;
    if queue.is_none() {
        let (sender, receiver) = sync_channel(AUDIT_LINES_MAX);
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || write_all(&receiver))?;
        *queue = Some(sender);
    }
    let message = Message::File(file, path.to_owned());
    let sent = queue.as_ref().map(|queue| queue.try_send(message));
    if !matches!(sent, Some(Ok(()))) {
        return Err(io::Error::other("its lines cannot be written fast enough"));
    }
    TO_FILE.store(true, Ordering::Relaxed);
    Ok(())
}

/// For its owner only: the log names callers and their actions.
fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Hands a line over; never waits.
pub(super) fn write(line: String) {
    let queue = QUEUE.lock();
    let sent = queue.as_ref().map(|queue| queue.try_send(Message::Line(line)));
    match sent {
        Some(Ok(())) => {}
        Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Waits until everything so far is written, but not for long. Blocks.
pub(crate) fn close() {
    let queue = QUEUE.lock().clone();
    if let Some(queue) = queue {
        let (flushed, is_flushed) = sync_channel(1);
        if queue.try_send(Message::Flushed(flushed)).is_ok() {
            let _ = is_flushed.recv_timeout(AUDIT_CLOSE_TIMEOUT);
        }
    }
}

fn write_all(messages: &Receiver<Message>) {
    let mut open: Option<(File, PathBuf)> = None;
    let mut failing = false;
    while let Ok(message) = messages.recv() {
        match message {
            Message::File(file, path) => open = Some((file, path)),
            Message::Nowhere => open = None,
            Message::Flushed(told) => {
                let _ = told.try_send(());
            }
            Message::Line(mut line) => {
                line.push('\n');
                let written = match &mut open {
                    Some((file, _)) => file.write_all(line.as_bytes()),
                    None => Err(io::Error::other("no file is open")),
                };
                let path = open.as_ref().map_or(Path::new(""), |(_, path)| path);
                report(written, path, &mut failing);
            }
        }
    }
}

/// Reports lost lines when an outage begins, and again when it ends.
fn report(written: io::Result<()>, path: &Path, failing: &mut bool) {
    match written {
        Ok(()) if *failing => {
            *failing = false;
            tracing::warn!(path = %path.display(), lost = lost(), "the audit log is written again");
        }
        Ok(()) => {}
        Err(error) => {
            LOST.fetch_add(1, Ordering::Relaxed);
            if !*failing {
                *failing = true;
                let path = path.display();
                tracing::error!(%path, %error, "the audit log is not written: lines are lost");
            }
        }
    }
}

/// The configuration was read again: the result, and the number of changed keys.
pub(crate) fn reloaded(result: &str, changes: usize) {
    tracing::info!(target: "audit", audit = "reload", result, changes,
        "the configuration was read again");
}
