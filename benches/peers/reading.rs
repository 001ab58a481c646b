//! Blobs in the server's store: freshly pushed (hot), and after a restart (warm).

use crate::bench::{self, Bench};
use crate::content::{Blob, GIB, MIB, prove};
use crate::load::Load;
use crate::peer::{Kind, Peer};
use crate::report::{Basis, Table, Unit};

const CLIENTS: [usize; 3] = [1, 4, 8];
const PEERS: [&str; 2] = [Kind::Registry.name(), Kind::Nginx.name()];

const HOT: &str = "\
Each server has just been given the blob (wharfd and docker-registry by POST and PUT, nginx as a
file) and is asked for it at once. wharfd's cache of segments holds 96 MiB: 64 MiB lie in it, of 1
GiB the end does. GB/s is 10^9 bytes over the time from the first request to the last byte at the
last client; CPU is that of the server alone. Servers take turns within each run.";

const WARM: &str = "\
The same content after each server was ended and started again and the blob was read once: pages
are in memory, nothing is in a cache of the server's own. Memory at rest is taken between start and
first read, with the content there; the peak is that of all runs.";

pub(crate) fn hot(bench: &Bench) -> anyhow::Result<Vec<Table>> {
    let mut table = Table::new("Hot blob GET", HOT, &PEERS);
    for size in bench.pick([64 * MIB, GIB], [MIB, 4 * MIB]) {
        let blob = Blob::noise(size);
        let peers = peers(bench, &blob)?;
        let what = bench::size(size);
        for clients in CLIENTS {
            measure(bench, &mut table, &peers, (&blob, clients))?;
            let case = bench::case(size, clients);
            // A blob too large for the cache of segments has the target of warm reads.
            if size <= 64 * MIB {
                table.target(&case, Unit::GB_PER_SECOND, 1.5, Basis::BestPeer);
            } else {
                warm_targets(&mut table, &case);
            }
        }
        note_peak(&mut table, &peers, &what);
        peers.into_iter().try_for_each(Peer::end)?;
    }
    Ok(vec![table])
}

pub(crate) fn warm(bench: &Bench) -> anyhow::Result<Vec<Table>> {
    let mut table = Table::new("Warm blob GET", WARM, &PEERS);
    for size in bench.pick([100 * MIB, GIB], [MIB, 4 * MIB]) {
        let blob = Blob::noise(size);
        let mut peers = peers(bench, &blob)?;
        let what = bench::size(size);
        for peer in &mut peers {
            peer.restart()?;
            table.add(&what, Unit::REST, peer.name(), peer.process().resident_mib());
            Load::ONE.run_well(peer.addr(), &blob.path(), size as u64)?;
        }
        table.target(&what, Unit::REST, 64.0, Basis::One);
        for clients in CLIENTS {
            measure(bench, &mut table, &peers, (&blob, clients))?;
            warm_targets(&mut table, &bench::case(size, clients));
        }
        note_peak(&mut table, &peers, &what);
        peers.into_iter().try_for_each(Peer::end)?;
    }
    Ok(vec![table])
}

fn warm_targets(table: &mut Table, case: &str) {
    table.target(case, Unit::GB_PER_SECOND, 1.0, Basis::BestPeer);
    table.target(case, Unit::CPU_PER_GIB, 1.2, Basis::Column(Kind::Nginx.name()));
}

/// All servers with the blob, each after a verified read.
fn peers(bench: &Bench, blob: &Blob) -> anyhow::Result<Vec<Peer>> {
    // wharfd gets the blob last: the measurement is about a freshly pushed blob.
    let mut peers: Vec<Peer> = Vec::new();
    for kind in Kind::ALL.into_iter().rev() {
        let peer = Peer::start(kind, bench.folder(), None)?;
        peer.process().forget_peak();
        peer.keep(blob)?;
        prove(peer.addr(), &blob.path(), blob)?;
        peers.push(peer);
    }
    // The disk finishes the writes before the measurement.
    rustix::fs::sync();
    Ok(peers)
}

fn measure(
    bench: &Bench,
    table: &mut Table,
    peers: &[Peer],
    (blob, clients): (&Blob, usize),
) -> anyhow::Result<()> {
    let size = blob.content.len();
    let wanted = bench.pick(4 * GIB, 32 * MIB);
    let load = Load { clients, times: (wanted / size / clients).max(1) };
    let case = bench::case(size, clients);
    for _ in 0..bench.runs {
        for peer in peers {
            bench::say(&format!("{case}, {}", peer.name()));
            let before = peer.process().cpu_seconds();
            let seen = load.run_well(peer.addr(), &blob.path(), size as u64)?;
            let cpu = peer.process().cpu_seconds() - before;
            table.add(&case, Unit::GB_PER_SECOND, peer.name(), seen.gbps());
            table.add(&case, Unit::CPU_PER_GIB, peer.name(), cpu / seen.gib());
        }
    }
    Ok(())
}

fn note_peak(table: &mut Table, peers: &[Peer], what: &str) {
    for peer in peers {
        table.add(
            &format!("{what}, all of it"),
            Unit::PEAK,
            peer.name(),
            peer.process().peak_mib(),
        );
    }
}
