//! `wharfd` as people run it: the release build, its request log on, to a file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::{address_after, below};
use crate::client::{Ask, Client};
use crate::content::Blob;
use crate::process::Process;

/// `wharfd` in `WHARF_BIN_DIR`, or beside this program.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.parent().context("a program lies in a folder")?;
    let folder = std::env::var_os("WHARF_BIN_DIR").map_or_else(|| beside.to_owned(), PathBuf::from);
    let path = folder.join("wharfd");
    let advice = "build it with: cargo build --release -p wharf-proxy --bins";
    ensure!(path.is_file(), "{} is not there; {advice}", path.display());
    Ok(path)
}

pub(super) fn start(
    folder: &Path,
    upstream: Option<SocketAddr>,
) -> anyhow::Result<(Process, SocketAddr)> {
    let mut command = Command::new(program()?);
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--store"]);
    command.arg(below(folder, "store")?).env_remove("WHARFD_LOG");
    // Hundreds of clients here stand for as many addresses.
    let config = folder.join("wharfd.toml");
    std::fs::write(&config, "[limits]\nconnections_per_address = 2048\n")?;
    command.arg("--config").arg(config);
    if let Some(upstream) = upstream {
        command.arg("--upstream").arg(format!("http://{upstream}"));
    }
    let mut process = Process::start("wharfd", &mut command, folder)?;
    let listening = |process: &Process| process.line(|line| address_after(line, "listening on "));
    let addr = process.wait_for(listening)?;
    Ok((process, addr))
}

/// With a configuration of its own besides addresses and store; `FOLDER` in it is where it may have
/// files.
pub(crate) fn start_with(folder: &Path, lines: &str) -> anyhow::Result<(Process, SocketAddr)> {
    let store = below(folder, "store")?;
    let config = format!(
        "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nstore = \"{}\"\n{}",
        store.display(),
        lines.replace("FOLDER", &folder.display().to_string())
    );
    let path = folder.join("wharfd.toml");
    std::fs::write(&path, config)?;
    let mut command = Command::new(program()?);
    command.args(["serve", "--config"]).arg(path).env_remove("WHARFD_LOG");
    let mut process = Process::start("wharfd", &mut command, folder)?;
    let listening = |process: &Process| process.line(|line| address_after(line, "listening on "));
    let addr = process.wait_for(listening)?;
    Ok((process, addr))
}

/// Whether the store has the blob, so the next client gets a hit.
pub(super) fn has(client: &mut Client, blob: &Blob) -> anyhow::Result<bool> {
    let path = blob.path();
    let ask = Ask { headers: "Range: bytes=0-0\r\n", ..Ask::get(&path) };
    let answer = client.send(ask, &mut |_| {})?;
    ensure!(answer.status == 206, "a range of a blob is answered\n{}", answer.head);
    Ok(answer.header("wharf-cache") == Some("hit"))
}
