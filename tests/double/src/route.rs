//! The facade's URL grammar: the kind of a request, and its needed scopes.
//!
//! It is written apart from the product's own grammar on purpose, so neither grades itself.

use http::Method;

use super::kind::Kind;
use super::locks::Target;
use super::scope::{Action, Scope};

/// The target of a path. Texts stay as they are; the backing registry judges them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Version,
    Token,
    Exchange,
    Catalog,
    Tags { name: String },
    Referrers { name: String, digest: String },
    Manifest { name: String, reference: String },
    Blob { name: String, digest: String },
    Uploads { name: String },
    Upload { name: String, id: String },
    Metadata { name: String, what: Metadata },
    MetadataCatalog,
    Control { action: String },
    Unknown,
}

/// The target of a path below `/acr/v1/<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Metadata {
    One(Target),
    Tags,
    Manifests,
}

impl Route {
    pub(crate) fn parse(path: &str) -> Self {
        match path {
            "/v2" | "/v2/" => return Self::Version,
            "/v2/_catalog" => return Self::Catalog,
            "/oauth2/token" => return Self::Token,
            "/oauth2/exchange" => return Self::Exchange,
            _ => {}
        }
        if let Some(action) = path.strip_prefix("/_double/") {
            return Self::Control { action: action.to_owned() };
        }
        if path == "/acr/v1/_catalog" {
            return Self::MetadataCatalog;
        }
        if let Some(rest) = path.strip_prefix("/acr/v1/").filter(|rest| !rest.is_empty()) {
            return Self::below_acr(rest);
        }
        path.strip_prefix("/v2/").and_then(Self::below_v2).unwrap_or(Self::Unknown)
    }

    /// No part of a repository's name begins with an underscore.
    fn below_acr(path: &str) -> Self {
        let (name, what) = match path.split_once("/_") {
            None => (path, Some(Metadata::One(Target::Repository))),
            Some((name, rest)) => (
                name,
                match rest.split_once('/') {
                    None if rest == "tags" => Some(Metadata::Tags),
                    None if rest == "manifests" => Some(Metadata::Manifests),
                    Some(("tags", tag)) => Some(Metadata::One(Target::Tag(tag.to_owned()))),
                    Some(("manifests", digest)) => {
                        Some(Metadata::One(Target::Manifest(digest.to_owned())))
                    }
                    _ => None,
                },
            ),
        };
        what.map_or(Self::Unknown, |what| Self::Metadata { name: name.to_owned(), what })
    }

    /// Reads from the right, because a repository's name holds slashes itself.
    fn below_v2(path: &str) -> Option<Self> {
        let owned = str::to_owned;
        if let Some(name) = path.strip_suffix("/blobs/uploads/").filter(|name| !name.is_empty()) {
            return Some(Self::Uploads { name: owned(name) });
        }
        let (rest, last) = path.rsplit_once('/')?;
        let (name, kind) = rest.rsplit_once('/')?;
        if name.is_empty() || last.is_empty() {
            return None;
        }
        if let ("uploads", Some(name)) = (kind, name.strip_suffix("/blobs")) {
            return Some(Self::Upload { name: owned(name), id: owned(last) });
        }
        let (name, last) = (owned(name), owned(last));
        match (kind, last.as_str()) {
            ("tags", "list") => Some(Self::Tags { name }),
            ("blobs", "uploads") => Some(Self::Uploads { name }),
            ("blobs", _) => Some(Self::Blob { name, digest: last }),
            ("manifests", _) => Some(Self::Manifest { name, reference: last }),
            ("referrers", _) => Some(Self::Referrers { name, digest: last }),
            _ => None,
        }
    }

    pub(crate) fn kind(&self, method: &Method) -> Kind {
        match (self, method.as_str()) {
            (Self::Version, _) => Kind::Version,
            (Self::Token, _) => Kind::Token,
            (Self::Exchange, _) => Kind::Exchange,
            (Self::Catalog, _) => Kind::Catalog,
            (Self::Metadata { .. } | Self::MetadataCatalog, _) => Kind::Metadata,
            (Self::Tags { .. }, _) => Kind::Tags,
            (Self::Referrers { .. }, _) => Kind::Referrers,
            (Self::Manifest { .. }, "GET") => Kind::ManifestGet,
            (Self::Manifest { .. }, "HEAD") => Kind::ManifestHead,
            (Self::Manifest { .. }, "PUT") => Kind::ManifestPut,
            (Self::Manifest { .. }, "DELETE") => Kind::ManifestDelete,
            (Self::Blob { .. }, "GET") => Kind::BlobGet,
            (Self::Blob { .. }, "HEAD") => Kind::BlobHead,
            (Self::Blob { .. }, "DELETE") => Kind::BlobDelete,
            (Self::Uploads { .. }, "POST") => Kind::UploadPost,
            (Self::Upload { .. }, "PATCH") => Kind::UploadPatch,
            (Self::Upload { .. }, "PUT") => Kind::UploadPut,
            (Self::Upload { .. }, "GET") => Kind::UploadStatus,
            (Self::Upload { .. }, "DELETE") => Kind::UploadCancel,
            _ => Kind::Other,
        }
    }

    /// The digest in the request's path or query.
    pub(crate) fn digest(&self, query: &Query) -> Option<String> {
        match self {
            Self::Blob { digest, .. } | Self::Referrers { digest, .. } => Some(digest.clone()),
            Self::Manifest { reference, .. } if reference.contains(':') => Some(reference.clone()),
            Self::Metadata { what: Metadata::One(Target::Manifest(digest)), .. } => {
                Some(digest.clone())
            }
            Self::Upload { .. } => query.first("digest"),
            Self::Uploads { .. } => query.first("mount").or_else(|| query.first("digest")),
            _ => None,
        }
    }

    /// The request's repository: at the token endpoint, the repository of the first scope.
    pub(crate) fn repo(&self, query: &Query) -> Option<String> {
        match self {
            Self::Tags { name }
            | Self::Referrers { name, .. }
            | Self::Manifest { name, .. }
            | Self::Blob { name, .. }
            | Self::Uploads { name }
            | Self::Upload { name, .. }
            | Self::Metadata { name, .. } => Some(name.clone()),
            Self::Token => Scope::parse(&query.first("scope")?).map(|scope| scope.name),
            Self::Version
            | Self::Exchange
            | Self::Catalog
            | Self::MetadataCatalog
            | Self::Control { .. }
            | Self::Unknown => None,
        }
    }

    /// The scopes needed by this request. Empty for `/v2/`, open to any known caller.
    pub(crate) fn scopes(&self, method: &Method, query: &Query) -> Vec<Scope> {
        let name = match self {
            Self::Catalog | Self::MetadataCatalog => return vec![Scope::catalog()],
            Self::Metadata { name, .. } => {
                let action = match method.as_str() {
                    "DELETE" => Action::Delete,
                    "GET" | "HEAD" => Action::MetadataRead,
                    _ => Action::MetadataWrite,
                };
                return vec![Scope::repository(name, &[action])];
            }
            Self::Uploads { name } | Self::Upload { name, .. } => {
                let mut scopes = vec![Scope::repository(name, &[Action::Pull, Action::Push])];
                let mounting = query.first("mount").is_some();
                if let Some(from) = query.first("from").filter(|_| mounting) {
                    scopes.push(Scope::repository(&from, &[Action::Pull]));
                }
                return scopes;
            }
            Self::Tags { name }
            | Self::Referrers { name, .. }
            | Self::Manifest { name, .. }
            | Self::Blob { name, .. } => name,
            Self::Version | Self::Token | Self::Exchange | Self::Control { .. } | Self::Unknown => {
                return Vec::new();
            }
        };
        let actions: &[Action] = match method.as_str() {
            "DELETE" => &[Action::Delete],
            "POST" | "PATCH" | "PUT" => &[Action::Pull, Action::Push],
            _ => &[Action::Pull],
        };
        vec![Scope::repository(name, actions)]
    }
}

/// The fields of a query or of a form, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    fields: Vec<(String, String)>,
}

impl Query {
    pub(crate) fn parse(text: &[u8]) -> Self {
        Self { fields: form_urlencoded::parse(text).into_owned().collect() }
    }

    pub(crate) fn first(&self, name: &str) -> Option<String> {
        self.all(name).next().map(str::to_owned)
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn scopes(method: &Method, path: &str, query: &str) -> String {
        let scopes = Route::parse(path).scopes(method, &Query::parse(query.as_bytes()));
        scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn names_with_slashes_and_with_words_of_the_grammar_are_read_from_the_right() {
        let name = "acme/blobs/manifests".to_owned();
        assert_eq!(
            Route::parse("/v2/acme/blobs/manifests/blobs/sha256:ab"),
            Route::Blob { name: name.clone(), digest: "sha256:ab".to_owned() }
        );
        assert_eq!(
            Route::parse("/v2/acme/blobs/manifests/blobs/uploads/"),
            Route::Uploads { name: name.clone() }
        );
        assert_eq!(
            Route::parse("/v2/acme/blobs/manifests/blobs/uploads/17"),
            Route::Upload { name, id: "17".to_owned() }
        );
        assert_eq!(Route::parse("/v2//manifests/x"), Route::Unknown);
        assert_eq!(Route::parse("/elsewhere"), Route::Unknown);
    }

    #[test]
    fn metadata_is_read_from_the_left() {
        let metadata = |what| Route::Metadata { name: "a/b".to_owned(), what };
        let tag = Target::Tag("v1".to_owned());
        assert_eq!(Route::parse("/acr/v1/a/b"), metadata(Metadata::One(Target::Repository)));
        assert_eq!(Route::parse("/acr/v1/a/b/_tags"), metadata(Metadata::Tags));
        assert_eq!(Route::parse("/acr/v1/a/b/_tags/v1"), metadata(Metadata::One(tag)));
        assert_eq!(Route::parse("/acr/v1/a/b/_manifests"), metadata(Metadata::Manifests));
        assert_eq!(Route::parse("/acr/v1/_catalog"), Route::MetadataCatalog);
        assert_eq!(Route::parse("/acr/v1/a/_riddles"), Route::Unknown);
    }

    #[test]
    fn the_scope_follows_method_and_path() {
        let (get, post, delete) = (&Method::GET, &Method::POST, &Method::DELETE);
        assert_eq!(scopes(get, "/v2/", ""), "");
        assert_eq!(scopes(get, "/v2/_catalog", ""), "registry:catalog:*");
        assert_eq!(scopes(&Method::HEAD, "/v2/a/b/manifests/1", ""), "repository:a/b:pull");
        assert_eq!(scopes(&Method::PUT, "/v2/a/b/manifests/1", ""), "repository:a/b:pull,push");
        assert_eq!(scopes(delete, "/v2/a/manifests/sha256:0", ""), "repository:a:delete");
        assert_eq!(scopes(get, "/v2/a/blobs/uploads/1", ""), "repository:a:pull,push");
        assert_eq!(scopes(get, "/acr/v1/a/_tags", ""), "repository:a:metadata_read");
        assert_eq!(scopes(&Method::PATCH, "/acr/v1/a", ""), "repository:a:metadata_write");
        assert_eq!(
            scopes(post, "/v2/a/blobs/uploads/", "mount=sha256:0&from=c/d"),
            "repository:a:pull,push repository:c/d:pull"
        );
    }
}
