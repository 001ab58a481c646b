//! The audit log: who pushed, deleted, logged in, was allowed what, and which configuration counts. A line is an
//! event with a field `audit` that says what was done, and the target `audit`; how an event becomes a line is in
//! `observe/audit_log/lines.rs`. Its file is appended to by a thread of its own, opened anew when it is
//! told to, so that it can be moved away.
//!
//! Invariant: nobody waits for the disk here. What the file does not take is counted and reported
//! once per outage; the queue is bounded, and so is the time that an end waits for it.

mod lines;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};

use crate::limits::{AUDIT_CLOSE_TIMEOUT, AUDIT_LINES_MAX};

pub(crate) use lines::{AuditLines, ExceptAudit};

/// One per process, as the log is.
static QUEUE: Mutex<Option<SyncSender<Message>>> = Mutex::new(None);
/// Whether lines go to a file.
static TO_FILE: AtomicBool = AtomicBool::new(false);
static LOST: AtomicU64 = AtomicU64::new(0);

enum Message {
    Line(String),
    /// From now on into this file.
    File(File, PathBuf),
    /// No file any more.
    Nowhere,
    /// Told once all before it is written.
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
    let mut queue = QUEUE.lock().unwrap_or_else(PoisonError::into_inner);
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

/// For its owner only: it says who did what.
fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Hands a line over; never waits.
pub(super) fn write(line: String) {
    let queue = QUEUE.lock().unwrap_or_else(PoisonError::into_inner);
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
    let queue = QUEUE.lock().unwrap_or_else(PoisonError::into_inner).clone();
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

/// Says that lines are lost when that begins, and that they are not when it ends.
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

/// The configuration was read again; whether it counts, and how many keys are another.
pub(crate) fn reloaded(result: &str, changes: usize) {
    tracing::info!(target: "audit", audit = "reload", result, changes,
        "the configuration was read again");
}
