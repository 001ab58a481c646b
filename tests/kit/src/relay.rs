//! A TCP relay with a hold: bytes towards clients pass until an allowance is used up.
//!
//! The relay makes "in the middle of a transfer" a place and not a moment: hold, act, release. It
//! can also switch to another target, so a registry changes its mind behind one address.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// The size of one read.
const PIECE_BYTES: usize = 64 * 1024;

/// A running relay. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The target of connections; connections without a target are closed.
    target: Option<SocketAddr>,
    /// Counts holds and releases.
    order: u64,
    /// How many bytes each connection may pass after the order; `None` is any number.
    limit_bytes: Option<u64>,
    /// How many bytes passed after the order, over all connections.
    passed_bytes: u64,
}

/// The bytes passed on one connection towards its client.
#[derive(Debug, Default)]
struct Passed {
    /// After this order.
    order: u64,
    bytes: u64,
}

impl Relay {
    /// A relay on a port of the system's choice, to nowhere until it is pointed somewhere.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("cannot listen for a relay")?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { addr, shared, _tasks: tasks })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its base address.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where further connections go.
    pub fn point_to(&self, target: SocketAddr) {
        self.shared.lock().target = Some(target);
    }

    /// Lets this many further bytes pass towards the client on each connection, and no more.
    pub fn hold_after(&self, bytes: u64) {
        self.order(Some(bytes));
    }

    /// Lets everything pass.
    pub fn release(&self) {
        self.order(None);
    }

    /// How many bytes passed towards clients since the last hold or release.
    pub fn passed_bytes(&self) -> u64 {
        self.shared.lock().passed_bytes
    }

    fn order(&self, limit_bytes: Option<u64>) {
        {
            let mut state = self.shared.lock();
            state.order += 1;
            state.limit_bytes = limit_bytes;
            state.passed_bytes = 0;
        }
        self.shared.changed.notify_waiters();
    }
}

impl Shared {
    /// How many of `wanted` bytes may pass; waits until it is one at least.
    async fn allowance(&self, passed: &mut Passed, wanted: usize) -> usize {
        loop {
            let changed = self.changed.notified();
            if let Some(allowed) = self.take(passed, wanted) {
                return allowed;
            }
            changed.await;
        }
    }

    fn take(&self, passed: &mut Passed, wanted: usize) -> Option<usize> {
        let mut state = self.lock();
        if passed.order != state.order {
            *passed = Passed { order: state.order, bytes: 0 };
        }
        let left = state.limit_bytes.map(|limit| limit.saturating_sub(passed.bytes));
        let left = left.map_or(wanted, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let allowed = wanted.min(left);
        passed.bytes += allowed as u64;
        state.passed_bytes += allowed as u64;
        (allowed > 0).then_some(allowed)
    }

    /// No code panics under the lock, so a poisoned lock still guards a whole state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with this set, and the set ends with the relay.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let target = shared.lock().target;
        if let Some(target) = target {
            connections.spawn(relay(client, target, Arc::clone(&shared)));
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Both ways until either side closes; then both are closed, as when a cable is pulled.
async fn relay(client: TcpStream, target: SocketAddr, shared: Arc<Shared>) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy(from_client, to_server, None) => {}
        () = copy(from_server, to_client, Some(&shared)) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, held_by: Option<&Shared>) {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut passed = Passed::default();
    while let Ok(read) = from.read(&mut buffer).await {
        let mut rest = buffer.get(..read).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        while !rest.is_empty() {
            let allowed = match held_by {
                None => rest.len(),
                Some(shared) => shared.allowance(&mut passed, rest.len()).await,
            };
            let (piece, after) = rest.split_at(allowed);
            if to.write_all(piece).await.is_err() {
                return;
            }
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[tokio::test]
    async fn bytes_pass_up_to_the_allowance_and_the_rest_after_release() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let relay = Relay::start().await.unwrap();
        relay.point_to(server.local_addr().unwrap());
        relay.hold_after(4);
        let mut client = TcpStream::connect(relay.addr()).await.unwrap();
        let (mut peer, _) = server.accept().await.unwrap();
        client.write_all(b"to the server, never held").await.unwrap();
        let mut request = [0; 25];
        peer.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"to the server, never held");

        peer.write_all(b"0123456789").await.unwrap();
        drop(peer);
        let mut first = [0; 4];
        client.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"0123");
        assert_eq!(client.try_read(&mut first).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        relay.release();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"456789");
    }
}
