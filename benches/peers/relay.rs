//! A TCP relay with a long round trip. Each piece waits half a round trip in each direction, and
//! the first piece of a connection waits one round trip more, for the handshake. The relay neither
//! limits bandwidth nor imitates the slow opening of a TCP window.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use crate::process::pause;

const PIECE_BYTES: usize = 256 * 1024;
/// Pieces on their way in one direction: at most 64 MiB, so 10 ms carry over 6 GB/s.
const PIECES: usize = 256;

/// A running relay. Dropping it closes its port; connections end with their peers.
pub(crate) struct Relay {
    addr: SocketAddr,
    stopped: Arc<AtomicBool>,
}

/// Bytes and when they may go on; none is the end of the stream.
struct Piece {
    due: Instant,
    buffer: Vec<u8>,
    length: usize,
}

impl Relay {
    pub(crate) fn start(target: SocketAddr, round_trip: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                // The client sees a closed connection and reports it.
                let _ = client.and_then(|client| connect(&client, target, round_trip));
            }
        });
        Ok(Self { addr, stopped })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.addr);
    }
}

fn connect(client: &TcpStream, target: SocketAddr, round_trip: Duration) -> std::io::Result<()> {
    let server = TcpStream::connect(target)?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let handshake = Instant::now() + round_trip;
    pass(client.try_clone()?, server.try_clone()?, round_trip / 2, handshake);
    pass(server, client.try_clone()?, round_trip / 2, handshake);
    Ok(())
}

/// One direction: a reading thread, and a thread for the delayed writes.
fn pass(from: TcpStream, to: TcpStream, delay: Duration, not_before: Instant) {
    let (send, receive) = sync_channel(PIECES);
    let (give_back, used) = channel();
    std::thread::spawn(move || take(from, &send, &used, (delay, not_before)));
    std::thread::spawn(move || give(to, &receive, &give_back));
}

fn take(
    mut from: TcpStream,
    send: &SyncSender<Piece>,
    used: &Receiver<Vec<u8>>,
    (delay, not_before): (Duration, Instant),
) {
    loop {
        let mut buffer = used.try_recv().unwrap_or_else(|_| vec![0; PIECE_BYTES]);
        let length = from.read(&mut buffer).unwrap_or(0);
        let due = Instant::now().max(not_before) + delay;
        if send.send(Piece { due, buffer, length }).is_err() || length == 0 {
            return;
        }
    }
}

fn give(mut to: TcpStream, receive: &Receiver<Piece>, give_back: &Sender<Vec<u8>>) {
    while let Ok(Piece { due, buffer, length }) = receive.recv() {
        pause(due.saturating_duration_since(Instant::now()));
        let bytes = buffer.get(..length).unwrap_or_default();
        if bytes.is_empty() || to.write_all(bytes).is_err() {
            break;
        }
        let _ = give_back.send(buffer);
    }
    // The writer of this direction learns of the closed end.
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_whole_and_not_before_their_time() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let round_trip = Duration::from_millis(40);
        let relay = Relay::start(server.local_addr().unwrap(), round_trip).unwrap();
        let echo = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            stream.write_all(&all).unwrap();
        });
        let begin = Instant::now();
        let mut client = TcpStream::connect(relay.addr()).unwrap();
        let sent = wharf_benches::noise(3_000_000);
        let mut writing = client.try_clone().unwrap();
        let content = sent.clone();
        let writer = std::thread::spawn(move || {
            writing.write_all(&content).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        let mut came = Vec::new();
        client.read_to_end(&mut came).unwrap();
        writer.join().unwrap();
        echo.join().unwrap();
        assert!(came == sent, "{} bytes came", came.len());
        // The handshake and one round trip are a lower bound, and no load can break it.
        assert!(begin.elapsed() >= round_trip * 2);
    }
}
