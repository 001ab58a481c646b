//! One section of `wharfd.toml` a file: as it is written, checked, and resolved. The whole file is
//! `config.rs`.

pub(crate) mod address;
pub(crate) mod credentials;
pub(crate) mod error;
pub(crate) mod hosts;
pub(crate) mod limits;
pub(crate) mod listen;
pub(crate) mod patterns;
pub(crate) mod telemetry;
pub(crate) mod tls;
pub(crate) mod trusted_proxies;
pub(crate) mod units;
pub(crate) mod upstream;

/// This program's name towards other servers.
pub(crate) const USER_AGENT: &str = concat!("wharfd/", env!("CARGO_PKG_VERSION"));
