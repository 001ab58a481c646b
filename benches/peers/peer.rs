//! The servers under measurement, each with the same verbs: start, keep content, wait until a blob
//! is kept, report the cost. The configuration of each server is below `peer/`.
//!
//! Each peer has its own temporary folder. The same paths lead to the same bytes on all peers.

mod nginx;
mod registry;
mod wharfd;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::client::Client;
use crate::content::{self, Blob, Image};
use crate::process::{Process, pause};

/// How often it is looked whether a blob is kept.
const LOOK: Duration = Duration::from_millis(2);
/// The longest wait until a proxy keeps a blob.
const KEPT_MAX: Duration = Duration::from_mins(2);

pub(crate) use nginx::{file as nginx_file, start_encrypted as start_nginx_encrypted};
pub(crate) use registry::upstream_gets;
pub(crate) use wharfd::{program as wharfd_program, start_with as start_wharfd_with};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Wharfd,
    Registry,
    Nginx,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Wharfd, Self::Registry, Self::Nginx];

    /// Its column in every table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Wharfd => crate::report::OURS,
            Self::Registry => "docker-registry",
            Self::Nginx => "nginx",
        }
    }
}

/// A running server.
pub(crate) struct Peer {
    kind: Kind,
    folder: TempDir,
    upstream: Option<SocketAddr>,
    running: Option<(Process, SocketAddr)>,
}

impl Peer {
    /// With content of its own, or as a proxy in front of an upstream.
    pub(crate) fn start(
        kind: Kind,
        bed: &Path,
        upstream: Option<SocketAddr>,
    ) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix_in(format!("{}-", kind.name()), bed)?;
        let mut peer = Self { kind, folder, upstream, running: None };
        peer.run()?;
        Ok(peer)
    }

    /// Stops the server and starts it again on its data.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        if let Some((process, _)) = self.running.take() {
            process.stop()?;
        }
        self.run()
    }

    /// Removes the data of this peer, also from the page cache and the disk's queue, so the next
    /// peer does not pay for it.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        if let Some((process, _)) = self.running.take() {
            process.stop()?;
        }
        self.folder.close()?;
        rustix::fs::sync();
        Ok(())
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let folder = self.folder.path();
        let (process, addr) = match self.kind {
            Kind::Wharfd => wharfd::start(folder, self.upstream),
            Kind::Registry => registry::start(folder, self.upstream),
            Kind::Nginx => nginx::start(folder, self.upstream),
        }?;
        self.running = Some((process, addr));
        Ok(())
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.kind.name()
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.running.as_ref().expect("it runs until it ends").1
    }

    pub(crate) fn process(&self) -> &Process {
        &self.running.as_ref().expect("it runs until it ends").0
    }

    /// Stores a blob: by a push, or as a file for a peer without pushes.
    pub(crate) fn keep(&self, blob: &Blob) -> anyhow::Result<()> {
        match self.kind {
            Kind::Nginx => self.keep_file(&blob.path(), blob),
            Kind::Wharfd | Kind::Registry => content::push_blob(self.addr(), blob),
        }
    }

    /// Brings an image under its tag and its digest.
    pub(crate) fn keep_image(&self, image: &Image) -> anyhow::Result<()> {
        match self.kind {
            Kind::Nginx => {
                image.blobs.iter().try_for_each(|blob| self.keep_file(&blob.path(), blob))?;
                self.keep_file(&Image::by_tag(), &image.manifest)?;
                self.keep_file(&image.by_digest(), &image.manifest)
            }
            Kind::Wharfd | Kind::Registry => content::push_image(self.addr(), image),
        }
    }

    fn keep_file(&self, path: &str, blob: &Blob) -> anyhow::Result<()> {
        let file = nginx::file(self.folder.path(), path);
        fs::create_dir_all(file.parent().context("a path has a folder")?)?;
        Ok(fs::write(file, &blob.content)?)
    }

    /// Waits until a proxy has its own copy of this blob: until wharfd reports a hit, or until the
    /// finished file exists in the folder of another proxy.
    pub(crate) fn wait_until_kept(&self, blob: &Blob) -> anyhow::Result<()> {
        let mut client = Client::connect(self.addr())?;
        let begin = Instant::now();
        loop {
            let kept = match self.kind {
                Kind::Wharfd => wharfd::has(&mut client, blob)?,
                Kind::Registry => registry::file(self.folder.path(), blob).is_file(),
                Kind::Nginx => nginx::has_one(self.folder.path()),
            };
            if kept {
                return Ok(());
            }
            ensure!(begin.elapsed() < KEPT_MAX, "{} does not keep the blob", self.name());
            pause(LOOK);
        }
    }
}

/// A folder below the peer's folder.
fn below(folder: &Path, name: &str) -> std::io::Result<PathBuf> {
    let path = folder.join(name);
    fs::create_dir_all(&path)?;
    Ok(path)
}

/// The address after these words in a log line.
fn address_after(line: &str, words: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(words)?;
    let end = rest.find(|letter: char| letter == '"' || letter.is_whitespace());
    rest.get(..end.unwrap_or(rest.len()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_a_log() {
        let line = r#"time="x" msg="listening on 127.0.0.1:42537" go.version=go1.19.8"#;
        assert_eq!(address_after(line, "listening on "), "127.0.0.1:42537".parse().ok());
        assert_eq!(
            address_after("INFO listening on 127.0.0.1:7", "listening on "),
            "127.0.0.1:7".parse().ok()
        );
        assert_eq!(address_after("INFO admin on 127.0.0.1:7", "listening on "), None);
    }
}
