//! The referrers of a manifest: by the API of a registry, else by the clients' list under a tag
//! (distribution-spec, "Listing Referrers" and "Referrers Tag Schema").
//!
//! Invariant: a refusing, throttling or failing registry is an error, never an empty list.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, LINK};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use hyper::body::Incoming;
use serde_json::{Value, json};
use wharf_oci::{
    Digest, Endpoint, MANIFEST_SIZE_BYTES_MAX, Manifest, ManifestKind, MediaType, Reference,
    ReferrerList, RepoName, Tag,
};

use super::auth::TokenScope;
use super::error::RegistryError;
use super::{Call, Registry, resolve};

/// How many pages of one list are read.
const PAGES_MAX: usize = 100;

/// How often a list under a tag is merged while others write it too.
const MERGES_MAX: usize = 4;

impl Registry {
    /// The referrers of a manifest, as every client of this registry finds them.
    pub async fn referrers(
        &self,
        repo: &RepoName,
        subject: &Digest,
    ) -> Result<Vec<Digest>, RegistryError> {
        match self.listed_by_api(repo, subject).await? {
            Some(listed) => Ok(listed),
            None => self.listed_under_tag(repo, subject).await,
        }
    }

    /// The clients' list under the tag made of the digest. A registry keeps it after it learns the
    /// API.
    pub async fn listed_under_tag(
        &self,
        repo: &RepoName,
        subject: &Digest,
    ) -> Result<Vec<Digest>, RegistryError> {
        let name = format!("{}-{}", subject.algorithm(), subject.hex());
        // A digest of 512 bits makes no tag.
        let Ok(tag) = name.parse::<Tag>() else { return Ok(Vec::new()) };
        match self.manifest(repo, &Reference::Tag(tag)).await? {
            Some(list) => Ok(entries(&list)),
            None => Ok(Vec::new()),
        }
    }

    /// Checks for a pushed referrer in the registry's list. A registry without the API makes no
    /// list: there the list stands under a tag, and the pushing client keeps it (distribution-spec,
    /// "Referrers Tag Schema").
    pub async fn list_referrer(
        &self,
        repo: &RepoName,
        subject: &Digest,
        manifest: &Manifest,
    ) -> Result<(), RegistryError> {
        let name = format!("{}-{}", subject.algorithm(), subject.hex());
        let reference = name.parse::<Tag>().map(Reference::Tag);
        for _ in 0..MERGES_MAX {
            if self.referrers(repo, subject).await?.contains(&manifest.digest()) {
                return Ok(());
            }
            let Ok(reference) = &reference else { break };
            let before = self.manifest(repo, reference).await?;
            let merged = merged(before.as_ref(), manifest);
            let index = Manifest::parse(Bytes::from(merged), Some(&MediaType::OCI_INDEX));
            let index = index.map_err(|source| RegistryError::Manifest {
                url: self.manifest_url(repo, reference),
                source,
            })?;
            self.put_manifest(repo, reference, &index).await?;
        }
        if self.referrers(repo, subject).await?.contains(&manifest.digest()) {
            return Ok(());
        }
        Err(RegistryError::Protocol {
            url: self.manifest_url(repo, &Reference::Digest(*subject)),
            reason: format!("it does not list the referrer {}", manifest.digest()),
        })
    }

    /// The list of the API; `None` for a registry without the API, which is asked once. Some
    /// registries then answer with a page for people.
    pub async fn listed_by_api(
        &self,
        repo: &RepoName,
        subject: &Digest,
    ) -> Result<Option<Vec<Digest>>, RegistryError> {
        // The first question goes alone: its answer may spare the others.
        let turn = match self.referrers_api.get() {
            None => Some(self.referrers_turn.lock().await),
            Some(_) => None,
        };
        let turn = turn.filter(|_| self.referrers_api.get().is_none());
        if self.referrers_api.get() == Some(&false) {
            return Ok(None);
        }
        let listed = self.pages_of_api(repo, subject).await;
        drop(turn);
        listed
    }

    async fn pages_of_api(
        &self,
        repo: &RepoName,
        subject: &Digest,
    ) -> Result<Option<Vec<Digest>>, RegistryError> {
        let endpoint = Endpoint::Referrers { repo: repo.clone(), digest: *subject };
        let scope = TokenScope::pull(repo);
        let mut call = self.new_call(Method::GET, &endpoint, &scope)?;
        let accept = HeaderValue::from_str(MediaType::OCI_INDEX.as_str());
        call.headers.insert(ACCEPT, accept.expect("media types are header values"));
        let mut listed = Vec::new();
        for _ in 0..PAGES_MAX {
            let response = self.call(&call).await?;
            if matches!(response.status().as_u16(), 400 | 404 | 405 | 406 | 501) {
                self.learn_absence(&call, response).await;
                return Ok(None);
            }
            let mut response = self.expect(&call, response, &[StatusCode::OK]).await?;
            let limit = usize::try_from(MANIFEST_SIZE_BYTES_MAX).unwrap_or(usize::MAX);
            let body = self.transport.whole(&call.uri, response.body_mut(), limit).await?;
            let declared = response.headers().get(CONTENT_TYPE);
            let declared = declared.and_then(|value| value.to_str().ok()?.parse().ok());
            let page = body.and_then(|body| ReferrerList::parse(&body, declared.as_ref()));
            let Some(page) = page else { return Ok(None) };
            let _ = self.referrers_api.set(true);
            let digests = page.entries().iter().map(|entry| entry.digest().parse::<Digest>());
            listed.extend(digests.filter_map(Result::ok));
            match next_page(&call.uri, response.headers()).filter(|next| self.is_ours(next)) {
                Some(next) => call.uri = next,
                None => break,
            }
        }
        Ok(Some(listed))
    }
}

impl Registry {
    /// A registry without the API does not know the address; one with it may not know the
    /// repository or the manifest.
    async fn learn_absence(&self, call: &Call<'_>, response: Response<Incoming>) {
        let is_route = matches!(response.status().as_u16(), 404 | 405 | 501);
        let said = self.refusal(call, response).await.to_string();
        if is_route && !said.contains("NAME_") && !said.contains("MANIFEST_") {
            let _ = self.referrers_api.set(false);
        }
    }
}

/// The list of referrers with one more; its other entries stay.
fn merged(before: Option<&Manifest>, manifest: &Manifest) -> Vec<u8> {
    let before = before.and_then(|before| serde_json::from_slice::<Value>(before.bytes()).ok());
    let mut index = before.filter(|index| index["manifests"].is_array()).unwrap_or_else(
        || json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": []}),
    );
    let mut entry = manifest.descriptor();
    entry.artifact_type = manifest.artifact_type().map(ToOwned::to_owned);
    entry.annotations = manifest.annotations().clone();
    if let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) {
        entries.push(json!(entry));
    }
    index.to_string().into_bytes()
}

fn entries(list: &Manifest) -> Vec<Digest> {
    match list.kind() {
        ManifestKind::Index { manifests } => manifests.iter().map(|entry| entry.digest).collect(),
        ManifestKind::Image { .. } | ManifestKind::Opaque => Vec::new(),
    }
}

/// Where the list goes on: `Link: <ADDRESS>; rel="next"` (RFC 8288).
pub(super) fn next_page(base: &Uri, headers: &HeaderMap) -> Option<Uri> {
    let text = headers.get(LINK)?.to_str().ok()?;
    let (address, parameters) = text.strip_prefix('<')?.split_once('>')?;
    parameters.contains("next").then(|| resolve(base, address)).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_next_page_is_relative_to_this_one() {
        let base: Uri = "http://r.example/v2/a/referrers/x".parse().unwrap();
        let next = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, text.parse().unwrap());
            next_page(&base, &headers).map(|uri| uri.to_string())
        };
        let expected = Some("http://r.example/v2/a/referrers/x?n=2".to_owned());
        assert_eq!(next("</v2/a/referrers/x?n=2>; rel=\"next\""), expected);
        assert_eq!(next("<?n=2>; rel=next"), expected);
        assert_eq!(next("</v2/>; rel=\"first\""), None);
        assert_eq!(next("next"), None);
    }
}
