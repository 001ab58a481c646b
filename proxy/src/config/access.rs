//! `[access]`: who may do what.
//!
//! Invariant: what passed `check` can be kept; `passthrough` never has a login of the proxy's to fall
//! back on.

use serde::Deserialize;

use super::{ConfigError, PushMode, UpstreamConfig};

/// The table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessTable {
    /// Who decides.
    kind: AccessKind,
}

/// Who decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AccessKind {
    /// Nobody: everyone may do everything.
    #[default]
    Open,
    /// The upstream.
    Passthrough,
}

/// What is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccessConfig {
    /// Everyone may do everything.
    Open,
    /// The upstream decides by the caller's own login.
    Passthrough,
}

impl AccessConfig {
    /// Whether everyone who reaches the port may push.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

impl AccessTable {
    /// What it means, with these upstreams.
    pub(super) fn check(&self, upstreams: &[UpstreamConfig]) -> Result<AccessConfig, ConfigError> {
        match self.kind {
            AccessKind::Open => Ok(AccessConfig::Open),
            AccessKind::Passthrough => {
                passthrough(upstreams).map_err(|reason| ConfigError::Passthrough(reason.into()))?;
                Ok(AccessConfig::Passthrough)
            }
        }
    }
}

/// What the logins of callers can be taken to.
fn passthrough(upstreams: &[UpstreamConfig]) -> Result<(), &'static str> {
    let Some(first) = upstreams.first() else {
        return Err("it needs an [[upstream]] that decides");
    };
    if upstreams.iter().any(UpstreamConfig::is_template) {
        return Err(
            "with https://* the logins of callers would be shown to any registry that fits",
        );
    }
    if upstreams.iter().any(|upstream| upstream.url.origin() != first.url.origin()) {
        return Err(
            "all upstreams must be the same registry: a caller has one login, and it would be shown \
             to all of them; run one wharfd for each registry",
        );
    }
    if upstreams.iter().any(UpstreamConfig::has_login) {
        return Err(
            "only the logins of callers are shown to the upstream; take username, docker_config and \
             [upstream.entra] out",
        );
    }
    if upstreams.iter().any(|upstream| upstream.push == PushMode::Staged) {
        return Err(
            "push = \"staged\" delivers when the caller and their login are gone; use \"through\"",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &str) -> Result<AccessConfig, String> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            upstream: Vec<UpstreamConfig>,
        }
        let file: File = toml::from_str(lines).unwrap();
        let table: AccessTable = toml::from_str("kind = \"passthrough\"").unwrap();
        table.check(&file.upstream).map_err(|error| error.to_string())
    }

    #[test]
    fn passthrough_is_for_one_registry_and_has_no_other_login() {
        let upstream = |url: &str, rest: &str| format!("[[upstream]]\nurl = \"{url}\"\n{rest}\n");
        let one = upstream("https://a.azurecr.io", "");
        assert_eq!(check(&one), Ok(AccessConfig::Passthrough));
        let twice = upstream("https://a.azurecr.io", "prefix = \"b\"");
        assert_eq!(check(&format!("{one}{twice}")), Ok(AccessConfig::Passthrough));
        let other = upstream("https://b.azurecr.io", "prefix = \"b\"");
        let hosts = upstream("https://*", "namespaces = [\"*.azurecr.io\"]");
        let user = upstream("https://a", "username = \"u\"\npassword_env = \"HOME\"");
        let entra = upstream("https://a", "[upstream.entra]\nkind = \"azure-cli\"");
        for (lines, words) in [
            (String::new(), "[[upstream]]"),
            (format!("{one}{other}"), "one wharfd for each"),
            (hosts, "https://*"),
            (user, "take username"),
            (entra, "[upstream.entra]"),
            (upstream("https://a", "push = \"staged\""), "staged"),
        ] {
            let refused = check(&lines).unwrap_err();
            assert!(refused.contains(words), "{lines}: {refused}");
        }
        assert!(toml::from_str::<AccessTable>("kind = \"closed\"").is_err());
        assert!(toml::from_str::<AccessTable>("kind = \"open\"\nkinds = 1").is_err());
    }
}
