//! What a reload of the configuration changes while requests run: one value, replaced as a whole.
//! Who replaces it is `reload.rs`.
//!
//! Invariant: a request sees one configuration from its first line to its last.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::access::Access;
use crate::config::Config;
use crate::forwarded::TrustedProxies;
use crate::upstreams::UpstreamSet;

/// The rules of the moment.
pub(crate) struct Rules {
    /// Who may do what.
    pub(crate) access: Access,
    /// Who is believed about the addresses of clients.
    pub(crate) proxies: TrustedProxies,
    /// The registries behind.
    pub(crate) upstreams: Arc<UpstreamSet>,
}

/// Where the rules of the moment are.
pub(crate) struct Live(ArcSwap<Rules>);

impl Rules {
    /// What a configuration says.
    pub(crate) fn new(config: &Config, upstreams: Arc<UpstreamSet>) -> Self {
        let proxies = config.trusted_proxies.clone();
        Self { access: Access::open(), proxies, upstreams }
    }
}

impl Live {
    pub(crate) fn new(rules: Rules) -> Self {
        Self(ArcSwap::from_pointee(rules))
    }

    /// The rules for one request.
    #[must_use]
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.0.load_full()
    }

    /// From now on these count, for requests that begin.
    pub(crate) fn replace(&self, rules: Rules) {
        self.0.store(Arc::new(rules));
    }
}
