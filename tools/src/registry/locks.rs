//! Azure Container Registry's locks: attributes of a tag and of a manifest, each its own, that block
//! changes and deletion by every client. Other registries have none.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use wharf_oci::{Endpoint, Reference, RepoName};

use super::Registry;
use super::auth::TokenScope;
use super::error::RegistryError;

/// The change: neither writing nor deletion.
const LOCK: &str = r#"{"writeEnabled":false,"deleteEnabled":false}"#;

/// The codes by which ACR, and no router of another registry, says 404.
const ACR_CODES: [&str; 3] = ["MANIFEST_UNKNOWN", "TAG_UNKNOWN", "NAME_UNKNOWN"];

/// A part of the message with which ACR answers a change of what is locked, with 405.
pub(super) const DISALLOWED: &str = "operation is disallowed";

/// The answer to the wish for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockAnswer {
    /// It is locked.
    Locked,
    /// The registry has no locks.
    Unsupported,
}

impl Registry {
    /// Locks a tag, or a manifest by its digest. Idempotent.
    pub async fn lock(
        &self,
        repo: &RepoName,
        reference: &Reference,
    ) -> Result<LockAnswer, RegistryError> {
        let scope = TokenScope::lock(repo);
        let mut call = self.new_call(Method::PATCH, &Endpoint::Base, &scope)?;
        let kind = match reference {
            Reference::Tag(_) => "_tags",
            Reference::Digest(_) => "_manifests",
        };
        let address = format!("{}://{}/acr/v1/{repo}/{kind}/{reference}", self.scheme, self.host);
        call.uri = address.parse().map_err(|_| RegistryError::Protocol {
            url: address.clone(),
            reason: "this is not an address".to_owned(),
        })?;
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        call.body = Bytes::from_static(LOCK.as_bytes());
        let response = self.call(&call).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(if is_page(response.headers().get(CONTENT_TYPE)) {
                LockAnswer::Unsupported
            } else {
                LockAnswer::Locked
            });
        }
        let refusal = self.refusal(&call, response).await;
        let is_route_missing = matches!(
            status,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        );
        if is_route_missing && !is_of_acr(&refusal) {
            return Ok(LockAnswer::Unsupported);
        }
        Err(refusal)
    }
}

/// Some registries answer any unknown address with their page for people.
fn is_page(content_type: Option<&HeaderValue>) -> bool {
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}

/// Whether the refusal is about the tag or manifest.
fn is_of_acr(refusal: &RegistryError) -> bool {
    let RegistryError::Refused { message, .. } = refusal else { return true };
    ACR_CODES.iter().any(|code| message.contains(code))
}
