//! The other side of `control.sock`: sends a command to the server that has a store open, if there
//! is one.
//!
//! Invariant: a server that took the connection and fails is an error, never a reason to open its
//! store. A refused connection is no proof about a server: the lock of the store tells whether a
//! process has it.

use std::io;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::control::{Reply, SocketFolder};
use super::{MaintenanceError, ProgressMonitor, Report, StoreCommand};
use crate::limits::{CONTROL_REPLY_BYTES_MAX, CONTROL_REQUEST_BYTES_MAX, CONTROL_TIMEOUT};

/// The result of a connection to the socket.
pub(super) enum ControlAnswer {
    /// A server has the store open, and this is its answer.
    Answered(Result<Report, MaintenanceError>),
    /// No process is behind the socket, or no socket is there.
    Nobody,
    /// The socket cannot be connected to: another user's, or left by a copy of the folder.
    Unreachable(io::Error),
}

/// Sends a command to the server that has the store open.
pub(super) async fn ask(
    folder: &Path,
    command: &StoreCommand,
    monitor: &ProgressMonitor,
) -> ControlAnswer {
    // No folder, no server; opening the store says it better.
    let Ok(place) = SocketFolder::open(folder) else { return ControlAnswer::Nobody };
    let stream = match UnixStream::connect(place.socket()).await {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) => return ControlAnswer::Nobody,
        Err(error) => return ControlAnswer::Unreachable(error),
    };
    let (read, mut write) = stream.into_split();
    if let Err(error) = request(&mut write, command).await {
        return ControlAnswer::Answered(Err(error));
    }
    let mut stop = monitor.stop.clone();
    let stopping = async {
        // Closing this side is how the server learns; its last reply is still waited for.
        if stop.wait_for(|stop| *stop).await.is_ok() {
            let _ = write.shutdown().await;
        }
        std::future::pending().await
    };
    tokio::select! {
        answer = listen(BufReader::new(read), monitor) => ControlAnswer::Answered(answer),
        answer = stopping => ControlAnswer::Answered(answer),
    }
}

/// Whether an error means no process behind the socket, or no socket.
fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

async fn request(
    write: &mut OwnedWriteHalf,
    command: &StoreCommand,
) -> Result<(), MaintenanceError> {
    let refused =
        |reason: String| MaintenanceError::Refused(format!("this cannot be asked: {reason}"));
    let mut line = serde_json::to_vec(command).map_err(|error| refused(error.to_string()))?;
    line.push(b'\n');
    if line.len() as u64 > CONTROL_REQUEST_BYTES_MAX {
        return Err(refused(format!("it is longer than {CONTROL_REQUEST_BYTES_MAX} bytes")));
    }
    // A server without room for more connections closes at once; `listen` reports it.
    let _ = write.write_all(&line).await;
    Ok(())
}

/// Reads lines until the last one.
async fn listen(
    mut read: BufReader<OwnedReadHalf>,
    monitor: &ProgressMonitor,
) -> Result<Report, MaintenanceError> {
    let silent = || {
        let text = "the server that has this store does not answer; it may be busy or stopping";
        MaintenanceError::Unusable(text.to_owned())
    };
    let mut next = timeout(CONTROL_TIMEOUT, line(&mut read)).await.map_err(|_| silent())?;
    if next.is_none() {
        return Err(silent());
    }
    while let Some(reply) = next {
        match reply {
            Reply::Done(done) => return done,
            Reply::Progress(progress) => {
                monitor.progress.send_replace(progress);
            }
            Reply::Accepted => {}
        }
        next = line(&mut read).await;
    }
    Err(MaintenanceError::Failed("the server went away before it was done".to_owned()))
}

/// The next line; `None` when there is none, or it is not of this protocol.
async fn line(read: &mut BufReader<OwnedReadHalf>) -> Option<Reply> {
    let mut line = Vec::new();
    read.take(CONTROL_REPLY_BYTES_MAX).read_until(b'\n', &mut line).await.ok()?;
    serde_json::from_slice(&line).ok()
}
