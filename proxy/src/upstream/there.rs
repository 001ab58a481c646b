//! What is at the upstream at this moment under a name, asked by whoever decides after the answer:
//! unlike the questions of `cache`, which have an old answer to fall back on, these wait and are
//! asked again.

use http::Method;
use wharf_oci::{Digest, Reference, RepoName};

use super::{Upstream, absent, content_digest};
use crate::Error;

/// What an upstream has under a tag or digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum There {
    /// Nothing.
    Absent,
    /// A manifest of this digest.
    Is(Digest),
    /// A manifest, and it does not say which.
    Unsaid,
}

impl Upstream {
    /// Whether there is a manifest.
    pub(crate) async fn manifest_there(
        &self,
        repo: &RepoName,
        reference: &Reference,
    ) -> Result<There, Error> {
        let ask = self.manifest_ask(Method::HEAD, repo, reference);
        match self.wire.follow(ask, "asking for a manifest").await {
            Ok(response) => Ok(content_digest(response.headers()).map_or(There::Unsaid, There::Is)),
            Err(error) => absent::<There>(error).map(|there| there.unwrap_or(There::Absent)),
        }
    }
}
