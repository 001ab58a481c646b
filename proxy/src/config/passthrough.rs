//! The requirements of `[access] kind = "passthrough"` on the upstreams.
//!
//! Invariant: a configuration that meets them has one registry that decides, and no logins but
//! those of the callers.

use crate::settings::upstream::{PushMode, UpstreamConfig};

/// The deciding registry, or the reason why callers' logins cannot go to these upstreams.
pub(super) fn check(upstreams: &[UpstreamConfig]) -> Result<String, &'static str> {
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
    Ok(first.url.origin().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(lines: &str) -> Result<String, &'static str> {
        #[derive(serde::Deserialize)]
        struct File {
            #[serde(default)]
            upstream: Vec<UpstreamConfig>,
        }
        let file: File = toml::from_str(lines).unwrap();
        check(&file.upstream)
    }

    #[test]
    fn passthrough_is_for_one_registry_and_has_no_other_login() {
        let upstream = |url: &str, rest: &str| format!("[[upstream]]\nurl = \"{url}\"\n{rest}\n");
        let one = upstream("https://a.azurecr.io", "");
        let registry = Ok("https://a.azurecr.io".to_owned());
        assert_eq!(checked(&one), registry);
        let twice = upstream("https://a.azurecr.io", "prefix = \"b\"");
        assert_eq!(checked(&format!("{one}{twice}")), registry);
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
            let refused = checked(&lines).unwrap_err();
            assert!(refused.contains(words), "{lines}: {refused}");
        }
    }
}
