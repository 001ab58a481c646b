//! The sources before any question: the chart, the image, the Git remote, the folder's name.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr as _;

use wharf_oci::RepoName;

use super::error::InitError;
use super::git::{self, GitRemote};
pub use super::helm::{ChartFound, NamedImage};
pub use super::image::ImageFound;
use super::kind::OfferKind;
use super::{helm, image};
use crate::offer::values::{ImageVersion, LoginServer};

/// The version where nothing names one.
const FIRST_VERSION: &str = "1.0.0";

/// The sources, read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The name of the folder of the offer.
    pub folder_name: Option<String>,
    pub chart: Option<ChartFound>,
    /// Whether a flag or a person named it.
    pub chart_is_named: bool,
    pub image: Option<ImageFound>,
    /// The remote of the working copy.
    pub remote: Option<GitRemote>,
    /// Several charts without a choice among them: [`settle`](super::settle::settle) refuses them
    /// for a Kubernetes plan.
    pub charts: Vec<PathBuf>,
}

impl Sources {
    /// Reads the sources of an offer in `folder`; the folder may be missing yet. `chart` and
    /// `image` are the flags' values; without the first, a chart is looked for in the folder.
    pub fn read(
        folder: &Path,
        chart: Option<&Path>,
        image: Option<&str>,
    ) -> Result<Self, InitError> {
        let whole = absolute(folder);
        let chart_is_named = chart.is_some();
        let mut charts = match chart {
            Some(named) => vec![named.to_owned()],
            None => helm::look_for(folder),
        };
        let chart = match charts.as_slice() {
            [only] => Some(helm::read(only, relative(&whole, only))?),
            _ => None,
        };
        if chart.is_some() {
            charts.clear();
        }
        let above = whole.ancestors().find(|folder| folder.is_dir());
        Ok(Self {
            folder_name: whole.file_name().and_then(|name| name.to_str()).map(ToOwned::to_owned),
            chart,
            chart_is_named,
            image: image.map(|image| read_image(&whole, image)).transpose()?,
            remote: above.and_then(git::remote),
            charts,
        })
    }

    /// The version of the product: the chart's, the image's, or the first.
    #[must_use]
    pub fn version(&self, kind: OfferKind) -> ImageVersion {
        let chart = self.chart.as_ref().filter(|_| kind == OfferKind::Kubernetes);
        let chart = chart.map(|chart| chart.version.as_str());
        let image = self.image.as_ref();
        let label = image.and_then(|image| image.label("version"));
        let tag = image.and_then(|image| image.tag.as_deref());
        let found = [chart, label, tag].into_iter().flatten().find_map(numbers);
        found.unwrap_or_else(|| ImageVersion::from_str(FIRST_VERSION).expect("it is a version"))
    }
}

/// The numbers a version begins with: `v1.4.0-rc.1+x` is 1.4.0.
fn numbers(version: &str) -> Option<ImageVersion> {
    let bare = version.trim().trim_start_matches(['v', 'V']);
    let end = bare.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(bare.len());
    bare.get(..end)?.trim_end_matches('.').parse().ok()
}

/// The image of `--image`: a file or folder on this disk, an image of a registry, or the image's
/// future repository.
fn read_image(folder: &Path, text: &str) -> Result<ImageFound, InitError> {
    let path = Path::new(text);
    if path.exists() {
        let found = image::read(path)?;
        return Ok(ImageFound { adopt: Some(relative(folder, path)), ..found });
    }
    let refused = |reason: String| InitError::Unreadable {
        flag: image::FLAG,
        path: PathBuf::from(if crate::logins::may_hold(text) {
            crate::logins::NOT_SHOWN
        } else {
            text
        }),
        reason,
    };
    // By Docker's rule the first part is a host when it has a dot or a colon.
    let host = text
        .split_once('/')
        .filter(|(host, _)| host.contains(['.', ':']) && LoginServer::from_str(host).is_ok());
    let (rest, adopt) = match host {
        Some((_, rest)) => (rest, Some(text.to_owned())),
        None => (text, None),
    };
    let bare = rest.split_once('@').map_or(rest, |(name, _)| name);
    let (name, tag) = match bare.rsplit_once(':') {
        Some((name, tag)) if adopt.is_some() => (name, Some(tag.to_owned())),
        _ => (bare, None),
    };
    if adopt.is_none() && (name != text || text.starts_with(['.', '/'])) {
        let reason = "there is no image at this path, and it is not the name of a repository";
        return Err(refused(reason.to_owned()));
    }
    let repository = RepoName::from_str(name).map_err(|error| {
        refused(format!("it is neither at a path nor the name of a repository: {error}"))
    })?;
    Ok(ImageFound { adopt, repository: Some(repository.to_string()), tag, ..ImageFound::default() })
}

/// A path from the root; it may be missing.
fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

/// How a file of the offer names a path; with `..` where it is not below.
fn relative(folder: &Path, path: &Path) -> String {
    let path = absolute(path);
    let (mut from, mut to) = (folder.components().peekable(), path.components().peekable());
    while from.peek().is_some() && from.peek() == to.peek() {
        from.next();
        to.next();
    }
    let mut parts = vec![".."; from.count()];
    let below: Vec<String> = to
        .filter(|part| matches!(part, Component::Normal(_)))
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    parts.extend(below.iter().map(String::as_str));
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn versions_begin_with_numbers() {
        for (text, version) in
            [("1.4.0", "1.4.0"), ("v2.0", "2.0"), ("1.4.0-rc.1+x", "1.4.0"), (" 3.1.", "3.1")]
        {
            assert_eq!(numbers(text).unwrap().as_str(), version);
        }
        for text in ["", "latest", "7", "1.2.3.4", "x1.2"] {
            assert!(numbers(text).is_none(), "{text}");
        }
    }

    #[test]
    fn paths_are_named_from_the_folder_of_the_offer() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/chart")).unwrap();
        std::fs::create_dir_all(root.join("b")).unwrap();
        assert_eq!(relative(&root.join("a"), &root.join("a/chart")), "chart");
        assert_eq!(relative(&root.join("b/new"), &root.join("a/chart")), "../../a/chart");
        assert_eq!(relative(&root.join("b"), &root.join("b")), ".");
    }

    #[test]
    fn an_image_is_a_path_a_reference_or_a_repository() {
        let read = |text| read_image(Path::new("/"), text);
        let found = read("tidepool/web").unwrap();
        assert_eq!((found.adopt, found.repository.as_deref()), (None, Some("tidepool/web")));
        let found = read("quayline.azurecr.io/tidepool/web:1.4.0").unwrap();
        assert_eq!(found.adopt.as_deref(), Some("quayline.azurecr.io/tidepool/web:1.4.0"));
        assert_eq!(found.repository.as_deref(), Some("tidepool/web"));
        assert_eq!(found.tag.as_deref(), Some("1.4.0"));
        for bad in ["./nowhere", "/nowhere", "Upper/Case", "a:1", "b@c", ""] {
            let said = read(bad).unwrap_err().to_string();
            assert!(said.starts_with("--image: "), "{bad}: {said}");
        }
        let said = read("bob:s3cret@registry/x").unwrap_err().to_string();
        assert!(!said.contains("s3cret"), "{said}");
    }
}
