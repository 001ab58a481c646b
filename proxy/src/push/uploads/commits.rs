//! Running ends of uploads, and finished ones whose answer may not have reached the client: a
//! repeated request for the same end waits for the first, or finds its result.
//!
//! Invariant: a failed end is not remembered; a successful one counts for its own upload,
//! repository and digest, and for nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;
use wharf_oci::{Digest, RepoName, UploadId};

use crate::Error;
use crate::limits::{RECENT_COMMITS_MAX, RECENT_COMMITS_TIME};

type CommitResult = Option<Result<(), Error>>;

/// All commits.
#[derive(Default, Clone)]
pub(super) struct Commits(Arc<Mutex<HashMap<UploadId, Commit>>>);

struct Commit {
    repo: RepoName,
    owner: Option<String>,
    digest: Digest,
    outcome: watch::Receiver<CommitResult>,
    /// The expiry of a finished commit; none while it is running.
    until: Option<Instant>,
}

/// A running commit; dropped without a result, it failed.
pub(super) struct Committing {
    commits: Commits,
    id: UploadId,
    told: watch::Sender<CommitResult>,
    is_done: bool,
}

impl Commits {
    /// Begins the commit of an upload as this digest; `of` is its repository and owner. A commit
    /// without a name or room is not found again.
    pub(super) fn begin(
        &self,
        id: UploadId,
        of: Option<(RepoName, Option<String>)>,
        digest: Digest,
    ) -> Committing {
        let (told, outcome) = watch::channel(None);
        let mut commits = self.lock();
        if commits.len() >= RECENT_COMMITS_MAX {
            let now = Instant::now();
            commits.retain(|_, commit| commit.until.is_none_or(|until| now < until));
        }
        if let (true, Some((repo, owner))) = (commits.len() < RECENT_COMMITS_MAX, of) {
            commits.insert(id, Commit { repo, owner, digest, outcome, until: None });
        }
        drop(commits);
        Committing { commits: self.clone(), id, told, is_done: false }
    }

    /// The result of the same commit, once it is known; `None` when there was none.
    pub(super) async fn outcome(
        &self,
        repo: &RepoName,
        id: UploadId,
        digest: &Digest,
    ) -> Option<Result<(), Error>> {
        let mut outcome = {
            let commits = self.lock();
            let commit = commits.get(&id).filter(|commit| commit.is_of(repo))?;
            (commit.digest == *digest).then(|| commit.outcome.clone())?
        };
        outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone())
    }

    /// The only caller allowed to ask for the commit again, if it has an owner.
    #[expect(clippy::option_option, reason = "an end that is known may be anybody's")]
    pub(super) fn owner(&self, repo: &RepoName, id: UploadId) -> Option<Option<String>> {
        let commits = self.lock();
        let commit = commits.get(&id).filter(|commit| commit.is_of(repo))?;
        Some(commit.owner.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UploadId, Commit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commit {
    fn is_of(&self, repo: &RepoName) -> bool {
        self.repo == *repo && self.until.is_none_or(|until| Instant::now() < until)
    }
}

impl Committing {
    /// Records the result.
    pub(super) fn ended(mut self, result: &Result<(), Error>) {
        self.is_done = result.is_ok();
        if let (true, Some(commit)) = (self.is_done, self.commits.lock().get_mut(&self.id)) {
            commit.until = Some(Instant::now() + RECENT_COMMITS_TIME);
        }
        self.told.send_replace(Some(result.clone()));
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        if !self.is_done {
            self.commits.lock().remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_oci::{Algorithm, Digester};

    fn digest(text: &str) -> Digest {
        Digester::digest(Algorithm::Sha256, text.as_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_end_waits_for_the_first_and_finds_it_for_a_while() {
        let (commits, id) = (Commits::default(), UploadId::from_u128(7));
        let (repo, other): (RepoName, RepoName) = ("a/b".parse().unwrap(), "c".parse().unwrap());
        assert!(commits.outcome(&repo, id, &digest("x")).await.is_none());
        let of = (repo.clone(), Some("alice".to_owned()));
        let first = commits.begin(id, Some(of), digest("x"));
        let (again, of, wanted) = (commits.clone(), repo.clone(), digest("x"));
        let second = tokio::spawn(async move { again.outcome(&of, id, &wanted).await });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        first.ended(&Ok(()));
        assert!(matches!(second.await.unwrap(), Some(Ok(()))));
        assert!(matches!(commits.outcome(&repo, id, &digest("x")).await, Some(Ok(()))));
        assert!(commits.outcome(&repo, id, &digest("y")).await.is_none());
        assert!(commits.outcome(&other, id, &digest("x")).await.is_none());
        assert_eq!(commits.owner(&repo, id), Some(Some("alice".to_owned())));
        tokio::time::advance(RECENT_COMMITS_TIME).await;
        assert!(commits.outcome(&repo, id, &digest("x")).await.is_none());
        assert_eq!(commits.owner(&repo, id), None);
    }

    #[tokio::test]
    async fn an_end_that_failed_is_told_to_those_who_wait_and_forgotten() {
        let (commits, id) = (Commits::default(), UploadId::from_u128(7));
        let repo: RepoName = "a/b".parse().unwrap();
        for is_told in [true, false] {
            let first = commits.begin(id, Some((repo.clone(), None)), digest("x"));
            let (again, of, wanted) = (commits.clone(), repo.clone(), digest("x"));
            let second = tokio::spawn(async move { again.outcome(&of, id, &wanted).await });
            tokio::task::yield_now().await;
            if is_told {
                first.ended(&Err(Error::UploadUnknown));
            } else {
                drop(first);
            }
            let told = second.await.unwrap();
            assert_eq!(matches!(told, Some(Err(Error::UploadUnknown))), is_told);
            assert!(commits.outcome(&repo, id, &digest("x")).await.is_none());
        }
    }
}
