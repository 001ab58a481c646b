//! The manifests of one registry, each asked for once in a run, and trees of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::OnceCell;
use wharf_oci::{Digest, Manifest, Reference, RepoName, Tag};

use crate::registry::{Registry, RegistryError};
use crate::transfer::ManifestTree;

/// How many manifests of one tree are asked for at once.
const AT_ONCE: usize = 16;

/// The manifests of one registry.
pub struct Manifests {
    registry: Arc<Registry>,
    known: Mutex<HashMap<Digest, Arc<OnceCell<Manifest>>>>,
}

/// A tree, or the address of its missing part.
pub(crate) enum Fetched {
    Tree(ManifestTree),
    Missing(String),
}

/// Why a manifest did not come.
enum Miss {
    Absent,
    Registry(RegistryError),
}

impl Manifests {
    /// Those of this registry.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry, known: Mutex::default() }
    }

    pub(crate) const fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// One that is at hand.
    pub(super) fn add(&self, manifest: Manifest) {
        // Somebody who is asking for it gets the same.
        let _ = self.cell(manifest.digest()).set(manifest);
    }

    /// The manifest under a tag, now.
    pub(super) async fn by_tag(
        &self,
        repo: &RepoName,
        tag: &Tag,
    ) -> Result<Option<Manifest>, RegistryError> {
        let found = self.registry.manifest(repo, &Reference::Tag(tag.clone())).await?;
        if let Some(manifest) = &found {
            self.add(manifest.clone());
        }
        Ok(found)
    }

    /// The manifest with a digest.
    pub(super) async fn by_digest(
        &self,
        repo: &RepoName,
        digest: Digest,
    ) -> Result<Option<Manifest>, RegistryError> {
        let ask = || async {
            let found = self.registry.manifest(repo, &Reference::Digest(digest)).await;
            found.map_err(Miss::Registry)?.ok_or(Miss::Absent)
        };
        match self.cell(digest).get_or_try_init(ask).await {
            Ok(manifest) => Ok(Some(manifest.clone())),
            Err(Miss::Absent) => Ok(None),
            Err(Miss::Registry(error)) => Err(error),
        }
    }

    /// The manifests below some digests, each after those it lists.
    pub(crate) async fn tree(
        &self,
        repo: &RepoName,
        roots: &[Digest],
    ) -> Result<Fetched, RegistryError> {
        let mut found: HashMap<Digest, Manifest> = HashMap::new();
        let mut wave = roots.to_vec();
        while !wave.is_empty() {
            let asked = stream::iter(wave)
                .map(|digest| async move { Ok((digest, self.by_digest(repo, digest).await?)) });
            let answers: Vec<(Digest, Option<Manifest>)> =
                asked.buffered(AT_ONCE).try_collect().await?;
            let mut next = BTreeSet::new();
            for (digest, manifest) in answers {
                let Some(manifest) = manifest else {
                    let reference = Reference::Digest(digest);
                    return Ok(Fetched::Missing(self.registry.manifest_url(repo, &reference)));
                };
                next.extend(manifest.children().iter().map(|child| child.digest));
                found.insert(digest, manifest);
            }
            wave = next.into_iter().filter(|digest| !found.contains_key(digest)).collect();
        }
        Ok(Fetched::Tree(in_order(roots, &found)))
    }

    fn cell(&self, digest: Digest) -> Arc<OnceCell<Manifest>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(digest).or_default())
    }
}

/// Depth first, children before parents: a manifest is met twice, added the second time.
fn in_order(roots: &[Digest], found: &HashMap<Digest, Manifest>) -> ManifestTree {
    let mut tree = ManifestTree::default();
    let mut waiting: Vec<(Digest, bool)> = roots.iter().rev().map(|root| (*root, false)).collect();
    let mut met = BTreeSet::new();
    while let Some((digest, is_second)) = waiting.pop() {
        let Some(manifest) = found.get(&digest) else { continue };
        if is_second {
            tree.add(manifest.clone());
        } else if met.insert(digest) {
            waiting.push((digest, true));
            waiting.extend(manifest.children().iter().rev().map(|child| (child.digest, false)));
        }
    }
    tree
}
