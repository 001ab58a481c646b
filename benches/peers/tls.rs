//! The cost of encryption: the same blob by HTTP/1.1 in the clear and over TLS, beside nginx.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;

use crate::bench::{self, Bench};
use crate::content::{self, Blob, GIB, MIB, prove};
use crate::load::Load;
use crate::peer::{Kind, nginx_file, start_nginx_encrypted, start_wharfd_with};
use crate::process::Process;
use crate::report::{Basis, OURS, Table, Unit};

const CLIENTS: [usize; 2] = [1, 8];
const PEERS: [&str; 1] = [Kind::Nginx.name()];

const TEXT: &str = "\
HTTP/1.1 over TLS 1.3 (both choose AES-256-GCM with this client), one handshake for each client before
the clock starts. \"hot\" is 64 MiB in wharfd's cache of segments, \"warm\" 1 GiB in the page cache. In the
clear is the same server with the same blob. The client decrypts on the same cores, with the library that
wharfd uses; CPU is that of the server alone. nginx encrypts with OpenSSL and sends files.";

/// One server with the blob, in the clear and encrypted.
struct Side {
    name: &'static str,
    clear: Server,
    encrypted: Server,
    _folder: TempDir,
}

struct Server {
    process: Process,
    addr: SocketAddr,
}

pub(crate) fn tls(bench: &Bench) -> anyhow::Result<Vec<Table>> {
    let certificate = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    let (chain, key) = (certificate.cert.pem(), certificate.signing_key.serialize_pem());
    let config = client_config(&chain)?;
    let mut table = Table::new("What TLS costs", TEXT, &PEERS);
    for (what, size) in [("hot", bench.pick(64 * MIB, MIB)), ("warm", bench.pick(GIB, 4 * MIB))] {
        let blob = Blob::noise(size);
        let sides = [nginx(bench, &blob, &chain, &key)?, wharfd(bench, &blob, &chain, &key)?];
        rustix::fs::sync();
        for clients in CLIENTS {
            measure(
                bench,
                &mut table,
                &sides,
                &Case { what, blob: &blob, clients, config: &config },
            )?;
        }
        for side in sides {
            side.clear.process.stop()?;
            side.encrypted.process.stop()?;
        }
    }
    Ok(vec![table])
}

struct Case<'a> {
    what: &'a str,
    blob: &'a Blob,
    clients: usize,
    config: &'a Arc<rustls::ClientConfig>,
}

impl Case<'_> {
    fn name(&self, way: &str) -> String {
        format!("{}, {}, {way}", self.what, bench::case(self.blob.content.len(), self.clients))
    }
}

fn measure(
    bench: &Bench,
    table: &mut Table,
    sides: &[Side],
    case: &Case<'_>,
) -> anyhow::Result<()> {
    let size = case.blob.content.len();
    let wanted = bench.pick(2 * GIB, 16 * MIB);
    let load = Load { clients: case.clients, times: (wanted / size / case.clients).max(1) };
    let (clear, encrypted) = (case.name("in the clear"), case.name("TLS"));
    for _ in 0..bench.runs {
        for side in sides {
            for (name, server, tls) in
                [(&clear, &side.clear, None), (&encrypted, &side.encrypted, Some(case.config))]
            {
                bench::say(&format!("{name}, {}", side.name));
                let before = server.process.cpu_seconds();
                let seen = load.run_over(server.addr, &case.blob.path(), size as u64, tls)?;
                let cpu = server.process.cpu_seconds() - before;
                table.add(name, Unit::GB_PER_SECOND, side.name, seen.gbps());
                table.add(name, Unit::CPU_PER_GIB, side.name, cpu / seen.gib());
            }
        }
    }
    // Both servers read a warm blob the same way, so the remaining difference is encryption.
    table.target(&encrypted, Unit::CPU_PER_GIB, 1.5, Basis::Column(Kind::Nginx.name()));
    Ok(())
}

fn client_config(chain: &str) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(chain.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn write_pair(folder: &Path, chain: &str, key: &str) -> anyhow::Result<()> {
    fs::write(folder.join("tls.crt"), chain)?;
    fs::write(folder.join("tls.key"), key)?;
    Ok(())
}

fn wharfd(bench: &Bench, blob: &Blob, chain: &str, key: &str) -> anyhow::Result<Side> {
    let folder = TempDir::with_prefix_in("tls-", bench.folder())?;
    let encrypted = folder.path().join("encrypted");
    fs::create_dir(&encrypted)?;
    write_pair(&encrypted, chain, key)?;
    let (process, addr) = start_wharfd_with(folder.path(), "")?;
    content::push_blob(addr, blob)?;
    prove(addr, &blob.path(), blob)?;
    let clear = Server { process, addr };
    // The push goes in the clear, so both servers keep the blob in the same way.
    let (process, addr) = start_wharfd_with(&encrypted, "")?;
    content::push_blob(addr, blob)?;
    process.stop()?;
    let lines = "[tls]\ncert = \"FOLDER/tls.crt\"\nkey = \"FOLDER/tls.key\"\n";
    let (process, addr) = start_wharfd_with(&encrypted, lines)?;
    let encrypted = Server { process, addr };
    Ok(Side { name: OURS, clear, encrypted, _folder: folder })
}

fn nginx(bench: &Bench, blob: &Blob, chain: &str, key: &str) -> anyhow::Result<Side> {
    let folder = TempDir::with_prefix_in("tls-", bench.folder())?;
    write_pair(folder.path(), chain, key)?;
    let file = nginx_file(folder.path(), &blob.path());
    fs::create_dir_all(file.parent().context("a path has a folder")?)?;
    fs::write(file, &blob.content)?;
    let [clear, encrypted] = start_nginx_encrypted(folder.path())?;
    let server = |(process, addr)| Server { process, addr };
    let (clear, encrypted) = (server(clear), server(encrypted));
    prove(clear.addr, &blob.path(), blob)?;
    Ok(Side { name: Kind::Nginx.name(), clear, encrypted, _folder: folder })
}
