//! The byte stream of a connection, direct or through a proxy, and its facts for the connection
//! pool.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::upgrade::Upgraded;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection below the target's TLS.
pub(super) enum Stream {
    /// To the host itself.
    Direct(TokioIo<TcpStream>),
    /// To a proxy that forwards plain requests.
    Forwarding(Box<MaybeHttpsStream<TokioIo<TcpStream>>>),
    /// To the host, through a proxy.
    Tunnel(Upgraded),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Direct(stream) => stream.connected(),
            // With this flag, requests carry the whole address.
            Self::Forwarding(_) => Connected::new().proxy(true),
            Self::Tunnel(_) => Connected::new(),
        }
    }
}

macro_rules! each {
    ($stream:expr, $pinned:ident => $call:expr) => {
        match $stream.get_mut() {
            Stream::Direct(stream) => {
                let $pinned = Pin::new(stream);
                $call
            }
            Stream::Forwarding(stream) => {
                let $pinned = Pin::new(&mut **stream);
                $call
            }
            Stream::Tunnel(stream) => {
                let $pinned = Pin::new(stream);
                $call
            }
        }
    };
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<Result<()>> {
        each!(self, stream => stream.poll_read(context, buffer))
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        each!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        each!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        each!(self, stream => stream.poll_shutdown(context))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Direct(stream) => stream.is_write_vectored(),
            Self::Forwarding(stream) => stream.is_write_vectored(),
            Self::Tunnel(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        each!(self, stream => stream.poll_write_vectored(context, pieces))
    }
}
