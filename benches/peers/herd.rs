//! A herd: many clients at once pull one blob from an upstream through a proxy without a copy of
//! it.

use crate::bench::{self, Bench};
use crate::content::{Blob, MIB};
use crate::load::Load;
use crate::peer::{Kind, Peer, upstream_gets};
use crate::report::{Basis, Table, Unit};

/// 256 is there for the target of memory.
const HERDS: [usize; 5] = [1, 16, 128, 256, 512];
const QUICK_HERDS: [usize; 3] = [1, 16, 64];
/// docker-registry asks its upstream once for every client; more than this takes minutes.
const REGISTRY_MAX: usize = 128;
/// The number of clients in the herd with a memory target, and the target in MiB.
const MEMORY: (usize, f64) = (256, 256.0);
const PEERS: [&str; 2] = [Kind::Registry.name(), Kind::Nginx.name()];

const TEXT: &str = "\
All clients are connected and ask at once for one blob that a proxy, started with nothing for each
run, does not have. p50 and p99 are over the clients, from request to last byte. CPU is the
proxy's, until the blob is kept, for each GiB that reached a client. A client that did not get 200
and every byte has failed. docker-registry is left out above 128 clients: it asks its upstream once
for each.";

pub(crate) fn herd(bench: &Bench) -> anyhow::Result<Vec<Table>> {
    let mut table = Table::new("Herd on a cold blob", TEXT, &PEERS);
    let upstream = Peer::start(Kind::Registry, bench.folder(), None)?;
    let size = bench.pick(100 * MIB, MIB);
    let blob = Blob::noise(size);
    upstream.keep(&blob)?;
    for &clients in bench.pick(HERDS.as_slice(), QUICK_HERDS.as_slice()) {
        let case = bench::case(size, clients);
        for _ in 0..bench.runs {
            for kind in Kind::ALL {
                if kind == Kind::Registry && clients > REGISTRY_MAX {
                    continue;
                }
                bench::say(&format!("herd, {case}, {}", kind.name()));
                let peer = Peer::start(kind, bench.folder(), Some(upstream.addr()))?;
                let figures = stampede(&peer, &upstream, (&blob, clients))?;
                table.add_all(&case, kind.name(), &figures);
                peer.end()?;
            }
        }
        table.target(&case, Unit::GETS, 1.0, Basis::One);
        table.target(&case, Unit::FAILED, 0.0, Basis::One);
        if clients == MEMORY.0 {
            table.target(&case, Unit::PEAK, MEMORY.1, Basis::One);
        }
    }
    upstream.end()?;
    Ok(vec![table])
}

fn stampede(
    peer: &Peer,
    upstream: &Peer,
    (blob, clients): (&Blob, usize),
) -> anyhow::Result<Vec<(Unit, f64)>> {
    peer.process().forget_peak();
    let asked = upstream_gets(upstream, blob)?;
    let cpu = peer.process().cpu_seconds();
    let size = blob.content.len() as u64;
    let seen = Load::once(clients).run(peer.addr(), &blob.path(), size)?;
    match seen.failures.first() {
        Some(failure) => bench::say(&format!("a client of {} failed: {failure}", peer.name())),
        // The proxy's later work on the blob belongs to the blob's cost.
        None => peer.wait_until_kept(blob)?,
    }
    let cpu = peer.process().cpu_seconds() - cpu;
    let mut figures = seen.spread();
    figures.extend([
        (Unit::GB_PER_SECOND, seen.gbps()),
        (Unit::CPU_PER_GIB, cpu / seen.gib()),
        (Unit::GETS, upstream_gets(upstream, blob)? - asked),
        (Unit::FAILED, seen.failed()),
        (Unit::PEAK, peer.process().peak_mib()),
    ]);
    Ok(figures)
}
