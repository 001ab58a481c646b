//! The tags of a repository, all pages (distribution-spec, "Listing Tags").

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde::Deserialize;
use wharf_oci::{RepoName, Tag};

use super::Registry;
use super::auth::TokenScope;
use super::error::RegistryError;
use super::referrers::next_page;
use super::transport::shown;

/// How many tags one page is asked for; registries give fewer.
const PAGE_TAGS: usize = 1000;

/// How many pages are read.
const PAGES_MAX: usize = 100;

/// Largest page.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a registry says about the tags of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagList {
    Tags(BTreeSet<Tag>),
    /// It has no such repository.
    NoRepository,
    /// It does not let these credentials read the list, or the list is too long.
    Unknown,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Registry {
    /// The tags of a repository.
    pub async fn tags(&self, repo: &RepoName) -> Result<TagList, RegistryError> {
        self.tags_up_to(repo, PAGE_TAGS, PAGES_MAX).await
    }

    /// Whether the registry has a repository; `None` when it does not say.
    pub async fn has_repository(&self, repo: &RepoName) -> Result<Option<bool>, RegistryError> {
        Ok(match self.tags_up_to(repo, 1, 1).await? {
            TagList::Tags(_) => Some(true),
            TagList::NoRepository => Some(false),
            TagList::Unknown => None,
        })
    }

    async fn tags_up_to(
        &self,
        repo: &RepoName,
        page_tags: usize,
        pages: usize,
    ) -> Result<TagList, RegistryError> {
        let scope = TokenScope::pull(repo);
        let address = format!("{}://{}/v2/{repo}/tags/list?n={page_tags}", self.scheme, self.host);
        let protocol =
            |reason: &str| RegistryError::Protocol { url: address.clone(), reason: reason.into() };
        let uri = address.parse().map_err(|_| protocol("this is not an address"))?;
        let mut call = super::upload::session_call(Method::GET, &uri, &scope);
        let mut tags = BTreeSet::new();
        for number in 1..=pages {
            let answer = self.call(&call).await;
            let mut response = match answer {
                Err(error) if error.is_unauthorized() => return Ok(TagList::Unknown),
                answer => answer?,
            };
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Ok(TagList::NoRepository),
                StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                    return Ok(TagList::Unknown);
                }
                _ => return Err(self.refusal(&call, response).await),
            }
            let body = self.transport.whole(&call.uri, response.body_mut(), PAGE_BYTES_MAX).await?;
            let page = body.and_then(|body| serde_json::from_slice::<Page>(&body).ok());
            let page = page.ok_or_else(|| RegistryError::Protocol {
                url: shown(&call.uri),
                reason: "it sent no list of tags".to_owned(),
            })?;
            tags.extend(page.tags.unwrap_or_default().iter().filter_map(|tag| tag.parse().ok()));
            let next = next_page(&call.uri, response.headers()).filter(|next| self.is_ours(next));
            match next {
                Some(next) if number < pages => call.uri = next,
                Some(_) if pages > 1 => return Ok(TagList::Unknown),
                _ => break,
            }
        }
        Ok(TagList::Tags(tags))
    }
}
