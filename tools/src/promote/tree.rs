//! The manifests below some digests, fetched from a registry.

use std::collections::BTreeSet;

use wharf_oci::{Digest, Manifest, ManifestKind, Reference, RepoName};

use crate::registry::{Registry, RegistryError};
use crate::transfer::ManifestTree;

/// A tree, or the address of its missing part.
pub(super) enum Fetched {
    Tree(ManifestTree),
    Missing(String),
}

/// Fetches the manifests below some digests, by digest, each once.
pub(super) async fn fetch_tree(
    registry: &Registry,
    repo: &RepoName,
    roots: &[Digest],
) -> Result<Fetched, RegistryError> {
    let mut tree = ManifestTree::default();
    // Depth first, children before parents: a manifest is met twice, added the second time.
    let mut waiting: Vec<(Digest, Option<Manifest>)> =
        roots.iter().rev().map(|root| (*root, None)).collect();
    let mut met = BTreeSet::new();
    while let Some((digest, fetched)) = waiting.pop() {
        if let Some(manifest) = fetched {
            tree.add(manifest);
            continue;
        }
        if !met.insert(digest) {
            continue;
        }
        let reference = Reference::Digest(digest);
        let Some(manifest) = registry.manifest(repo, &reference).await? else {
            return Ok(Fetched::Missing(registry.manifest_url(repo, &reference)));
        };
        let children: Vec<Digest> = match manifest.kind() {
            ManifestKind::Index { manifests } => manifests.iter().map(|c| c.digest).collect(),
            ManifestKind::Image { .. } | ManifestKind::Opaque => Vec::new(),
        };
        waiting.push((digest, Some(manifest)));
        waiting.extend(children.into_iter().rev().map(|child| (child, None)));
    }
    Ok(Fetched::Tree(tree))
}
