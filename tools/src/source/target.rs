//! The meaning of a text of the command line: a path, standard input, or an image on a registry,
//! with the prefixes of skopeo and podman.
//!
//! A path on this disk with exactly that name comes before anything else, so a file may be called
//! `oci:x` or `host:5000/a:1`; `docker://` forces a registry.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::error::SourceError;
use crate::image::layout::{INDEX_FILE, LAYOUT_FILE};
use crate::registry::{ImageRef, ImageRefError};

/// How many layouts a folder may have.
const LAYOUTS_MAX: usize = 10_000;

/// Prefixes of other tools' forms, and the reason against reading each.
const UNREAD: [(&str, &str); 7] = [
    ("dir:", "skopeo's dir: is not read; copy it first: skopeo copy dir:FOLDER oci:LAYOUT"),
    (
        "docker-daemon:",
        "the storage of docker is not read; save the image first: docker save -o FILE IMAGE",
    ),
    (
        "containers-storage:",
        "the storage of podman is not read; save the image first: podman save -o FILE IMAGE",
    ),
    ("ostree:", "ostree is not read; copy it first: skopeo copy ostree:… oci:LAYOUT"),
    ("tarball:", "a tar of files is no image; make one of it with `wharf package`"),
    ("sif:", "SIF is not read; build the image as OCI"),
    ("oci-dir:", "write oci:FOLDER"),
];

/// A parsed target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An archive on standard input.
    Stdin,
    /// A path on this disk.
    Path {
        path: PathBuf,
        /// The required form, if the text names one.
        form: Option<PathForm>,
        /// Only the image of this name.
        name: Option<String>,
    },
    /// An image on a registry.
    Image(Box<ImageRef>),
}

/// The form of a source on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathForm {
    /// `oci:`
    Layout,
    /// `oci-archive:`
    OciArchive,
    /// `docker-archive:`
    DockerArchive,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("-"),
            Self::Path { path, name: None, .. } => write!(f, "{}", path.display()),
            Self::Path { path, name: Some(name), .. } => write!(f, "{}:{name}", path.display()),
            Self::Image(image) => write!(f, "{image}"),
        }
    }
}

impl Target {
    /// Parses a text.
    pub fn parse(text: &OsStr) -> Result<Self, SourceError> {
        Self::parse_in(Path::new(""), text)
    }

    /// The same, with relative paths starting at a folder.
    pub fn parse_in(folder: &Path, text: &OsStr) -> Result<Self, SourceError> {
        Ok(match Self::read(folder, text)? {
            Self::Path { path, form, name } => Self::Path { path: folder.join(path), form, name },
            other => other,
        })
    }

    fn read(folder: &Path, text: &OsStr) -> Result<Self, SourceError> {
        if text == "-" || text == "/dev/stdin" {
            return Ok(Self::Stdin);
        }
        if text.is_empty() {
            let (location, advice) = ("``".to_owned(), "; name an image".to_owned());
            return Err(SourceError::Missing { location, advice });
        }
        if fs::symlink_metadata(folder.join(text)).is_ok() {
            return Ok(Self::path(text));
        }
        let Some(text) = text.to_str() else { return Ok(Self::path(text)) };
        if let Some((_, reason)) = UNREAD.iter().find(|(prefix, _)| text.starts_with(prefix)) {
            return Err(SourceError::Unread { text: text.to_owned(), reason });
        }
        for (prefix, form) in [
            ("oci:", PathForm::Layout),
            ("ocidir://", PathForm::Layout),
            ("oci-archive:", PathForm::OciArchive),
            ("docker-archive:", PathForm::DockerArchive),
        ] {
            if let Some(rest) = text.strip_prefix(prefix) {
                return Ok(Self::with_form(folder, rest, form));
            }
        }
        let (reference, is_said) = match text.strip_prefix("docker://") {
            Some(reference) => (reference, true),
            None => (text, false),
        };
        if !is_said && (text.starts_with(['/', '.', '~']) || !text.contains('/')) {
            return Ok(Self::path(OsStr::new(text)));
        }
        match reference.parse::<ImageRef>() {
            Ok(image) => match image.reference() {
                Ok(_) => Ok(Self::Image(Box::new(image))),
                Err(source) => Err(refuse(text, source)),
            },
            // `out/a` is a missing path, or an image without its registry.
            Err(ImageRefError::NoRegistry { .. }) if !is_said => Ok(Self::path(OsStr::new(text))),
            Err(source) => Err(refuse(text, source)),
        }
    }

    fn path(text: &OsStr) -> Self {
        Self::Path { path: PathBuf::from(text), form: None, name: None }
    }

    /// `PATH[:NAME]` behind a prefix. The path ends at its first colon, unless it is there as it is.
    fn with_form(folder: &Path, rest: &str, form: PathForm) -> Self {
        let is_there = fs::symlink_metadata(folder.join(rest)).is_ok();
        let split = rest.split_once(':').filter(|_| !is_there);
        let (path, name) = match split {
            Some((path, name)) => (path, Some(name.to_owned()).filter(|name| !name.is_empty())),
            None => (rest, None),
        };
        if path == "-" || path == "/dev/stdin" {
            return Self::Stdin;
        }
        Self::Path { path: PathBuf::from(path), form: Some(form), name }
    }

    /// The layouts of a folder of layouts, sorted; else this one alone.
    #[must_use]
    pub fn expand(self) -> Vec<Self> {
        let Self::Path { path, form: None, name: None } = &self else { return vec![self] };
        if is_layout(path) || !path.is_dir() {
            return vec![self];
        }
        let Ok(entries) = fs::read_dir(path) else { return vec![self] };
        let mut layouts: Vec<OsString> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|path| path.is_dir() && is_layout(path) && !is_hidden(path))
            .map(PathBuf::into_os_string)
            .collect();
        if layouts.is_empty() {
            return vec![self];
        }
        layouts.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        // More are no list of images; the folder itself is then said to be none.
        if layouts.len() > LAYOUTS_MAX {
            return vec![self];
        }
        layouts.into_iter().map(|path| Self::path(&path)).collect()
    }
}

/// A text with a login is not shown.
fn refuse(text: &str, source: ImageRefError) -> SourceError {
    let shown = if source == ImageRefError::Login { "…" } else { text };
    SourceError::Reference { text: shown.to_owned(), source }
}

/// The leftovers of a killed run beside layouts begin with a dot.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."))
}

/// Whether a folder has a part of a layout, and so is meant as one.
fn is_layout(path: &Path) -> bool {
    path.join(LAYOUT_FILE).exists() || path.join(INDEX_FILE).exists()
}

/// Advice for a path in the form of an image: the text to write instead.
pub(super) fn advice(path: &Path) -> String {
    let text = path.to_string_lossy();
    let looks_like_an_image = !text.starts_with(['/', '.', '~'])
        && text.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    if looks_like_an_image {
        return "; an image on a registry is named with it: REGISTRY/REPOSITORY:TAG, as in \
                example.azurecr.io/base:1.0"
            .to_owned();
    }
    String::new()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Target {
        Target::parse(OsStr::new(text)).unwrap()
    }

    fn said(text: &str) -> String {
        let error = Target::parse(OsStr::new(text)).unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", cause.unwrap_or_default())
    }

    fn path(text: &str, form: Option<PathForm>, name: Option<&str>) -> Target {
        Target::Path { path: text.into(), form, name: name.map(ToOwned::to_owned) }
    }

    #[test]
    fn prefixes_references_and_paths_are_told_apart() {
        assert_eq!(parse("-"), Target::Stdin);
        assert_eq!(parse("/dev/stdin"), Target::Stdin);
        assert_eq!(parse("out/a"), path("out/a", None, None));
        assert_eq!(parse("image.tar"), path("image.tar", None, None));
        assert_eq!(parse("./r.example/a:1"), path("./r.example/a:1", None, None));
        let layout = Some(PathForm::Layout);
        assert_eq!(parse("oci:out/a"), path("out/a", layout, None));
        assert_eq!(parse("oci:out/a:1.0"), path("out/a", layout, Some("1.0")));
        assert_eq!(parse("ocidir://out/a:1.0"), path("out/a", layout, Some("1.0")));
        let docker = Some(PathForm::DockerArchive);
        let name = Some("r.example:5000/a:1");
        assert_eq!(parse("docker-archive:a.tar:r.example:5000/a:1"), path("a.tar", docker, name));
        for text in ["r.example/a:1", "docker://r.example/a:1", "127.0.0.1:5000/a:1"] {
            assert!(matches!(parse(text), Target::Image(_)), "{text}");
        }
    }

    #[test]
    fn what_is_on_disk_is_meant_whatever_it_looks_like() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("oci:x:1");
        fs::write(&file, "x").unwrap();
        let text = file.to_str().unwrap();
        assert_eq!(parse(text), path(text, None, None));
        assert_eq!(parse(&format!("oci:{text}")), path(text, Some(PathForm::Layout), None));
    }

    #[test]
    fn what_is_not_read_is_said_by_name() {
        assert!(said("dir:x").contains("skopeo copy dir:"));
        assert!(said("docker-daemon:x:1").contains("docker save"));
        assert!(said("containers-storage:x").contains("podman save"));
        assert!(said("r.example/a").contains("neither a tag nor a digest"));
        assert!(said("docker://redis:7").contains("names no registry"));
        assert!(said("https://r.example/a:1").contains("without `https://`"));
        assert!(said("").contains("name an image"));
        assert!(!said("bob:s3cret@r.example/a:1").contains("s3cret"));
    }

    #[test]
    fn a_folder_of_layouts_is_each_of_them_sorted() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b", "a", "c"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for name in ["b", "a"] {
            fs::write(folder.path().join(name).join(LAYOUT_FILE), "{}").unwrap();
        }
        let targets = Target::path(folder.path().as_os_str()).expand();
        let paths: Vec<String> = targets.iter().map(ToString::to_string).collect();
        assert_eq!(paths.len(), 2);
        assert!(paths[0].ends_with("/a") && paths[1].ends_with("/b"), "{paths:?}");
        fs::write(folder.path().join(INDEX_FILE), "{}").unwrap();
        assert_eq!(Target::path(folder.path().as_os_str()).expand().len(), 1);
    }
}
