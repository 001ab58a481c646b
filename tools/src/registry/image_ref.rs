//! `ImageRef`: an image as people type it, `REGISTRY/REPOSITORY[:TAG][@DIGEST]`.
//!
//! Invariant: a reference always names its registry. Other tools read `redis` as an image of Docker
//! Hub; in front of a private registry such a default leads to the wrong registry.

use std::fmt;
use std::str::FromStr;

use wharf_oci::{Digest, ParseError, Reference, RepoName, Tag};

use crate::logins;
use crate::offer::values::{LoginServer, ValueError};

/// Longest text, in bytes.
const LEN_MAX: usize = 1024;

/// An image on a registry.
///
/// - Displays as it parses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageRef {
    pub registry: LoginServer,
    pub repository: RepoName,
    pub tag: Option<Tag>,
    pub digest: Option<Digest>,
}

/// Why a text is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageRefError {
    /// The registry is missing, or nothing follows it.
    #[error(
        "`{text}` names no registry; write REGISTRY/REPOSITORY:TAG, as in \
             example.azurecr.io/base:1.0"
    )]
    NoRegistry {
        /// The text, shortened.
        text: String,
    },
    /// It has a login before the registry.
    #[error("the reference holds a login and is not shown; {}", logins::ADVICE)]
    Login,
    /// There is a scheme before it.
    #[error("write the reference without `{scheme}://`")]
    Scheme { scheme: String },
    /// The registry is malformed.
    #[error(transparent)]
    Registry(#[from] ValueError),
    /// The repository, tag or digest is malformed.
    #[error(transparent)]
    Word(#[from] ParseError),
    /// There is neither a tag nor a digest where one is needed.
    #[error("`{text}` has neither a tag nor a digest; append :TAG or @DIGEST")]
    NoReference { text: String },
}

impl ImageRef {
    /// The reference for a request: the digest if there is one, else the tag.
    pub fn reference(&self) -> Result<Reference, ImageRefError> {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Ok(Reference::Digest(*digest)),
            (None, Some(tag)) => Ok(Reference::Tag(tag.clone())),
            (None, None) => Err(ImageRefError::NoReference { text: self.to_string() }),
        }
    }
}

impl FromStr for ImageRef {
    type Err = ImageRefError;

    fn from_str(text: &str) -> Result<Self, ImageRefError> {
        if logins::may_hold(text) && !ends_in_digest(text) {
            return Err(ImageRefError::Login);
        }
        let shown = || text.chars().filter(|c| !c.is_control()).take(80).collect::<String>();
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(ImageRefError::Scheme { scheme: scheme.chars().take(20).collect() });
        }
        let (registry, rest) = text
            .split_once('/')
            .filter(|(registry, rest)| {
                let is_host = registry.contains(['.', ':', '[']) || *registry == "localhost";
                is_host && !rest.is_empty() && text.len() <= LEN_MAX
            })
            .ok_or_else(|| ImageRefError::NoRegistry { text: shown() })?;
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (rest, None),
        };
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.parse()?)),
            None => (rest, None),
        };
        let registry = registry.parse()?;
        Ok(Self { registry, repository: repository.parse()?, tag, digest })
    }
}

/// Whether the only `@` begins a digest, well-formed or not.
fn ends_in_digest(text: &str) -> bool {
    let mut parts = text.split('@').skip(1);
    let is_digest = |part: &str| part.starts_with("sha256:") || part.starts_with("sha512:");
    parts.next().is_some_and(is_digest) && parts.next().is_none()
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn references_with_a_registry_survive_display() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for text in [
            "a.azurecr.io/staging/base:1.0".to_owned(),
            "127.0.0.1:5055/a".to_owned(),
            "localhost/a/b:x".to_owned(),
            "[::1]:5000/a:b".to_owned(),
            format!("a.b/c@{digest}"),
            format!("a.b/c:1@{digest}"),
        ] {
            assert_eq!(text.parse::<ImageRef>().unwrap().to_string(), text);
        }
        let both: ImageRef = format!("a.b/c:1@{digest}").parse().unwrap();
        assert_eq!(both.reference().unwrap().to_string(), digest);
        assert!("a.b/c".parse::<ImageRef>().unwrap().reference().is_err());
    }

    #[test]
    fn references_without_a_registry_or_malformed_are_refused() {
        for text in [
            "redis",
            "redis:7",
            "library/redis",
            "https://a.b/c:1",
            "a.b/",
            "a.b/C:1",
            "a.b/c:",
            "a.b/c:-x",
            "a.b/c@sha256:12",
            "/a:1",
            "a.b:99999/c:1",
            "a.b/c:1:2",
            "a.b/c d:1",
        ] {
            assert!(text.parse::<ImageRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_login_is_named_and_not_shown() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for text in [
            "bob:s3cret@a.b/c:1".to_owned(),
            "https://bob:s3cret@a.b/c:1".to_owned(),
            "bob:s3/cret@a.b:5000/c:1".to_owned(),
            "bob:s3cret@a.b/c@sha256:12".to_owned(),
            format!("bob:s3cret@a.b/c:1@{digest}"),
        ] {
            let said = text.parse::<ImageRef>().unwrap_err().to_string();
            assert!(!said.contains("cret") && said.contains("not shown"), "{said}");
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused_without_panic(text in "\\PC{0,100}|[a-z.:/@]{0,60}") {
            if let Ok(parsed) = text.parse::<ImageRef>() {
                prop_assert_eq!(parsed.to_string(), text);
            }
        }
    }
}
