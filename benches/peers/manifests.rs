//! Requests per second: a manifest by tag and by digest, and a blob of 4 KiB.

use crate::bench::{self, Bench};
use crate::content::{Image, SMALL_BYTES, prove};
use crate::peer::{Kind, Peer};
use crate::report::{Basis, Table, Unit};
use crate::wrk;

const CONNECTIONS: [usize; 2] = [16, 64];
const PEERS: [&str; 2] = [Kind::Registry.name(), Kind::Nginx.name()];

const TEXT: &str = "\
wrk asks over connections that stay open, as often as it can, on the same cores as the server.
nginx sends a file of the same bytes. CPU is that of the server, per request.";

pub(crate) fn manifests(bench: &Bench) -> anyhow::Result<Vec<Table>> {
    let image = Image::small();
    let mut peers = Vec::new();
    for kind in Kind::ALL {
        let peer = Peer::start(kind, bench.folder(), None)?;
        peer.keep_image(&image)?;
        prove(peer.addr(), &Image::by_tag(), &image.manifest)?;
        prove(peer.addr(), &image.by_digest(), &image.manifest)?;
        for blob in &image.blobs {
            prove(peer.addr(), &blob.path(), blob)?;
        }
        peers.push(peer);
    }
    rustix::fs::sync();
    let bytes = image.manifest.content.len();
    let layer = image.blobs.first().map(crate::content::Blob::path).unwrap_or_default();
    let paths = [
        (format!("manifest ({bytes} bytes) by tag"), Image::by_tag()),
        (format!("manifest ({bytes} bytes) by digest"), image.by_digest()),
        (format!("blob of {SMALL_BYTES} bytes"), layer),
    ];
    let mut table = Table::new("Small answers per second", TEXT, &PEERS);
    for (what, path) in &paths {
        for connections in CONNECTIONS {
            let case = format!("{what}, {connections} connections");
            measure(bench, &mut table, &peers, (&case, path, connections))?;
            if what.starts_with("manifest") && connections == 16 {
                table.target(&case, Unit::PER_SECOND, 0.4, Basis::Column(Kind::Nginx.name()));
            }
        }
    }
    peers.into_iter().try_for_each(Peer::end)?;
    Ok(vec![table])
}

fn measure(
    bench: &Bench,
    table: &mut Table,
    peers: &[Peer],
    (case, path, connections): (&str, &str, usize),
) -> anyhow::Result<()> {
    let seconds = bench.pick(3, 1);
    for _ in 0..bench.runs {
        for peer in peers {
            bench::say(&format!("{case}, {}", peer.name()));
            let before = peer.process().cpu_seconds();
            let rate = wrk::run(peer.addr(), path, connections, seconds)?;
            let cpu = peer.process().cpu_seconds() - before;
            table.add(case, Unit::PER_SECOND, peer.name(), rate.per_second);
            table.add(case, Unit::P99_MS, peer.name(), rate.p99_ms);
            table.add(case, Unit::CPU_MICROS, peer.name(), cpu * 1e6 / rate.requests);
        }
    }
    Ok(())
}
