//! One listening port: the accept loop, the HTTP/1.1 server, and connections with a reset or a
//! flood on order.
//!
//! Connections are bounded and belong to the port: when it goes, they go.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use wharf_testkit::http::Body;

/// Connections served at once by one port; more wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;
/// How long a connection may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);

/// The piece of bytes of a flood; a flooded connection holds one piece at most.
const FLOOD: &[u8] = &[0; 64 * 1024];
const FLOOD_BYTES_MAX: u64 = 1 << 40;

/// A request's handle on its connection, for a reset or a flood.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection {
    reset: Arc<AtomicBool>,
    flood: Arc<AtomicBool>,
}

impl Connection {
    /// When this connection closes, it closes with a reset in place of an orderly end.
    pub(crate) fn reset_when_closed(&self) {
        self.reset.store(true, Ordering::SeqCst);
    }

    /// As soon as the answer is written out, zeros follow it until the client goes.
    pub(crate) fn flood(&self) {
        self.flood.store(true, Ordering::SeqCst);
    }
}

/// The outcome of a request.
pub(crate) enum Outcome {
    Answer(Response<Body>),
    /// The connection closes without an answer.
    HangUp {
        reset: bool,
    },
}

impl Outcome {
    /// The status of the answer; 0 when there is none.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Answer(answer) => answer.status().as_u16(),
            Self::HangUp { .. } => 0,
        }
    }

    pub(crate) fn on(self, connection: &Connection) -> Result<Response<Body>, HangUp> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::HangUp { reset } => {
                if reset {
                    connection.reset_when_closed();
                }
                Err(HangUp)
            }
        }
    }
}

/// The request gets no answer; its connection closes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HangUp;

impl fmt::Display for HangUp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the connection is closed on order")
    }
}

impl std::error::Error for HangUp {}

/// Accepts and serves until it is dropped.
pub(crate) async fn serve<H, F>(listener: TcpListener, handler: H) -> Infallible
where
    H: Fn(Request<Incoming>, Connection) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>, HangUp>> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let permit = Arc::clone(&permits).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, as a rule: let some close before the next try.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let handler = handler.clone();
        connections.spawn(async move {
            let _permit = permit;
            serve_connection(stream, handler).await;
        });
    }
}

async fn serve_connection<H, F>(stream: TcpStream, handler: H)
where
    H: Fn(Request<Incoming>, Connection) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>, HangUp>> + Send + 'static,
{
    let connection = Connection::default();
    // A port without TCP_NODELAY still works.
    let _ = stream.set_nodelay(true);
    let io = Unruly { stream, connection: connection.clone(), flooded: 0 };
    let io = TokioIo::new(io);
    let service = service_fn(|request| handler(request, connection.clone()));
    // A departed client and a connection closed on order both end here; neither is news.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(io, service)
        .await;
}

/// A stream with a reset at its drop, or a flood at its flush, if its connection orders so.
struct Unruly {
    stream: TcpStream,
    connection: Connection,
    /// How many bytes of rubbish were written.
    flooded: u64,
}

impl Drop for Unruly {
    fn drop(&mut self) {
        if self.connection.reset.load(Ordering::SeqCst) {
            // Without this option the connection closes in order, and the test of a reset fails.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Unruly {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Unruly {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The server flushes after it has written out its buffer.
        while self.connection.flood.load(Ordering::SeqCst) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, FLOOD))?;
            self.flooded += written as u64;
            if self.flooded > FLOOD_BYTES_MAX {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
