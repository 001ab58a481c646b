//! How one registry is reached. A program reads it from its configuration or its command line.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::credentials::CredentialSource;
use crate::outbound::proxies::OutboundProxies;
use crate::runtime::min_rate::MinRate;
use crate::traces::Traces;

/// Whether a host is one of a list.
pub type HostList = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// How one registry is reached.
#[derive(Clone)]
pub struct Settings {
    /// The address of its API: scheme, host and port.
    pub url: Url,
    /// Its address in logs and traces, as the program's user wrote it.
    pub address: String,
    /// Whether the program's user named its host, rather than a stranger.
    pub is_host_trusted: bool,
    /// Hosts that it may lead to although their addresses are not public.
    pub redirect_hosts: HostList,
    /// The proxies of the network.
    pub proxies: Arc<OutboundProxies>,
    /// The trusted authorities.
    pub tls: rustls::ClientConfig,
    /// How long to wait, and how much at once.
    pub timeouts: Timeouts,
    /// Where the login comes from.
    pub credentials: CredentialSource,
    /// The program's name.
    pub user_agent: &'static str,
    /// The program's traces.
    pub traces: Traces,
}

#[cfg(test)]
impl Settings {
    /// Settings of a registry at this address, for tests.
    pub(crate) fn sample(url: &str) -> Self {
        let second = Duration::from_secs(1);
        let min_rate = MinRate { window: second, bytes_per_second: 1, silence: None };
        Self {
            url: Url::parse(url).unwrap(),
            address: url.to_owned(),
            is_host_trusted: true,
            redirect_hosts: Arc::new(|_| false),
            proxies: Arc::default(),
            tls: crate::outbound::tls::client_config(None).unwrap(),
            timeouts: Timeouts {
                connect: second,
                answer: second,
                min_rate,
                reads_max: 8,
                writes_max: 8,
                http2: true,
            },
            credentials: CredentialSource::Anonymous,
            user_agent: "test",
            traces: Traces::default(),
        }
    }
}

/// The timeouts of one registry, and its largest windows.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// To open a connection.
    pub connect: Duration,
    /// Until an answer begins.
    pub answer: Duration,
    /// The minimum rate of a body.
    pub min_rate: MinRate,
    /// The most concurrent reading requests.
    pub reads_max: u32,
    /// The most concurrent writing requests.
    pub writes_max: u32,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

/// A login that cannot be used, for this reason; never a part of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableLogin(pub String);
