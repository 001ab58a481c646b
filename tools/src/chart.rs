//! A Helm chart as it lies in a folder: its metadata, its values, its templates and its subcharts,
//! each with the places for messages. `helm` alone runs a program, and only when asked.
//!
//! Invariant: a chart is of bounded size and depth, and no file of it came from outside its folder.

mod actions;
pub mod folder;
mod globs;
pub mod helm;
mod ignored;
pub mod images;
pub mod metadata;
pub mod pin;
pub mod rendered;
pub mod templates;
pub mod yaml;

use std::path::{Path, PathBuf};

pub use self::folder::{ChartError, ChartFile};
use self::images::ChartImage;
use self::metadata::Metadata;
use self::yaml::YamlFault;
use crate::yaml::Node;

/// The names of a chart's files.
pub const CHART_FILE: &str = "Chart.yaml";
pub const VALUES_FILE: &str = "values.yaml";
/// The schema of its values.
pub const SCHEMA_FILE: &str = "values.schema.json";

#[derive(Debug, Clone)]
pub struct Chart {
    /// Its folder, as it is found from where the user is.
    pub folder: PathBuf,
    /// Every file Helm would take, in the order of their paths.
    pub files: Vec<ChartFile>,
    /// Links out of the folder, in a circle, or to nothing; their targets were not read.
    pub astray: Vec<String>,
    /// The content of `Chart.yaml`.
    pub metadata: Result<Metadata, YamlFault>,
    /// The content of `values.yaml`; none without the file.
    pub values: Result<Option<Node>, YamlFault>,
    /// The charts below `charts/`, however deep, by their folders.
    pub subcharts: Vec<Subchart>,
}

/// A chart in a chart.
#[derive(Debug, Clone)]
pub struct Subchart {
    /// Its folder below the chart: `charts/redis`.
    pub path: String,
    /// The content of its `Chart.yaml`.
    pub metadata: Result<Metadata, YamlFault>,
    /// The content of its `values.yaml`.
    pub values: Result<Option<Node>, YamlFault>,
}

impl Chart {
    /// Reads the chart in a folder.
    pub fn read(folder: &Path) -> Result<Self, ChartError> {
        let found = folder::read(folder)?;
        Ok(Self::of(folder, found.files, found.astray))
    }

    /// The chart of these files; their order is that of their paths.
    #[must_use]
    pub fn of(folder: &Path, files: Vec<ChartFile>, astray: Vec<String>) -> Self {
        let file = |path: &str| files.iter().find(|file| file.path == path);
        let subcharts = files.iter().filter_map(|at| subchart_folder(&at.path)).map(|path| {
            let of = |name: &str| file(&format!("{path}/{name}"));
            Subchart {
                path: path.to_owned(),
                metadata: metadata::read(of(CHART_FILE)),
                values: values(of(VALUES_FILE)),
            }
        });
        let subcharts = subcharts.collect();
        let (metadata, values) = (metadata::read(file(CHART_FILE)), values(file(VALUES_FILE)));
        Self { folder: folder.to_owned(), metadata, values, subcharts, files, astray }
    }

    /// A file, by its path in the chart.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&ChartFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Where a file is, as it is found from where the user is.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// The files Helm renders, of the chart and of all its subcharts.
    pub fn templates(&self) -> impl Iterator<Item = &ChartFile> {
        self.files.iter().filter(|file| is_template(&file.path))
    }

    /// The templates with objects, and their helpers. `NOTES.txt` is shown, and never runs.
    pub fn active_templates(&self) -> impl Iterator<Item = &ChartFile> {
        self.templates().filter(|file| !file.path.ends_with("/NOTES.txt"))
    }

    /// The images under `global.azure.images`, in the order of the file.
    #[must_use]
    pub fn images(&self) -> Vec<ChartImage> {
        self.values.as_ref().ok().and_then(Option::as_ref).map(images::read).unwrap_or_default()
    }

    /// Packed subcharts: archives below a `charts` folder.
    pub fn archives(&self) -> impl Iterator<Item = &ChartFile> {
        self.files.iter().filter(|file| {
            let is_below = file.path.split('/').rev().nth(1) == Some("charts");
            is_below && [".tgz", ".tar.gz"].iter().any(|ending| file.path.ends_with(ending))
        })
    }
}

/// The folder of a subchart, when this is its `Chart.yaml`.
fn subchart_folder(path: &str) -> Option<&str> {
    let folder = path.strip_suffix("/Chart.yaml")?;
    folder.rsplit('/').nth(1).filter(|above| *above == "charts").map(|_| folder)
}

/// Whether Helm renders this file: one below `templates` of the chart or of a subchart.
fn is_template(path: &str) -> bool {
    let mut rest = path;
    loop {
        if rest.starts_with("templates/") {
            return true;
        }
        let Some((_, below)) = rest.strip_prefix("charts/").and_then(|all| all.split_once('/'))
        else {
            return false;
        };
        rest = below;
    }
}

fn values(file: Option<&ChartFile>) -> Result<Option<Node>, YamlFault> {
    let Some(file) = file else { return Ok(None) };
    let Some(text) = file.text() else { return Err(YamlFault::not_utf8(&file.path)) };
    yaml::one(&file.path, text)
}

#[cfg(test)]
pub(crate) mod tests;
