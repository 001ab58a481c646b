//! Why a configuration cannot be run.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::units::ByteSize;

/// Why a configuration cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML of the known keys. The reason shows the line.
    #[error("{} is not a valid configuration\n{reason}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Line, column and cause.
        reason: String,
    },
    /// No folder for the store.
    #[error("no store: give --store DIR, or `store` in the configuration")]
    NoStore,
    /// An upstream address that cannot be used.
    #[error("upstream `{text}`: {reason}")]
    Upstream {
        /// As given.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// Two upstreams for the same names.
    #[error("two upstreams have the prefix `{0}`; give each its own")]
    PrefixTwice(String),
    /// A secret that is not there.
    #[error("upstream {url}: {reason}")]
    Secret {
        /// Of which upstream.
        url: String,
        /// What is missing.
        reason: String,
    },
    /// Write-once tags of nobody.
    #[error(
        "write_once_tags is for a registry of its own; with upstreams, write it below [[upstream]]"
    )]
    WriteOnceElsewhere,
    /// A limit that no store can keep.
    #[error("store_limit {given} is too small; give it at least {least}")]
    StoreLimit {
        /// As given.
        given: ByteSize,
        /// The least that works.
        least: ByteSize,
    },
    /// Something about access that cannot be right.
    #[error("{place}: {reason}")]
    Access {
        /// A file with a line, or a table.
        place: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Traces that cannot be sent.
    #[error("[telemetry]: {reason}")]
    Telemetry {
        /// What is wrong.
        reason: String,
    },
    /// A proxy that connections cannot go through.
    #[error("{variable}: {reason}")]
    Egress {
        /// Of the environment.
        variable: &'static str,
        /// What is wrong, without its value.
        reason: &'static str,
    },
    /// Listening to the network without saying so.
    #[error(
        "{0} can be reached by others, and everyone may push: say who may with [access] in the \
         configuration, add --insecure-open to allow it, or listen on 127.0.0.1"
    )]
    OpenToOthers(SocketAddr),
    /// Secrets over a network that anyone can read.
    #[error(
        "{0} can be reached by others, and passwords would cross the network in plain HTTP: give a \
         certificate (--tls-cert and --tls-key, or [tls]), or add --insecure-http to allow that"
    )]
    PlainToOthers(SocketAddr),
    /// Metrics over a network that anyone can read.
    #[error(
        "{0} can be reached by others, and --admin is always plain HTTP: let it listen on 127.0.0.1, \
         or add --insecure-http to allow that"
    )]
    AdminToOthers(SocketAddr),
    /// The certificate, its key or the authorities of clients.
    #[error("tls: {0}")]
    Tls(String),
    /// A bound that cannot be.
    #[error("limits: {key}: {reason}")]
    Limit {
        /// Which.
        key: &'static str,
        /// What it may be.
        reason: String,
    },
}
