//! One request: its client, its caller, the configuration it sees from its first line to its last, and the
//! registry that its repository lives at.
//!
//! Invariant: a request resolves its repository once, and by the configuration that it began with.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use wharf_client::runtime::party::Party;
use wharf_oci::RepoName;

use crate::Error;
use crate::access::Caller;
use crate::config::active::RuntimeConfig;
use crate::registries::Target;
use crate::runtime::memory_gauge::MemoryBudget;

/// Everything that is known of a request before its work begins.
pub(crate) struct RequestContext {
    /// The address of the client, for the log.
    pub(crate) client: IpAddr,
    /// The proven caller, or the address of one without a login.
    pub(crate) caller: Caller,
    /// The memory that the request may hold.
    pub(crate) budget: MemoryBudget,
    /// The configuration in force when the request came.
    pub(crate) config: Arc<RuntimeConfig>,
    target: OnceLock<Target>,
}

impl RequestContext {
    /// Of a caller that is known. Its target is resolved when the request is permitted.
    pub(crate) fn new(
        client: IpAddr,
        caller: Caller,
        budget: MemoryBudget,
        config: Arc<RuntimeConfig>,
    ) -> Self {
        Self { client, caller, budget, config, target: OnceLock::new() }
    }

    /// Where the request's repository lives, as its caller is known there. Resolved with the first call; a
    /// repository that no registry serves is an error each time.
    pub(crate) fn target(&self, repo: &RepoName) -> Result<&Target, Error> {
        if let Some(target) = self.target.get() {
            return Ok(target);
        }
        let target = self.config.upstreams.target_for(repo, self.caller.login())?;
        Ok(self.target.get_or_init(|| target))
    }

    /// The same for work at an upstream, which is counted for the caller's party.
    pub(crate) fn target_for_party(&self, repo: &RepoName) -> Result<Target, Error> {
        Ok(self.target(repo)?.clone().for_party(self.party()))
    }

    /// The party whose shares the request takes.
    pub(crate) fn party(&self) -> Party {
        self.caller.party()
    }

    /// Of a caller without a login.
    #[cfg(test)]
    pub(crate) fn anonymous(config: Arc<RuntimeConfig>, client: IpAddr) -> Self {
        use crate::runtime::memory_gauge::MemoryGauge;

        let caller = Caller::anonymous().at(client);
        let gauge = Arc::<MemoryGauge>::default();
        let budget = gauge.budget(caller.party(), config.limits.bytes);
        Self::new(client, caller, budget, config)
    }
}
