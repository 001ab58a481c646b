//! The permissions on a repository, and on the registry.

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
    /// The action's name in a scope.
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
    /// The repository.
    pub(crate) repo: RepoName,
    /// The action.
    pub(crate) action: Action,
    /// The source of a mount. A caller without the right to pull it gets no mount, and may do the
    /// rest: the mount itself checks that right. Here the source only widens the scope in the
    /// challenge.
    pub(crate) source: Option<RepoName>,
}

impl Permission {
    /// A permission without a mount's source.
    #[must_use]
    pub(crate) const fn of_one(repo: RepoName, action: Action) -> Self {
        Self { repo, action, source: None }
    }

    /// The permission to read a repository.
    #[must_use]
    pub(crate) fn pull(repo: &RepoName) -> Self {
        Self::of_one(repo.clone(), Action::Pull)
    }

    /// The permission as a client asks for it, scopes separated by spaces (Docker token
    /// specification). A push first looks for existing content, so its client should ask for both
    /// actions.
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

/// The right that a route without a repository needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegistryScope {
    /// To learn whether the registry is there and open to the caller.
    Base,
    /// To list the repositories.
    Catalog,
}

impl RegistryScope {
    /// The right as a client asks for it; empty for the base.
    #[must_use]
    pub(crate) const fn scope(self) -> &'static str {
        match self {
            Self::Base => "",
            Self::Catalog => "registry:catalog:*",
        }
    }
}
