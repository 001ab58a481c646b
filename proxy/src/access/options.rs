//! The checked form of `[access]`: users with their files read, issuers, rules. Built by
//! `config/access.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use url::{Host, Url};
use wharf_client::outbound::proxies::OutboundProxies;
use wharf_client::outbound::tls::client_config;

use super::api_tokens::ApiTokens;
use super::passwords::Passwords;
use super::rules::AccessRules;
use crate::settings::address::{self, Address, AddressError};
use crate::settings::error::ConfigError;

/// The kind of access control.
#[derive(Debug, Clone, Default)]
pub(crate) enum AccessConfig {
    /// Every client may do everything.
    #[default]
    Open,
    /// Users and rules of the configuration decide.
    Users(Box<UsersConfig>),
    /// The upstream decides by the caller's own login.
    Passthrough {
        /// The one registry that decides.
        registry: String,
    },
}

/// Users and their rules.
#[derive(Clone)]
pub(crate) struct UsersConfig {
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) tokens: ApiTokens,
    pub(crate) rules: AccessRules,
    pub(crate) issuers: Vec<IssuerConfig>,
    /// The address that clients use, without a slash at the end.
    pub(crate) public_url: Option<String>,
    /// The key that signs our tokens; the one in the store's folder when there is none.
    pub(crate) token_key: Option<Vec<u8>>,
    pub(crate) token_lifetime: Duration,
}

impl fmt::Debug for UsersConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsersConfig")
            .field("passwords", &self.passwords)
            .field("tokens", &self.tokens)
            .field("rules", &self.rules)
            .field("issuers", &self.issuers)
            .field("public_url", &self.public_url)
            .field("token_lifetime", &self.token_lifetime)
            .finish_non_exhaustive()
    }
}

/// An issuer of bearer tokens (OIDC), such as GitHub Actions, Entra ID or Kubernetes
/// ([how](../how-to/access.md#tokens-of-github-actions-entra-id-kubernetes)).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct IssuerConfig {
    /// Its name here: letters, digits, `.`, `_` and `-`. Callers are called `NAME:SUBJECT`.
    pub(crate) name: String,
    /// The claim `iss` of its tokens: an address.
    pub(crate) issuer: String,
    /// The claim `aud`: one, or a list of which one must fit.
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) audience: Vec<String>,
    /// Address of its keys (JWKS), `https://` or on this machine. The issuer's discovery document names
    /// it when it is not given.
    pub(crate) jwks_url: Option<Address>,
    /// File with further certificate authorities (PEM).
    ca_file: Option<PathBuf>,
    /// Claim that names the caller.
    #[serde(default = "subject")]
    pub(crate) subject: String,
    /// Claims that must have these values.
    #[serde(default)]
    pub(crate) require: BTreeMap<String, Value>,
    /// Which proxy leads there; of the environment.
    #[serde(skip)]
    pub(crate) egress: Arc<OutboundProxies>,
}

fn subject() -> String {
    "sub".to_owned()
}

fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    let list = match OneOrMore::deserialize(from)? {
        OneOrMore::One(one) => vec![one],
        OneOrMore::More(more) => more,
    };
    if list.is_empty() || list.iter().any(String::is_empty) {
        return Err(de::Error::custom("give the audience that its tokens have for this registry"));
    }
    Ok(list)
}

/// Whether an answer from this address arrives unchanged: the connection is encrypted, or does not
/// leave this machine.
pub(crate) fn is_safe_to_ask(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

impl IssuerConfig {
    fn refuse(&self, reason: impl Into<String>) -> ConfigError {
        refuse(format!("[[access.issuer]] {}", address::repeatable(&self.name)), reason)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if self.name.is_empty() || !self.name.chars().all(allowed) {
            return Err(self.refuse("a name has letters, digits and ._- only"));
        }
        let url: Address = self
            .issuer
            .parse()
            .map_err(|error: AddressError| self.refuse(format!("issuer: {error}")))?;
        let asked = self.jwks_url.as_ref().unwrap_or(&url);
        if !is_safe_to_ask(asked) {
            return Err(self.refuse("its keys would come over a connection that is not encrypted"));
        }
        self.tls().map(|_| ())
    }

    /// The system's authorities and those of `ca_file`.
    pub(crate) fn tls(&self) -> Result<rustls::ClientConfig, ConfigError> {
        client_config(self.ca_file.as_deref()).map_err(|reason| self.refuse(reason))
    }
}

/// An error in the access rules, with its location.
pub(crate) fn refuse(place: impl Into<String>, reason: impl Into<String>) -> ConfigError {
    ConfigError::Access { place: place.into(), reason: reason.into() }
}
