//! The difference of two images' merged files. Times are not compared: a second build has others.

use serde::Serialize;
use wharf_oci::Digest;

use super::listed::{BoundedList, ListBounds};
use crate::image::facts::PlatformImage;
use crate::image::files::{File, FileKind, FileView};

/// The difference of two images' merged files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FilesDiff {
    /// Paths of the second image alone.
    pub added: BoundedList<FileSummary>,
    /// Paths of the first image alone.
    pub removed: BoundedList<FileSummary>,
    /// Paths of both images with a difference.
    pub changed: BoundedList<FileChange>,
    /// Content of added paths, in bytes.
    pub added_bytes: u64,
    /// Content of removed paths, in bytes.
    pub removed_bytes: u64,
    /// Files of one size with unknown equality of content.
    pub contents_unknown: usize,
}

impl FilesDiff {
    /// Whether nothing differs, as far as it was compared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// A file as an image has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileSummary {
    /// The path without a leading slash; where it is no UTF-8, its bytes are escaped (`\xff`).
    pub path: String,
    /// `file`, `folder`, `symbolic link`, `character device`, `block device`, `named pipe`.
    pub kind: &'static str,
    /// The mode in octal digits.
    pub mode: String,
    /// `UID:GID`.
    pub owner: String,
    /// Size of the content in bytes.
    pub size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// A file of both images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileChange {
    /// The different fields, in this order: `kind`, `mode`, `owner`, `size`, `link`, `content`.
    pub differs: Vec<&'static str>,
    pub before: FileSummary,
    pub after: FileSummary,
}

/// The files of an image, and the image with their layers.
struct Side<'a> {
    files: &'a FileView,
    image: &'a PlatformImage,
}

/// Compares path by path; `None` when not all files of both are known.
pub(super) fn compare(
    before: &PlatformImage,
    after: &PlatformImage,
    bounds: ListBounds,
) -> Option<FilesDiff> {
    let before = Side { files: complete(before)?, image: before };
    let after = Side { files: complete(after)?, image: after };
    let mut diff = FilesDiff::default();
    for file in before.files.iter() {
        let Some(other) = after.files.get(file.path()) else {
            diff.removed_bytes = diff.removed_bytes.saturating_add(file.size_bytes());
            diff.removed.push(bounds, || summary(file));
            continue;
        };
        let mut differs = metadata(file, other);
        match same_content(&before, file, &after, other) {
            Some(true) => {}
            Some(false) => differs.push("content"),
            None => diff.contents_unknown += 1,
        }
        if !differs.is_empty() {
            let change = || FileChange { differs, before: summary(file), after: summary(other) };
            diff.changed.push(bounds, change);
        }
    }
    for file in after.files.iter().filter(|file| before.files.get(file.path()).is_none()) {
        diff.added_bytes = diff.added_bytes.saturating_add(file.size_bytes());
        diff.added.push(bounds, || summary(file));
    }
    Some(diff)
}

fn metadata(before: File<'_>, after: File<'_>) -> Vec<&'static str> {
    let mut differs = Vec::new();
    if before.kind() != after.kind() {
        return vec!["kind"];
    }
    // The mode of a link means nothing and differs between systems.
    if before.kind() != FileKind::Symlink && before.mode() != after.mode() {
        differs.push("mode");
    }
    if before.owner() != after.owner() {
        differs.push("owner");
    }
    if before.size_bytes() != after.size_bytes() {
        differs.push("size");
    }
    if before.link() != after.link() {
        differs.push("link");
    }
    differs
}

/// Whether two files of one path hold the same bytes; `None` if it is unknown. A different kind or
/// size is reported as such, so the content then counts as the same.
fn same_content(
    before: &Side<'_>,
    file: File<'_>,
    after: &Side<'_>,
    other: File<'_>,
) -> Option<bool> {
    let both = [file, other];
    let is_said = both.iter().any(|one| one.kind() != FileKind::File || one.size_bytes() == 0)
        || file.size_bytes() != other.size_bytes()
        || file.kind() != other.kind();
    if is_said {
        return Some(true);
    }
    if let [Some(one), Some(other)] = both.map(|one| one.content_hash()) {
        return Some(one == other);
    }
    let layers = [layer(before.image, file), layer(after.image, other)];
    if let [Some(one), Some(other)] = layers
        && one == other
    {
        return Some(true);
    }
    let texts = both.map(|one| one.content().text.as_deref());
    if let [Some(one), Some(other)] = texts {
        return Some(one == other);
    }
    None
}

/// The tar a file comes from: the same one has the same file, however it is compressed.
fn layer(image: &PlatformImage, file: File<'_>) -> Option<Digest> {
    image.config.as_ref()?.rootfs.diff_ids.get(file.layer()).copied()
}

fn summary(file: File<'_>) -> FileSummary {
    let (user, group) = file.owner();
    FileSummary {
        path: words(file.path()),
        kind: file.kind().name(),
        mode: format!("{:04o}", file.mode()),
        owner: format!("{user}:{group}"),
        size_bytes: file.size_bytes(),
        link: (file.kind() == FileKind::Symlink).then(|| words(file.link())),
    }
}

/// The root has no name of its own.
fn words(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok("") => ".".to_owned(),
        Ok(text) => text.to_owned(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

/// The files of an image, when all of them are known.
pub(super) fn complete(image: &PlatformImage) -> Option<&FileView> {
    image.files.as_deref().filter(|files| files.is_complete())
}
