//! `[access]`: the access rules. The files that it names are read here, so that a configuration
//! that exists has their contents.
//!
//! Invariant: a setting that would admit more than its writer meant is refused: an empty rule or
//! list, a fast hash, a key file that others can read, keys of users without `kind = "users"`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use url::Url;
use wharf_client::outbound::proxies::OutboundProxies;

use super::passthrough;
use crate::access::options::{AccessConfig, IssuerConfig, UsersConfig, refuse};
use crate::access::{
    AccessRule, AccessRules, Action, Actions, ApiTokens, LineError, Passwords, RuleSubject,
    read_file, read_key,
};
use crate::limits::{ISSUED_LIFETIME, ISSUED_LIFETIME_MAX, ISSUED_LIFETIME_MIN};
use crate::settings::address::Address;
use crate::settings::error::ConfigError;
use crate::settings::hosts::HostName;
use crate::settings::patterns::RepoPattern;
use crate::settings::upstream::UpstreamConfig;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// every caller may do everything
    #[default]
    Open,
    /// users, tokens and rules ([how](../how-to/access.md))
    Users,
    /// the upstream decides by the caller's own login ([how](../how-to/passthrough.md))
    Passthrough,
}

/// Callers and their rights. All keys but `kind` and `hosts` go with `kind = "users"`, which needs a rule.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct AccessKeys {
    /// Who decides.
    #[serde(default)]
    kind: Kind,
    /// Names by which a server without logins may be asked for, without ports; `"*"` is any
    /// ([why](../how-to/access.md#names-and-web-pages)).
    #[serde(default)]
    pub(super) hosts: Vec<HostName>,
    /// File with `NAME:HASH` lines, bcrypt or argon2id.
    htpasswd: Option<PathBuf>,
    /// File with hashed long-lived API tokens, as `wharfd access token` writes them.
    tokens: Option<PathBuf>,
    /// Address at which clients get tokens: `https://HOST[:PORT]`. The host that the client named when not
    /// given.
    public_url: Option<Address>,
    /// File with the key that signs short-lived tokens. A random key in the store's folder when not given.
    token_key_file: Option<PathBuf>,
    /// Lifetime of the short-lived tokens, 60 to 3600.
    token_lifetime_seconds: Option<u64>,
    /// Rights, one table each; what no rule allows is forbidden.
    #[serde(default, rename = "rule")]
    rules: Vec<RuleKeys>,
    /// Issuers of bearer tokens, one table each.
    #[serde(default, rename = "issuer")]
    issuers: Vec<IssuerConfig>,
}

/// What callers may do with repositories. No list may be empty.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct RuleKeys {
    /// Callers.
    #[serde(deserialize_with = "some")]
    who: Vec<RuleSubject>,
    /// Repositories.
    #[serde(deserialize_with = "some")]
    repositories: Vec<RepoPattern>,
    /// Rights.
    #[serde(deserialize_with = "some")]
    actions: Vec<Action>,
}

/// A list with at least one element: an empty one would allow nothing, never on purpose.
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(from)?;
    if list.is_empty() {
        Err(de::Error::custom("this list is empty, so the rule allows nothing"))
    } else {
        Ok(list)
    }
}

/// An error in the keys of `[access]`.
fn refuse_keys(reason: impl Into<String>) -> ConfigError {
    refuse("[access]", reason)
}

impl AccessKeys {
    /// Reads the files of `[access]`.
    pub(super) fn resolve(
        mut self,
        upstreams: &[UpstreamConfig],
        egress: &Arc<OutboundProxies>,
    ) -> Result<AccessConfig, ConfigError> {
        for issuer in &mut self.issuers {
            issuer.egress = Arc::clone(egress);
        }
        match self.kind {
            Kind::Open => self.without_users(AccessConfig::Open),
            Kind::Passthrough => {
                let refused = |reason| refuse("[access] kind = \"passthrough\"", reason);
                let registry = passthrough::check(upstreams).map_err(refused)?;
                self.without_users(AccessConfig::Passthrough { registry })
            }
            Kind::Users => self.resolve_users(),
        }
    }

    fn without_users(self, config: AccessConfig) -> Result<AccessConfig, ConfigError> {
        let means_users = self.htpasswd.is_some()
            || self.tokens.is_some()
            || self.public_url.is_some()
            || self.token_key_file.is_some()
            || self.token_lifetime_seconds.is_some()
            || !self.rules.is_empty()
            || !self.issuers.is_empty();
        if means_users {
            return Err(refuse_keys("what is given here is for kind = \"users\"; say so"));
        }
        Ok(config)
    }

    fn resolve_users(self) -> Result<AccessConfig, ConfigError> {
        if self.rules.is_empty() {
            return Err(refuse_keys("without an [[access.rule]] nobody may do anything; add one"));
        }
        let passwords = self.htpasswd.as_deref().map(|path| load(path, Passwords::parse));
        let tokens = self.tokens.as_deref().map(|path| load(path, ApiTokens::parse));
        for issuer in &self.issuers {
            issuer.check()?;
        }
        let mut names: Vec<&str> = self.issuers.iter().map(|issuer| issuer.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair.first() == pair.last()) {
            let name = twice.first().copied().unwrap_or_default();
            return Err(refuse_keys(format!("two issuers have the name `{name}`")));
        }
        let token_key = self.token_key_file.as_deref().map(|path| {
            read_key(path).map_err(|reason| refuse(path.display().to_string(), reason))
        });
        let rules = self.rules.into_iter().map(|rule| AccessRule {
            who: rule.who,
            repositories: rule.repositories,
            actions: rule.actions.into_iter().fold(Actions::default(), Actions::with),
        });
        let users = UsersConfig {
            passwords: Arc::new(passwords.transpose()?.unwrap_or_default()),
            tokens: tokens.transpose()?.unwrap_or_default(),
            rules: AccessRules(rules.collect()),
            issuers: self.issuers,
            public_url: self.public_url.as_deref().map(base).transpose()?,
            token_key: token_key.transpose()?,
            token_lifetime: lifetime(self.token_lifetime_seconds)?,
        };
        Ok(AccessConfig::Users(Box::new(users)))
    }
}

fn load<T>(path: &Path, parse: impl Fn(&str) -> Result<T, LineError>) -> Result<T, ConfigError> {
    let text = read_file(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    parse(&text).map_err(|LineError { number, reason }| {
        refuse(format!("{}, line {number}", path.display()), reason)
    })
}

fn lifetime(seconds: Option<u64>) -> Result<Duration, ConfigError> {
    let (least, most) = (ISSUED_LIFETIME_MIN, ISSUED_LIFETIME_MAX);
    match seconds.map(Duration::from_secs) {
        None => Ok(ISSUED_LIFETIME),
        Some(lifetime) if (least..=most).contains(&lifetime) => Ok(lifetime),
        Some(_) => Err(refuse_keys(format!(
            "token_lifetime_seconds is not within {} to {}",
            least.as_secs(),
            most.as_secs()
        ))),
    }
}

fn base(url: &Url) -> Result<String, ConfigError> {
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !is_bare {
        return Err(refuse_keys("public_url: write https://HOST or https://HOST:PORT"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests;
