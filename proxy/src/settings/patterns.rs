//! Patterns in the configuration: of tags, repositories and registry hosts. `*` stands for any
//! characters.
//!
//! Invariant: a host pattern that begins with `*` never fits an address or a name without a dot: no
//! client reaches internal hosts by naming them.

use std::net::IpAddr;

use serde::Deserialize;
use wharf_oci::{RepoName, Tag};

/// Tags by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct TagPattern(String);

impl TagPattern {
    pub(crate) fn fits(&self, tag: &Tag) -> bool {
        fits(&self.0, tag.as_str())
    }
}

/// Tags of some repositories, or of all: `TAG` or `REPOSITORY:TAG`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct TagRule {
    repo: Option<String>,
    tag: String,
}

impl TryFrom<String> for TagRule {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (repo, tag) = match text.split_once(':') {
            Some((repo, tag)) => (Some(repo.to_owned()), tag.to_owned()),
            None => (None, text),
        };
        let in_repo = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/*".contains(c);
        let in_tag = |c: char| c.is_ascii_alphanumeric() || "._-*".contains(c);
        let fits = |text: &str, allowed: &dyn Fn(char) -> bool| {
            !text.is_empty() && text.chars().all(allowed)
        };
        if !fits(&tag, &in_tag) || !repo.as_deref().is_none_or(|repo| fits(repo, &in_repo)) {
            return Err("write a tag such as \"v*\", or \"team/*:v*\" for some repositories");
        }
        Ok(Self { repo, tag })
    }
}

impl TagRule {
    /// Whether it is about tags of this repository.
    pub(crate) fn fits_repo(&self, repo: &RepoName) -> bool {
        self.repo.as_ref().is_none_or(|pattern| fits(pattern, repo.as_str()))
    }

    /// Whether the rule covers this tag.
    pub(crate) fn fits(&self, repo: &RepoName, tag: &Tag) -> bool {
        self.fits_repo(repo) && fits(&self.tag, tag.as_str())
    }
}

/// Repositories by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct RepoPattern(String);

impl TryFrom<String> for RepoPattern {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/*".contains(c);
        if text.is_empty() || !text.chars().all(allowed) {
            return Err("write a repository such as \"team/app\", or \"team/*\" for all below");
        }
        Ok(Self(text))
    }
}

impl RepoPattern {
    /// Whether the pattern fits this repository.
    pub(crate) fn fits(&self, repo: &RepoName) -> bool {
        fits(&self.0, repo.as_str())
    }
}

/// A registry host, or all hosts of a pattern, as clients name them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct HostPattern(String);

impl TryFrom<String> for HostPattern {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-:*".contains(c);
        if text.is_empty() || !text.chars().all(allowed) {
            return Err("a namespace is a host as in image names: registry.example.com:5000");
        }
        Ok(Self(text))
    }
}

impl HostPattern {
    /// Whether the pattern fits more than one host.
    pub(crate) fn is_pattern(&self) -> bool {
        self.0.contains('*')
    }

    /// Whether the pattern fits every host that has a name in the public DNS.
    pub(crate) fn is_any(&self) -> bool {
        self.0.chars().all(|c| c == '*')
    }

    /// Whether the pattern names the host itself, with any port: then the configuration alone chose
    /// the host.
    pub(crate) fn names(&self, host: &str) -> bool {
        let name = self.0.split(':').next().unwrap_or(&self.0);
        !name.contains('*') && self.fits(host)
    }

    /// The configured text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern fits this host.
    pub(crate) fn fits(&self, host: &str) -> bool {
        if !self.0.starts_with('*') {
            return fits(&self.0, host);
        }
        let name = host.split(':').next().unwrap_or(host);
        let open = name.contains('.') && name.parse::<IpAddr>().is_err() && name != "localhost";
        // Some resolvers take a name with a numeric last part for an address.
        let last_is_number = name
            .rsplit('.')
            .next()
            .is_some_and(|last| last.chars().all(|c| c.is_ascii_digit()) || last.starts_with("0x"));
        open && !last_is_number && fits(&self.0, host)
    }
}

/// Whether a text fits a pattern. Linear: after a `*`, the first match is as good as any.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    let Some(mut rest) = rest.strip_suffix(last) else { return false };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text) in
            [("v*", "v1.2"), ("*", "x"), ("*-rc*", "v1-rc.2"), ("a*b*c", "aXbXc"), ("v1", "v1")]
        {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("v*", "1v"), ("v1", "v11"), ("a*a", "a"), ("a*b*c", "acb")] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_rule_is_about_tags_of_all_repositories_or_of_some() {
        let rule = |text: &str| TagRule::try_from(text.to_owned());
        let fits = |text: &str, repo: &str, tag: &str| {
            rule(text).unwrap().fits(&repo.parse().unwrap(), &tag.parse().unwrap())
        };
        assert!(fits("v*", "a/b", "v1.2") && !fits("v*", "a/b", "latest"));
        assert!(fits("team/*:v*", "team/app", "v1") && !fits("team/*:v*", "other/app", "v1"));
        assert!(!fits("team/*:v*", "team/app", "latest"));
        for wrong in ["", ":v1", "a:", "A:v1", "a b", "a:v1:2", "v$"] {
            assert!(rule(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_pattern_of_hosts_fits_no_address_and_no_local_name() {
        let any = HostPattern::try_from("*".to_owned()).unwrap();
        assert!(any.fits("acme.azurecr.io") && any.fits("registry.example.com:5000"));
        for inside in
            ["127.0.0.1", "169.254.169.254:80", "localhost", "db", "10.1", "0x7f.1", "[::1]"]
        {
            assert!(!any.fits(inside), "{inside}");
        }
        let acr = HostPattern::try_from("*.azurecr.io".to_owned()).unwrap();
        assert!(acr.fits("acme.azurecr.io") && !acr.fits("azurecr.io.example.com"));
        let port = HostPattern::try_from("127.0.0.1:*".to_owned()).unwrap();
        assert!(port.fits("127.0.0.1:5000") && port.names("127.0.0.1:5000"));
        assert!(any.is_any() && !any.names("acme.azurecr.io") && !acr.names("acme.azurecr.io"));
        assert!(!acr.is_any());
        assert!(HostPattern::try_from("a/b".to_owned()).is_err());
    }
}
