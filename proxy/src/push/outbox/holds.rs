//! A delivery that is held still while somebody decides about its blob: nobody sends it, and it is owed
//! all the same.
//!
//! Invariant: what is held is not being sent; what is still owed when the last one lets go of it goes
//! on being delivered.

use std::sync::Arc;

use wharf_oci::{Digest, RepoName};

use super::Outbox;
use super::table::Key;
use crate::Error;

/// A blob that is owed and that nobody sends; let go when dropped.
pub(crate) struct HeldBlob {
    outbox: Outbox,
    key: Key,
    upstream: String,
}

impl Outbox {
    /// Keeps everybody from sending a blob that is owed, and waits until nobody does; `None` when it is
    /// not owed.
    pub(crate) async fn hold(&self, repo: &RepoName, digest: &Digest) -> Option<HeldBlob> {
        let key: Key = (repo.clone(), *digest);
        let upstream = self.table().hold(&key)?;
        let held = HeldBlob { outbox: self.clone(), key, upstream };
        let mut changed = self.shared.changed.subscribe();
        self.shared.changed.send_modify(|count| *count += 1);
        // The sender is ours, so this ends when nobody sends.
        let _ = changed.wait_for(|_| !self.table().is_sending(&held.key)).await;
        Some(held)
    }

    /// Takes a blob that is owed from its repository, with what is owed; `false` when nothing was. When
    /// it returns, nobody sends it any more.
    pub(crate) async fn forget(&self, repo: &RepoName, digest: &Digest) -> Result<bool, Error> {
        match self.hold(repo, digest).await {
            Some(held) => held.forget().await,
            None => Ok(false),
        }
    }
}

impl HeldBlob {
    /// Takes the blob from its repository, with what is owed; `false` when it has arrived meanwhile.
    pub(crate) async fn forget(self) -> Result<bool, Error> {
        let outbox = &self.outbox;
        if !outbox.table().owes(&self.key) {
            return Ok(false);
        }
        let (store, (repo, digest)) = (Arc::clone(&outbox.store), self.key.clone());
        outbox.blocking.run(move || store.unlink_blob(&repo, &digest)).await?;
        outbox.table().forget(&self.key);
        Ok(true)
    }
}

impl Drop for HeldBlob {
    fn drop(&mut self) {
        self.outbox.table().let_go(&self.key);
        self.outbox.changed(&self.upstream);
    }
}
