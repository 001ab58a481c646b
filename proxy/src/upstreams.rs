//! Which registry is behind a name. Pure after start: no IO, no state.
//!
//! Invariant: the longest matching prefix wins, and with upstreams configured a name that none
//! serves is refused, never kept here by accident.

use std::sync::Arc;
use std::time::Duration;

use wharf_oci::RepoName;

use crate::Error;
use crate::config::{ConfigError, UpstreamConfig};
use crate::upstream::Upstream;

/// All registries behind this proxy.
pub(crate) struct Upstreams {
    /// Longest prefix first.
    entries: Vec<Entry>,
}

struct Entry {
    prefix: Option<RepoName>,
    upstream: Arc<Upstream>,
    tag_ttl: Duration,
}

/// Where a repository lives.
#[derive(Clone)]
pub(crate) enum Site {
    /// Here and nowhere else.
    Local,
    /// At an upstream.
    Remote(Remote),
}

/// A repository of an upstream.
#[derive(Clone)]
pub(crate) struct Remote {
    /// The registry.
    pub upstream: Arc<Upstream>,
    /// The repository's name there.
    pub repo: RepoName,
    /// How long its tags are believed.
    pub tag_ttl: Duration,
}

impl Upstreams {
    /// Clients of all configured upstreams.
    pub(crate) fn new(configs: &[UpstreamConfig]) -> Result<Self, ConfigError> {
        let mut entries = Vec::new();
        for config in configs {
            entries.push(Entry {
                prefix: config.prefix.clone(),
                upstream: Arc::new(Upstream::new(config)?),
                tag_ttl: config.tag_ttl(),
            });
        }
        let length = |entry: &Entry| entry.prefix.as_ref().map_or(0, |p| p.as_str().len());
        entries.sort_by_key(|entry| std::cmp::Reverse(length(entry)));
        Ok(Self { entries })
    }

    /// Where this repository lives.
    pub(crate) fn site(&self, repo: &RepoName) -> Result<Site, Error> {
        if self.entries.is_empty() {
            return Ok(Site::Local);
        }
        let found = self.entries.iter().find_map(|entry| {
            let there = match &entry.prefix {
                Some(prefix) => repo.strip(prefix)?,
                None => repo.clone(),
            };
            let upstream = Arc::clone(&entry.upstream);
            Some(Site::Remote(Remote { upstream, repo: there, tag_ttl: entry.tag_ttl }))
        });
        found.ok_or_else(|| Error::NameUnserved(repo.clone()))
    }

    /// The repository's name at the same upstream as `remote`; `None` when it lives elsewhere.
    #[must_use]
    pub(crate) fn beside(&self, remote: &Remote, repo: &RepoName) -> Option<RepoName> {
        match self.site(repo) {
            Ok(Site::Remote(other)) if Arc::ptr_eq(&other.upstream, &remote.upstream) => {
                Some(other.repo)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstreams(texts: &[&str]) -> Upstreams {
        let configs: Vec<UpstreamConfig> = texts.iter().map(|text| text.parse().unwrap()).collect();
        Upstreams::new(&configs).unwrap()
    }

    fn there(upstreams: &Upstreams, name: &str) -> Option<(String, String)> {
        match upstreams.site(&name.parse().unwrap()) {
            Ok(Site::Remote(remote)) => {
                Some((remote.upstream.address().to_owned(), remote.repo.to_string()))
            }
            _ => None,
        }
    }

    #[test]
    fn the_longest_prefix_wins_and_is_taken_off() {
        let upstreams = upstreams(&["http://all", "a=http://a", "a/b=http://ab"]);
        let at = |host: &str, repo: &str| Some((format!("http://{host}"), repo.to_owned()));
        assert_eq!(there(&upstreams, "a/b/c"), at("ab", "c"));
        assert_eq!(there(&upstreams, "a/x"), at("a", "x"));
        assert_eq!(there(&upstreams, "ab/x"), at("all", "ab/x"));
        assert_eq!(there(&upstreams, "a"), at("all", "a"));
    }

    #[test]
    fn without_upstreams_all_is_local_and_with_some_nothing_is() {
        assert!(matches!(upstreams(&[]).site(&"a/b".parse().unwrap()), Ok(Site::Local)));
        let one = upstreams(&["a=http://a"]);
        assert!(matches!(one.site(&"b".parse().unwrap()), Err(Error::NameUnserved(_))));
    }
}
