//! The scope a token must have, and the readable facts of a token's text.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde::Deserialize;
use wharf_oci::RepoName;

/// An action on a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScopeAction {
    /// To read.
    Pull,
    /// To read and write.
    Push,
    /// To delete.
    Delete,
    /// To change locks; ACR's own action.
    Metadata,
}

impl ScopeAction {
    /// The action's name in a token.
    pub(crate) const fn as_action(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::Metadata => "metadata_write",
        }
    }
}

/// The scope a token must have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    of: Resource,
    access: ScopeAction,
    /// A second repository to read: the source of a mount.
    also_pull: Option<RepoName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Resource {
    /// For a request that needs no token, such as the token request itself.
    Nothing,
    /// The list of repositories.
    Catalog,
    Repo(RepoName),
}

impl Scope {
    /// The scope of one repository.
    #[must_use]
    pub(crate) fn repo(repo: &RepoName, access: ScopeAction) -> Self {
        Self { of: Resource::Repo(repo.clone()), access, also_pull: None }
    }

    /// The scope of a mount: it writes to one repository and reads another.
    #[must_use]
    pub(crate) fn mount(repo: &RepoName, from: &RepoName) -> Self {
        Self { also_pull: Some(from.clone()), ..Self::repo(repo, ScopeAction::Push) }
    }

    /// The empty scope.
    pub(crate) fn nothing() -> Self {
        Self { of: Resource::Nothing, access: ScopeAction::Pull, also_pull: None }
    }

    /// The list of all repositories.
    pub(crate) fn catalog() -> Self {
        Self { of: Resource::Catalog, ..Self::nothing() }
    }

    /// The scope's repository, or for a mount the target.
    pub(crate) const fn repository(&self) -> Option<&RepoName> {
        match &self.of {
            Resource::Repo(repo) => Some(repo),
            Resource::Nothing | Resource::Catalog => None,
        }
    }

    /// The `scope` parameters of a token request.
    pub(crate) fn parameters(&self) -> Vec<String> {
        let actions = match self.access {
            ScopeAction::Push => "pull,push",
            other => other.as_action(),
        };
        let of = match &self.of {
            Resource::Nothing => None,
            Resource::Catalog => Some("registry:catalog:*".to_owned()),
            Resource::Repo(repo) => Some(format!("repository:{repo}:{actions}")),
        };
        let also = self.also_pull.iter().map(|repo| format!("repository:{repo}:pull"));
        of.into_iter().chain(also).collect()
    }
}

/// The rest of a token's lifetime, from its `exp` claim: ACR states it nowhere else. The signature
/// is not verified, because the token is only sent and not trusted.
#[must_use]
pub fn lifetime(token: &str) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(claims.exp).saturating_sub(now))
}

/// A header hidden from `Debug`; `None` when the text is not a valid header.
pub(crate) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}
