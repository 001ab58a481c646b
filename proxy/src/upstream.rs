//! One upstream: its client, its configuration, and what this proxy counts about it.

use std::sync::Arc;

use wharf_client::caller_login::{CallerLogin, Fingerprint};
use wharf_client::runtime::party::Party;
use wharf_client::traces::Traces;
use wharf_client::{Accept, Client, ClientState, Settings};

use crate::observe::outcome::{Outcome, OutcomeCounts};
use crate::runtime::spans;
use crate::settings::USER_AGENT;
use crate::settings::error::ConfigError;
use crate::settings::upstream::UpstreamConfig;

/// An upstream, with the login of this proxy, or with that of a caller. A clone is another view of the
/// same upstream.
#[derive(Clone)]
pub(crate) struct Upstream {
    /// Its client.
    pub(crate) client: Client,
    config: Arc<UpstreamConfig>,
    /// The upstream's name in metrics.
    label: Arc<str>,
    reads: Arc<OutcomeCounts>,
}

/// A snapshot of one upstream's state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UpstreamState {
    /// The state of its client.
    pub(crate) client: ClientState,
    /// Reads of its repositories, in the order of the outcomes.
    pub(crate) reads: [u64; Outcome::ALL.len()],
}

impl UpstreamState {
    /// Adds the state of another upstream with the same name in metrics.
    pub(crate) fn add(&mut self, other: &Self) {
        self.client.add(&other.client);
        self.reads.iter_mut().zip(other.reads).for_each(|(into, more)| *into += more);
    }

    /// A sample state for tests.
    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self { client: ClientState::sample(), reads: [0; Outcome::ALL.len()] }
    }
}

impl Upstream {
    /// An upstream after its configuration; does not connect.
    pub(crate) fn new(config: &UpstreamConfig) -> Result<Self, ConfigError> {
        let client = Client::new(settings(config)?).map_err(|unusable| ConfigError::Secret {
            url: config.url.to_string(),
            reason: format!("[upstream.entra]: {unusable}"),
        })?;
        let label = client.address().into();
        Ok(Self { client, config: Arc::new(config.clone()), label, reads: Arc::default() })
    }

    /// The upstream's address, for logs.
    pub(crate) fn address(&self) -> &str {
        self.client.address()
    }

    /// A number that all callers of one upstream share.
    pub(crate) fn identity(&self) -> usize {
        self.client.identity()
    }

    /// The caller whose login this view sends; none for this proxy's own login.
    pub(crate) const fn caller_fingerprint(&self) -> Option<Fingerprint> {
        self.client.caller_fingerprint()
    }

    /// Manifest types to accept beside the known ones.
    pub(crate) const fn accept(&self) -> &Accept {
        self.client.accept()
    }

    /// The same upstream under another name in metrics.
    pub(crate) fn labelled(self, label: &str) -> Self {
        Self { label: label.into(), ..self }
    }

    /// The upstream's name in metrics and the access log: its configured address, and one name for
    /// all registries of a pattern.
    pub(crate) fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Outcome counters for reads of its repositories.
    pub(crate) fn reads(&self) -> &OutcomeCounts {
        &self.reads
    }

    /// The same upstream with a caller's login, and no other.
    #[must_use]
    pub(crate) fn as_caller(&self, login: &CallerLogin) -> Self {
        Self { client: self.client.as_caller(login), ..self.clone() }
    }

    /// The same upstream for one party.
    #[must_use]
    pub(crate) fn for_party(&self, party: Party) -> Arc<Self> {
        Arc::new(Self { client: self.client.for_party(party), ..self.clone() })
    }

    /// The same upstream for a request that accepts more manifest types.
    #[must_use]
    pub(crate) fn accepting(self: &Arc<Self>, accept: Accept) -> Arc<Self> {
        if accept == *self.client.accept() {
            return Arc::clone(self);
        }
        Arc::new(Self { client: self.client.accepting(accept), ..Self::clone(self) })
    }

    /// The upstream's configuration, such as how long a cached tag is valid.
    #[must_use]
    pub(crate) fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// The upstream's recorded state.
    #[must_use]
    pub(crate) fn state(&self) -> UpstreamState {
        UpstreamState { client: self.client.state(), reads: self.reads.snapshot() }
    }
}

/// How the client reaches the upstream of a configuration.
fn settings(config: &UpstreamConfig) -> Result<Settings, ConfigError> {
    let listed = config.redirect_hosts().to_vec();
    Ok(Settings {
        url: config.endpoint(),
        address: config.url.to_string(),
        is_host_trusted: !config.is_of_caller(),
        redirect_hosts: Arc::new(move |host| listed.iter().any(|pattern| pattern.fits(host))),
        proxies: Arc::clone(config.egress()),
        tls: config.tls()?,
        timeouts: config.patience(),
        credentials: config.credentials()?,
        user_agent: USER_AGENT,
        traces: Traces { propagate: spans::propagate, work: spans::detached },
    })
}
