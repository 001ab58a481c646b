//! Cold blobs: only the upstream has them, and each pull goes through a freshly started proxy. The
//! round trip to the upstream is either short or long.

use std::net::SocketAddr;
use std::time::Duration;

use crate::bench::{self, Bench};
use crate::content::{Blob, GIB, MIB, prove};
use crate::load::Load;
use crate::peer::{Kind, Peer, upstream_gets};
use crate::relay::Relay;
use crate::report::{Basis, DIRECT, Table, Unit};

const OTHERS: [&str; 3] = [Kind::Registry.name(), Kind::Nginx.name(), DIRECT];
const CLIENTS: [usize; 2] = [1, 8];
const ROUND_TRIP: Duration = Duration::from_millis(20);

const COLD: &str = "\
A docker-registry has the blob; each proxy is started with nothing for each run (wharfd,
docker-registry with `proxy.remoteurl`, nginx with `proxy_cache` and its lock). \"s\" is until the
last client has all, \"until kept\" until the next who asks is answered without the upstream:
wharfd says so itself (it has verified and synced the blob by then), docker-registry's committed
file is there (verified), nginx's finished file is there (nothing is verified or synced). Time to
first byte is the median of the clients. CPU is the proxy's, from the request until kept. Upstream
GETs are counted in the upstream's access log. \"again\" is the same clients once more. \"direct\"
is the upstream without a proxy.";

const FAR: &str = "\
The same with a round trip of 20 ms to the upstream: a relay holds every piece for 10 ms in each
direction, and the first piece of a connection 20 ms more for the handshake. Bandwidth is not
limited and TCP's slow start is not imitated; the relay works on the same cores. \"direct\" goes
through the relay too.";

/// The upstream, and its address as the proxies see it.
struct Origin {
    upstream: Peer,
    relay: Option<Relay>,
}

impl Origin {
    fn start(bench: &Bench, round_trip: Option<Duration>) -> anyhow::Result<Self> {
        let upstream = Peer::start(Kind::Registry, bench.folder(), None)?;
        let relay = round_trip.map(|time| Relay::start(upstream.addr(), time)).transpose()?;
        Ok(Self { upstream, relay })
    }

    fn addr(&self) -> SocketAddr {
        self.relay.as_ref().map_or(self.upstream.addr(), Relay::addr)
    }
}

pub(crate) fn cold(bench: &Bench) -> anyhow::Result<Vec<Table>> {
    let origin = Origin::start(bench, None)?;
    let mut table = Table::new("Cold pull", COLD, &OTHERS);
    let [small, large] = bench.pick([100 * MIB, GIB], [MIB, 16 * MIB]);
    for size in [small, large] {
        pulls(bench, &mut table, &origin, size)?;
    }
    let registry = Basis::Column(Kind::Registry.name());
    let one = bench::case(large, 1);
    table.target(&one, Unit::SECONDS, 1.4, registry.clone());
    table.target(&one, Unit::KEPT, 0.4, registry.clone());
    table.target(&one, Unit::CPU, 0.8, registry);
    let eight = bench::case(large, 8);
    table.target(&eight, Unit::SECONDS, 1.3, Basis::Case(again(&eight)));
    origin.upstream.end()?;
    Ok(vec![table])
}

pub(crate) fn far(bench: &Bench) -> anyhow::Result<Vec<Table>> {
    let origin = Origin::start(bench, Some(ROUND_TRIP))?;
    let mut table = Table::new("Cold pull, 20 ms from the upstream", FAR, &OTHERS);
    for size in bench.pick([100 * MIB, GIB], [MIB, 16 * MIB]) {
        pulls(bench, &mut table, &origin, size)?;
    }
    origin.upstream.end()?;
    Ok(vec![table])
}

fn again(case: &str) -> String {
    format!("{case}, again")
}

fn pulls(bench: &Bench, table: &mut Table, origin: &Origin, size: usize) -> anyhow::Result<()> {
    let blob = Blob::noise(size);
    origin.upstream.keep(&blob)?;
    check(bench, origin, &blob)?;
    for clients in CLIENTS {
        let load = Load::once(clients);
        let case = bench::case(size, clients);
        for _ in 0..bench.runs {
            bench::say(&format!("cold, {case}, {DIRECT}"));
            let seen = load.run_well(origin.addr(), &blob.path(), size as u64)?;
            table.add(&case, Unit::SECONDS, DIRECT, seen.seconds);
            table.add(&case, Unit::TTFB_MS, DIRECT, seen.first_ms()?);
            for kind in Kind::ALL {
                bench::say(&format!("cold, {case}, {}", kind.name()));
                let peer = Peer::start(kind, bench.folder(), Some(origin.addr()))?;
                let figures = pull(&peer, &origin.upstream, &blob, load)?;
                table.add_all(&case, kind.name(), &figures);
                if clients > 1 {
                    let seen = load.run_well(peer.addr(), &blob.path(), size as u64)?;
                    table.add(&again(&case), Unit::SECONDS, kind.name(), seen.seconds);
                }
                peer.end()?;
            }
        }
        table.target(&case, Unit::GETS, 1.0, Basis::One);
    }
    Ok(())
}

/// The proxy's first response, and its response from its own copy, are right to the byte.
fn check(bench: &Bench, origin: &Origin, blob: &Blob) -> anyhow::Result<()> {
    prove(origin.addr(), &blob.path(), blob)?;
    for kind in Kind::ALL {
        let peer = Peer::start(kind, bench.folder(), Some(origin.addr()))?;
        prove(peer.addr(), &blob.path(), blob)?;
        peer.wait_until_kept(blob)?;
        prove(peer.addr(), &blob.path(), blob)?;
        peer.end()?;
    }
    Ok(())
}

fn pull(peer: &Peer, upstream: &Peer, blob: &Blob, load: Load) -> anyhow::Result<Vec<(Unit, f64)>> {
    peer.process().forget_peak();
    let asked = upstream_gets(upstream, blob)?;
    let cpu = peer.process().cpu_seconds();
    let seen = load.run_well(peer.addr(), &blob.path(), blob.content.len() as u64)?;
    peer.wait_until_kept(blob)?;
    let kept = seen.begin.elapsed().as_secs_f64();
    let cpu = peer.process().cpu_seconds() - cpu;
    let asked = upstream_gets(upstream, blob)? - asked;
    Ok(vec![
        (Unit::SECONDS, seen.seconds),
        (Unit::TTFB_MS, seen.first_ms()?),
        (Unit::KEPT, kept),
        (Unit::CPU, cpu),
        (Unit::GETS, asked),
        (Unit::PEAK, peer.process().peak_mib()),
    ])
}
