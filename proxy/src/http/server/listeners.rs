//! The sockets of one address to listen on: a name may stand for several.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use tokio::net::{TcpListener, TcpStream};

use crate::settings::listen::Listen;

/// Bound sockets, at least one.
pub(crate) struct Listeners {
    sockets: Vec<TcpListener>,
    /// The socket polled first, so that none is kept waiting by the others.
    turn: usize,
}

impl Listeners {
    /// Binds every address. Addresses of a name that are missing on this machine are left out, as
    /// `::1` is without IPv6. Errors name the address.
    pub(crate) async fn bind(listen: &Listen) -> Result<Self, (SocketAddr, io::Error)> {
        let (mut sockets, mut missing) = (Vec::new(), None);
        let mut port = None;
        for address in listen.addresses() {
            let mut address = *address;
            // Port 0 is any port, and the same for all.
            address.set_port(port.unwrap_or(address.port()));
            match TcpListener::bind(address).await {
                Ok(socket) => {
                    port = port.or(socket.local_addr().ok().map(|bound| bound.port()));
                    sockets.push(socket);
                }
                Err(error) if is_not_here(&error) => missing = Some((address, error)),
                Err(error) => return Err((address, error)),
            }
        }
        match missing {
            Some(missing) if sockets.is_empty() => Err(missing),
            _ => Ok(Self { sockets, turn: 0 }),
        }
    }

    /// The bound addresses, with the actual ports.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// The next connection on any of them.
    pub(crate) async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn % self.sockets.len().max(1);
        poll_fn(|context| {
            let (before, after) = self.sockets.split_at(first);
            for socket in after.iter().chain(before) {
                if let Poll::Ready(accepted) = socket.poll_accept(context) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

fn is_not_here(error: &io::Error) -> bool {
    let unsupported = Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == unsupported
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_address_of_a_name_has_the_same_port_and_is_accepted_on() {
        let mut listeners = Listeners::bind(&"localhost:0".parse().unwrap()).await.unwrap();
        let addresses = listeners.addresses();
        assert!(addresses.iter().all(|one| one.port() == addresses[0].port()), "{addresses:?}");
        for address in addresses {
            let (client, accepted) =
                tokio::join!(tokio::net::TcpStream::connect(address), listeners.accept());
            assert_eq!(accepted.unwrap().1, client.unwrap().local_addr().unwrap());
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error_that_names_it() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let held = std::net::TcpListener::bind(taken).unwrap();
        let (address, error) =
            Listeners::bind(&taken.to_string().parse().unwrap()).await.err().unwrap();
        assert_eq!((address, error.kind()), (taken, io::ErrorKind::AddrInUse));
        drop(held);
    }
}
