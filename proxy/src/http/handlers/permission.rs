//! The required permission of each route, checked before any work.
//!
//! Invariant: no route is without a line here, because the match has no wildcard.

use crate::access::{Action, Permission, RegistryScope};
use crate::http::route::{Route, UploadStart};

/// The permission for a route's repository. The base and the catalog name no repository.
#[must_use]
pub(crate) fn need(route: &Route) -> Option<Permission> {
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
    Some(Permission { repo: repo.clone(), action, source })
}

/// The scope of a request on the registry as a whole.
#[must_use]
pub(crate) const fn door(route: &Route) -> RegistryScope {
    match route {
        Route::Catalog(_) => RegistryScope::Catalog,
        _ => RegistryScope::Base,
    }
}
