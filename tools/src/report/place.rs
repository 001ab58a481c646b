//! Places as other programs want them: files relative to the root of the repository, because pages
//! of code scanning and annotations know files only so.

use std::path::{Component, Path, PathBuf};

use crate::rules::Finding;

/// The variables in which CI names the folder of the repository.
const ROOT_VARIABLES: [&str; 2] = ["GITHUB_WORKSPACE", "BUILD_SOURCESDIRECTORY"];

/// The base folder of paths in reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportRoot {
    /// Where the program was started.
    start: PathBuf,
    /// The root of the repository around it, or the same.
    folder: PathBuf,
}

impl ReportRoot {
    /// The repository around the folder `start`: CI's folder, when `start` is in there, else the
    /// nearest folder with `.git`, else `start` itself.
    #[must_use]
    pub fn around(start: &Path, variable: impl Fn(&str) -> Option<String>) -> Self {
        let start = start.canonicalize().unwrap_or_else(|_| start.to_owned());
        let stated = ROOT_VARIABLES.iter().filter_map(|name| variable(name));
        let stated = stated.filter_map(|path| Path::new(&path).canonicalize().ok());
        let folder = stated
            .into_iter()
            .find(|folder| start.starts_with(folder))
            .or_else(|| start.ancestors().find(|at| at.join(".git").exists()).map(Path::to_owned))
            .unwrap_or_else(|| start.clone());
        Self { start, folder }
    }

    /// The path from the root on, with `/` between names; as it was given when it leads elsewhere,
    /// or to nothing on this disk.
    #[must_use]
    pub fn relative(&self, path: &Path) -> String {
        let given = || path.display().to_string();
        let place = self.start.join(path);
        if place.symlink_metadata().is_err() {
            return given();
        }
        let inside = |place: &Path| {
            let inside = place.strip_prefix(&self.folder).ok()?.display().to_string();
            Some(inside).filter(|inside| !inside.is_empty())
        };
        // A folder may have been reached by another name; the file keeps its own.
        let resolved = place.parent().and_then(|parent| parent.canonicalize().ok());
        let resolved = resolved.zip(place.file_name()).map(|(parent, name)| parent.join(name));
        inside(&plain(&place)).or_else(|| inside(&resolved?)).unwrap_or_else(given)
    }

    /// Where a finding is: `offer.yaml:3:7`.
    pub(super) fn at(&self, finding: &Finding) -> String {
        let place = &finding.place;
        let mut at = self.relative(&place.file);
        for number in [place.line, place.column].into_iter().flatten() {
            at.push(':');
            at.push_str(&number.to_string());
        }
        at
    }
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    #[test]
    fn files_are_named_from_the_root_of_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/offer.yaml"), "").unwrap();
        fs::write(root.join("a/b/offer.yaml"), "").unwrap();
        let at = ReportRoot::around(&root.join("a/b"), |_| None);
        assert_eq!(at.relative(Path::new("offer.yaml")), "a/b/offer.yaml");
        assert_eq!(at.relative(Path::new("../offer.yaml")), "a/offer.yaml");
        assert_eq!(at.relative(&root.join("a/./offer.yaml")), "a/offer.yaml");
        assert_eq!(at.relative(Path::new("registry.example/x:1")), "registry.example/x:1");
        assert_eq!(at.relative(Path::new("/dev/null")), "/dev/null");
        std::os::unix::fs::symlink(root.join("a"), root.join("link")).unwrap();
        let named =
            ReportRoot::around(&root, |_| None).relative(&root.join("link/b/../offer.yaml"));
        assert_eq!(named, "link/offer.yaml");
    }

    #[test]
    fn what_ci_says_wins_where_it_is_around_us() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("work/sub/.git")).unwrap();
        fs::write(root.join("work/sub/o"), "").unwrap();
        let stated = root.join("work").display().to_string();
        let said = |name: &str| (name == "GITHUB_WORKSPACE").then(|| stated.clone());
        let at = ReportRoot::around(&root.join("work/sub"), said);
        assert_eq!(at.relative(Path::new("o")), "sub/o");
        let elsewhere = |_: &str| Some("/proc".to_owned());
        assert_eq!(
            ReportRoot::around(&root.join("work/sub"), elsewhere).relative(Path::new("o")),
            "o"
        );
    }
}
