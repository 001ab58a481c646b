//! One registry behind the proxy: its address, its secrets, its authorities.
//!
//! Invariant: settings that passed `check` are usable; secrets come from the environment or from
//! files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use url::{Position, Url};
use wharf_client::outbound::proxies::OutboundProxies;
use wharf_client::outbound::tls::client_config;
use wharf_client::runtime::min_rate::MinRate;
use wharf_client::{CredentialSource, Timeouts};
use wharf_oci::{Algorithm, Digest, Digester, Login, RepoName, Tag};

use super::address::{self, Address, AddressError};
use super::credentials::{DockerConfigKey, EntraTable, SecretPlace, has_docker_login};
use super::patterns::{HostPattern, TagPattern, TagRule};
use crate::limits::{
    ANSWER_TIMEOUT, BYTES_PER_SECOND_MIN, CONNECT_TIMEOUT, NEGATIVE_TTL, SILENCE_TIMEOUT,
    STALL_TIMEOUT, TAG_TTL, UPSTREAM_READS_MAX, UPSTREAM_WRITES_MAX,
};
use crate::settings::error::ConfigError;

/// One registry behind the proxy. A timeout, `max_reads` and `max_writes` of 0 count as 1.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Repository names below `PREFIX/` go to this upstream, without the prefix. All names when neither
    /// this nor `namespaces` is given.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub prefix: Option<RepoName>,
    /// Address of the registry: `https://HOST[:PORT]`, `http://` for a registry on this machine, or
    /// `https://*` for any registry that `namespaces` lists. `https://docker.io` is Docker Hub.
    pub url: Address,
    /// User name: admin user, service principal or token. Needs a password.
    #[serde(default)]
    pub username: Option<String>,
    /// Environment variable that holds the password.
    #[serde(default)]
    pub password_env: Option<String>,
    /// File whose first line is the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// `true` for the login that `docker login` or a credential helper keeps for this host, or the path
    /// of a `config.json`.
    #[serde(default)]
    docker_config: Option<DockerConfigKey>,
    /// An Entra identity, for Azure Container Registry.
    #[serde(default)]
    entra: Option<EntraTable>,
    /// File with further certificate authorities (PEM), for the registry and for Entra ID.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How long a tag is served without asking the upstream.
    #[serde(default)]
    tag_ttl_seconds: Option<u64>,
    /// The same for tags of a pattern; the first pattern that fits counts.
    #[serde(default, rename = "tag_ttl")]
    tag_ttls: Vec<TagTtl>,
    /// How long "no such manifest" is believed without asking again. A push through `wharfd` ends it.
    #[serde(default)]
    negative_ttl_seconds: Option<u64>,
    /// Registry hosts that this upstream serves, as clients name them: `?ns=HOST` (containerd) and
    /// `HOST/NAME` (podman). `*.example.com` is any host below, with `url = "https://*"` only.
    #[serde(default)]
    pub(crate) namespaces: Vec<HostPattern>,
    /// Hosts to which redirects may lead although their addresses are private, such as
    /// `["*.blob.core.windows.net"]`. With `https://*` also the private registries that callers may name.
    #[serde(default)]
    redirect_hosts: Vec<HostPattern>,
    /// Names that no other upstream serves go here too: dockerd asks its mirrors without naming the
    /// registry. An upstream without `prefix` and `namespaces` gets them anyway.
    #[serde(default)]
    pub(crate) default: bool,
    /// How pushes reach the upstream ([how](../how-to/push.md)).
    #[serde(default)]
    pub push: PushMode,
    /// Time for a connection.
    #[serde(default)]
    connect_timeout_seconds: Option<u64>,
    /// Time for the head of an answer.
    #[serde(default)]
    answer_timeout_seconds: Option<u64>,
    /// A body that is this far behind `min_bytes_per_second` is broken off and resumed. A whole body has no
    /// limit of time.
    #[serde(default)]
    stall_timeout_seconds: Option<u64>,
    /// A body without a byte for this long is broken off and resumed. `stall_timeout_seconds` counts when
    /// only that is given.
    #[serde(default)]
    silence_timeout_seconds: Option<u64>,
    /// Least rate of a body.
    #[serde(default)]
    min_bytes_per_second: Option<u64>,
    /// Most reading requests at once; fewer for a while when most are answered 429.
    #[serde(default)]
    max_reads: Option<u32>,
    /// Most writing requests at once; fewer for a while when most are answered 429.
    #[serde(default)]
    max_writes: Option<u32>,
    /// Offer HTTP/2 to an encrypted upstream.
    #[serde(default)]
    http2: Option<bool>,
    /// Tags that are put once and then stay ([how](../how-to/write-once.md)); repositories by their names
    /// at the upstream.
    #[serde(default)]
    write_once_tags: Vec<TagRule>,
    /// Lock these tags and their manifests at ACR too, after the push.
    #[serde(default)]
    lock_tags: bool,
    /// Whether a caller chose its host, among those that a pattern stands for.
    #[serde(skip)]
    is_of_caller: bool,
    /// Which proxy leads there; of the environment.
    #[serde(skip)]
    egress: Arc<OutboundProxies>,
}

/// How pushes get to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PushMode {
    /// while the bytes arrive; a blob is answered 201 when the upstream has it
    #[default]
    Through,
    /// later; a blob is answered 201 when it is durable here, a manifest when the upstream has every blob
    /// that it names
    Staged,
}

/// How long tags of a pattern are served without asking. In short:
/// `tag_ttl = [{ pattern = "v*", seconds = 86400 }]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct TagTtl {
    /// Tags, such as `v*`.
    pattern: TagPattern,
    /// How long such a tag is served without asking the upstream.
    seconds: u64,
}

impl std::str::FromStr for UpstreamConfig {
    type Err = ConfigError;

    /// `[PREFIX=]URL`, as on the command line. Credentials for it come from the environment:
    /// `WHARFD_UPSTREAM_USERNAME` and `WHARFD_UPSTREAM_PASSWORD`, when both are set.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let shown = address::repeatable(text).to_owned();
        let refuse = |reason: String| ConfigError::Upstream { text: shown.clone(), reason };
        let (prefix, url) = match text.split_once('=') {
            Some((prefix, url)) if !prefix.contains(':') => (Some(prefix), url),
            _ => (None, text),
        };
        let prefix = prefix.map(str::parse).transpose();
        let prefix = prefix.map_err(|error: wharf_oci::ParseError| refuse(error.to_string()))?;
        let url = url.parse().map_err(|error: AddressError| refuse(error.to_string()))?;
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
            tag_ttls: Vec::new(),
            negative_ttl_seconds: None,
            namespaces: Vec::new(),
            redirect_hosts: Vec::new(),
            default: false,
            push: PushMode::default(),
            connect_timeout_seconds: None,
            answer_timeout_seconds: None,
            stall_timeout_seconds: None,
            silence_timeout_seconds: None,
            min_bytes_per_second: None,
            max_reads: None,
            max_writes: None,
            http2: None,
            write_once_tags: Vec::new(),
            lock_tags: false,
            is_of_caller: false,
            egress: Arc::default(),
        };
        upstream.check()?;
        Ok(upstream)
    }
}

/// Credentials for upstreams of the command line.
const USERNAME_VARIABLE: &str = "WHARFD_UPSTREAM_USERNAME";
const PASSWORD_VARIABLE: &str = "WHARFD_UPSTREAM_PASSWORD";

/// The host of Docker Hub's registry API.
const DOCKER_HUB_REGISTRY: &str = "registry-1.docker.io";
/// The key of Docker Hub's login in Docker's configuration.
const DOCKER_HUB_LOGIN: &str = "index.docker.io";

impl UpstreamConfig {
    /// How long a cached tag is served without asking the upstream.
    #[must_use]
    pub fn tag_ttl(&self, tag: &Tag) -> Duration {
        let of_pattern = self.tag_ttls.iter().find(|ttl| ttl.pattern.fits(tag));
        let seconds = of_pattern.map(|ttl| ttl.seconds).or(self.tag_ttl_seconds);
        seconds.map_or(TAG_TTL, Duration::from_secs)
    }

    /// Patterns of the write-once tags.
    pub(crate) fn write_once_tags(&self) -> &[TagRule] {
        &self.write_once_tags
    }

    /// Whether write-once tags are locked at the upstream.
    pub(crate) const fn locks_tags(&self) -> bool {
        self.lock_tags
    }

    /// Hosts that it may lead to although their addresses are not public.
    pub(crate) fn redirect_hosts(&self) -> &[HostPattern] {
        &self.redirect_hosts
    }

    /// Whether a caller chose its host: then a private address must be listed.
    pub(crate) const fn is_of_caller(&self) -> bool {
        self.is_of_caller
    }

    /// The outbound proxies.
    pub(crate) const fn egress(&self) -> &Arc<OutboundProxies> {
        &self.egress
    }

    /// It is reached as the environment says.
    pub(crate) fn through(&mut self, egress: &Arc<OutboundProxies>) {
        self.egress = Arc::clone(egress);
    }

    /// How long "not found" is cached.
    #[must_use]
    pub fn negative_ttl(&self) -> Duration {
        self.negative_ttl_seconds.map_or(NEGATIVE_TTL, Duration::from_secs)
    }

    pub(crate) fn patience(&self) -> Timeouts {
        let seconds = |given: Option<u64>, default| {
            given.map_or(default, |seconds| Duration::from_secs(seconds.max(1)))
        };
        // A given limit for slow bodies is also the limit for silent ones.
        let silence = self.silence_timeout_seconds.or(self.stall_timeout_seconds);
        Timeouts {
            connect: seconds(self.connect_timeout_seconds, CONNECT_TIMEOUT),
            answer: seconds(self.answer_timeout_seconds, ANSWER_TIMEOUT),
            min_rate: MinRate {
                window: seconds(self.stall_timeout_seconds, STALL_TIMEOUT),
                bytes_per_second: self.min_bytes_per_second.unwrap_or(BYTES_PER_SECOND_MIN),
                silence: Some(seconds(silence, SILENCE_TIMEOUT)),
            },
            reads_max: self.max_reads.unwrap_or(UPSTREAM_READS_MAX).max(1),
            writes_max: self.max_writes.unwrap_or(UPSTREAM_WRITES_MAX).max(1),
            http2: self.http2.unwrap_or(true),
        }
    }

    /// Whether the proxy has a login of its own there.
    pub(crate) const fn has_login(&self) -> bool {
        self.username.is_some() || self.docker_config.is_some() || self.entra.is_some()
    }

    /// `HOST` or `HOST:PORT`, as it stands in the names of images.
    #[must_use]
    pub(crate) fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The address of its API. People call Docker Hub `docker.io`, but its registry has another
    /// name.
    #[must_use]
    pub(crate) fn endpoint(&self) -> Url {
        let mut url = self.url.to_url();
        if self.is_docker_hub() {
            let _ = url.set_host(Some(DOCKER_HUB_REGISTRY));
        }
        url
    }

    fn is_docker_hub(&self) -> bool {
        let names_it = matches!(self.url.host_str(), Some("docker.io" | "index.docker.io"));
        names_it && self.url.scheme() == "https" && self.url.port().is_none()
    }

    /// The `HOST[:PORT]` that its logins are kept under.
    fn login_host(&self) -> String {
        if self.is_docker_hub() {
            return DOCKER_HUB_LOGIN.to_owned();
        }
        self.url[Position::BeforeHost..Position::AfterPort].to_owned()
    }

    /// Whether it stands for any fitting host instead of one.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.url.host_str() == Some("*")
    }

    /// Its name in metrics: the address as it is configured.
    #[must_use]
    pub(crate) fn label(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_owned()
    }

    /// Logs rights of callers that the configuration's writer may not have meant.
    pub(crate) fn announce(&self) {
        if self.namespaces.iter().any(HostPattern::is_any) {
            tracing::warn!(
                upstream = %self.url,
                "namespaces = [\"*\"]: whoever may pull here makes this server ask any registry on the \
                 internet; name those that are meant, such as \"*.azurecr.io\""
            );
        }
    }

    /// A digest of the contents of all named files; a change of it is a change of configuration. An
    /// unreadable file counts as empty.
    #[must_use]
    pub(crate) fn fingerprint(&self) -> Digest {
        let own = [&self.password_file, &self.ca_file].into_iter().flatten();
        let mut held = Vec::new();
        for path in own.chain(self.entra.as_ref().and_then(EntraTable::secret_file)) {
            held.extend(std::fs::read(path).unwrap_or_default());
            held.push(0);
        }
        Digester::digest(Algorithm::Sha256, &held)
    }

    /// The upstream of one host that fits this template.
    #[must_use]
    pub(crate) fn for_host(&self, host: &str) -> Option<Self> {
        let url = format!("{}://{host}", self.url.scheme()).parse().ok()?;
        let is_of_caller = !self.namespaces.iter().any(|pattern| pattern.names(host));
        Some(Self { url, is_of_caller, ..self.clone() })
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |reason: &str| ConfigError::Upstream {
            text: self.url.to_string(),
            reason: reason.to_owned(),
        };
        if self.url.path() != "/" || self.url.query().is_some() || self.url.fragment().is_some() {
            let reason = "only scheme, host and port; a path is not supported, nor a query, and not \
                          shown: it may hold a secret";
            let text = self.url.origin().to_owned();
            return Err(ConfigError::Upstream { text, reason: reason.to_owned() });
        }
        if self.lock_tags && self.write_once_tags.is_empty() {
            return Err(refuse("lock_tags locks write-once tags; give write_once_tags"));
        }
        self.check_namespaces().map_err(refuse)?;
        self.credentials()?;
        self.tls().map(|_| ())
    }

    fn check_namespaces(&self) -> Result<(), &'static str> {
        if self.is_template() && (self.username.is_some() || self.entra.is_some()) {
            return Err(
                "such credentials would be shown to every registry that https://* stands for",
            );
        }
        if self.default && (self.is_template() || self.prefix.is_some()) {
            return Err("`default` is for an upstream without prefix and patterns");
        }
        let patterns = self.namespaces.iter().filter(|host| host.is_pattern()).count();
        match (self.is_template(), patterns) {
            (true, 0) => Err("https://* needs `namespaces`, such as [\"*.azurecr.io\"]"),
            (true, _) if self.prefix.is_some() => {
                Err("https://* stands for many registries, so it takes no prefix")
            }
            (false, 1..) => Err("a namespace with * needs the address https://*"),
            _ => Ok(()),
        }
    }

    /// The login, with every constant secret read from its place.
    pub(crate) fn credentials(&self) -> Result<CredentialSource, ConfigError> {
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
            (None, None, None) => Ok(CredentialSource::Anonymous),
            (Some(login), None, None) => Ok(CredentialSource::Password(login)),
            (None, Some(path), None) => {
                let host = self.login_host();
                if has_docker_login(&path, &host).map_err(refuse)? {
                    return Ok(CredentialSource::Docker { path, host });
                }
                // Of a pattern's hosts some have a login; the others have none.
                if self.namespaces.iter().any(HostPattern::is_pattern) {
                    return Ok(CredentialSource::Anonymous);
                }
                let reason = format!("it has no login for {host}; run docker login {host}");
                Err(refuse(format!("docker_config {}: {reason}", path.display())))
            }
            (None, None, Some(entra)) => {
                entra.resolve().map(CredentialSource::Entra).map_err(refuse)
            }
            _ => Err(refuse(
                "more than one login; give username, docker_config or [upstream.entra]".into(),
            )),
        }
    }

    /// The system's authorities and those of `ca_file`.
    pub(crate) fn tls(&self) -> Result<rustls::ClientConfig, ConfigError> {
        client_config(self.ca_file.as_deref())
            .map_err(|reason| ConfigError::Upstream { text: self.url.to_string(), reason })
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
    #[test]
    fn docker_hub_is_asked_where_its_registry_is() {
        let upstream = |text: &str| text.parse::<UpstreamConfig>().unwrap();
        for text in ["https://docker.io", "https://index.docker.io/"] {
            let hub = upstream(text);
            assert_eq!(hub.endpoint().as_str(), "https://registry-1.docker.io/");
            assert_eq!(hub.login_host(), "index.docker.io");
            // Clients and metrics use the configured name.
            assert!(text.starts_with(&hub.label()) && text.contains(&hub.authority()));
        }
        for text in ["https://docker.io:5000", "http://docker.io", "https://mirror.docker.io.test"]
        {
            let other = upstream(text);
            assert_eq!(other.endpoint(), *other.url, "{text}");
        }
    }
}
