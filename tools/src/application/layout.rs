//! The packaging tool's input for a plan, in one folder: the manifest with paths into the folder,
//! the chart without the files Helm ignores, the UI definition and the ARM template.
//!
//! Invariant: the same offer gives the same bytes. A folder is replaced only when everything in it
//! was written here and is still as it was written.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wharf_oci::{Algorithm, Digest, Digester};

use super::Application;
use super::tree::Spanned;
use crate::chart::Chart;
use crate::chart::folder::{CHART_BYTES_MAX, FILES_MAX};
use crate::input;
use crate::temporary::Temporary;
use crate::yaml_edit::{self, EditError, PathStep};

/// The names of the files in the folder.
pub const MANIFEST: &str = "manifest.yaml";
const CHART: &str = "chart";
const UI_DEFINITION: &str = "createUiDefinition.json";
const ARM_TEMPLATE: &str = "mainTemplate.json";
/// The record of the files written here, with their digests.
pub const RECORD: &str = ".wharf-bundle.json";
/// Most entries of a folder under check: the chart, and a few files.
const ENTRIES_MAX: usize = FILES_MAX + 16;

/// The files of a folder, by their paths in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleLayout {
    files: BTreeMap<String, Vec<u8>>,
}

/// The record of the files written here.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Record {
    files: BTreeMap<String, Digest>,
}

/// Why a folder cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The paths of the manifest cannot be written.
    #[error("cannot write the paths of {}", path.display())]
    Manifest { path: PathBuf, source: EditError },
    /// A foreign file or folder is in the way.
    #[error(
        "{} was not written by `wharf offer bundle`, or was changed since; remove it, or name \
         another folder",
        .0.display()
    )]
    Foreign(PathBuf),
    /// It cannot be written or looked at.
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl BundleLayout {
    /// The folder of a plan. Its files were judged before: paths a manifest lacks are left out.
    pub fn of(application: &Application, chart: &Chart) -> Result<Self, LayoutError> {
        let Application { manifest, ui, template } = application;
        let mut files = BTreeMap::new();
        for file in &chart.files {
            files.insert(format!("{CHART}/{}", file.path), file.bytes.clone());
        }
        files.insert(UI_DEFINITION.to_owned(), ui.text.clone().into_bytes());
        files.insert(ARM_TEMPLATE.to_owned(), template.text.clone().into_bytes());
        let mut text = manifest.text.clone();
        for (key, path) in paths(application) {
            text = yaml_edit::set(&text, &[PathStep::Key(key)], path)
                .map_err(|source| LayoutError::Manifest { path: manifest.path.clone(), source })?;
        }
        files.insert(MANIFEST.to_owned(), text.into_bytes());
        Ok(Self { files })
    }

    /// The files, by their paths in the folder.
    #[must_use]
    pub const fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// Writes the folder. It comes into its place as a whole.
    pub fn write(&self, folder: &Path) -> Result<(), LayoutError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| LayoutError::Write { path, source }
        };
        let was_there = is_ours(folder)?;
        let (parent, name) = (folder.parent(), folder.file_name().unwrap_or_default());
        let parent = parent.filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(failed(parent))?;
        let staged = parent.join(format!(".{}.{}", name.display(), std::process::id()));
        let (staging, ()) = Temporary::make(staged.clone(), |path| fs::create_dir(path))
            .map_err(failed(&staged))?;
        self.fill(staging.path()).map_err(failed(folder))?;
        if was_there {
            fs::remove_dir_all(folder).map_err(failed(folder))?;
        }
        fs::rename(staging.path(), folder).map_err(failed(folder))
    }

    fn fill(&self, folder: &Path) -> io::Result<()> {
        for (path, bytes) in &self.files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(path, bytes)?;
        }
        let files = self
            .files
            .iter()
            .map(|(path, bytes)| (path.clone(), Digester::digest(Algorithm::Sha256, bytes)));
        let mut record = serde_json::to_string_pretty(&Record { files: files.collect() })?;
        record.push('\n');
        fs::write(folder.join(RECORD), record)
    }
}

/// The keys of the manifest with paths, and their names in the folder.
fn paths(application: &Application) -> Vec<(&'static str, &'static str)> {
    let Some(manifest) = &application.manifest.content else { return Vec::new() };
    let Some(arm_key) = manifest.arm_key else { return Vec::new() };
    let is_there = |placed: &Option<Spanned<String>>| placed.is_some();
    [
        ("helmChart", CHART, is_there(&manifest.helm_chart)),
        (arm_key, ARM_TEMPLATE, is_there(&manifest.arm_template)),
        ("uiDefinition", UI_DEFINITION, is_there(&manifest.ui_definition)),
    ]
    .into_iter()
    .filter_map(|(key, path, is_there)| is_there.then_some((key, path)))
    .collect()
}

/// Whether a folder of ours is there; an empty or missing folder is free for use.
fn is_ours(folder: &Path) -> Result<bool, LayoutError> {
    let foreign = |path: &Path| LayoutError::Foreign(path.to_owned());
    match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(LayoutError::Write { path: folder.to_owned(), source }),
        Ok(found) if !found.is_dir() => return Err(foreign(folder)),
        Ok(_) => {}
    }
    let record = bytes(&folder.join(RECORD)).ok();
    let record = record.and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
    let known = record.map(|record| record.files).unwrap_or_default();
    let mut open = vec![folder.to_owned()];
    let mut seen = 0_usize;
    while let Some(at) = open.pop() {
        let failed = |source| LayoutError::Write { path: at.clone(), source };
        for entry in fs::read_dir(&at).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            seen += 1;
            let kind = fs::symlink_metadata(&path).map_err(failed)?;
            if seen > ENTRIES_MAX {
                return Err(foreign(folder));
            }
            if kind.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).ok().and_then(Path::to_str).unwrap_or_default();
            let is_same = kind.is_file()
                && match known.get(name) {
                    Some(digest) => bytes(&path)
                        .is_ok_and(|bytes| Digester::digest(Algorithm::Sha256, &bytes) == *digest),
                    None => name == RECORD && !known.is_empty(),
                };
            if !is_same {
                return Err(foreign(&path));
            }
        }
    }
    Ok(true)
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input::open(path)?.take(CHART_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::offer::fixture::{Folder, with_application};

    fn layout(folder: &Folder) -> BundleLayout {
        let (_, content) = folder.load(&with_application()).unwrap();
        let place = *content.charts.keys().next().unwrap();
        BundleLayout::of(&content.applications[&place], &content.charts[&place]).unwrap()
    }

    #[test]
    fn a_folder_holds_what_the_tool_takes_and_the_manifest_leads_to_it() {
        let folder = Folder::new();
        let manifest = "# kept\napplicationName: tidepool\nhelmChart: ../t/chart # here\n\
                        clusterARMTemplate: x/main.json\nuiDefinition: \"y.json\"\n";
        folder.write("manifest.yaml", manifest.as_bytes());
        folder.write("chart/.helmignore", b"*.orig\n");
        folder.write("chart/values.yaml.orig", b"old");
        let layout = layout(&folder);
        let written = String::from_utf8(layout.files["manifest.yaml"].clone()).unwrap();
        assert_eq!(
            written,
            "# kept\napplicationName: tidepool\nhelmChart: chart # here\n\
             clusterARMTemplate: mainTemplate.json\nuiDefinition: \"createUiDefinition.json\"\n"
        );
        assert!(layout.files.contains_key("chart/templates/web.yaml"));
        assert!(
            !layout.files.keys().any(|path| path.contains(".orig")),
            "{:?}",
            layout.files.keys()
        );
    }

    #[test]
    fn only_what_was_written_here_is_replaced() {
        let layout = layout(&Folder::new());
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a/plan");
        layout.write(&target).unwrap();
        let first = fs::read(target.join(RECORD)).unwrap();
        layout.write(&target).unwrap();
        assert_eq!(fs::read(target.join(RECORD)).unwrap(), first);
        assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 1);
        let refused = |layout: &BundleLayout| match layout.write(&target).unwrap_err() {
            LayoutError::Foreign(path) => path,
            other => panic!("{other}"),
        };
        fs::write(target.join("chart/mine.txt"), "x").unwrap();
        assert_eq!(refused(&layout), target.join("chart/mine.txt"));
        fs::remove_file(target.join("chart/mine.txt")).unwrap();
        fs::write(target.join("manifest.yaml"), "mine").unwrap();
        assert_eq!(refused(&layout), target.join("manifest.yaml"));
        assert_eq!(fs::read(target.join("manifest.yaml")).unwrap(), b"mine");
        fs::remove_dir_all(&target).unwrap();
        std::os::unix::fs::symlink("/", &target).unwrap();
        assert_eq!(refused(&layout), target);
        fs::remove_file(&target).unwrap();
        fs::create_dir(&target).unwrap();
        fs::write(target.join(RECORD), "{\"files\":{}}").unwrap();
        assert_eq!(refused(&layout), target.join(RECORD));
    }
}
