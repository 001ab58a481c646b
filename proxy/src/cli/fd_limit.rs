//! How many files this process may have open: connections are files, and so are parts of the store.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use wharf_proxy::limits::OPEN_FILES_WANTED;

/// Raises the limit as far as the system allows, up to our need. Systems set a low limit for
/// programs that keep files in bitmaps (`select`), unlike this one.
pub(crate) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(before) = current.filter(|current| *current < OPEN_FILES_WANTED) else { return };
    let allowed = maximum.map_or(OPEN_FILES_WANTED, |most| most.min(OPEN_FILES_WANTED));
    if let Err(error) =
        setrlimit(Resource::Nofile, Rlimit { current: Some(allowed.max(before)), maximum })
    {
        tracing::warn!(%error, before, "no more files may be opened than before");
    }
    if allowed < OPEN_FILES_WANTED {
        tracing::warn!(
            allowed,
            wanted = OPEN_FILES_WANTED,
            "few files may be opened: with many connections some will fail; raise the hard limit"
        );
    }
}
