//! The registries of the moment: those of the configuration that counts, and for a request those that
//! counted when it began.

use std::sync::Arc;

use arc_swap::ArcSwap;
use wharf_oci::RepoName;

use super::{Target, UpstreamRepo, UpstreamSet};
use crate::Error;
use crate::client::{CallerLogin, Upstream};
#[cfg(test)]
use crate::settings::error::ConfigError;
#[cfg(test)]
use crate::settings::upstream::UpstreamConfig;

/// All registries behind this proxy, as the configuration of the moment has them.
pub(crate) struct Upstreams {
    current: ArcSwap<UpstreamSet>,
}

tokio::task_local! {
    /// What the request sees that this task works for.
    static SEEN: Arc<UpstreamSet>;
}

impl Upstreams {
    /// Clients of all configured upstreams.
    #[cfg(test)]
    pub(crate) fn new(configs: &[UpstreamConfig]) -> Result<Self, ConfigError> {
        Ok(Self::with(Arc::new(UpstreamSet::new(configs, None)?)))
    }

    /// These are the registries.
    pub(crate) fn with(set: Arc<UpstreamSet>) -> Self {
        Self { current: ArcSwap::new(set) }
    }

    /// From now on these are; requests that run keep what they see.
    pub(crate) fn replace(&self, set: Arc<UpstreamSet>) {
        self.current.store(set);
    }

    /// The registries of the moment.
    pub(crate) fn current(&self) -> Arc<UpstreamSet> {
        self.current.load_full()
    }

    /// Work for a request that sees these registries, whatever is configured meanwhile.
    pub(crate) fn seen_as<T>(
        set: Arc<UpstreamSet>,
        work: impl Future<Output = T>,
    ) -> impl Future<Output = T> {
        SEEN.scope(set, work)
    }

    /// Work that goes on without its request, and sees what that sees.
    pub(crate) fn still_seen<W: Future>(
        &self,
        work: W,
    ) -> impl Future<Output = W::Output> + use<W> {
        SEEN.scope(self.seen(), work)
    }

    fn seen(&self) -> Arc<UpstreamSet> {
        SEEN.try_with(Arc::clone).unwrap_or_else(|_| self.current())
    }

    /// See [`UpstreamSet::in_namespace`].
    pub(crate) fn in_namespace(&self, host: &str, repo: &RepoName) -> Result<RepoName, Error> {
        self.seen().in_namespace(host, repo)
    }

    /// See [`UpstreamSet::without_namespace`].
    pub(crate) fn without_namespace(&self, repo: &RepoName) -> Result<RepoName, Error> {
        self.seen().without_namespace(repo)
    }

    /// See [`UpstreamSet::site`].
    pub(crate) fn target(&self, repo: &RepoName) -> Result<Target, Error> {
        self.seen().target(repo)
    }

    /// See [`UpstreamSet::names_of`].
    pub(crate) fn names_of(&self, upstream_repo: &UpstreamRepo) -> Vec<RepoName> {
        self.seen().names_of(upstream_repo)
    }

    /// See [`UpstreamSet::site_for`].
    pub(crate) fn target_for(
        &self,
        repo: &RepoName,
        login: Option<&CallerLogin>,
    ) -> Result<Target, Error> {
        self.seen().target_for(repo, login)
    }

    /// See [`UpstreamSet::view`].
    pub(crate) fn view(&self, upstream: &Arc<Upstream>, login: &CallerLogin) -> Arc<Upstream> {
        self.seen().view(upstream, login)
    }

    /// The repository's name at the same upstream as `upstream_repo`; `None` when it lives elsewhere.
    #[must_use]
    pub(crate) fn beside(&self, upstream_repo: &UpstreamRepo, repo: &RepoName) -> Option<RepoName> {
        match self.target(repo) {
            Ok(Target::Upstream(other))
                if other.upstream.identity() == upstream_repo.upstream.identity() =>
            {
                Some(other.repo)
            }
            _ => None,
        }
    }

    /// Every upstream that there is at this moment.
    pub(crate) fn all(&self) -> Vec<Arc<Upstream>> {
        self.seen().all()
    }

    /// See [`UpstreamSet::farewells_over`].
    pub(crate) async fn cancellations_sent(&self) {
        self.current().cancellations_sent().await;
    }
}
