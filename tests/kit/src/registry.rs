//! Debian's `docker-registry`, so our code does not grade itself.
//!
//! Each registry has its own folder and a port of the system's choice; both end with it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::clients;
use crate::processes::Process;

/// How long the registry may take to say where it listens.
const START: Duration = Duration::from_secs(30);

/// A running `docker-registry`, gone when dropped.
#[derive(Debug)]
pub struct Registry {
    addr: SocketAddr,
    process: Process,
    folder: TempDir,
}

impl Registry {
    /// Starts an empty registry. `None`, after a loud word, when `docker-registry` is not installed
    /// and this is not CI.
    pub async fn start() -> anyhow::Result<Option<Self>> {
        let Some(program) = clients::require("docker-registry") else {
            return Ok(None);
        };
        let folder = TempDir::with_prefix("registry-")?;
        let config = folder.path().join("config.yml");
        let root = folder.path().join("root");
        // The registry binds port 0 itself and reports its port, so no other process can take the
        // port in between.
        fs::write(
            &config,
            format!(
                "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n  \
                 delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:0\n",
                root.display()
            ),
        )?;
        let mut command = Command::new(program.path());
        command.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
        let mut process = Process::spawn("docker-registry", &mut command, folder.path())?;
        let addr = process.wait_for_line(START, listening_on).await?;
        process.wait_for_http(&format!("http://{addr}/v2/"), START).await?;
        Ok(Some(Self { addr, process, folder }))
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its base address.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The folder of its content, its config and its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The registry's log.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// Kills it, as a crash would; its content stays until this is dropped.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill().context("cannot kill the registry").map(drop)
    }
}

fn listening_on(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    let end = rest.find(|letter: char| letter == '"' || letter.is_whitespace());
    rest.get(..end.unwrap_or(rest.len()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn the_address_is_found_in_the_log() {
        let line = r#"time="x" level=info msg="listening on 127.0.0.1:42537" go.version=go1.19.8"#;
        assert_eq!(listening_on(line), Some("127.0.0.1:42537".parse().unwrap()));
        assert_eq!(listening_on("level=info msg=\"redis not configured\""), None);
    }
}
