//! The words of deployments as types: names every service takes, registries, pages, sizes.

use std::fmt;
use std::str::FromStr;

use wharf_oci::RepoName;

use super::limits::NAME_CHARS_MAX;
use crate::logins;
use crate::offer::values::LoginServer;
use crate::shown::visible;

/// Longest path of a probe; services state none, servers take some thousand.
const PATH_BYTES_MAX: usize = 1_000;
/// Longest name Helm takes for a release.
const RELEASE_CHARS_MAX: usize = 53;

/// A name of containers, services and volumes.
///
/// - `^[a-z]([a-z0-9-]*[a-z0-9])?$`, at most 53 characters, no `--`: the common form of Container
///   Instances, Kubernetes (RFC 1035) and Helm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceName(String);

impl ResourceName {
    /// The name nearest to a text; `before` goes in front where the text starts with no letter.
    #[must_use]
    pub fn nearest(text: &str, before: &str) -> Self {
        let mut name = String::new();
        let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
        let before = if starts { "" } else { before };
        for c in before.chars().chain(text.chars()) {
            let c = c.to_ascii_lowercase();
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                name.push(c);
            } else if !name.is_empty() && !name.ends_with('-') {
                name.push('-');
            }
        }
        name.truncate(RELEASE_CHARS_MAX);
        let name = name.trim_end_matches('-');
        Self(if name.is_empty() { "app".to_owned() } else { name.to_owned() })
    }

    /// The name of a volume for a folder; Container Instances wants at least 5 characters.
    #[must_use]
    pub fn of_volume(path: &str) -> Self {
        Self::nearest(&format!("vol-{}", path.trim_matches(['/', '\\'])), "vol-")
    }

    /// The same name with a number behind it.
    #[must_use]
    pub fn numbered(&self, number: usize) -> Self {
        let end = format!("-{number}");
        let room = RELEASE_CHARS_MAX - end.len();
        let start: String = self.0.chars().take(room).collect();
        Self(format!("{}{end}", start.trim_end_matches('-')))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same as one word, for keys of templates: `tide-service` is `tideService`.
    #[must_use]
    pub fn camel(&self) -> String {
        let mut words = self.0.split('-');
        let mut camel = words.next().unwrap_or_default().to_owned();
        for word in words {
            let mut letters = word.chars();
            camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            camel.extend(letters);
        }
        camel
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A page of a server: a path with its query.
///
/// - Starts with `/`, visible ASCII without spaces, at most 1,000 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_visible = text.bytes().all(|c| c.is_ascii_graphic());
        if text.starts_with('/') && is_visible && text.len() <= PATH_BYTES_MAX {
            return Ok(Self(text.to_owned()));
        }
        Err("write the path of a page, as /healthz, without spaces".to_owned())
    }
}

/// How much a volume holds, as Kubernetes says it: `8Gi`.
///
/// - `^[1-9][0-9]{0,4}(Mi|Gi|Ti)$`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity(String);

impl Capacity {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Capacity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = ["Mi", "Gi", "Ti"].iter().find_map(|unit| text.strip_suffix(unit));
        let fits = |number: &str| {
            (1..=5).contains(&number.len())
                && !number.starts_with('0')
                && number.bytes().all(|c| c.is_ascii_digit())
        };
        if number.is_some_and(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err("write a whole number and Mi, Gi or Ti, as 8Gi".to_owned())
    }
}

/// A registry customers pull from, with its prefix of every repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryOrigin {
    pub server: LoginServer,
    /// The prefix of every repository.
    pub prefix: Option<RepoName>,
}

impl FromStr for RegistryOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if logins::may_hold(text) {
            return Err("write HOST or HOST/PREFIX, without a login".to_owned());
        }
        let (server, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((server, prefix)) => (server, Some(prefix)),
        };
        // As clients read it: a first part without these is a repository of Docker's own registry.
        if !server.contains(['.', ':']) && server != "localhost" {
            return Err(format!(
                "`{}` is no host of a registry; write it in full, as NAME.azurecr.io",
                visible(server)
            ));
        }
        let server = server.parse().map_err(|error| format!("{error}"))?;
        let prefix = prefix.map(str::parse).transpose().map_err(|error| format!("{error}"))?;
        Ok(Self { server, prefix })
    }
}

/// Whether a text may stand as the value of a label in Kubernetes.
#[must_use]
pub fn is_label(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    text.len() <= NAME_CHARS_MAX
        && ends(text.chars().next())
        && ends(text.chars().next_back())
        && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn any_text_has_a_nearest_name() {
        let long = "a".repeat(99);
        for (text, name) in [
            ("tide-service", "tide-service"),
            ("tide__service_", "tide-service"),
            ("9lives", "app-9lives"),
            ("--", "app"),
            ("", "app"),
            (long.as_str(), &"a".repeat(53)),
        ] {
            assert_eq!(ResourceName::nearest(text, "app-").as_str(), name, "{text}");
        }
        assert_eq!(ResourceName::of_volume("/var/lib/redis/").as_str(), "vol-var-lib-redis");
        assert_eq!(ResourceName::of_volume("/").as_str(), "vol");
        assert_eq!(ResourceName::nearest(&long, "").numbered(12).as_str().len(), 53);
        assert_eq!(ResourceName::nearest("tide-cache-2x", "").camel(), "tideCache2x");
    }

    #[test]
    fn sizes_pages_and_registries_are_refused_when_they_are_none() {
        for bad in ["8", "0Gi", "8GB", "-1Gi", "8.5Gi", "123456Gi", "Gi"] {
            assert!(bad.parse::<Capacity>().is_err(), "{bad}");
        }
        for bad in ["", "healthz", "/a b", "/é", "/a\n"] {
            assert!(bad.parse::<Path>().is_err(), "{bad}");
        }
        for bad in [
            "",
            "foo",
            "foo/bar",
            "https://a.example",
            "user:pass@a.example",
            "a.example/",
            "a.example/A",
        ] {
            assert!(bad.parse::<RegistryOrigin>().is_err(), "{bad}");
        }
        for good in ["localhost", "localhost/x", "foo:5000", "foo.example/x"] {
            assert!(good.parse::<RegistryOrigin>().is_ok(), "{good}");
        }
        let origin: RegistryOrigin = "registry.example:5000/sold/here".parse().unwrap();
        assert_eq!(origin.server.as_str(), "registry.example:5000");
        assert_eq!(origin.prefix.unwrap().as_str(), "sold/here");
        assert!(is_label("1.4.0") && !is_label("1.4.0-") && !is_label("") && !is_label("a b"));
    }
}
