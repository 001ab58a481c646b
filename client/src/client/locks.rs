//! Azure Container Registry's locks: attributes of a tag and of a manifest, each its own, that
//! block changes and deletion by every client, past this program too. Other registries have none.

use bytes::Bytes;
use http::{Method, header};
use wharf_oci::{Reference, RepoName};

use crate::ClientError;
use crate::client::Client;
use crate::headers::value;
use crate::payload::Payload;
use crate::scope::{Scope, ScopeAction};
use crate::transport::{RegistryRequest, RetryEffort};

const LOCKING: &str = "changing a lock";

impl Client {
    /// Locks or unlocks a tag or a manifest. Idempotent.
    pub async fn set_lock(
        &self,
        repo: &RepoName,
        reference: &Reference,
        locked: bool,
    ) -> Result<(), ClientError> {
        let kind = match reference {
            Reference::Tag(_) => "_tags",
            Reference::Digest(_) => "_manifests",
        };
        let url = self.wire.url(&format!("/acr/v1/{repo}/{kind}/{reference}"));
        let mut ask =
            RegistryRequest::new(Method::PATCH, url, Scope::repo(repo, ScopeAction::Metadata));
        let body = format!("{{\"writeEnabled\":{open},\"deleteEnabled\":{open}}}", open = !locked);
        ask.headers.insert(header::CONTENT_TYPE, value("application/json"));
        ask.body = Payload::Bytes(Bytes::from(body));
        // The lock mostly follows a change, and until it is set every client may change the tag.
        ask.effort = RetryEffort::Long;
        let response = self.wire.send(ask, LOCKING).await?;
        self.wire.drain(response, LOCKING).await
    }
}
