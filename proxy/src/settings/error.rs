//! Why a configuration cannot be run.

use std::net::SocketAddr;
use std::path::PathBuf;

use wharf_client::outbound::proxies::UnusableProxy;

use super::units::ByteSize;

/// Why a configuration cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not TOML of the known keys. The reason shows the line.
    #[error("{} is not a valid configuration\n{reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, column and cause.
        reason: String,
    },
    /// No folder for the store.
    #[error("no store: give --store DIR, or `store` in the configuration")]
    NoStore,
    /// An unusable upstream address.
    #[error("upstream `{text}`: {reason}")]
    Upstream {
        /// The configured text.
        text: String,
        /// The reason.
        reason: String,
    },
    /// Two upstreams for the same names.
    #[error("two upstreams have the prefix `{0}`; give each its own")]
    PrefixTwice(String),
    /// A missing secret.
    #[error("upstream {url}: {reason}")]
    Secret {
        /// The upstream's address.
        url: String,
        /// The missing part.
        reason: String,
    },
    /// Write-once tags outside an upstream's section, where upstreams exist.
    #[error(
        "write_once_tags is for a registry of its own; with upstreams, write it below [[upstream]]"
    )]
    WriteOnceElsewhere,
    /// A limit that no store can keep.
    #[error("store_limit {given} is too small; give it at least {least}")]
    StoreLimit {
        /// The configured limit.
        given: ByteSize,
        /// The smallest possible limit.
        least: ByteSize,
    },
    /// A mistake in the access rules.
    #[error("{place}: {reason}")]
    Access {
        /// A file with a line, or a table.
        place: String,
        /// The mistake, and its remedy.
        reason: String,
    },
    /// An exporter that cannot send traces.
    #[error("[telemetry]: {reason}")]
    Telemetry {
        /// The reason.
        reason: String,
    },
    /// An unusable outbound proxy.
    #[error(transparent)]
    Egress(#[from] UnusableProxy),
    /// Listening to the network without saying so.
    #[error(
        "{0} can be reached by others, and everyone may push: say who may with [access] in the \
         configuration, add --insecure-open to allow it, or listen on 127.0.0.1"
    )]
    OpenToOthers(SocketAddr),
    /// Secrets over a network that others can read.
    #[error(
        "{0} can be reached by others, and passwords would cross the network in plain HTTP: give a \
         certificate (--tls-cert and --tls-key, or [tls]), or add --insecure-http to allow that"
    )]
    PlainToOthers(SocketAddr),
    /// Metrics over a network that others can read.
    #[error(
        "{0} can be reached by others, and --admin is always plain HTTP: let it listen on 127.0.0.1, \
         or add --insecure-http to allow that"
    )]
    AdminToOthers(SocketAddr),
    /// The certificate, its key or the authorities of clients.
    #[error("tls: {0}")]
    Tls(String),
    /// An impossible limit.
    #[error("limits: {key}: {reason}")]
    Limit {
        /// The key.
        key: &'static str,
        /// The allowed range.
        reason: String,
    },
}
