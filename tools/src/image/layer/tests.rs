#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod inputs;
mod links;
mod lower;
mod packages;
mod policy;
mod races;
mod selection;
mod tars;

use std::io::{self, Read as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use super::*;
use crate::image::files::FileView;
use wharf_oci::Timestamp;

/// A folder of an offer, and the layers made of it.
struct Bench {
    folder: tempfile::TempDir,
    lower: Vec<Arc<LayerFiles>>,
    names: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), lower: Vec::new(), names: Vec::new() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// A file with this content and mode, and the folders above it.
    fn file(&self, path: &str, content: &str, mode: u32) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn dir(&self, path: &str, mode: u32) {
        fs::create_dir_all(self.path(path)).unwrap();
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn link(&self, target: &str, path: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        symlink(target, self.path(path)).unwrap();
    }

    fn prepare(&self, layer: serde_json::Value) -> Result<PreparedLayer, LayerError> {
        let output = self.path("out");
        let created: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        let setting = Setting { offer_folder: self.folder.path(), output: &output, created };
        let layer: Layer = serde_json::from_value(layer).unwrap();
        let view = FileView::merge(&self.lower);
        prepare(&setting, &layer, &Below { files: &view, names: &self.names })
    }

    /// Puts a layer below the next ones.
    fn below(&mut self, layer: serde_json::Value) {
        let prepared = self.prepare(layer).unwrap();
        self.names.push(format!("dir lower{}", self.names.len() + 1));
        self.lower.push(Arc::clone(prepared.files()));
    }

    fn tar(&self, layer: serde_json::Value) -> Vec<u8> {
        let mut tar = Vec::new();
        self.prepare(layer).unwrap().write(&mut tar).unwrap();
        tar
    }

    /// The entries, each in a line: path, mode, owner, link.
    fn entries(&self, layer: serde_json::Value) -> Vec<String> {
        entries(&self.tar(layer))
    }

    fn error(&self, layer: serde_json::Value) -> String {
        self.prepare(layer).unwrap_err().to_string()
    }

    fn notes(&self, layer: serde_json::Value) -> Vec<String> {
        let prepared = self.prepare(layer).unwrap();
        prepared.notes().iter().map(|note| format!("{}: {}", note.input, note.message)).collect()
    }
}

fn entries(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let lines = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        let header = entry.header();
        assert_eq!(header.mtime().unwrap(), 1_793_491_200);
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let (mode, uid) = (header.mode().unwrap(), header.uid().unwrap());
        let told = format!("{path} {mode:o} {uid}:{}", header.gid().unwrap());
        let arrow = if header.entry_type().is_hard_link() { "=" } else { "->" };
        match entry.link_name_bytes() {
            Some(link) => format!("{told} {arrow} {}", String::from_utf8_lossy(&link)),
            None => told,
        }
    });
    lines.collect()
}

/// Whether a test is skipped for want of root, with a loud message.
fn is_skipped(what: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return false;
    }
    eprintln!("SKIPPED: {what} needs root");
    true
}
