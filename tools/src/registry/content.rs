//! Manifests and blobs of a registry: look, fetch, put. Uploads of blobs are in `upload`.
//!
//! Invariant: a fetched manifest has the registry's exact bytes, at most 4 MiB, and the requested
//! digest.

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, RANGE};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use wharf_oci::{
    Descriptor, Digest, Endpoint, MANIFEST_SIZE_BYTES_MAX, Manifest, MediaType, Reference, RepoName,
};

use super::auth::TokenScope;
use super::error::RegistryError;
use super::retry::Budget;
use super::transport::shown;
use super::{Call, Registry};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

impl Registry {
    /// The target of a tag or digest; `None` if the registry has no such manifest.
    pub async fn head_manifest(
        &self,
        repo: &RepoName,
        reference: &Reference,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let scope = TokenScope::pull(repo);
        let call = self.manifest_call(Method::HEAD, repo, reference, &scope)?;
        let url = shown(&call.uri);
        let response = self.call(&call).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = self.expect(&call, response, &[StatusCode::OK]).await?;
        let text = |name: HeaderName| response.headers().get(name)?.to_str().ok();
        let digest = text(CONTENT_DIGEST).and_then(|text| text.parse().ok());
        let size = text(CONTENT_LENGTH).and_then(|text| text.parse().ok());
        let media_type = text(CONTENT_TYPE).and_then(|text| text.parse::<MediaType>().ok());
        match (media_type, digest.or(reference.digest().copied()), size) {
            (Some(media_type), Some(digest), Some(size)) => {
                Ok(Some(Descriptor::new(media_type, digest, size)))
            }
            // Registries may leave the digest out of a HEAD; then the content has to tell.
            _ => match self.manifest(repo, reference).await? {
                Some(manifest) => Ok(Some(manifest.descriptor())),
                None => Err(RegistryError::Protocol {
                    url,
                    reason: "HEAD found the manifest, GET did not".to_owned(),
                }),
            },
        }
    }

    /// Fetches a manifest, exact and proven; `None` when there is none.
    pub async fn manifest(
        &self,
        repo: &RepoName,
        reference: &Reference,
    ) -> Result<Option<Manifest>, RegistryError> {
        let scope = TokenScope::pull(repo);
        let call = self.manifest_call(Method::GET, repo, reference, &scope)?;
        let url = shown(&call.uri);
        let mut budget = Budget::new(self.options.policy);
        let (bytes, headers) = loop {
            let response = self.call(&call).await?;
            if response.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            let mut response = self.expect(&call, response, &[StatusCode::OK]).await?;
            let limit = usize::try_from(MANIFEST_SIZE_BYTES_MAX).unwrap_or(usize::MAX);
            let read = self.transport.whole(&call.uri, response.body_mut(), limit).await;
            match read {
                Ok(Some(bytes)) => break (bytes, response.headers().clone()),
                Ok(None) => {
                    let reason = "the manifest has more than 4 MiB".to_owned();
                    return Err(RegistryError::Protocol { url, reason });
                }
                Err(error) => self.pause(&mut budget, &call, error, None).await?,
            }
        };
        let declared = headers.get(CONTENT_TYPE).and_then(|text| text.to_str().ok()?.parse().ok());
        let manifest = Manifest::parse(bytes, declared.as_ref())
            .map_err(|source| RegistryError::Manifest { url: url.clone(), source })?;
        if let Some(expected) = reference.digest()
            && manifest.digest_by(expected.algorithm()) != *expected
        {
            let reason = format!("its digest is {}", manifest.digest());
            return Err(RegistryError::Content { url, expected: *expected, reason });
        }
        Ok(Some(manifest))
    }

    /// Puts a manifest under a tag or its digest, byte for byte.
    pub async fn put_manifest(
        &self,
        repo: &RepoName,
        reference: &Reference,
        manifest: &Manifest,
    ) -> Result<(), RegistryError> {
        let scope = TokenScope::push(repo, &[]);
        let mut call = self.manifest_call(Method::PUT, repo, reference, &scope)?;
        let media_type = HeaderValue::from_str(manifest.media_type().as_str())
            .unwrap_or(HeaderValue::from_static("application/octet-stream"));
        call.headers.insert(CONTENT_TYPE, media_type);
        call.body = manifest.bytes().clone();
        let response = self.call(&call).await?;
        let accepted = [StatusCode::CREATED, StatusCode::OK, StatusCode::ACCEPTED];
        self.expect(&call, response, &accepted).await.map(|_| ())
    }

    /// The size of a blob; `None` when it is not there.
    pub async fn head_blob(
        &self,
        repo: &RepoName,
        digest: &Digest,
    ) -> Result<Option<u64>, RegistryError> {
        self.blob_size(repo, digest, &TokenScope::pull(repo)).await
    }

    /// The same with another scope: an upload asks for the right to write at once.
    pub(super) async fn blob_size(
        &self,
        repo: &RepoName,
        digest: &Digest,
        scope: &TokenScope,
    ) -> Result<Option<u64>, RegistryError> {
        let endpoint = Endpoint::Blob { repo: repo.clone(), digest: *digest };
        let call = self.new_call(Method::HEAD, &endpoint, scope)?;
        let response = self.call(&call).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = self.expect(&call, response, &[StatusCode::OK]).await?;
        let size = response.headers().get(CONTENT_LENGTH).and_then(|text| text.to_str().ok());
        size.and_then(|text| text.parse().ok()).map(Some).ok_or_else(|| RegistryError::Protocol {
            url: shown(&call.uri),
            reason: "HEAD of a blob says no Content-Length".to_owned(),
        })
    }

    /// Opens a blob at an offset. `None` when it is not there.
    pub(super) async fn open_blob(
        &self,
        repo: &RepoName,
        digest: &Digest,
        offset: u64,
    ) -> Result<Option<Response<Incoming>>, RegistryError> {
        let endpoint = Endpoint::Blob { repo: repo.clone(), digest: *digest };
        let scope = TokenScope::pull(repo);
        let mut call = self.new_call(Method::GET, &endpoint, &scope)?;
        if offset > 0 {
            let range = HeaderValue::from_str(&format!("bytes={offset}-"));
            call.headers.insert(RANGE, range.expect("digits are a header value"));
        }
        let response = self.call(&call).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let accepted = [StatusCode::OK, StatusCode::PARTIAL_CONTENT];
        self.expect(&call, response, &accepted).await.map(Some)
    }

    fn manifest_call<'a>(
        &self,
        method: Method,
        repo: &RepoName,
        reference: &Reference,
        scope: &'a TokenScope,
    ) -> Result<Call<'a>, RegistryError> {
        let endpoint = Endpoint::Manifest { repo: repo.clone(), reference: reference.clone() };
        let mut call = self.new_call(method, &endpoint, scope)?;
        for media_type in MediaType::MANIFESTS {
            let value = HeaderValue::from_str(media_type.as_str());
            call.headers.append(ACCEPT, value.expect("media types are header values"));
        }
        Ok(call)
    }
}
