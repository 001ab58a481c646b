//! Requests with the name of a registry (`?ns=HOST`, distribution-spec "Registry Proxying"): the
//! request's repository gets its internal name on the way in, and its external name on the way out.
//!
//! Invariant: past this file a repository has one name, and no answer to a request with a namespace
//! shows it.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue, LINK, LOCATION};
use wharf_oci::RepoName;

use crate::Error;
use crate::http::response::Answer;
use crate::http::route::Route;
use crate::registries::UpstreamSet;

/// The namespace used for the answer.
const OCI_NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");

/// A namespace with the names on both sides.
pub(super) struct Namespace {
    /// The caller's registry; a name can also differ here without one.
    host: Option<String>,
    asked: RepoName,
    here: RepoName,
}

impl Namespace {
    /// Renames the repository of a call; `None` when its name is the same here.
    pub(super) fn enter(
        upstreams: &UpstreamSet,
        route: &mut Route,
        host: Option<String>,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, Error> {
        let Some(asked) = route.repo().cloned() else { return Ok(None) };
        let header = || headers.get(OCI_NAMESPACE)?.to_str().ok().map(str::to_ascii_lowercase);
        let host = host.or_else(header);
        let name = |repo: &RepoName| match &host {
            Some(host) => upstreams.in_namespace(host, repo),
            None => upstreams.without_namespace(repo),
        };
        let here = name(&asked)?;
        if host.is_none() && here == asked {
            return Ok(None);
        }
        route.rename(name)?;
        Ok(Some(Self { host, asked, here }))
    }

    /// The caller's name of the repository.
    pub(super) const fn asked(&self) -> &RepoName {
        &self.asked
    }

    /// Restores the caller's names in an answer.
    pub(super) fn leave(&self, answer: &mut Answer) {
        let headers = answer.headers_mut();
        for name in [LINK, LOCATION] {
            let outside = headers.get(&name).and_then(|value| self.outside(value.to_str().ok()?));
            if let Some(value) = outside {
                headers.insert(name, value);
            }
        }
        let host = self.host.as_deref().and_then(|host| HeaderValue::from_str(host).ok());
        if let Some(host) = host {
            headers.insert(OCI_NAMESPACE, host);
        }
    }

    /// The same for the Location of a refusal.
    pub(super) fn leave_refused(&self, error: &mut Error) {
        if let Error::ChunkOutOfOrder { location, .. } = error
            && let Some(outside) = self.outside(location)
            && let Ok(outside) = outside.to_str()
        {
            outside.clone_into(location);
        }
    }

    /// A path, or a link that begins with one, with the external name and the namespace.
    fn outside(&self, text: &str) -> Option<HeaderValue> {
        let (open, rest) = text.strip_prefix('<').map_or(("", text), |rest| ("<", rest));
        let rest = rest.strip_prefix(&format!("/v2/{}/", self.here))?;
        let (target, parameters) = rest.split_at(rest.find('>').unwrap_or(rest.len()));
        let join = if target.contains('?') { '&' } else { '?' };
        let asked = &self.asked;
        let namespace = self.host.as_ref().map(|host| format!("{join}ns={host}"));
        let namespace = namespace.unwrap_or_default();
        let text = format!("{open}/v2/{asked}/{target}{namespace}{parameters}");
        HeaderValue::from_str(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_leave_under_the_name_that_was_asked_for() {
        let namespace = Namespace {
            host: Some("docker.io".to_owned()),
            asked: "library/x".parse().unwrap(),
            here: "hub/library/x".parse().unwrap(),
        };
        let link = namespace.outside("</v2/hub/library/x/tags/list?n=2&last=b>; rel=\"next\"");
        assert_eq!(
            link.unwrap(),
            "</v2/library/x/tags/list?n=2&last=b&ns=docker.io>; rel=\"next\""
        );
        let upload = namespace.outside("/v2/hub/library/x/blobs/uploads/1").unwrap();
        assert_eq!(upload, "/v2/library/x/blobs/uploads/1?ns=docker.io");
        assert_eq!(namespace.outside("/v2/other/blobs/uploads/1"), None);
    }
}
