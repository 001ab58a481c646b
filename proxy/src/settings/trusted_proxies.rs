//! `trusted_proxies`: the proxies that may report the addresses of clients.

use std::net::IpAddr;

use serde::Deserialize;
use wharf_client::outbound::proxies::Network;

/// The trusted proxies' addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct TrustedProxies(pub(crate) Vec<Network>);

impl TrustedProxies {
    /// Whether an address is a trusted proxy's.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.has(address))
    }

    /// Whether there are none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a peer is a trusted proxy.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.has(peer.to_canonical())
    }
}
