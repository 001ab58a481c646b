//! Debian's `docker-registry` with files, configured as its package does (blob descriptors cached
//! in memory), its two logs to files. It is a peer, with and without `proxy.remoteurl`, and the
//! upstream of all proxies.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{Peer, address_after, below};
use crate::content::Blob;
use crate::process::{Process, pause};
use crate::report::float;

pub(super) fn start(
    folder: &Path,
    upstream: Option<SocketAddr>,
) -> anyhow::Result<(Process, SocketAddr)> {
    let root = below(folder, "root")?;
    let proxy = upstream.map(|addr| format!("proxy:\n  remoteurl: http://{addr}\n"));
    let config = folder.join("config.yml");
    fs::write(
        &config,
        format!(
            "version: 0.1\nstorage:\n  cache:\n    blobdescriptor: inmemory\n  filesystem:\n    \
             rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:0\n{}",
            root.display(),
            proxy.unwrap_or_default()
        ),
    )?;
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(config).env("OTEL_TRACES_EXPORTER", "none");
    let mut process = Process::start("docker-registry", &mut command, folder)?;
    let listening = |process: &Process| process.line(|line| address_after(line, "listening on "));
    let addr = process.wait_for(listening)?;
    Ok((process, addr))
}

/// Where a blob lies once it is committed.
pub(super) fn file(folder: &Path, blob: &Blob) -> PathBuf {
    let hex = blob.digest.hex();
    let two = hex.get(..2).unwrap_or_default();
    folder.join("root/docker/registry/v2/blobs/sha256").join(two).join(&hex).join("data")
}

/// How often this blob was asked of an upstream, by its access log. A line is written when its
/// answer has ended, so this waits until nothing more comes.
pub(crate) fn upstream_gets(upstream: &Peer, blob: &Blob) -> anyhow::Result<f64> {
    const QUIET: Duration = Duration::from_millis(100);
    const QUIET_MAX: Duration = Duration::from_mins(1);
    let asked = format!("\"GET {} ", blob.path());
    let count = || {
        let text = fs::read_to_string(&upstream.process().stdout).unwrap_or_default();
        text.lines().filter(|line| line.contains(&asked)).count() as u64
    };
    let begin = Instant::now();
    let mut seen = count();
    loop {
        pause(QUIET);
        let again = count();
        if again == seen {
            return Ok(float(seen));
        }
        ensure!(begin.elapsed() < QUIET_MAX, "the upstream is still asked");
        seen = again;
    }
}
