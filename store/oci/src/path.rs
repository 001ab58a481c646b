//! The URL grammar of a registry, spelled once: the proxy parses it, clients of a registry render
//! it. Methods and query parameters are not here.
//!
//! Invariant: `Endpoint::parse(endpoint.to_string()) == endpoint`. A path outside the grammar
//! (empty or dotted components, encoded slashes) is refused, never repaired.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::error::{ParseError, excerpt};
use crate::{Digest, Reference, RepoName};

/// Longest path, in bytes: a name of 255, a digest and the words between them, every byte
/// percent-encoded.
const PATH_LEN_MAX: usize = 3 * 512;

/// The identifier of an upload session of this program: 32 lowercase hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(u128);

impl UploadId {
    /// The session with this number; the caller makes it hard to guess.
    #[must_use]
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }

    /// The number, for storage.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for UploadId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() != 32 || !text.bytes().all(hex) {
            return Err(ParseError::UploadId { text: excerpt(text) });
        }
        u128::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| ParseError::UploadId { text: excerpt(text) })
    }
}

/// A resource of the distribution specification ("Endpoints"), without method and query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/blobs/<digest>`
    Blob {
        /// The repository.
        repo: RepoName,
        /// The digest of the blob.
        digest: Digest,
    },
    /// `/v2/<name>/manifests/<reference>`
    Manifest {
        /// The repository.
        repo: RepoName,
        /// The tag or digest of the manifest.
        reference: Reference,
    },
    /// `/v2/<name>/blobs/uploads/`
    Uploads {
        /// The repository.
        repo: RepoName,
    },
    /// `/v2/<name>/blobs/uploads/<id>`
    Upload {
        /// The repository.
        repo: RepoName,
        /// The upload session.
        id: UploadId,
    },
    /// `/v2/<name>/tags/list`
    Tags {
        /// The repository.
        repo: RepoName,
    },
    /// `/v2/<name>/referrers/<digest>`
    Referrers {
        /// The repository.
        repo: RepoName,
        /// The digest of the subject.
        digest: Digest,
    },
}

impl Endpoint {
    /// Reads the path of a request, still percent-encoded.
    ///
    /// A malformed name, digest or reference gives the error of its own word, for the codes
    /// `NAME_INVALID` and `DIGEST_INVALID`. A path of unknown shape is [`ParseError::Path`].
    pub fn parse(path: &str) -> Result<Self, ParseError> {
        let unknown = || ParseError::Path { text: excerpt(path) };
        if path.len() > PATH_LEN_MAX {
            return Err(unknown());
        }
        if path == "/v2" || path == "/v2/" {
            return Ok(Self::Base);
        }
        let rest = path.strip_prefix("/v2/").ok_or_else(unknown)?;
        let parts: Vec<Cow<'_, str>> = rest.split('/').map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        match parts.as_slice() {
            ["_catalog"] => Ok(Self::Catalog),
            [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""]
                if !name.is_empty() =>
            {
                Ok(Self::Uploads { repo: repo(name)? })
            }
            [name @ .., "blobs", "uploads", id] if !name.is_empty() => {
                Ok(Self::Upload { repo: repo(name)?, id: id.parse()? })
            }
            [name @ .., "blobs", digest] if !name.is_empty() => {
                Ok(Self::Blob { repo: repo(name)?, digest: digest.parse()? })
            }
            [name @ .., "manifests", reference] if !name.is_empty() => {
                let repo = repo(name)?;
                match reference.parse() {
                    Ok(reference) => Ok(Self::Manifest { repo, reference }),
                    Err(fault) => Err(ParseError::Reference { repo, fault: Box::new(fault) }),
                }
            }
            [name @ .., "tags", "list"] if !name.is_empty() => Ok(Self::Tags { repo: repo(name)? }),
            [name @ .., "referrers", digest] if !name.is_empty() => {
                Ok(Self::Referrers { repo: repo(name)?, digest: digest.parse()? })
            }
            _ => Err(unknown()),
        }
    }

    /// The repository of the endpoint; none for the base and the catalog.
    #[must_use]
    pub const fn repo(&self) -> Option<&RepoName> {
        match self {
            Self::Base | Self::Catalog => None,
            Self::Blob { repo, .. }
            | Self::Manifest { repo, .. }
            | Self::Uploads { repo }
            | Self::Upload { repo, .. }
            | Self::Tags { repo }
            | Self::Referrers { repo, .. } => Some(repo),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("/v2/"),
            Self::Catalog => f.write_str("/v2/_catalog"),
            Self::Blob { repo, digest } => write!(f, "/v2/{repo}/blobs/{digest}"),
            Self::Manifest { repo, reference } => write!(f, "/v2/{repo}/manifests/{reference}"),
            Self::Uploads { repo } => write!(f, "/v2/{repo}/blobs/uploads/"),
            Self::Upload { repo, id } => write!(f, "/v2/{repo}/blobs/uploads/{id}"),
            Self::Tags { repo } => write!(f, "/v2/{repo}/tags/list"),
            Self::Referrers { repo, digest } => write!(f, "/v2/{repo}/referrers/{digest}"),
        }
    }
}

fn repo(components: &[&str]) -> Result<RepoName, ParseError> {
    components.join("/").parse()
}

/// Decodes one component. An escape of a slash, of another escape or of bad UTF-8 stays as it is: a
/// program in between may have decoded it differently, and no word may contain a `%`.
fn decode(component: &str) -> Cow<'_, str> {
    match percent_decode_str(component).decode_utf8() {
        Ok(decoded) if !decoded.contains(['/', '\\', '%']) => decoded,
        _ => Cow::Borrowed(component),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Algorithm;
    use proptest::prelude::*;

    fn any_endpoint() -> impl Strategy<Value = Endpoint> {
        let repo = "[a-z0-9]{1,8}([._-][a-z0-9]{1,4})?(/(blobs|tags|manifests|uploads|[a-z0-9]{1,8})){0,3}"
            .prop_map(|name| name.parse::<RepoName>().unwrap());
        let digest = proptest::collection::vec(any::<u8>(), 32)
            .prop_map(|raw| Digest::from_raw(Algorithm::Sha256, &raw).unwrap());
        let tag = "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}";
        (repo, digest, tag, any::<u128>(), 0..8_u8).prop_map(|(repo, digest, tag, id, kind)| {
            match kind {
                0 => Endpoint::Base,
                1 => Endpoint::Catalog,
                2 => Endpoint::Blob { repo, digest },
                3 => Endpoint::Manifest { repo, reference: tag.parse().unwrap() },
                4 => Endpoint::Uploads { repo },
                5 => Endpoint::Upload { repo, id: UploadId::from_u128(id) },
                6 => Endpoint::Tags { repo },
                _ => Endpoint::Referrers { repo, digest },
            }
        })
    }

    proptest! {
        #[test]
        fn parse_undoes_display(endpoint in any_endpoint()) {
            prop_assert_eq!(Endpoint::parse(&endpoint.to_string()).unwrap(), endpoint);
        }

        #[test]
        fn any_path_parses_or_is_refused_without_panic(path in "(/v2/)?[a-z/%.A-F0-9:_-]{0,80}|\\PC{0,80}") {
            if let Ok(endpoint) = Endpoint::parse(&path) {
                prop_assert_eq!(Endpoint::parse(&endpoint.to_string()).unwrap(), endpoint);
            }
        }
    }

    #[test]
    fn an_encoded_colon_is_the_same_digest() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let plain = Endpoint::parse(&format!("/v2/a/b/blobs/sha256:{hex}")).unwrap();
        let encoded = Endpoint::parse(&format!("/v2/a/b/blobs/sha256%3A{hex}")).unwrap();
        assert_eq!(plain, encoded);
    }

    #[test]
    fn path_tricks_are_refused() {
        for path in [
            "/",
            "/v1/",
            "/v2/blobs/x",
            "/v2//tags/list",
            "/v2/a/../tags/list",
            "/v2/a%2Fb/tags/list",
            "/v2/a/%2e%2e/tags/list",
            "/v2/a/%252e/tags/list",
            "/v2/a/./tags/list",
            "/v2/a/tags/list/",
            "/v2/A/tags/list",
            "/v2/a/blobs/uploads/../x",
            "/v2/a/blobs/uploads/xyz",
            "/v2/a\\b/tags/list",
        ] {
            assert!(Endpoint::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn each_malformed_word_is_named() {
        assert!(matches!(Endpoint::parse("/v2/Upper/tags/list"), Err(ParseError::RepoName { .. })));
        assert!(matches!(Endpoint::parse("/v2/a/blobs/sha256:1"), Err(ParseError::Digest { .. })));
        for (reference, is_digest) in [("-x", false), ("", false), ("sha256:1", true)] {
            let refused = Endpoint::parse(&format!("/v2/a/b/manifests/{reference}"));
            let Err(ParseError::Reference { repo, fault }) = refused else { panic!("{refused:?}") };
            assert_eq!(repo.as_str(), "a/b");
            assert_eq!(matches!(*fault, ParseError::Digest { .. }), is_digest, "{fault}");
        }
        assert!(matches!(Endpoint::parse("/v2/a/nothing"), Err(ParseError::Path { .. })));
    }
}
