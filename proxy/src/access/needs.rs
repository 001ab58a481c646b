//! What each route needs before it is looked at.
//!
//! Invariant: no route is without a line here, because the match has no wildcard.

use wharf_oci::RepoName;

use crate::route::Route;

/// What is done with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Reading.
    Pull,
    /// Uploads and manifests.
    Push,
    /// Taking away.
    Delete,
}

/// An action on a repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Need {
    /// Which.
    pub(crate) repo: RepoName,
    /// What.
    pub(crate) action: Action,
}

impl Need {
    /// What a request must be allowed to do. The base and the catalog name no repository, and the source
    /// of a mount is asked for by the mount.
    #[must_use]
    pub(crate) fn of(route: &Route) -> Option<Self> {
        let (repo, action) = match route {
            Route::Base | Route::Catalog(_) => return None,
            Route::Blob { repo, .. }
            | Route::Manifest { repo, .. }
            | Route::Tags { repo, .. }
            | Route::Referrers { repo, .. } => (repo, Action::Pull),
            Route::PutManifest { repo, .. }
            | Route::StartUpload { repo, .. }
            | Route::UploadStatus { repo, .. }
            | Route::PatchUpload { repo, .. }
            | Route::FinishUpload { repo, .. }
            | Route::CancelUpload { repo, .. } => (repo, Action::Push),
            Route::DeleteBlob { repo, .. } | Route::DeleteManifest { repo, .. } => {
                (repo, Action::Delete)
            }
        };
        Some(Self { repo: repo.clone(), action })
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
}
