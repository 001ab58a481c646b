//! Many clients at once on one path, and the times of each. Each client is a thread with its own
//! connection, opened before the clock starts.

use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::client::{Client, connect_tls};
use crate::report::{Unit, float, gbps, percentile};

/// A client needs little more than its buffer, and the buffer is on the heap.
const STACK_BYTES: usize = 128 * 1024;

/// The work of one client, with the number of the client and of the repetition as arguments. The
/// result is the time to the first and to the last byte.
type Work<'a> = dyn Fn(&mut Client, usize, usize) -> anyhow::Result<[f64; 2]> + Sync + 'a;

/// So many clients, each asking so many times.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    pub(crate) times: usize,
}

/// The result of a load.
pub(crate) struct Seen {
    pub(crate) begin: Instant,
    /// Until the last client was done.
    pub(crate) seconds: f64,
    /// Of each answer, until the first and the last byte.
    firsts: Vec<f64>,
    wholes: Vec<f64>,
    /// The errors of failed requests.
    pub(crate) failures: Vec<String>,
    pub(crate) bytes: u64,
}

impl Load {
    pub(crate) const ONE: Self = Self { clients: 1, times: 1 };

    pub(crate) const fn once(clients: usize) -> Self {
        Self { clients, times: 1 }
    }

    /// Every client reads a body of `size` bytes; any other length is a failure.
    pub(crate) fn run(self, addr: SocketAddr, path: &str, size: u64) -> anyhow::Result<Seen> {
        self.each(addr, size, &|client, _, _| read(client, path, size))
    }

    /// Every client repeats its work. The work gets the number of the client and of the repetition,
    /// and returns the time to the first and to the last byte.
    pub(crate) fn each(self, addr: SocketAddr, size: u64, work: &Work<'_>) -> anyhow::Result<Seen> {
        let clients = (0..self.clients).map(|_| Client::connect(addr)).collect::<Result<_, _>>()?;
        Ok(self.each_of(clients, size, work))
    }

    /// Like [`Self::each`], with connected clients.
    fn each_of(self, clients: Vec<Client>, size: u64, work: &Work<'_>) -> Seen {
        let gate = Barrier::new(self.clients + 1);
        let (begin, results) = std::thread::scope(|scope| {
            let start = |(index, mut client): (usize, Client)| {
                let gate = &gate;
                let work = move || {
                    gate.wait();
                    (0..self.times).map(|time| work(&mut client, index, time)).collect::<Vec<_>>()
                };
                std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work)
            };
            let threads: Vec<_> = clients.into_iter().enumerate().map(start).collect();
            let begin = Instant::now();
            gate.wait();
            let join = |thread: std::io::Result<std::thread::ScopedJoinHandle<'_, _>>| {
                thread.expect("a thread for each client").join().unwrap_or_default()
            };
            (begin, threads.into_iter().flat_map(join).collect::<Vec<_>>())
        });
        let seconds = begin.elapsed().as_secs_f64();
        let mut seen = Seen {
            begin,
            seconds,
            firsts: Vec::new(),
            wholes: Vec::new(),
            failures: Vec::new(),
            bytes: 0,
        };
        for result in results {
            match result {
                Ok([first, whole]) => {
                    seen.firsts.push(first);
                    seen.wholes.push(whole);
                    seen.bytes += size;
                }
                Err(error) => seen.failures.push(format!("{error:#}")),
            }
        }
        seen
    }

    /// Over TLS where it is given; a failure is the end of the measurement.
    pub(crate) fn run_over(
        self,
        addr: SocketAddr,
        path: &str,
        size: u64,
        tls: Option<&Arc<rustls::ClientConfig>>,
    ) -> anyhow::Result<Seen> {
        let Some(config) = tls else { return self.run_well(addr, path, size) };
        let connect = |_| connect_tls(addr, config);
        let clients = (0..self.clients).map(connect).collect::<Result<_, _>>()?;
        let seen = self.each_of(clients, size, &|client, _, _| read(client, path, size));
        ensure!(seen.failures.is_empty(), "{}", seen.failures.join("\n"));
        Ok(seen)
    }

    /// The same, where a failure is the end of the measurement.
    pub(crate) fn run_well(self, addr: SocketAddr, path: &str, size: u64) -> anyhow::Result<Seen> {
        let seen = self.run(addr, path, size)?;
        ensure!(seen.failures.is_empty(), "{}", seen.failures.join("\n"));
        Ok(seen)
    }
}

fn read(client: &mut Client, path: &str, size: u64) -> anyhow::Result<[f64; 2]> {
    let answer = client.get(path)?;
    ensure!(answer.status == 200, "status {}", answer.status);
    ensure!(answer.bytes == size, "{} bytes came", answer.bytes);
    Ok([answer.first.as_secs_f64(), answer.whole.as_secs_f64()])
}

impl Seen {
    pub(crate) fn gbps(&self) -> f64 {
        gbps(self.bytes, self.seconds)
    }

    pub(crate) fn gib(&self) -> f64 {
        float(self.bytes) / float(1 << 30)
    }

    pub(crate) fn failed(&self) -> f64 {
        float(self.failures.len() as u64)
    }

    pub(crate) fn first_ms(&self) -> anyhow::Result<f64> {
        Ok(percentile(&self.firsts, 50).context("nobody got a byte")? * 1e3)
    }

    /// Half of the clients were done by then, and nearly all.
    pub(crate) fn spread(&self) -> Vec<(Unit, f64)> {
        let at = |unit, percent| Some((unit, percentile(&self.wholes, percent)?));
        [at(Unit::P50, 50), at(Unit::P99, 99)].into_iter().flatten().collect()
    }
}
