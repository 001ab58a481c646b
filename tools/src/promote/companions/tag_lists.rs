//! The lists of tags of a registry's repositories, each read once in a run: one question instead of
//! several for each manifest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use wharf_oci::{RepoName, Tag};

use crate::registry::{Registry, RegistryError, TagList};

/// The lists of one registry.
pub struct TagLists {
    registry: Arc<Registry>,
    known: Mutex<HashMap<RepoName, Arc<OnceCell<TagList>>>>,
}

impl TagLists {
    /// Those of this registry.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry, known: Mutex::default() }
    }

    /// The tags of a repository.
    pub async fn of(&self, repo: &RepoName) -> Result<TagList, RegistryError> {
        let cell = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(repo.clone()).or_default())
        };
        cell.get_or_try_init(|| self.registry.tags(repo)).await.cloned()
    }

    /// Whether it is worth asking for a tag: not when the list is known and has it not. The
    /// repository exists, so an answer that it does not is no list either.
    pub(super) async fn may_have(
        &self,
        repo: &RepoName,
        name: &str,
    ) -> Result<bool, RegistryError> {
        let Ok(tag) = name.parse::<Tag>() else { return Ok(false) };
        Ok(match self.of(repo).await? {
            TagList::Tags(tags) => tags.contains(&tag),
            TagList::NoRepository | TagList::Unknown => true,
        })
    }
}
