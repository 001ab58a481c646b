//! The servers under measurement, each behind the same few verbs: start, bring content, tell when a
//! blob is kept, say what it costs. How each is configured is below `peer/`.
//!
//! A peer has a folder of its own, which goes with it. The same paths lead to the same bytes on
//! all.

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
/// How long that may take.
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

    /// Ends the server and starts it again on what it has.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        if let Some((process, _)) = self.running.take() {
            process.stop()?;
        }
        self.run()
    }

    /// All that this peer has is gone afterwards, also from the page cache and the disk's queue, so
    /// that the next one does not pay for it.
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

    /// Brings a blob: by a push, or as a file where nobody takes pushes.
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

    /// Waits until a proxy has this blob for the next who asks: wharfd says that it is a hit, of
    /// the others the finished file is there.
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

/// A folder below that of a peer.
fn below(folder: &Path, name: &str) -> std::io::Result<PathBuf> {
    let path = folder.join(name);
    fs::create_dir_all(&path)?;
    Ok(path)
}

/// The address that a log line names after these words.
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
