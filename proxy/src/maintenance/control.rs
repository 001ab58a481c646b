//! The server's side of `control.sock`: a socket in the folder of the store, for its owner only. A
//! connection sends one command as a line of JSON, and gets lines of JSON: progress, then the end.
//!
//! Invariant: the socket exists only while this process has the store; a client that goes away, or
//! closes its side, stops its command at the next look.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use wharf_store::Progress;

use super::{Maintenance, MaintenanceError, ProgressMonitor, Report, StoreCommand};
use crate::limits::{
    CONTROL_BACKLOG, CONTROL_CONNECTIONS_MAX, CONTROL_REQUEST_BYTES_MAX, CONTROL_TIMEOUT,
    PROGRESS_PERIOD,
};

/// A line from the server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// The command was understood.
    Accepted,
    /// The command's progress.
    Progress(#[serde(with = "ProgressWords")] Progress),
    /// The end.
    Done(Result<Report, MaintenanceError>),
}

/// The spelling of [`Progress`] between processes.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Progress")]
struct ProgressWords {
    done: u64,
    total: u64,
    done_bytes: u64,
    total_bytes: u64,
}

/// The folder of a store, held open: the path of its socket may be longer than the 108 bytes of the
/// system's limit, the path by way of this handle is not.
pub(super) struct SocketFolder(File);

impl SocketFolder {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(File::from(rustix::fs::open(folder, flags, Mode::empty())?)))
    }

    pub(super) fn socket(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/control.sock", self.0.as_raw_fd()))
    }
}

/// The socket, listening. Dropping it removes it.
pub(crate) struct Control {
    place: SocketFolder,
    listener: UnixListener,
}

impl Control {
    /// Listens in the folder of a store that this process has open: an older socket under the name
    /// belonged to a process that is gone.
    pub(crate) fn bind(folder: &Path) -> io::Result<Self> {
        let place = SocketFolder::open(folder)?;
        let path = place.socket();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixSocket::new_stream()?;
        // Before the socket has a name: at no moment could others connect.
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        socket.bind(&path)?;
        Ok(Self { listener: socket.listen(CONTROL_BACKLOG)?, place })
    }

    /// Answers until `stop` becomes true; then commands are stopped, with a reply.
    pub(crate) async fn serve(self, maintenance: Maintenance, mut stop: watch::Receiver<bool>) {
        let permits = Arc::new(Semaphore::new(CONTROL_CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::error!(%error, "a control connection could not be accepted");
                    tokio::time::sleep(PROGRESS_PERIOD).await;
                    continue;
                }
            };
            while connections.try_join_next().is_some() {}
            let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                // Without a reply: closed at once, the connection is not taken for a server that
                // answers.
                continue;
            };
            let connection = Connection { maintenance: maintenance.clone(), stop: stop.clone() };
            connections.spawn(async move {
                connection.answer(stream).await;
                drop(permit);
            });
        }
        drop(self);
        if timeout(CONTROL_TIMEOUT, connections.join_all()).await.is_err() {
            tracing::warn!("a command on the store was cut off");
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(self.place.socket()) {
            tracing::debug!(%error, "the control socket was not removed");
        }
    }
}

struct Connection {
    maintenance: Maintenance,
    stop: watch::Receiver<bool>,
}

impl Connection {
    async fn answer(self, stream: UnixStream) {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read).take(CONTROL_REQUEST_BYTES_MAX);
        let mut line = String::new();
        if !matches!(timeout(CONTROL_TIMEOUT, read.read_line(&mut line)).await, Ok(Ok(1..))) {
            return;
        }
        let done = match serde_json::from_str(&line) {
            Ok(command) => self.follow(command, &mut read, &mut write).await,
            Err(error) => {
                let text = format!("the running server does not know this command: {error}");
                Some(Err(MaintenanceError::Refused(text)))
            }
        };
        if let Some(done) = done {
            let _ = send(&mut write, &Reply::Done(done)).await;
        }
    }

    /// Runs the command and reports its progress; `None` when the client is gone.
    async fn follow(
        mut self,
        command: StoreCommand,
        read: &mut (impl AsyncReadExt + Unpin),
        write: &mut OwnedWriteHalf,
    ) -> Option<Result<Report, MaintenanceError>> {
        send(write, &Reply::Accepted).await?;
        tracing::info!(?command, "asked of the store");
        let (progress, mut told) = watch::channel(Progress::default());
        let (halt, halted) = watch::channel(false);
        let monitor = ProgressMonitor { progress, stop: halted };
        let mut work = tokio::spawn(self.maintenance.perform(command, monitor));
        let mut ticks = interval(PROGRESS_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut nothing = [0; 16];
        loop {
            let stopping = *halt.borrow();
            tokio::select! {
                done = &mut work => return Some(done.unwrap_or_else(|error| {
                    std::panic::resume_unwind(error.into_panic())
                })),
                _ = read.read(&mut nothing), if !stopping => { halt.send_replace(true); }
                () = raised(&mut self.stop), if !stopping => { halt.send_replace(true); }
                _ = ticks.tick() => {
                    if told.has_changed().unwrap_or(false) {
                        let now = *told.borrow_and_update();
                        // A client that does not read any more has no use for the command.
                        if send(write, &Reply::Progress(now)).await.is_none() {
                            halt.send_replace(true);
                            return None;
                        }
                    }
                }
            }
        }
    }
}

/// Resolves when the flag is up.
async fn raised(flag: &mut watch::Receiver<bool>) {
    // A sender that is gone is a server that ends.
    let _ = flag.wait_for(|up| *up).await;
}

/// Sends a line; `None` when the other side does not take it.
async fn send(write: &mut OwnedWriteHalf, reply: &Reply) -> Option<()> {
    let mut line = serde_json::to_vec(reply).ok()?;
    line.push(b'\n');
    timeout(CONTROL_TIMEOUT, write.write_all(&line)).await.ok()?.ok()
}
