//! What an apply wrote, looked at in the end: the tags, and on demand every manifest, configuration
//! and blob.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use wharf_oci::{Reference, RepoName};

use super::super::plan::{Item, TagStep};
use super::{Between, Run};
use crate::registry::{Registry, RegistryError};
use crate::transfer::ManifestTree;

/// How many images are read back at once, and how many parts of one image.
const IMAGES_AT_ONCE: usize = 32;
const PARTS_AT_ONCE: usize = 16;

impl Run<'_> {
    /// Reads back every image that came to its end.
    pub(super) async fn read_back(&self, between: &mut [Option<Between>]) {
        let items = &self.apply.content.items;
        let looks = items.iter().zip(between.iter_mut()).map(|(item, between)| async move {
            if let Some(Ok(copied)) = between
                && let Err(error) = self.look(item, &copied.tree).await
            {
                *between = Some(Err(error.into()));
            }
        });
        stream::iter(looks).for_each_concurrent(IMAGES_AT_ONCE, |look| look).await;
    }

    async fn look(&self, item: &Item, tree: &ManifestTree) -> Result<(), RegistryError> {
        let destination = self.destination(item);
        let tags = stream::iter(&item.tags)
            .map(|TagStep { tag, digest, .. }| destination.check_tag(tag, digest));
        tags.buffer_unordered(PARTS_AT_ONCE).try_collect::<Vec<()>>().await?;
        if !self.apply.read_back {
            return Ok(());
        }
        let (to, repo) = (&*self.apply.to, &item.destination);
        let manifests = stream::iter(&tree.manifests).map(|manifest| async move {
            let reference = Reference::Digest(manifest.digest());
            let found = to.manifest(repo, &reference).await?;
            found.map(drop).ok_or_else(|| absent(to, repo, &reference))
        });
        manifests.buffer_unordered(PARTS_AT_ONCE).try_collect::<Vec<()>>().await?;
        let blobs = stream::iter(&tree.blobs).map(|blob| async move {
            match to.head_blob(repo, &blob.digest).await? {
                Some(size) if size == blob.size => Ok(()),
                found => Err(RegistryError::Content {
                    url: format!("{}/{repo}", to.host()),
                    expected: blob.digest,
                    reason: found.map_or_else(
                        || "the blob is not there after it was put".to_owned(),
                        |size| format!("the blob has {size} bytes after it was put"),
                    ),
                }),
            }
        });
        blobs.buffer_unordered(PARTS_AT_ONCE).try_collect::<Vec<()>>().await.map(drop)
    }
}

fn absent(to: &Registry, repo: &RepoName, reference: &Reference) -> RegistryError {
    RegistryError::Protocol {
        url: to.manifest_url(repo, reference),
        reason: "the manifest is not there after it was put".to_owned(),
    }
}
