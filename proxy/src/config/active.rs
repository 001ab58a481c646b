//! The part of the configuration that a reload replaces while requests run: one value, replaced as
//! a whole by `ops/reload.rs`.
//!
//! Invariant: a request sees one configuration from its first line to its last.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::access::Access;
use crate::config::Config;
use crate::registries::UpstreamSet;
use crate::settings::error::ConfigError;
use crate::settings::hosts::Hosts;
use crate::settings::limits::Limits;
use crate::settings::trusted_proxies::TrustedProxies;

/// The configuration in force.
pub(crate) struct RuntimeConfig {
    /// The access rules.
    pub(crate) access: Access,
    /// Host names for requests, where no login is needed, and those of the admin address.
    pub(crate) hosts: Hosts,
    pub(crate) admin_hosts: Hosts,
    /// Proxies trusted with the addresses of clients.
    pub(crate) proxies: TrustedProxies,
    /// Whether passwords may cross a network unencrypted.
    pub(crate) may_be_plain: bool,
    /// The limits of clients and requests.
    pub(crate) limits: Arc<Limits>,
    /// The registries behind the proxy.
    pub(crate) upstreams: Arc<UpstreamSet>,
}

/// Holds the configuration in force.
pub(crate) struct ActiveConfig(ArcSwap<RuntimeConfig>);

impl RuntimeConfig {
    /// Builds the runtime configuration and its registries; the store is open by then. It keeps
    /// what its predecessor learned about logins and upstreams. Blocks.
    pub(crate) fn new(
        config: &Config,
        set: Arc<UpstreamSet>,
        before: Option<&Self>,
    ) -> Result<Self, ConfigError> {
        let before = before.map(|before| &before.access);
        let access = Access::new(&config.access, &config.store, &set, before)?;
        let (proxies, limits) = (config.trusted_proxies.clone(), Arc::new(config.limits.clone()));
        let hosts = Hosts::new(&config.hosts, Some(&config.listen));
        let admin_hosts = Hosts::new(&config.hosts, config.admin.as_ref());
        let may_be_plain = config.may_be_plain;
        Ok(Self { access, hosts, admin_hosts, proxies, may_be_plain, limits, upstreams: set })
    }
}

impl ActiveConfig {
    pub(crate) fn new(rules: RuntimeConfig) -> Self {
        Self(ArcSwap::from_pointee(rules))
    }

    /// The configuration for one request.
    #[must_use]
    pub(crate) fn current(&self) -> Arc<RuntimeConfig> {
        self.0.load_full()
    }

    /// Puts a configuration in force for requests that begin from now on.
    pub(crate) fn replace(&self, rules: RuntimeConfig) {
        self.0.store(Arc::new(rules));
    }

    /// Of a registry of its own that everyone may use, with these write-once tags.
    #[cfg(test)]
    pub(crate) fn standalone(write_once_tags: &[&str]) -> Arc<Self> {
        use crate::config::Overrides;
        use crate::settings::patterns::TagRule;

        let overrides = Overrides { store: Some("unused".into()), ..Overrides::default() };
        let config = Config::load(None, overrides).unwrap();
        let rules =
            write_once_tags.iter().map(|rule| TagRule::try_from((*rule).to_owned()).unwrap());
        let set = UpstreamSet::new(&[], &rules.collect::<Vec<_>>(), None).unwrap();
        Arc::new(Self::new(RuntimeConfig::new(&config, set, None).unwrap()))
    }
}
