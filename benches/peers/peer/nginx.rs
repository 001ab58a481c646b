//! Debian's nginx, one worker per core: files by `sendfile`, or `proxy_cache` with its lock in
//! front of an upstream. Its access log goes to a file; everything it writes is in the peer's
//! folder.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::below;
use crate::client::Client;
use crate::content::MANIFEST_TYPE;
use crate::process::Process;

/// Attempts with different ports. nginx does not accept port 0, and another process can take a port
/// between the choice and the start.
const TRIES: usize = 5;

pub(super) fn start(
    folder: &Path,
    upstream: Option<SocketAddr>,
) -> anyhow::Result<(Process, SocketAddr)> {
    for name in ["files", "cache", "temporary"] {
        below(folder, name)?;
    }
    let mut tries = 0;
    loop {
        tries += 1;
        match try_start(folder, upstream) {
            Err(_) if tries < TRIES => {}
            result => return result,
        }
    }
}

fn try_start(folder: &Path, upstream: Option<SocketAddr>) -> anyhow::Result<(Process, SocketAddr)> {
    let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = folder.join("nginx.conf");
    fs::write(&config, configuration(folder, addr, upstream))?;
    let mut process = Process::start("nginx", &mut command(folder, &config), folder)?;
    // Any response proves a running worker.
    process.wait_for(|_| Client::connect(addr).and_then(|mut client| client.get("/")).ok())?;
    Ok((process, addr))
}

fn command(folder: &Path, config: &Path) -> Command {
    let mut command = Command::new("nginx");
    command.arg("-e").arg("stderr").arg("-p").arg(folder).arg("-c").arg(config);
    // The package's nginx is not on every user's path.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin"));
    command
}

/// One in the clear and one with the certificate in the folder, of the same files.
pub(crate) fn start_encrypted(folder: &Path) -> anyhow::Result<[(Process, SocketAddr); 2]> {
    let mut tries = 0;
    loop {
        tries += 1;
        match try_start_encrypted(folder) {
            Err(_) if tries < TRIES => {}
            result => return result,
        }
    }
}

fn try_start_encrypted(folder: &Path) -> anyhow::Result<[(Process, SocketAddr); 2]> {
    let clear = start(folder, None)?;
    let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let place = folder.display();
    let pair = format!(
        "listen {addr} ssl backlog=1024;\nssl_certificate {place}/tls.crt;\n\
         ssl_certificate_key {place}/tls.key;\nssl_protocols TLSv1.3;\nssl_buffer_size 16k;\n"
    );
    let listen = format!("listen {addr} backlog=1024;\n");
    let config = configuration(folder, addr, None).replace(&listen, &pair);
    let config = config.replace("nginx.pid", "nginx-tls.pid");
    let path = folder.join("nginx-tls.conf");
    fs::write(&path, config)?;
    let mut process = Process::start("nginx-tls", &mut command(folder, &path), folder)?;
    // It says so when its port is taken; a connection is enough otherwise.
    process.wait_for(|_| TcpStream::connect(addr).ok())?;
    Ok([clear, (process, addr)])
}

fn configuration(folder: &Path, addr: SocketAddr, upstream: Option<SocketAddr>) -> String {
    let folder = folder.display();
    // As root, nginx runs its workers as another user, without access to the folder.
    let user = if rustix::process::getuid().is_root() { "user root;\n" } else { "" };
    let location = upstream.map_or_else(
        || {
            format!(
                "root {folder}/files;\n\
                 location /v2/bench/app/manifests/ {{ default_type {MANIFEST_TYPE}; }}\n"
            )
        },
        |upstream| {
            format!(
                "location / {{\nproxy_pass http://{upstream};\nproxy_http_version 1.1;\n\
                 proxy_set_header Connection \"\";\nproxy_buffers 8 256k;\n\
                 proxy_buffer_size 256k;\nproxy_busy_buffers_size 512k;\nproxy_cache blobs;\n\
                 proxy_cache_valid 200 1d;\nproxy_cache_lock on;\nproxy_cache_lock_age 10m;\n\
                 proxy_cache_lock_timeout 10m;\n}}\n"
            )
        },
    );
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/temporary/{name};\n"))
        .concat();
    format!(
        "{user}daemon off;\nworker_processes auto;\npid {folder}/nginx.pid;\n\
         events {{ worker_connections 4096; }}\nhttp {{\nsendfile on;\ntcp_nopush on;\n\
         keepalive_requests 1000000000;\ndefault_type application/octet-stream;\n\
         access_log {folder}/access.log;\n{temporary}\
         proxy_cache_path {folder}/cache keys_zone=blobs:16m max_size=50g inactive=1d \
         use_temp_path=off;\nserver {{\nlisten {addr} backlog=1024;\n{location}}}\n}}\n"
    )
}

/// The file behind a path.
pub(crate) fn file(folder: &Path, path: &str) -> PathBuf {
    folder.join("files").join(path.trim_start_matches('/'))
}

/// Whether the cache holds a finished file: unfinished ones have a point and a number at the end.
pub(super) fn has_one(folder: &Path) -> bool {
    let entries = fs::read_dir(folder.join("cache")).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| !entry.file_name().to_string_lossy().contains('.'))
}
