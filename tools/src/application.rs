//! The packaging tool's input for a Kubernetes application besides its chart: the manifest, the UI
//! definition and the ARM template of a plan, read once for the rules and for bundles.
//!
//! Invariant: reading never fails for a file's content; faults of its form are kept with the file,
//! so one run reports all of them.

pub mod cluster;
pub mod expression;
pub mod json;
pub mod layout;
pub mod manifest;
pub mod template;
pub mod tree;
pub mod ui;
pub mod yaml;

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use self::manifest::PackageManifest;
use self::template::ArmTemplate;
use self::tree::{FileNode, FormFault, TreeReading};
use self::ui::UiDefinition;
use crate::input;
use crate::offer::source_map::Spot;

/// Largest file of an application, in bytes. ARM takes templates of up to 4 MB; those of Microsoft's
/// samples have 20 KB.
pub const FILE_SIZE_BYTES_MAX: u64 = 1024 * 1024;

/// The files of one plan.
#[derive(Debug, Clone)]
pub struct Application {
    /// `manifest.yaml`.
    pub manifest: SourceFile<PackageManifest>,
    /// `createUiDefinition.json`.
    pub ui: SourceFile<UiDefinition>,
    /// `mainTemplate.json`.
    pub template: SourceFile<ArmTemplate>,
}

/// A file with its content.
#[derive(Debug, Clone)]
pub struct SourceFile<T> {
    pub path: PathBuf,
    pub text: String,
    /// The faults of its form.
    pub faults: Vec<FormFault>,
    /// Its content, where it is readable at all.
    pub content: Option<T>,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceFileError {
    /// It is not there.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// It is larger than any such file may be.
    #[error("{} has more than {FILE_SIZE_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
}

impl SourceFileError {
    /// The fix.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Missing(_) => "write that file, or correct its path",
            Self::Read { .. } => "make it a file that you may read",
            Self::TooLarge(_) => "Microsoft's samples have 20 KB; is it the right file?",
        }
    }
}

impl SourceFile<PackageManifest> {
    /// Reads a manifest.
    pub fn manifest(path: &Path) -> Result<Self, SourceFileError> {
        Self::read(path, yaml::read, PackageManifest::of)
    }
}

impl SourceFile<UiDefinition> {
    /// Reads a UI definition.
    pub fn ui(path: &Path) -> Result<Self, SourceFileError> {
        Self::read(path, json::read, UiDefinition::of)
    }
}

impl SourceFile<ArmTemplate> {
    /// Reads an ARM template.
    pub fn template(path: &Path) -> Result<Self, SourceFileError> {
        Self::read(path, json::read, ArmTemplate::of)
    }
}

impl<T> SourceFile<T> {
    fn read(
        path: &Path,
        tree: fn(&str) -> TreeReading,
        content: fn(&FileNode) -> T,
    ) -> Result<Self, SourceFileError> {
        let path = path.to_owned();
        let mut bytes = Vec::new();
        let read = input::open(&path)
            .and_then(|file| file.take(FILE_SIZE_BYTES_MAX + 1).read_to_end(&mut bytes));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SourceFileError::Missing(path));
            }
            Err(source) => return Err(SourceFileError::Read { path, source }),
            Ok(_) if bytes.len() as u64 > FILE_SIZE_BYTES_MAX => {
                return Err(SourceFileError::TooLarge(path));
            }
            Ok(_) => {}
        }
        Ok(match String::from_utf8(bytes) {
            Ok(text) => {
                let TreeReading { root, faults } = tree(&text);
                Self { path, text, faults, content: root.as_ref().map(content) }
            }
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let lines =
                    error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count();
                let spot = Spot { line: lines + 1, ..Spot::START };
                let fault = FormFault::new(spot, "the file is not UTF-8; save it as UTF-8");
                Self { path, text, faults: vec![fault], content: None }
            }
        })
    }
}
