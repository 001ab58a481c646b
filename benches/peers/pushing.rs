//! Pushes: into a local registry, through to an upstream, of layers known at the upstream, and by a
//! crowd. No two pushes share content.

use std::net::SocketAddr;

use anyhow::ensure;
use wharf_oci::{Algorithm, Digest, Digester};

use crate::bench::{self, Bench};
use crate::client::{Ask, Client};
use crate::content::{self, GIB, MIB, REPOSITORY};
use crate::load::{Load, Seen};
use crate::peer::{Kind, Peer};
use crate::report::{Basis, DIRECT, OURS, STAND_ALONE, Table, Unit};
use crate::sink::Sink;

const CLIENTS: [usize; 3] = [1, 8, 32];
/// So much is pushed in one measurement at most: it all lies on the disk.
const ALONE_BYTES_MAX: usize = 8 * GIB;
/// The same where it lies there twice.
const THROUGH_BYTES_MAX: usize = 4 * GIB;
/// Small layers are pushed several at a time by each client, until it has pushed so much.
const EACH_BYTES: usize = 16 * MIB;
/// The crowd: the number of pushes, the bytes of each, and the memory target in MiB.
const CROWD: (usize, usize, f64) = (256, 100 * MIB, 256.0);
/// Layers of the image in a repeated push.
const LAYERS: usize = 8;

const ALONE: &str = "\
Each client opens an upload (POST), sends the layer in one PATCH and ends it (PUT), as Docker does;
layers of less than 16 MiB several times over. Layers are without a pattern and differ from their
first byte on. \"s, p50\" is half of the pushes, from POST to 201. Both verify the digest and have
synced the layer by then: docker-registry 2.8 calls `fsync` on the data of an upload when its writer
is committed and when it is closed (seen with `strace`), though not on the folders that name it.";

const THROUGH: &str = "\
The same pushes through wharfd, which answers 201 when the upstream did, beside its two legs alone:
\"direct\" to that upstream, \"stand-alone\" into a wharfd without upstream. The upstream is a
docker-registry, or a sink in this program that throws bytes away. Client, wharfd and upstream share
the cores: what the legs take of them adds up.";

const KNOWN: &str = "\
Eight layers of 16 MiB through wharfd to the sink, which counts. \"asked first\" is what Docker does:
HEAD, and nothing more when that says 200. \"not asked\" is a client that just pushes.";

const CROWD_TEXT: &str = "\
So many pushes of 100 MiB at once, all of them different: 25 GiB. A push that was not answered 201
has failed. Peak memory is that of wharfd alone.";

/// One layer; its head makes its content unique.
struct Layer {
    head: [u8; 16],
    digest: Digest,
}

/// The layers of one measurement; all but their heads is one piece of memory.
struct Layers {
    rest: bytes::Bytes,
    each: Vec<Layer>,
}

impl Layers {
    /// The head depends on `run`, so no run meets the content of an earlier run. All cores hash the
    /// layers.
    fn new(count: usize, size: usize, run: u64) -> Self {
        let rest = wharf_benches::noise(size.saturating_sub(16));
        let layer = &|index: &usize| {
            let mut head = [0; 16];
            let (first, second) = head.split_at_mut(8);
            first.copy_from_slice(&run.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            second.copy_from_slice(
                &(*index as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes(),
            );
            let mut digester = Digester::new(Algorithm::Sha256);
            digester.update(&head);
            digester.update(&rest);
            Layer { head, digest: digester.finish().digest }
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let indices: Vec<usize> = (0..count).collect();
        let each = std::thread::scope(|scope| {
            let parts = indices.chunks(count.div_ceil(cores).max(1));
            let start = |part| {
                let work = move || <[usize]>::iter(part).map(layer).collect::<Vec<_>>();
                scope.spawn(work)
            };
            let threads: Vec<_> = parts.map(start).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
        });
        Self { rest, each }
    }

    fn size(&self) -> usize {
        self.rest.len() + 16
    }

    /// All of them, each by one client.
    fn push(&self, addr: SocketAddr, load: Load) -> anyhow::Result<Seen> {
        load.each(addr, self.size() as u64, &|client, index, time| {
            self.push_one(client, index * load.times + time)
        })
    }

    fn push_one(&self, client: &mut Client, index: usize) -> anyhow::Result<[f64; 2]> {
        let begin = std::time::Instant::now();
        let layer = self.each.get(index).expect("there is a layer for each push");
        let path = format!("/v2/{REPOSITORY}/blobs/uploads/");
        let opened = client.send(Ask { method: "POST", ..Ask::get(&path) }, &mut |_| {})?;
        ensure!(opened.status == 202, "an upload is refused:\n{}", opened.head);
        let path = content::place(&opened)?;
        let headers = "Content-Type: application/octet-stream\r\n";
        let body: &[&[u8]] = &[&layer.head, &self.rest];
        let sent = client.send(Ask { method: "PATCH", path: &path, headers, body }, &mut |_| {})?;
        ensure!(sent.status == 202, "content is refused:\n{}", sent.head);
        let first = begin.elapsed().as_secs_f64();
        let path = content::ended_as(&content::place(&sent)?, &layer.digest);
        let ended = client.send(Ask { method: "PUT", ..Ask::get(&path) }, &mut |_| {})?;
        ensure!(ended.status == 201, "a layer is refused:\n{}", ended.head);
        Ok([first, begin.elapsed().as_secs_f64()])
    }

    /// Whether HEAD at a registry finds this layer.
    fn is_there(&self, client: &mut Client, index: usize) -> anyhow::Result<bool> {
        let layer = self.each.get(index).expect("there is a layer for each push");
        let path = format!("/v2/{REPOSITORY}/blobs/{}", layer.digest);
        let answer = client.head(&path)?;
        Ok(answer.status == 200)
    }
}

/// The loads under a bound of bytes, by size.
fn loads(bench: &Bench, bytes_max: usize) -> Vec<(usize, Load)> {
    let sizes = bench.pick([MIB, 16 * MIB, 128 * MIB, GIB], [MIB, 2 * MIB, 3 * MIB, 4 * MIB]);
    let each = |size: usize| {
        let times = bench.pick((EACH_BYTES / size).max(1), 1);
        let fits = move |clients: &usize| clients * times * size <= bytes_max;
        CLIENTS.into_iter().filter(fits).map(move |clients| (size, Load { clients, times }))
    };
    sizes.into_iter().flat_map(each).collect()
}

pub(crate) fn alone(bench: &Bench) -> anyhow::Result<Vec<Table>> {
    let mut table = Table::new("Push, stand-alone", ALONE, &[Kind::Registry.name()]);
    for (size, load) in loads(bench, ALONE_BYTES_MAX) {
        let case = bench::case(size, load.clients);
        for run in 0..bench.runs {
            let layers = Layers::new(load.clients * load.times, size, run as u64 + 1);
            for kind in [Kind::Wharfd, Kind::Registry] {
                bench::say(&format!("push, {case}, {}", kind.name()));
                let peer = Peer::start(kind, bench.folder(), None)?;
                measure(&mut table, &case, kind.name(), &peer, (&layers, load))?;
                peer.end()?;
            }
        }
        if size == GIB && load.clients == 1 {
            let registry = Basis::Column(Kind::Registry.name());
            table.target(&case, Unit::P50, 0.25, registry);
        }
    }
    Ok(vec![table])
}

pub(crate) fn through(bench: &Bench) -> anyhow::Result<Vec<Table>> {
    let mut table = Table::new("Push, through", THROUGH, &[DIRECT, STAND_ALONE]);
    for (size, load) in loads(bench, THROUGH_BYTES_MAX) {
        for run in 0..bench.runs {
            let layers = Layers::new(load.clients * load.times, size, run as u64 + 101);
            // Every case starts with an empty upstream.
            let case = format!("{}, to docker-registry", bench::case(size, load.clients));
            bench::say(&format!("push, {case}"));
            let direct = Peer::start(Kind::Registry, bench.folder(), None)?;
            measure(&mut table, &case, DIRECT, &direct, (&layers, load))?;
            direct.end()?;
            let upstream = Peer::start(Kind::Registry, bench.folder(), None)?;
            let peer = Peer::start(Kind::Wharfd, bench.folder(), Some(upstream.addr()))?;
            measure(&mut table, &case, OURS, &peer, (&layers, load))?;
            peer.end()?;
            upstream.end()?;
            let alone = Peer::start(Kind::Wharfd, bench.folder(), None)?;
            let figures = measure(&mut table, &case, STAND_ALONE, &alone, (&layers, load))?;
            alone.end()?;
            table.target(&case, Unit::P50, 1.25, Basis::SlowerLeg);
            let case = format!("{}, to a sink", bench::case(size, load.clients));
            bench::say(&format!("push, {case}"));
            let direct = layers.push(Sink::start()?.addr(), load)?;
            table.add_all(&case, DIRECT, &direct.spread());
            table.add_all(&case, STAND_ALONE, &figures);
            let sink = Sink::start()?;
            let peer = Peer::start(Kind::Wharfd, bench.folder(), Some(sink.addr()))?;
            measure(&mut table, &case, OURS, &peer, (&layers, load))?;
            peer.end()?;
            table.target(&case, Unit::P50, 1.25, Basis::SlowerLeg);
        }
    }
    Ok(vec![table, known(bench)?])
}

/// Pushes, and the cost to that server.
fn measure(
    table: &mut Table,
    case: &str,
    column: &str,
    peer: &Peer,
    (layers, load): (&Layers, Load),
) -> anyhow::Result<Vec<(Unit, f64)>> {
    peer.process().forget_peak();
    let cpu = peer.process().cpu_seconds();
    let seen = layers.push(peer.addr(), load)?;
    ensure!(seen.failures.is_empty(), "{case}, {column}: {}", seen.failures.join("\n"));
    let cpu = peer.process().cpu_seconds() - cpu;
    let mut figures = vec![(Unit::GB_PER_SECOND, seen.gbps())];
    figures.extend(seen.spread());
    figures.push((Unit::CPU_PER_GIB, cpu / seen.gib()));
    figures.push((Unit::PEAK, peer.process().peak_mib()));
    table.add_all(case, column, &figures);
    Ok(figures)
}

fn known(bench: &Bench) -> anyhow::Result<Table> {
    let mut table = Table::new("Push of what is known", KNOWN, &[]);
    let layers = Layers::new(LAYERS, bench.pick(16 * MIB, MIB), 201);
    let sink = Sink::start()?;
    let mut peer = Peer::start(Kind::Wharfd, bench.folder(), Some(sink.addr()))?;
    count(&mut table, "first push, asked first", &sink, &peer, (&layers, true))?;
    count(&mut table, "again, asked first", &sink, &peer, (&layers, true))?;
    count(&mut table, "again, not asked", &sink, &peer, (&layers, false))?;
    peer.end()?;
    peer = Peer::start(Kind::Wharfd, bench.folder(), Some(sink.addr()))?;
    count(&mut table, "through an empty wharfd, asked first", &sink, &peer, (&layers, true))?;
    peer.end()?;
    peer = Peer::start(Kind::Wharfd, bench.folder(), Some(sink.addr()))?;
    count(&mut table, "through an empty wharfd, not asked", &sink, &peer, (&layers, false))?;
    peer.end()?;
    Ok(table)
}

fn count(
    table: &mut Table,
    case: &str,
    sink: &Sink,
    peer: &Peer,
    (layers, ask): (&Layers, bool),
) -> anyhow::Result<()> {
    let before = sink.counted();
    let mut client = Client::connect(peer.addr())?;
    for index in 0..layers.each.len() {
        if !ask || !layers.is_there(&mut client, index)? {
            layers.push_one(&mut client, index)?;
        }
    }
    let after = sink.counted();
    let mib = crate::report::float(after.1 - before.1) / crate::report::float(MIB as u64);
    table.add(case, Unit::REQUESTS, OURS, crate::report::float(after.0 - before.0));
    table.add(case, Unit::SENT_MIB, OURS, mib);
    Ok(())
}

pub(crate) fn crowd(bench: &Bench) -> anyhow::Result<Vec<Table>> {
    let mut table = Table::new("A crowd that pushes", CROWD_TEXT, &[]);
    let (clients, size) = bench.pick((CROWD.0, CROWD.1), (16, 4 * MIB));
    let layers = Layers::new(clients, size, 301);
    for through in [false, true] {
        let way = if through { "through to a sink" } else { "stand-alone" };
        let case = format!("{}, {way}", bench::case(size, clients));
        bench::say(&format!("crowd, {case}"));
        let sink = Sink::start()?;
        let upstream = through.then(|| sink.addr());
        let peer = Peer::start(Kind::Wharfd, bench.folder(), upstream)?;
        peer.process().forget_peak();
        let cpu = peer.process().cpu_seconds();
        let seen = layers.push(peer.addr(), Load::once(clients))?;
        if let Some(failure) = seen.failures.first() {
            bench::say(&format!("a push failed: {failure}"));
        }
        let cpu = peer.process().cpu_seconds() - cpu;
        let mut figures = seen.spread();
        figures.extend([
            (Unit::GB_PER_SECOND, seen.gbps()),
            (Unit::CPU_PER_GIB, cpu / seen.gib()),
            (Unit::FAILED, seen.failed()),
            (Unit::PEAK, peer.process().peak_mib()),
        ]);
        table.add_all(&case, OURS, &figures);
        table.target(&case, Unit::FAILED, 0.0, Basis::One);
        table.target(&case, Unit::PEAK, CROWD.2, Basis::One);
        peer.end()?;
    }
    Ok(vec![table])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_what_their_digests_say_and_differ() {
        let layers = Layers::new(3, 1000, 1);
        for layer in &layers.each {
            let whole = [layer.head.as_slice(), &layers.rest].concat();
            assert_eq!(whole.len(), layers.size());
            assert_eq!(Digester::digest(Algorithm::Sha256, &whole), layer.digest);
        }
        let other = Layers::new(1, 1000, 2);
        let all: std::collections::HashSet<_> =
            layers.each.iter().chain(&other.each).map(|layer| layer.digest).collect();
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn a_layer_arrives_in_three_requests() {
        let (sink, layers) = (Sink::start().unwrap(), Layers::new(4, 70_000, 1));
        let load = Load { clients: 2, times: 2 };
        assert!(layers.push(sink.addr(), load).unwrap().failed() < 1.0);
        assert_eq!(sink.counted(), (12, 280_000));
        let mut client = Client::connect(sink.addr()).unwrap();
        assert!(layers.is_there(&mut client, 3).unwrap());
    }
}
