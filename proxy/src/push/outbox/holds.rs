//! Holds on deliveries: while a request decides about a blob, no worker sends it, and it stays
//! pending.
//!
//! Invariant: a held blob is not being sent; a blob still pending after its last hold is delivered.

use std::sync::Arc;

use wharf_oci::{Digest, RepoName};

use super::Outbox;
use super::table::Key;
use crate::Error;

/// A pending blob held from the workers; released when dropped.
pub(crate) struct HeldBlob {
    outbox: Outbox,
    key: Key,
    upstream: String,
}

impl Outbox {
    /// Keeps all workers from sending a pending blob, and waits until none does; `None` when it is
    /// not pending.
    pub(crate) async fn hold(&self, repo: &RepoName, digest: &Digest) -> Option<HeldBlob> {
        let key: Key = (repo.clone(), *digest);
        let upstream = self.table().hold(&key)?;
        let held = HeldBlob { outbox: self.clone(), key, upstream };
        let mut changed = self.shared.changed.subscribe();
        self.shared.changed.send_modify(|count| *count += 1);
        // The sender is ours, so this ends when no worker sends.
        let _ = changed.wait_for(|_| !self.table().is_sending(&held.key)).await;
        Some(held)
    }

    /// Unlinks a pending blob from its repository and removes its entry; `false` when there was
    /// none. When it returns, no worker sends the blob any more.
    pub(crate) async fn forget(&self, repo: &RepoName, digest: &Digest) -> Result<bool, Error> {
        match self.hold(repo, digest).await {
            Some(held) => held.forget().await,
            None => Ok(false),
        }
    }
}

impl HeldBlob {
    /// Unlinks the blob from its repository and removes its entry; `false` when the blob has
    /// arrived meanwhile.
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
