//! Slow clients beside fast ones: how much of their throughput the fast ones keep.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::bench::{self, Bench};
use crate::client::{Ask, Client};
use crate::content::{Blob, MIB, REPOSITORY, place, prove};
use crate::load::Load;
use crate::peer::{Kind, Peer};
use crate::process::pause;
use crate::report::{Basis, OURS, Table, Unit};

const FAST: usize = 64;
const PULLERS: usize = 448;
const PUSHERS: usize = 64;
/// The bytes of each step of a slow client, for 8 KiB a second.
const STEP_BYTES: usize = 2 * 1024;
const STEP: Duration = Duration::from_millis(250);
/// The declared length of a slow upload; the upload never reaches it.
const PROMISED_BYTES: usize = 64 * MIB;
/// So much of their throughput the fast ones must keep.
const KEPT: f64 = 0.8;

const ALONE: &str = "64 fast clients alone";
const BESIDE: &str = "64 fast clients beside 512 slow ones";

const TEXT: &str = "\
64 clients read a warm blob as fast as it goes: first alone, then while 448 others read the same blob and
64 push one, each 8 KiB a second. All connections of the slow ones are kept: one that the server ends
makes the run fail. The slow ones are served by two threads of the same machine.";

pub(crate) fn slow(bench: &Bench) -> anyhow::Result<Vec<Table>> {
    let blob = Blob::noise(bench.pick(100 * MIB, 4 * MIB));
    let peer = Peer::start(Kind::Wharfd, bench.folder(), None)?;
    peer.keep(&blob)?;
    prove(peer.addr(), &blob.path(), &blob)?;
    rustix::fs::sync();
    let mut table = Table::new("Slow clients", TEXT, &[]);
    for _ in 0..bench.runs {
        measure(bench, &mut table, ALONE, &peer, &blob)?;
        let slow = Slow::connect(&peer, &blob)?;
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let halves = slow.halves();
            let served = halves.map(|half| scope.spawn(|| serve(half, &over)));
            let measured = measure(bench, &mut table, BESIDE, &peer, &blob);
            over.store(true, Ordering::Relaxed);
            for half in served {
                half.join().map_err(|_| anyhow::anyhow!("a thread of slow clients broke"))??;
            }
            measured
        })?;
    }
    table.target(BESIDE, Unit::GB_PER_SECOND, KEPT, Basis::Case(ALONE.to_owned()));
    table.add(BESIDE, Unit::PEAK, OURS, peer.process().peak_mib());
    peer.end()?;
    Ok(vec![table])
}

fn measure(
    bench: &Bench,
    table: &mut Table,
    case: &str,
    peer: &Peer,
    blob: &Blob,
) -> anyhow::Result<()> {
    bench::say(case);
    let load = Load { clients: FAST, times: bench.pick(4, 1) };
    let before = peer.process().cpu_seconds();
    let seen = load.run_well(peer.addr(), &blob.path(), blob.content.len() as u64)?;
    let cpu = peer.process().cpu_seconds() - before;
    table.add(case, Unit::GB_PER_SECOND, OURS, seen.gbps());
    table.add(case, Unit::CPU_PER_GIB, OURS, cpu / seen.gib());
    table.add_all(case, OURS, &seen.spread());
    Ok(())
}

/// Slow clients: connections in the middle of a request.
struct Slow {
    connections: Vec<Connection>,
}

struct Connection {
    stream: TcpStream,
    /// Whether it sends.
    pushes: bool,
}

impl Slow {
    fn connect(peer: &Peer, blob: &Blob) -> anyhow::Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..PULLERS {
            let head = format!("GET {} HTTP/1.1\r\nHost: bench\r\n\r\n", blob.path());
            connections.push(Connection::begin(peer.addr(), &head, false)?);
        }
        for _ in 0..PUSHERS {
            let path = format!("/v2/{REPOSITORY}/blobs/uploads/");
            let ask = Ask { method: "POST", ..Ask::get(&path) };
            let opened = Client::connect(peer.addr())?.send(ask, &mut |_| {})?;
            ensure!(opened.status == 202, "an upload is refused:\n{}", opened.head);
            let head = format!(
                "PATCH {} HTTP/1.1\r\nHost: bench\r\nContent-Length: {PROMISED_BYTES}\r\n\r\n",
                place(&opened)?
            );
            connections.push(Connection::begin(peer.addr(), &head, true)?);
        }
        Ok(Self { connections })
    }

    fn halves(&self) -> [&[Connection]; 2] {
        let (first, second) = self.connections.split_at(self.connections.len() / 2);
        [first, second]
    }
}

impl Connection {
    fn begin(addr: SocketAddr, head: &str, pushes: bool) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(addr)?;
        rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 16 * 1024)?;
        stream.write_all(head.as_bytes())?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, pushes })
    }

    /// Takes or sends a little, as much as is there.
    fn step(&self) -> anyhow::Result<()> {
        let (mut stream, mut piece) = (&self.stream, [0; STEP_BYTES]);
        let moved = if self.pushes { stream.write(&piece) } else { stream.read(&mut piece) };
        match moved {
            Ok(0) => anyhow::bail!("the server ended a slow connection"),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error).context("a slow connection broke"),
        }
    }
}

fn serve(connections: &[Connection], over: &AtomicBool) -> anyhow::Result<()> {
    while !over.load(Ordering::Relaxed) {
        connections.iter().try_for_each(Connection::step)?;
        pause(STEP);
    }
    Ok(())
}
