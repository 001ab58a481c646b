//! The parts shared by all cells: the backing registry, the daemons of engines, and the available
//! programs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use tokio::sync::Semaphore;
use wharf_testkit::clients::{self, Client};
use wharf_testkit::http;
use wharf_testkit::processes::Process;
use wharf_testkit::registry::Registry;

use super::tools::Tool;
use crate::clients::{containerd_by, daemon_with};
use crate::fixture::Api;

/// Concurrent starts of cells: the start takes the processor, the waiting does not.
const BEGINNINGS: usize = 3;

/// podman takes a path for a name, and names have no capitals.
fn folder() -> TempDir {
    let prefix = format!("patience-{}", std::process::id());
    tempfile::Builder::new().prefix(&prefix).rand_bytes(0).tempdir().unwrap()
}

/// Pulls and pushes of one containerd 2 stand in one line; here none waits for another cell's.
const UNSHARED: &str = "[plugins.\"io.containerd.transfer.v1.local\"]\n\
    max_concurrent_downloads = 200\nmax_concurrent_uploaded_layers = 200\n";

/// The shared ground of the cells.
pub(super) struct Ground {
    pub(super) registry: Registry,
    /// The registry behind, past every double.
    pub(super) origin: Api,
    pub(super) beginnings: Semaphore,
    programs: HashMap<Tool, Client>,
    sockets: HashMap<Tool, String>,
    folder: TempDir,
    cells: AtomicU64,
    daemons: Vec<Process>,
}

impl Ground {
    /// `None` without a registry; its start has reported it.
    pub(super) async fn lay(tools: &[Tool]) -> Option<Self> {
        // The library is built without a provider of cryptography and wants one before it has a client.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let registry = Registry::start().await.unwrap()?;
        let origin = Api::new(registry.url(), http::Client::new());
        let programs = tools.iter().filter_map(|tool| Some((*tool, tool.find()?))).collect();
        let mut ground = Self {
            registry,
            origin,
            beginnings: Semaphore::new(BEGINNINGS),
            programs,
            sockets: HashMap::new(),
            folder: folder(),
            cells: AtomicU64::new(0),
            daemons: Vec::new(),
        };
        ground.startdaemons(tools).await;
        Some(ground)
    }

    async fn startdaemons(&mut self, tools: &[Tool]) {
        for tool in tools {
            let folder = self.folder.path().join(format!("{tool:?}"));
            std::fs::create_dir_all(&folder).unwrap();
            let started = match (tool, self.programs.get(tool)) {
                (Tool::Docker, Some(docker)) => {
                    // Cells are users of their own: none waits for the transfers of another one.
                    let more = ["--max-concurrent-downloads=200", "--max-concurrent-uploads=200"];
                    daemon_with(docker, &folder, &more).await
                }
                (Tool::Ctr1, Some(_)) => match clients::optional("containerd") {
                    Some(containerd) => containerd_by(&containerd, &folder, "").await,
                    None => None,
                },
                (Tool::Ctr2 | Tool::Ctr2Local, Some(_)) => {
                    match clients::of_trials("bin/containerd") {
                        Some(containerd) => containerd_by(&containerd, &folder, UNSHARED).await,
                        None => None,
                    }
                }
                _ => continue,
            };
            match started {
                Some((process, socket)) => {
                    self.sockets.insert(*tool, socket);
                    self.daemons.push(process);
                }
                None => drop(self.programs.remove(tool)),
            }
        }
    }

    /// The number and the folder of one more cell.
    pub(super) fn place(&self) -> (u64, PathBuf) {
        let number = self.cells.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.path().join(format!("cell-{number}"));
        std::fs::create_dir_all(&folder).unwrap();
        (number, folder)
    }

    /// Whether a client can be tried here.
    pub(super) fn has(&self, tool: Tool) -> bool {
        tool == Tool::OciClient || self.programs.contains_key(&tool)
    }

    pub(super) fn program(&self, tool: Tool) -> &Client {
        &self.programs[&tool]
    }

    /// Where its daemon listens.
    pub(super) fn socket(&self, tool: Tool) -> &str {
        &self.sockets[&tool]
    }
}
