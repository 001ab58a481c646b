//! The configuration as types: the TOML file, and the command line laid over it.
//!
//! Invariant: a `Config` that exists can be run; every unknown key, bad address and missing secret
//! was refused before a port was bound. Secrets are read from the environment or from files, never
//! from the file itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use url::Url;
use wharf_oci::RepoName;

use crate::limits::{SHUTDOWN_DEADLINE, TAG_TTL};
use crate::upstream::Credentials;

/// Where `wharfd` listens when nobody says.
const LISTEN_DEFAULT: &str = "127.0.0.1:5000";

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
    /// Listening to the network without saying so.
    #[error(
        "{0} can be reached by others, and everyone may push: add --insecure-open to allow that, \
         or listen on 127.0.0.1"
    )]
    OpenToOthers(SocketAddr),
}

/// Everything that `wharfd serve` needs.
#[derive(Debug)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where operators look: health and metrics.
    pub admin: Option<SocketAddr>,
    /// The folder of the store.
    pub store: PathBuf,
    /// How long transfers may go on after SIGTERM.
    pub shutdown_deadline: Duration,
    /// The registries behind; none makes this a registry of its own.
    pub upstreams: Vec<UpstreamConfig>,
}

/// One registry behind the proxy.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Names that start with it go there, without it; all names when not given.
    #[serde(default)]
    pub prefix: Option<RepoName>,
    /// `https://host[:port]`, or `http://` for one on this machine.
    pub url: Url,
    /// User name for Basic or for the token server.
    #[serde(default)]
    pub username: Option<String>,
    /// Environment variable that holds the password.
    #[serde(default)]
    pub password_env: Option<String>,
    /// File whose first line is the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Further certificate authorities, PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How long a tag is served without asking.
    #[serde(default)]
    tag_ttl_seconds: Option<u64>,
}

/// The TOML file. Each key is also an option of `wharfd serve`, except `upstream`'s details.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileConfig {
    listen: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    store: Option<PathBuf>,
    insecure_open: Option<bool>,
    shutdown_deadline_seconds: Option<u64>,
    #[serde(default, rename = "upstream")]
    upstreams: Vec<UpstreamConfig>,
}

/// What the command line says; it wins over the file.
#[derive(Debug, Default)]
pub struct Overrides {
    /// `--listen`
    pub listen: Option<SocketAddr>,
    /// `--admin`
    pub admin: Option<SocketAddr>,
    /// `--store`
    pub store: Option<PathBuf>,
    /// `--upstream`, added to those of the file.
    pub upstreams: Vec<UpstreamConfig>,
    /// `--insecure-open`
    pub insecure_open: bool,
}

impl Config {
    /// Reads the file, lays the command line over it, and checks the whole.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigError> {
        let file = file.map(FileConfig::read).transpose()?.unwrap_or_default();
        let default = LISTEN_DEFAULT.parse().ok();
        let listen = overrides.listen.or(file.listen).or(default).ok_or(ConfigError::NoStore)?;
        let insecure_open = overrides.insecure_open || file.insecure_open.unwrap_or(false);
        if !listen.ip().is_loopback() && !insecure_open {
            return Err(ConfigError::OpenToOthers(listen));
        }
        let deadline = file.shutdown_deadline_seconds.map(Duration::from_secs);
        let mut upstreams = file.upstreams;
        upstreams.extend(overrides.upstreams);
        check_upstreams(&upstreams)?;
        Ok(Self {
            listen,
            admin: overrides.admin.or(file.admin),
            store: overrides.store.or(file.store).ok_or(ConfigError::NoStore)?,
            shutdown_deadline: deadline.unwrap_or(SHUTDOWN_DEADLINE),
            upstreams,
        })
    }
}

impl FileConfig {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|error| ConfigError::Malformed {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }
}

fn check_upstreams(upstreams: &[UpstreamConfig]) -> Result<(), ConfigError> {
    let mut prefixes: Vec<Option<&RepoName>> = Vec::new();
    for upstream in upstreams {
        upstream.check()?;
        if prefixes.contains(&upstream.prefix.as_ref()) {
            let prefix = upstream.prefix.as_ref().map_or_else(String::new, ToString::to_string);
            return Err(ConfigError::PrefixTwice(prefix));
        }
        prefixes.push(upstream.prefix.as_ref());
    }
    Ok(())
}

impl std::str::FromStr for UpstreamConfig {
    type Err = ConfigError;

    /// `[PREFIX=]URL`, as on the command line. Credentials for it come from the environment:
    /// `WHARFD_UPSTREAM_USERNAME` and `WHARFD_UPSTREAM_PASSWORD`, when both are set.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let refuse = |reason: String| ConfigError::Upstream { text: text.to_owned(), reason };
        let (prefix, url) = match text.split_once('=') {
            Some((prefix, url)) if !prefix.contains(':') => (Some(prefix), url),
            _ => (None, text),
        };
        let prefix = prefix.map(str::parse).transpose();
        let prefix = prefix.map_err(|error: wharf_oci::ParseError| refuse(error.to_string()))?;
        let url = Url::parse(url)
            .map_err(|error| refuse(format!("{error}; write https://NAME.azurecr.io")))?;
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let username = set(USERNAME_VARIABLE).filter(|_| set(PASSWORD_VARIABLE).is_some());
        let upstream = Self {
            prefix,
            url,
            password_env: username.is_some().then(|| PASSWORD_VARIABLE.to_owned()),
            username,
            password_file: None,
            ca_file: None,
            tag_ttl_seconds: None,
        };
        upstream.check()?;
        Ok(upstream)
    }
}

/// Credentials of upstreams that are given on the command line.
const USERNAME_VARIABLE: &str = "WHARFD_UPSTREAM_USERNAME";
const PASSWORD_VARIABLE: &str = "WHARFD_UPSTREAM_PASSWORD";

impl UpstreamConfig {
    /// How long a tag is served without asking.
    #[must_use]
    pub fn tag_ttl(&self) -> Duration {
        self.tag_ttl_seconds.map_or(TAG_TTL, Duration::from_secs)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |reason: &str| ConfigError::Upstream {
            text: self.url.to_string(),
            reason: reason.to_owned(),
        };
        if !matches!(self.url.scheme(), "http" | "https") || self.url.host_str().is_none() {
            return Err(refuse("write https://HOST or http://HOST:PORT"));
        }
        if self.url.path() != "/" || self.url.query().is_some() || self.url.fragment().is_some() {
            return Err(refuse("only scheme, host and port; a path is not supported"));
        }
        if !self.url.username().is_empty() || self.url.password().is_some() {
            return Err(refuse("credentials do not belong into an address; use password_env"));
        }
        self.credentials()?;
        self.tls().map(|_| ())
    }

    /// User name and password, with the secret fetched from where it is.
    pub(crate) fn credentials(&self) -> Result<Option<Credentials>, ConfigError> {
        let refuse = |reason: String| ConfigError::Secret { url: self.url.to_string(), reason };
        let password = match (&self.password_env, &self.password_file) {
            (Some(_), Some(_)) => {
                return Err(refuse("give password_env or password_file, not both".to_owned()));
            }
            (Some(name), None) => Some(
                std::env::var(name).map_err(|_| refuse(format!("environment has no {name}")))?,
            ),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| refuse(format!("cannot read {}: {error}", path.display())))?;
                Some(text.lines().next().unwrap_or_default().to_owned())
            }
            (None, None) => None,
        };
        match (&self.username, password) {
            (Some(username), Some(password)) => {
                Ok(Some(Credentials { username: username.clone(), password }))
            }
            (None, None) => Ok(None),
            (Some(_), None) => Err(refuse("a username needs password_env or password_file".into())),
            (None, Some(_)) => Err(refuse("a password needs a username".into())),
        }
    }

    /// The system's authorities and those of `ca_file`.
    pub(crate) fn tls(&self) -> Result<rustls::ClientConfig, ConfigError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &self.ca_file {
            let unreadable = |error: &dyn std::fmt::Display| ConfigError::Upstream {
                text: self.url.to_string(),
                reason: format!("ca_file {}: {error}", path.display()),
            };
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                roots.add(certificate).map_err(|error| unreadable(&error))?;
            }
        }
        let provider = rustls::crypto::ring::default_provider();
        rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
            .map_err(|error| ConfigError::Upstream {
                text: self.url.to_string(),
                reason: error.to_string(),
            })
    }
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
        assert_eq!(config.listen.port(), 5001);
        assert_eq!(config.upstreams.len(), 2);
        assert_eq!(config.upstreams[0].tag_ttl(), Duration::from_secs(7));
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
        assert!(refused(&upstream("url = \"https://u:p@h\"\n")).contains("password_env"));
        assert!(refused(&upstream("url = \"https://h\"\nusername = \"u\"\n")).contains("needs"));
        let missing =
            "url = \"https://h\"\nusername = \"u\"\npassword_env = \"WHARF_TEST_UNSET\"\n";
        assert!(refused(&upstream(missing)).contains("WHARF_TEST_UNSET"));
        let twice = "url = \"https://h\"\n[[upstream]]\nurl = \"https://g\"\n";
        assert!(refused(&upstream(twice)).contains("prefix"));
    }

    #[test]
    fn an_upstream_of_the_command_line_may_have_a_prefix() {
        let plain: UpstreamConfig = "https://acme.azurecr.io".parse().unwrap();
        assert_eq!(plain.prefix, None);
        let prefixed: UpstreamConfig = "team/a=https://acme.azurecr.io".parse().unwrap();
        assert_eq!(prefixed.prefix.unwrap().as_str(), "team/a");
        assert!("acme.azurecr.io".parse::<UpstreamConfig>().is_err());
        assert!("A=https://acme.azurecr.io".parse::<UpstreamConfig>().is_err());
    }
}
