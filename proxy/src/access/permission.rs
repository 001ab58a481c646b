//! What may be done with a repository, and with the registry.

use serde::Deserialize;
use wharf_oci::RepoName;

/// What is done with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// read
    Pull,
    /// upload blobs, put manifests and tags
    Push,
    /// delete manifests, tags and blobs
    Delete,
    // No route needs it.
    /// everything, and the uploads of others
    Admin,
}

impl Action {
    /// As scopes have it.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::Admin => "admin",
        }
    }
}

/// An action on a repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Permission {
    /// Which.
    pub(crate) repo: RepoName,
    /// What.
    pub(crate) action: Action,
    /// The source of a mount. Who may not pull it has no mount, and may do the rest: whether it is allowed
    /// is asked by the mount. Here it counts only for what a client is told to get a token for.
    pub(crate) source: Option<RepoName>,
}

impl Permission {
    /// This and no more.
    #[must_use]
    pub(crate) const fn of_one(repo: RepoName, action: Action) -> Self {
        Self { repo, action, source: None }
    }

    /// Reading a repository.
    #[must_use]
    pub(crate) fn pull(repo: &RepoName) -> Self {
        Self::of_one(repo.clone(), Action::Pull)
    }

    /// As a client asks for it, scope by scope with a space between (Docker token specification). Who
    /// pushes looks first at what is there, so a client that has to ask for a token should ask for both.
    #[must_use]
    pub(crate) fn scope(&self) -> String {
        let actions = match self.action {
            Action::Push => "pull,push",
            other => other.as_str(),
        };
        let scope = format!("repository:{}:{actions}", self.repo);
        match &self.source {
            Some(source) => format!("{scope} repository:{source}:pull"),
            None => scope,
        }
    }
}

/// What a request wants that names no repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegistryScope {
    /// To know whether this is a registry that it may use.
    Base,
    /// To know which repositories there are.
    Catalog,
}

impl RegistryScope {
    /// As a client asks for it; nothing in particular for the base.
    #[must_use]
    pub(crate) const fn scope(self) -> &'static str {
        match self {
            Self::Base => "",
            Self::Catalog => "registry:catalog:*",
        }
    }
}
