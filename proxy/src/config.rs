//! The configuration as types: the TOML file, and the command line laid over it. The registries
//! behind the proxy are in `settings/upstream.rs`.
//!
//! Invariant: a `Config` that exists can be run; every unknown key, bad address and missing secret
//! was refused before a port was bound. Secrets are read from the environment or from files of
//! their own, never from the configuration file itself.

mod access;
pub(crate) mod active;
mod diff;
mod exposure;
mod passthrough;
#[cfg(test)]
mod reference;
mod source;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use wharf_oci::RepoName;
use wharf_store::limits::LIMIT_BYTES_MIN;

use access::AccessKeys;
use exposure::{Everyone, Exposure};
use wharf_client::outbound::proxies::OutboundProxies;

use crate::access::options::AccessConfig;
use crate::limits::SHUTDOWN_DEADLINE;
use crate::settings::error::ConfigError;
use crate::settings::hosts::HostName;
use crate::settings::limits::{Limits, LimitsFile};
use crate::settings::listen::Listen;
use crate::settings::patterns::TagRule;
use crate::settings::telemetry::TelemetryConfig;
use crate::settings::tls::TlsConfig;
use crate::settings::trusted_proxies::TrustedProxies;
use crate::settings::units::ByteSize;
use crate::settings::upstream::UpstreamConfig;

pub(crate) use diff::{ConfigKeys, needs_restart};
pub use source::{ConfigSource, LoadedConfig};

/// The default address of `wharfd serve`.
const LISTEN_DEFAULT: &str = "127.0.0.1:5000";

/// Everything that `wharfd serve` needs.
#[derive(Debug)]
pub struct Config {
    /// The address for clients.
    pub listen: Listen,
    /// The address for operators: health and metrics.
    pub admin: Option<Listen>,
    /// The folder of the store.
    pub store: PathBuf,
    /// The most disk space for the store, in bytes.
    pub store_limit: Option<u64>,
    /// The rate of the background scrub, which reads stored blobs to find damage, in bytes per
    /// second; no scrub without it.
    pub scrub_rate: Option<u64>,
    /// How long transfers may go on after SIGTERM.
    pub shutdown_deadline: Duration,
    /// The certificate for clients; plain HTTP without one.
    pub(crate) tls: Option<TlsConfig>,
    /// Whether passwords may cross a network unencrypted (`insecure_http`).
    pub(crate) may_be_plain: bool,
    /// The limits of clients and requests.
    pub(crate) limits: Limits,
    /// Write-once tags of a registry of its own; an upstream's section has those of the upstream.
    pub(crate) write_once_tags: Vec<TagRule>,
    /// Proxies trusted with the addresses of clients.
    pub(crate) trusted_proxies: TrustedProxies,
    /// The access rules.
    pub(crate) access: AccessConfig,
    /// Host names for requests, where no login is needed.
    pub(crate) hosts: Vec<HostName>,
    /// Where lines for the audit log go; into the ordinary log when not given.
    pub(crate) audit_log: Option<PathBuf>,
    /// Where traces go.
    pub telemetry: TelemetryConfig,
    /// The registries behind; none makes this a registry of its own.
    pub upstreams: Vec<UpstreamConfig>,
    /// The outbound proxies.
    pub(crate) egress: Arc<OutboundProxies>,
}

/// Keys at the top of the file, before the first table.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct FileConfig {
    /// Address for clients. `localhost:5000` is every address of the name; `0.0.0.0:5000` and
    /// `[::]:5000` are every interface.
    listen: Option<Listen>,
    /// Address of `/healthz`, `/readyz` and `/metrics`; always plain HTTP. None of them is served when it
    /// is not given.
    admin: Option<Listen>,
    /// Folder of the store. Required here or as `--store`.
    store: Option<PathBuf>,
    /// Most bytes that the store takes on disk, at least 256MiB. Cached blobs are evicted, least recently
    /// used first. Unlimited when not given.
    store_limit: Option<ByteSize>,
    /// Bytes a second that are read in the background to find damage; 0 is no scrub.
    scrub_rate: Option<ByteSize>,
    /// Allows open access on an address off loopback: every client with a route to the port may push.
    insecure_open: Option<bool>,
    /// Allows plain HTTP on an address off loopback: passwords cross the network readable.
    insecure_http: Option<bool>,
    /// The certificate for clients. Plain HTTP without the table.
    tls: Option<TlsConfig>,
    /// Bounds on what clients may use.
    #[serde(default)]
    limits: LimitsFile,
    /// How long transfers may go on after SIGTERM.
    shutdown_deadline_seconds: Option<u64>,
    /// Tags that are put once and then stay ([how](../how-to/write-once.md)), for a registry of its own;
    /// with upstreams the key stands below `[[upstream]]`.
    #[serde(default)]
    write_once_tags: Vec<TagRule>,
    /// Callers and their rights.
    #[serde(default)]
    access: AccessKeys,
    /// Balancers whose `Forwarded` and `X-Forwarded-*` headers and `traceparent` are believed
    /// ([how](../how-to/balancer.md)).
    #[serde(default)]
    trusted_proxies: TrustedProxies,
    /// File of the audit log, as JSON lines. Into the ordinary log when not given.
    audit_log: Option<PathBuf>,
    /// Traces.
    #[serde(default)]
    telemetry: TelemetryConfig,
    /// Registries behind `wharfd`, one table each. Without any, `wharfd` is a registry of its own.
    #[serde(default, rename = "upstream")]
    upstreams: Vec<UpstreamConfig>,
}

/// The settings of the command line; they win over the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The address of `--listen`.
    pub listen: Option<Listen>,
    /// The address of `--admin`.
    pub admin: Option<Listen>,
    /// The folder of `--store`.
    pub store: Option<PathBuf>,
    /// The size of `--store-limit`.
    pub store_limit: Option<ByteSize>,
    /// The rate of `--scrub-rate`.
    pub scrub_rate: Option<ByteSize>,
    /// The seconds of `--hold`.
    pub hold_seconds: Option<u64>,
    /// `--upstream`, added to those of the file.
    pub upstreams: Vec<UpstreamConfig>,
    /// Whether `--insecure-open` is given.
    pub insecure_open: bool,
    /// Whether `--insecure-http` is given.
    pub insecure_http: bool,
    /// The file of `--tls-cert`.
    pub tls_cert: Option<PathBuf>,
    /// The file of `--tls-key`.
    pub tls_key: Option<PathBuf>,
}

impl Config {
    /// Reads the file, lays the command line over it, and checks the whole.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigError> {
        ConfigSource::new(file.map(Path::to_owned), overrides).load().map(|loaded| loaded.config)
    }

    /// Lays the command line over the file, and checks the whole.
    fn new(file: FileConfig, overrides: Overrides) -> Result<Self, ConfigError> {
        let default = LISTEN_DEFAULT.parse().ok();
        let listen = overrides.listen.or(file.listen).or(default).ok_or(ConfigError::NoStore)?;
        let admin = overrides.admin.or(file.admin);
        let tls = TlsConfig::merge(file.tls, overrides.tls_cert, overrides.tls_key)?;
        let may_be_open = overrides.insecure_open || file.insecure_open.unwrap_or(false);
        let may_be_plain = overrides.insecure_http || file.insecure_http.unwrap_or(false);
        let deadline = file.shutdown_deadline_seconds.map(Duration::from_secs);
        let egress = OutboundProxies::of_environment()?;
        let mut upstreams = file.upstreams;
        upstreams.extend(overrides.upstreams);
        for upstream in &mut upstreams {
            upstream.through(&egress);
        }
        check_upstreams(&upstreams)?;
        let hosts = file.access.hosts.clone();
        let access = file.access.resolve(&upstreams, &egress)?;
        let telemetry = file.telemetry.through(&egress);
        let exposure = Exposure {
            everyone: match access {
                AccessConfig::Open if may_be_open => Everyone::MayPush,
                AccessConfig::Open => Everyone::Could,
                _ => Everyone::MustLogIn,
            },
            is_encrypted: tls.is_some(),
            may_be_plain,
        };
        exposure.check(&listen, admin.as_ref())?;
        if let Some(tls) = &tls {
            tls.identity(&tls.read()?)?;
        }
        telemetry.check()?;
        if !upstreams.is_empty() && !file.write_once_tags.is_empty() {
            return Err(ConfigError::WriteOnceElsewhere);
        }
        let store_limit = store_limit(overrides.store_limit.or(file.store_limit))?;
        // A rate of zero disables the scrub too.
        let scrub_rate = overrides.scrub_rate.or(file.scrub_rate).filter(|rate| rate.0 > 0);
        Ok(Self {
            listen,
            admin,
            store: overrides.store.or(file.store).ok_or(ConfigError::NoStore)?,
            store_limit,
            scrub_rate: scrub_rate.map(|rate| rate.0),
            shutdown_deadline: deadline.unwrap_or(SHUTDOWN_DEADLINE),
            tls,
            may_be_plain,
            limits: file.limits.holding(overrides.hold_seconds).check()?,
            write_once_tags: file.write_once_tags,
            trusted_proxies: file.trusted_proxies,
            access,
            hosts,
            audit_log: file.audit_log,
            telemetry,
            upstreams,
            egress,
        })
    }

    /// Logs the conditions that the configuration does not spell out: outbound proxies, upstream
    /// patterns that admit any registry, and a listener that accepts passwords unencrypted.
    pub fn announce(&self) {
        self.egress.announce();
        for upstream in &self.upstreams {
            upstream.announce();
        }
        let public_url = match &self.access {
            AccessConfig::Open => return,
            AccessConfig::Users(users) => users.public_url.as_deref(),
            AccessConfig::Passthrough { .. } => None,
        };
        let is_encrypted = public_url.is_some_and(|url| url.starts_with("https:"));
        if self.tls.is_none()
            && self.may_be_plain
            && !is_encrypted
            && self.trusted_proxies.is_empty()
        {
            tracing::warn!(
                "insecure_http: passwords may cross the network readable, also those of clients that \
                 come through a balancer with TLS; name it in trusted_proxies, or give a certificate"
            );
        }
    }
}

fn store_limit(given: Option<ByteSize>) -> Result<Option<u64>, ConfigError> {
    let least = ByteSize(LIMIT_BYTES_MIN);
    match given {
        Some(given) if given < least => Err(ConfigError::StoreLimit { given, least }),
        given => Ok(given.map(|limit| limit.0)),
    }
}

fn check_upstreams(upstreams: &[UpstreamConfig]) -> Result<(), ConfigError> {
    let mut prefixes: Vec<Option<&RepoName>> = Vec::new();
    for upstream in upstreams {
        upstream.check()?;
        let named_otherwise =
            upstream.prefix.is_none() && !upstream.namespaces.is_empty() && !upstream.default;
        if !named_otherwise && prefixes.contains(&upstream.prefix.as_ref()) {
            let prefix = upstream.prefix.as_ref().map_or_else(String::new, ToString::to_string);
            return Err(ConfigError::PrefixTwice(prefix));
        }
        if !named_otherwise {
            prefixes.push(upstream.prefix.as_ref());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wharfd.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(Some(&path), Overrides::default())
    }

    #[test]
    fn a_whole_file_is_read() {
        let config = load(
            "listen = \"127.0.0.1:5001\"\nstore = \"/tmp/s\"\nshutdown_deadline_seconds = 5\n\
             [[upstream]]\nprefix = \"acme\"\nurl = \"https://acme.azurecr.io\"\ntag_ttl_seconds = 7\n\
             [[upstream]]\nurl = \"http://127.0.0.1:5005\"\n",
        )
        .unwrap();
        assert_eq!(config.listen.addresses(), ["127.0.0.1:5001".parse().unwrap()]);
        assert_eq!(config.upstreams.len(), 2);
        assert_eq!(config.upstreams[0].tag_ttl(&"v1".parse().unwrap()), Duration::from_secs(7));
        assert_eq!(config.shutdown_deadline, Duration::from_secs(5));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = load("store = \"/tmp/s\"\nlisten_on = \"127.0.0.1:1\"\n").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("line 2") && text.contains("listen_on"), "{text}");
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        let refused = |text: &str| load(text).unwrap_err().to_string();
        assert!(refused("").contains("--store"));
        assert!(refused("store = \"s\"\nlisten = \"0.0.0.0:5000\"\n").contains("--insecure-open"));
        let upstream = |rest: &str| format!("store = \"s\"\n[[upstream]]\n{rest}");
        assert!(refused(&upstream("url = \"https://h/path\"\n")).contains("path"));
        assert!(refused(&upstream("url = \"ftp://h\"\n")).contains("https://"));
        let login = refused(&upstream("url = \"https://u:hunter2@h\"\n"));
        assert!(login.contains("line 3") && login.contains("password_env"), "{login}");
        assert!(!login.contains("hunter2"), "{login}");
        assert!(refused(&upstream("url = \"https://h\"\nusername = \"u\"\n")).contains("needs"));
        let missing =
            "url = \"https://h\"\nusername = \"u\"\npassword_env = \"WHARF_TEST_UNSET\"\n";
        assert!(refused(&upstream(missing)).contains("WHARF_TEST_UNSET"));
        let twice = "url = \"https://h\"\n[[upstream]]\nurl = \"https://g\"\n";
        assert!(refused(&upstream(twice)).contains("prefix"));
    }

    #[test]
    fn write_once_tags_and_trusted_proxies_are_read_where_they_count() {
        let alone = load("store = \"s\"\nwrite_once_tags = [\"v*\", \"a/*:1.*\"]\n").unwrap();
        assert_eq!(alone.write_once_tags.len(), 2);
        let upstream = "[[upstream]]\nurl = \"https://h\"\n";
        let there =
            format!("store = \"s\"\n{upstream}write_once_tags = [\"v*\"]\nlock_tags = true\n");
        let there = load(&there).unwrap();
        assert!(there.upstreams[0].locks_tags() && there.upstreams[0].write_once_tags().len() == 1);
        let refused = |text: &str| load(text).unwrap_err().to_string();
        let above = format!("store = \"s\"\nwrite_once_tags = [\"v*\"]\n{upstream}");
        assert!(refused(&above).contains("[[upstream]]"));
        let unlocked = format!("store = \"s\"\n{upstream}lock_tags = true\n");
        assert!(refused(&unlocked).contains("write_once_tags"));
        assert!(refused("store = \"s\"\nwrite_once_tags = [\"A:v1\"]\n").contains("line 2"));
        assert!(load("store = \"s\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n").is_ok());
        assert!(refused("store = \"s\"\ntrusted_proxies = [\"10.0.0.1/8\"]\n").contains("line 2"));
    }

    #[test]
    fn sizes_are_numbers_or_texts_and_the_command_line_wins() {
        let config =
            load("store = \"s\"\nstore_limit = \"50GiB\"\nscrub_rate = 1000000\n").unwrap();
        assert_eq!((config.store_limit, config.scrub_rate), (Some(50 << 30), Some(1_000_000)));
        let config = load("store = \"s\"\nscrub_rate = 0\n").unwrap();
        assert_eq!((config.store_limit, config.scrub_rate), (None, None));
        let refused = |text: &str| load(text).unwrap_err().to_string();
        assert!(refused("store = \"s\"\nstore_limit = \"1MiB\"\n").contains("256.0 MiB"));
        assert!(refused("store = \"s\"\nstore_limit = \"50G\"\n").contains("GiB"));
        assert!(refused("store = \"s\"\nstore_limit = -1\n").contains("line 2"));
        let store_limit = Some(ByteSize(1 << 30));
        let overrides = Overrides { store_limit, store: Some("s".into()), ..Overrides::default() };
        assert_eq!(Config::load(None, overrides).unwrap().store_limit, Some(1 << 30));
    }
}
