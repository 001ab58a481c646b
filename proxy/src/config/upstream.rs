//! One registry behind the proxy: its address, its secrets, its authorities.
//!
//! Invariant: what passed `check` can be used; secrets come from the environment or from files.

use std::path::PathBuf;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use url::{Position, Url};
use wharf_oci::{Login, RepoName};

use super::ConfigError;
use super::credentials::{DockerConfigKey, EntraTable, SecretPlace, Source, check_docker_config};
use crate::limits::TAG_TTL;

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
    /// `true` for the login that `docker login` or a credential helper keeps for this host, or the
    /// path of another `config.json`.
    #[serde(default)]
    docker_config: Option<DockerConfigKey>,
    /// An Entra identity (`[upstream.entra]`); for Azure Container Registry only.
    #[serde(default)]
    entra: Option<EntraTable>,
    /// Further certificate authorities, PEM; also for Entra ID.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How long a tag is served without asking.
    #[serde(default)]
    tag_ttl_seconds: Option<u64>,
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
            docker_config: None,
            entra: None,
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

    pub(super) fn check(&self) -> Result<(), ConfigError> {
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

    /// How to log in, with every secret that stays the same fetched from where it is.
    pub(crate) fn credentials(&self) -> Result<Source, ConfigError> {
        let refuse = |reason: String| ConfigError::Secret { url: self.url.to_string(), reason };
        let place = SecretPlace::from_keys(
            "password",
            self.password_env.clone(),
            self.password_file.clone(),
        );
        let password = match (&self.username, place.map_err(refuse)?) {
            (Some(username), Some(place)) => {
                Some(Login::basic(username, place.read().map_err(refuse)?))
            }
            (None, None) => None,
            (Some(_), None) => {
                return Err(refuse("a username needs password_env or password_file".into()));
            }
            (None, Some(_)) => return Err(refuse("a password needs a username".into())),
        };
        let docker = self.docker_config.as_ref().map(DockerConfigKey::path);
        let docker = docker.transpose().map_err(refuse)?.flatten();
        match (password, docker, &self.entra) {
            (None, None, None) => Ok(Source::Anonymous),
            (Some(login), None, None) => Ok(Source::Password(login)),
            (None, Some(path), None) => {
                let host = self.url[Position::BeforeHost..Position::AfterPort].to_owned();
                check_docker_config(&path, &host).map_err(refuse)?;
                Ok(Source::Docker { path, host })
            }
            (None, None, Some(entra)) => entra.resolve().map(Source::Entra).map_err(refuse),
            _ => Err(refuse(
                "more than one login; give username, docker_config or [upstream.entra]".into(),
            )),
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
