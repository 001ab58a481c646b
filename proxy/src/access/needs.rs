//! What each route needs before it is looked at.
//!
//! Invariant: no route is without a line here, because the match has no wildcard.

use serde::Deserialize;
use wharf_oci::RepoName;

use crate::route::{Route, UploadStart};

/// What is done with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// Reading.
    Pull,
    /// Uploads and manifests.
    Push,
    /// Taking away.
    Delete,
    /// Everything, also the uploads of others. No route needs it.
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
pub(crate) struct Need {
    /// Which.
    pub(crate) repo: RepoName,
    /// What.
    pub(crate) action: Action,
    /// The source of a mount. Who may not pull it has no mount, and may do the rest: whether it is allowed
    /// is asked by the mount. Here it counts only for what a client is told to get a token for.
    pub(crate) source: Option<RepoName>,
}

impl Need {
    /// This and no more.
    #[must_use]
    pub(crate) const fn of_one(repo: RepoName, action: Action) -> Self {
        Self { repo, action, source: None }
    }

    /// What a request must be allowed to do. The base and the catalog name no repository.
    #[must_use]
    pub(crate) fn of(route: &Route) -> Option<Self> {
        let (repo, action) = match route {
            Route::Base | Route::Catalog(_) => return None,
            Route::Blob { repo, .. }
            | Route::Manifest { repo, .. }
            | Route::NoManifest { repo, delete: false }
            | Route::Tags { repo, .. }
            | Route::Referrers { repo, .. } => (repo, Action::Pull),
            Route::PutManifest { repo, .. }
            | Route::StartUpload { repo, .. }
            | Route::UploadStatus { repo, .. }
            | Route::PatchUpload { repo, .. }
            | Route::FinishUpload { repo, .. }
            | Route::CancelUpload { repo, .. } => (repo, Action::Push),
            Route::DeleteBlob { repo, .. }
            | Route::DeleteManifest { repo, .. }
            | Route::NoManifest { repo, delete: true } => (repo, Action::Delete),
        };
        let source = match route {
            Route::StartUpload { start: UploadStart::Mount { from, .. }, .. } => {
                from.clone().filter(|from| from != repo)
            }
            _ => None,
        };
        Some(Self { repo: repo.clone(), action, source })
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
pub(crate) enum Door {
    /// To know whether this is a registry that it may use.
    Base,
    /// To know which repositories there are.
    Catalog,
}

impl Door {
    /// The one of a route.
    #[must_use]
    pub(crate) const fn of(route: &Route) -> Self {
        match route {
            Route::Catalog(_) => Self::Catalog,
            _ => Self::Base,
        }
    }

    /// As a client asks for it; nothing in particular for the base.
    #[must_use]
    pub(crate) const fn scope(self) -> &'static str {
        match self {
            Self::Base => "",
            Self::Catalog => "registry:catalog:*",
        }
    }
}
