//! A layout onto a registry: proven before the first byte leaves, tags last, `latest` after all.
//!
//! Invariant: nothing of a layout with a fault is sent, and a tag is written only after everything
//! it leads to was accepted.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::Serialize;
use wharf_oci::{Descriptor, Digest, ManifestKind, Reference, RepoName, Tag};

use crate::image::facts::Fault;
use crate::image::layout::{BlobError, Layout, LayoutError};
use crate::registry::{BlobSource, Registry, RegistryError};
use crate::transfer::{Destination, KnownBlobs, Moved, Step, Tree};
use crate::verify::{self, Limits};

/// Why a layout was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// There is no layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// It is broken.
    #[error("{path} is broken and nothing of it was sent: {}", first(.faults))]
    Faults {
        /// The layout.
        path: PathBuf,
        /// What is wrong.
        faults: Vec<Fault>,
    },
    /// It does not have what should be pushed.
    #[error("{path} has no {missing}; run `wharf package` again")]
    Absent {
        /// The layout.
        path: PathBuf,
        /// What it has not.
        missing: String,
    },
    /// It has several images, and none is named.
    #[error("{path} holds several images ({tags}); name one of these tags in the reference")]
    Ambiguous {
        /// The layout.
        path: PathBuf,
        /// The tags that it names.
        tags: String,
    },
    /// A blob that was there is not any more.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

fn first(faults: &[Fault]) -> String {
    let Some(fault) = faults.first() else { return String::new() };
    match faults.len() - 1 {
        0 => format!("{}: {}", fault.digest, fault.message),
        more => format!("{}: {} (and {more} more)", fault.digest, fault.message),
    }
}

/// What is pushed, and where to.
pub struct Push<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The registry.
    pub registry: &'a Registry,
    /// The repository.
    pub repo: &'a RepoName,
    /// The tags in the order of writing, with what they point at.
    pub tags: Vec<(Tag, Descriptor)>,
    /// What the registry is known to have.
    pub known: &'a KnownBlobs,
}

/// What a push came to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pushed {
    /// What the last tag points at.
    pub digest: Digest,
    /// Whether every tag pointed there before.
    pub unchanged: bool,
    /// The tags, in the order of writing.
    pub tags: Vec<PushedTag>,
    /// Bytes of blobs.
    #[serde(flatten)]
    pub moved: Moved,
}

/// A tag after a push.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PushedTag {
    /// The tag.
    pub tag: Tag,
    /// What it points at.
    pub digest: Digest,
    /// What it pointed at before, if that was something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<Digest>,
}

/// Opens a layout and proves it.
pub fn open_proven(path: &std::path::Path, jobs: NonZeroUsize) -> Result<Layout, PushError> {
    let layout = Layout::open(path)?;
    let facts = verify::check(&layout, jobs, &Limits::default());
    if facts.faults.is_empty() {
        return Ok(layout);
    }
    Err(PushError::Faults { path: path.to_owned(), faults: facts.faults })
}

/// The image of a layout that a reference with this tag means: that of the tag, or the only one.
pub fn image_for(layout: &Layout, tag: Option<&Tag>) -> Result<Descriptor, PushError> {
    let path = || layout.path().to_owned();
    if let Some((_, named)) = layout.tags().find(|(name, _)| Some(name) == tag) {
        return Ok(named.clone());
    }
    let mut tops: Vec<&Descriptor> = Vec::new();
    let mut listed = Vec::new();
    for root in layout.roots() {
        listed.extend(layout.manifest(root)?.children().iter().map(|child| child.digest));
        if !tops.iter().any(|seen| seen.digest == root.digest) {
            tops.push(root);
        }
    }
    tops.retain(|top| !listed.contains(&top.digest));
    match tops.as_slice() {
        [] => Err(PushError::Absent { path: path(), missing: "image".to_owned() }),
        [only] => Ok((*only).clone()),
        _ => {
            let tags: Vec<String> = layout.tags().map(|(tag, _)| tag.to_string()).collect();
            Err(PushError::Ambiguous { path: path(), tags: tags.join(", ") })
        }
    }
}

/// The tree below some descriptors of a layout.
pub fn tree_of(layout: &Layout, roots: &[&Descriptor]) -> Result<Tree, PushError> {
    fn add(layout: &Layout, descriptor: &Descriptor, tree: &mut Tree) -> Result<(), PushError> {
        if tree.manifest(&descriptor.digest).is_some() {
            return Ok(());
        }
        let manifest = layout.manifest(descriptor)?;
        if let ManifestKind::Index { manifests } = manifest.kind() {
            for child in manifests {
                add(layout, child, tree)?;
            }
        }
        tree.add(manifest);
        Ok(())
    }
    let mut tree = Tree::default();
    for root in roots {
        add(layout, root, &mut tree)?;
    }
    Ok(tree)
}

impl Push<'_> {
    /// Sends what is missing, then writes the tags. `tell` hears of each step.
    pub async fn run(&self, tell: &(dyn Fn(Step<'_>) + Sync)) -> Result<Pushed, PushError> {
        let mut tags = Vec::new();
        for (tag, target) in &self.tags {
            let reference = Reference::Tag(tag.clone());
            let before = self.registry.head_manifest(self.repo, &reference).await?;
            let before = before.map(|found| found.digest);
            tags.push((tag, target, before));
        }
        let unchanged =
            tags.iter().all(|(_, target, before)| before.as_ref() == Some(&target.digest));
        let roots: Vec<&Descriptor> = self.tags.iter().map(|(_, target)| target).collect();
        let tree = tree_of(self.layout, &roots)?;
        let destination =
            Destination { registry: self.registry, repo: self.repo, known: self.known };
        let mut moved = Moved { skipped_bytes: tree.size_bytes(), ..Moved::default() };
        if !unchanged {
            let open = |blob: &Descriptor| {
                let file = self.layout.open_blob(blob).map_err(|error| RegistryError::Source {
                    digest: blob.digest,
                    source: std::io::Error::other(error.to_string()),
                })?;
                Ok(BlobSource::file(file, blob.clone()))
            };
            let told = |step: Step<'_>| {
                tell(step);
                Ok::<(), RegistryError>(())
            };
            moved = destination.put(&tree, &open, &|_| false, &told).await?;
        }
        let mut pushed = Vec::new();
        for (tag, target, before) in tags {
            let manifest = tree.manifest(&target.digest).ok_or_else(|| PushError::Absent {
                path: self.layout.path().to_owned(),
                missing: format!("manifest for the tag {tag}"),
            })?;
            if before != Some(target.digest) {
                destination.tag(tag, manifest).await?;
            }
            let moved_from = before.filter(|before| *before != target.digest);
            pushed.push(PushedTag { tag: tag.clone(), digest: target.digest, moved_from });
        }
        for blob in &tree.blobs {
            self.known.add(blob.digest, self.repo);
        }
        let digest = pushed.last().map(|tag| tag.digest).ok_or_else(|| PushError::Absent {
            path: self.layout.path().to_owned(),
            missing: "tag".to_owned(),
        })?;
        Ok(Pushed { digest, unchanged, tags: pushed, moved })
    }
}

#[cfg(test)]
mod tests;
