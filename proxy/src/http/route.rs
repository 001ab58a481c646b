//! From method and URL to an operation of the registry, and back. Pure: no headers, no state.
//!
//! Invariant: `parse(render(route)) == route`, and a malformed URL is refused, never guessed: a
//! malformed cursor does not list everything.

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use wharf_oci::{
    Algorithm, ChunkRange, Digest, Endpoint, ParseError, Reference, RepoName, Tag, UploadId,
};

use crate::Error;
use crate::limits::{PAGE_ENTRIES_MAX, QUERY_PARAMETERS_MAX, TAGS_PER_PUT_MAX};

mod referrers;

pub(crate) use referrers::ReferrersCursor;

/// Every operation of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `GET /v2/`: is this a registry?
    Base,
    /// A page of the catalog of repositories.
    Catalog(Cursor),
    /// A blob, or its headers.
    Blob {
        repo: RepoName,
        digest: Digest,
        /// Headers only.
        head: bool,
    },
    /// Delete a blob.
    DeleteBlob {
        repo: RepoName,
        digest: Digest,
    },
    /// A manifest, or its headers.
    Manifest {
        repo: RepoName,
        reference: Reference,
        /// Headers only.
        head: bool,
    },
    /// Store a manifest.
    PutManifest {
        repo: RepoName,
        reference: Reference,
        /// Further tags of the same manifest (`?tag=`).
        tags: Vec<Tag>,
    },
    DeleteManifest {
        repo: RepoName,
        reference: Reference,
    },
    /// Read or delete a manifest under a name that no manifest can have. The answer is "not found",
    /// after the same permission check.
    NoManifest {
        repo: RepoName,
        /// Whether the request is a `DELETE`.
        delete: bool,
    },
    /// Open an upload.
    StartUpload {
        repo: RepoName,
        start: UploadStart,
    },
    /// How many bytes of an upload have arrived.
    UploadStatus {
        repo: RepoName,
        id: UploadId,
    },
    /// The next chunk.
    PatchUpload {
        repo: RepoName,
        id: UploadId,
    },
    /// The last chunk, perhaps empty, and the digest of everything.
    FinishUpload {
        repo: RepoName,
        id: UploadId,
        /// Of the whole content.
        digest: Digest,
    },
    /// Cancel an upload.
    CancelUpload {
        repo: RepoName,
        id: UploadId,
    },
    Tags {
        repo: RepoName,
        cursor: Cursor,
    },
    /// The referrers of a manifest.
    Referrers {
        repo: RepoName,
        /// The subject.
        digest: Digest,
        /// Only entries of this type.
        artifact_type: Option<String>,
        /// The position in the list.
        cursor: ReferrersCursor,
    },
}

/// How an upload begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadStart {
    /// A session; perhaps with the algorithm of the later digest (`?digest-algorithm=`).
    Session(Option<Algorithm>),
    /// All content in this request (`?digest=`).
    Whole(Digest),
    /// No content: take the blob from a repository that has it (`?mount=&from=`).
    Mount {
        digest: Digest,
        /// The source; any repository when absent.
        from: Option<RepoName>,
    },
}

/// Part of a listing (`?n=&last=`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// At most so many entries.
    pub limit: usize,
    /// Entries after this one.
    pub last: Option<String>,
}

/// Longest name of a registry in `?ns=`: a host name with a port.
const NAMESPACE_LEN_MAX: usize = 262;

/// Characters of a query without escaping, besides letters and digits.
const QUERY_ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'/').remove(b':');

/// Reads method, path and query.
pub fn parse(method: &Method, path: &str, query: Option<&str>) -> Result<Route, Error> {
    let endpoint = match (Endpoint::parse(path), method.as_str()) {
        (Ok(endpoint), _) => endpoint,
        (Err(ParseError::Reference { repo, .. }), "GET" | "HEAD" | "DELETE") => {
            return Ok(Route::NoManifest { repo, delete: method == Method::DELETE });
        }
        (Err(error @ ParseError::RepoName { .. }), _) => return Err(Error::NameImpossible(error)),
        (Err(error), _) => return Err(Error::Parse(error)),
    };
    let allowed = allowed(&endpoint);
    let query = Query::parse(query.unwrap_or_default())?;
    match (method.as_str(), endpoint) {
        ("GET" | "HEAD", Endpoint::Base) => Ok(Route::Base),
        ("GET", Endpoint::Catalog) => Ok(Route::Catalog(query.cursor()?)),
        ("GET" | "HEAD", Endpoint::Blob { repo, digest }) => {
            Ok(Route::Blob { repo, digest, head: method == Method::HEAD })
        }
        ("DELETE", Endpoint::Blob { repo, digest }) => Ok(Route::DeleteBlob { repo, digest }),
        ("GET" | "HEAD", Endpoint::Manifest { repo, reference }) => {
            Ok(Route::Manifest { repo, reference, head: method == Method::HEAD })
        }
        ("PUT", Endpoint::Manifest { repo, reference }) => {
            Ok(Route::PutManifest { repo, reference, tags: query.tags()? })
        }
        ("DELETE", Endpoint::Manifest { repo, reference }) => {
            Ok(Route::DeleteManifest { repo, reference })
        }
        ("POST", Endpoint::Uploads { repo }) => {
            Ok(Route::StartUpload { repo, start: query.upload_start()? })
        }
        ("GET" | "HEAD", Endpoint::Upload { repo, id }) => Ok(Route::UploadStatus { repo, id }),
        ("PATCH", Endpoint::Upload { repo, id }) => Ok(Route::PatchUpload { repo, id }),
        ("PUT", Endpoint::Upload { repo, id }) => {
            let digest = query.one("digest")?.ok_or(Error::Parameter("`digest` is missing"))?;
            Ok(Route::FinishUpload { repo, id, digest: digest.parse()? })
        }
        ("DELETE", Endpoint::Upload { repo, id }) => Ok(Route::CancelUpload { repo, id }),
        ("GET", Endpoint::Tags { repo }) => Ok(Route::Tags { repo, cursor: query.cursor()? }),
        ("GET", Endpoint::Referrers { repo, digest }) => {
            let artifact_type = query.one("artifactType")?.map(str::to_owned);
            let cursor = ReferrersCursor::parse(&query)?;
            Ok(Route::Referrers { repo, digest, artifact_type, cursor })
        }
        _ => Err(Error::MethodNotAllowed { allowed }),
    }
}

/// The methods of an endpoint, as `Allow` lists them (RFC 9110 §10.2.1).
const fn allowed(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Base => "GET, HEAD",
        Endpoint::Catalog | Endpoint::Tags { .. } | Endpoint::Referrers { .. } => "GET",
        Endpoint::Blob { .. } => "GET, HEAD, DELETE",
        Endpoint::Manifest { .. } => "GET, HEAD, PUT, DELETE",
        Endpoint::Uploads { .. } => "POST",
        Endpoint::Upload { .. } => "GET, HEAD, PUT, PATCH, DELETE",
    }
}

/// Reads a client's request about an upload: its query, and on the next line `Content-Range`. For
/// the fuzz target and its corpus.
///
/// # Panics
/// When a parsed value differs from its text.
#[doc(hidden)]
pub fn read_upload_words(input: &str) {
    let (query, range) = input.split_once('\n').unwrap_or((input, ""));
    let session = "/v2/team/app/blobs/uploads/0123456789abcdef0123456789abcdef";
    let requests = [
        (Method::POST, "/v2/team/app/blobs/uploads/"),
        (Method::PATCH, session),
        (Method::PUT, session),
    ];
    for (method, path) in requests {
        let Ok(route) = parse(&method, path, Some(query)) else { continue };
        let (again, url) = render(&route);
        let (path, query) = url.split_once('?').map_or((url.as_str(), None), |(p, q)| (p, Some(q)));
        assert_eq!(again, method);
        assert_eq!(parse(&method, path, query).ok().as_ref(), Some(&route), "{url}");
    }
    if let Ok(chunk) = range.parse::<ChunkRange>() {
        assert!(chunk.first <= chunk.last && chunk.size_bytes() > 0);
        assert_eq!(chunk.to_string(), range.strip_prefix("bytes=").unwrap_or(range));
    }
}

/// The registry named by a request (`?ns=`), if that name can be a host.
pub(crate) fn namespace(query: Option<&str>) -> Result<Option<String>, Error> {
    let Some(query) = query.filter(|query| query.contains("ns=")) else { return Ok(None) };
    let query = Query::parse(query)?;
    let Some(host) = query.one("ns")?.filter(|host| !host.is_empty()) else { return Ok(None) };
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-:_[]".contains(c);
    if host.len() > NAMESPACE_LEN_MAX || !host.chars().all(allowed) {
        return Err(Error::Parameter("`ns` is not a registry host"));
    }
    Ok(Some(host.to_ascii_lowercase()))
}

impl Route {
    /// The repository in the request's path.
    #[must_use]
    pub const fn repo(&self) -> Option<&RepoName> {
        match self {
            Self::Base | Self::Catalog(_) => None,
            Self::Blob { repo, .. }
            | Self::DeleteBlob { repo, .. }
            | Self::Manifest { repo, .. }
            | Self::PutManifest { repo, .. }
            | Self::DeleteManifest { repo, .. }
            | Self::NoManifest { repo, .. }
            | Self::StartUpload { repo, .. }
            | Self::UploadStatus { repo, .. }
            | Self::PatchUpload { repo, .. }
            | Self::FinishUpload { repo, .. }
            | Self::CancelUpload { repo, .. }
            | Self::Tags { repo, .. }
            | Self::Referrers { repo, .. } => Some(repo),
        }
    }

    /// The upload session that the request continues.
    #[must_use]
    pub const fn upload(&self) -> Option<(&RepoName, UploadId)> {
        match self {
            Self::UploadStatus { repo, id }
            | Self::PatchUpload { repo, id }
            | Self::FinishUpload { repo, id, .. }
            | Self::CancelUpload { repo, id } => Some((repo, *id)),
            _ => None,
        }
    }

    /// Whether the operation can bring content into its repository.
    #[must_use]
    pub const fn writes(&self) -> bool {
        matches!(
            self,
            Self::PutManifest { .. } | Self::StartUpload { .. } | Self::FinishUpload { .. }
        )
    }

    /// Renames every repository in the route.
    pub(crate) fn rename(
        &mut self,
        name: impl Fn(&RepoName) -> Result<RepoName, Error>,
    ) -> Result<(), Error> {
        if let Self::StartUpload { start: UploadStart::Mount { from: Some(from), .. }, .. } = self {
            *from = name(from)?;
        }
        match self {
            Self::Base | Self::Catalog(_) => {}
            Self::Blob { repo, .. }
            | Self::DeleteBlob { repo, .. }
            | Self::Manifest { repo, .. }
            | Self::PutManifest { repo, .. }
            | Self::DeleteManifest { repo, .. }
            | Self::NoManifest { repo, .. }
            | Self::StartUpload { repo, .. }
            | Self::UploadStatus { repo, .. }
            | Self::PatchUpload { repo, .. }
            | Self::FinishUpload { repo, .. }
            | Self::CancelUpload { repo, .. }
            | Self::Tags { repo, .. }
            | Self::Referrers { repo, .. } => *repo = name(repo)?,
        }
        Ok(())
    }
}

/// The request for an operation: method, and path with query.
#[must_use]
pub fn render(route: &Route) -> (Method, String) {
    (method(route), format!("{}{}", path(route), query(route)))
}

const fn method(route: &Route) -> Method {
    match route {
        Route::Blob { head: true, .. } | Route::Manifest { head: true, .. } => Method::HEAD,
        Route::Base
        | Route::Catalog(_)
        | Route::Blob { .. }
        | Route::Manifest { .. }
        | Route::NoManifest { delete: false, .. }
        | Route::UploadStatus { .. }
        | Route::Tags { .. }
        | Route::Referrers { .. } => Method::GET,
        Route::PutManifest { .. } | Route::FinishUpload { .. } => Method::PUT,
        Route::StartUpload { .. } => Method::POST,
        Route::PatchUpload { .. } => Method::PATCH,
        Route::DeleteBlob { .. }
        | Route::DeleteManifest { .. }
        | Route::NoManifest { delete: true, .. }
        | Route::CancelUpload { .. } => Method::DELETE,
    }
}

fn path(route: &Route) -> String {
    let endpoint = match route.clone() {
        // One impossible name stands for all of them.
        Route::NoManifest { repo, .. } => return format!("/v2/{repo}/manifests/-"),
        Route::Base => Endpoint::Base,
        Route::Catalog(_) => Endpoint::Catalog,
        Route::Blob { repo, digest, .. } | Route::DeleteBlob { repo, digest } => {
            Endpoint::Blob { repo, digest }
        }
        Route::Manifest { repo, reference, .. }
        | Route::PutManifest { repo, reference, .. }
        | Route::DeleteManifest { repo, reference } => Endpoint::Manifest { repo, reference },
        Route::StartUpload { repo, .. } => Endpoint::Uploads { repo },
        Route::UploadStatus { repo, id }
        | Route::PatchUpload { repo, id }
        | Route::FinishUpload { repo, id, .. }
        | Route::CancelUpload { repo, id } => Endpoint::Upload { repo, id },
        Route::Tags { repo, .. } => Endpoint::Tags { repo },
        Route::Referrers { repo, digest, .. } => Endpoint::Referrers { repo, digest },
    };
    endpoint.to_string()
}

fn query(route: &Route) -> String {
    match route {
        Route::Catalog(cursor) | Route::Tags { cursor, .. } => cursor.render(),
        Route::PutManifest { tags, .. } if !tags.is_empty() => {
            let tags: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
            format!("?{}", tags.join("&"))
        }
        Route::StartUpload { start, .. } => start.render(),
        Route::FinishUpload { digest, .. } => format!("?digest={digest}"),
        Route::Referrers { artifact_type, cursor, .. } => {
            let filter = artifact_type.as_ref();
            let filter = filter.map(|wanted| format!("artifactType={}", escape(wanted)));
            let parameters: Vec<_> = filter.into_iter().chain(cursor.render()).collect();
            let mark = if parameters.is_empty() { "" } else { "?" };
            format!("{mark}{}", parameters.join("&"))
        }
        _ => String::new(),
    }
}

/// The `Location` of an upload: relative, so that it holds behind any other proxy.
pub(crate) fn upload_path(repo: &RepoName, id: UploadId) -> String {
    Endpoint::Upload { repo: repo.clone(), id }.to_string()
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, QUERY_ESCAPED).to_string()
}

impl Cursor {
    /// The query of this part; empty for the whole default.
    #[must_use]
    pub fn render(&self) -> String {
        let last = self.last.as_ref().map(|last| format!("&last={}", escape(last)));
        format!("?n={}{}", self.limit, last.unwrap_or_default())
    }
}

impl UploadStart {
    fn render(&self) -> String {
        match self {
            Self::Session(None) => String::new(),
            Self::Session(Some(algorithm)) => format!("?digest-algorithm={algorithm}"),
            Self::Whole(digest) => format!("?digest={digest}"),
            Self::Mount { digest, from: None } => format!("?mount={digest}"),
            Self::Mount { digest, from: Some(from) } => format!("?mount={digest}&from={from}"),
        }
    }
}

/// The parameters of a request, decoded. Unknown ones are kept and ignored: clients send `ns` and
/// registries add state of their own.
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: &str) -> Result<Self, Error> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == QUERY_PARAMETERS_MAX {
                return Err(Error::Parameter("too many query parameters"));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    fn one<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, Error> {
        let mut found = self.all(name);
        match (found.next(), found.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Error::Parameter("a query parameter is given twice")),
        }
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn cursor(&self) -> Result<Cursor, Error> {
        let limit = match self.one("n")? {
            None => PAGE_ENTRIES_MAX,
            Some(n) => {
                let n: usize = n.parse().map_err(|_| Error::Parameter("`n` is not a number"))?;
                n.min(PAGE_ENTRIES_MAX)
            }
        };
        Ok(Cursor {
            limit,
            last: self.one("last")?.filter(|last| !last.is_empty()).map(str::to_owned),
        })
    }

    fn tags(&self) -> Result<Vec<Tag>, Error> {
        let tags = self.all("tag").map(|tag| tag.parse().map_err(Error::Parse));
        let tags: Vec<Tag> = tags.collect::<Result<_, Error>>()?;
        if tags.len() > TAGS_PER_PUT_MAX {
            return Err(Error::Parameter("too many `tag` parameters"));
        }
        Ok(tags)
    }

    fn upload_start(&self) -> Result<UploadStart, Error> {
        if let Some(digest) = self.one("mount")? {
            // A malformed source is refused like any malformed parameter: as an absent one, it
            // would make every repository a source.
            let from = match self.one("from")? {
                None | Some("") => None,
                Some(from) => Some(from.parse()?),
            };
            return Ok(UploadStart::Mount { digest: digest.parse()?, from });
        }
        if let Some(digest) = self.one("digest")? {
            return Ok(UploadStart::Whole(digest.parse()?));
        }
        let algorithm = self.one("digest-algorithm")?.map(str::parse::<Algorithm>).transpose()?;
        Ok(UploadStart::Session(algorithm))
    }
}

fn decode(text: &str) -> Result<String, Error> {
    percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Error::Parameter("the query is not UTF-8"))
}

#[cfg(test)]
mod tests;
