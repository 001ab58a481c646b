//! Answers, spelled once: headers and bodies of successes, and the body of every error. Every answer
//! passes through [`fit`], so handlers need not know which answers have content.

use http::header::{
    ACCEPT_RANGES, ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, IF_NONE_MATCH, LINK, LOCATION, RANGE, RETRY_AFTER, WARNING,
};
use http::{HeaderMap, Method, Response, StatusCode};
use hyper::body::Body as _;
use serde::Serialize;
use wharf_oci::{ContentRange, Digest, ErrorBody, ErrorCode, ErrorEntry, RepoName, UploadId};

use crate::Error;
use crate::http::route::upload_path;
use crate::limits::{RETRY_AFTER_SECONDS, UPLOAD_CHUNK_BYTES};
use crate::observe::outcome::Outcome;
use crate::pull::{ReadOutcome, ServedManifest};
use crate::runtime::body::Body;

/// The response of a handler.
pub(crate) type Answer = Response<Body>;

/// What the account of a request says of its answer. Set here, where the headers are spelled; the account
/// takes it out again (`http/access_log.rs`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AnswerFacts {
    /// How it came about, which its caller may be told otherwise.
    pub(crate) outcome: Option<Outcome>,
    /// Of the content that it carries, or that came to be.
    pub(crate) digest: Option<Digest>,
}

impl AnswerFacts {
    /// Those of an answer, which has them no longer.
    pub(crate) fn take<B>(answer: &mut Response<B>) -> Self {
        answer.extensions_mut().remove().unwrap_or_default()
    }

    fn of(answer: &mut Answer) -> &mut Self {
        answer.extensions_mut().get_or_insert_default()
    }
}

/// The digest of the served content; a MUST in the specification's current text.
pub(crate) const DOCKER_CONTENT_DIGEST: HeaderName =
    HeaderName::from_static("docker-content-digest");
/// Marks a registry; some clients look for it before they log in.
pub(crate) const API_VERSION: (HeaderName, &str) =
    (HeaderName::from_static("docker-distribution-api-version"), "registry/2.0");
/// How an answer came about: `hit`, `join`, `fill`, `bypass`, `stale`.
pub(crate) const WHARF_CACHE: HeaderName = HeaderName::from_static("wharf-cache");
/// The subject of a manifest whose referrers are kept here.
pub(crate) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// A tag set by the put of a manifest.
pub(crate) const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// The recommended minimum length of an upload's chunks.
pub(crate) const OCI_CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
/// The filters applied to referrers.
pub(crate) const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// distribution-spec, "Warnings": always 299, and a text for people.
const STALE: &str = "299 - \"the upstream did not answer; this is what it said before\"";

/// An answer with headers whose values were parsed or counted here.
#[must_use]
pub(crate) fn answer(status: StatusCode, headers: &[(HeaderName, String)], body: Body) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// Says that no further request is taken on this connection (HTTP/1.1).
pub(crate) fn close(answer: &mut Answer) {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

/// The same, with its outcome.
#[must_use]
pub(crate) fn with_outcome(mut answer: Answer, outcome: Outcome) -> Answer {
    AnswerFacts::of(&mut answer).outcome = Some(outcome);
    answer.headers_mut().insert(WHARF_CACHE, HeaderValue::from_static(outcome.as_str()));
    if outcome == Outcome::Stale {
        answer.headers_mut().insert(WARNING, HeaderValue::from_static(STALE));
    }
    answer
}

/// Records the outcome for the access log, where the client's header has another word.
#[must_use]
pub(crate) fn with_account(mut answer: Answer, came: ReadOutcome) -> Answer {
    AnswerFacts::of(&mut answer).outcome = Some(came.outcome);
    answer
}

/// JSON; `next` is the query of the next page.
#[must_use]
pub(crate) fn json(value: &impl Serialize, next: Option<String>) -> Answer {
    let body = serde_json::to_vec(value).expect("lists of words always serialise");
    let mut headers = vec![(CONTENT_TYPE, "application/json".to_owned())];
    headers.extend(next.map(|path| (LINK, format!("<{path}>; rel=\"next\""))));
    answer(StatusCode::OK, &headers, Body::full(body))
}

/// With what every answer with known content has. The digest is its entity tag.
fn with_content(full: Answer, digest: &Digest, outcome: Outcome) -> Answer {
    let mut full = with_outcome(with_digest(full, digest), outcome);
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{digest}\"")) {
        full.headers_mut().insert(ETAG, tag);
    }
    full
}

fn with_digest(mut answer: Answer, digest: &Digest) -> Answer {
    AnswerFacts::of(&mut answer).digest = Some(*digest);
    if let Ok(value) = HeaderValue::from_str(&digest.to_string()) {
        answer.headers_mut().insert(DOCKER_CONTENT_DIGEST, value);
    }
    answer
}

/// A manifest.
#[must_use]
pub(crate) fn manifest(manifest: ServedManifest, outcome: Outcome) -> Answer {
    let headers = [(CONTENT_TYPE, manifest.media_type.to_string())];
    let ServedManifest { digest, bytes, is_counted, .. } = manifest;
    let body = if is_counted { Body::counted(bytes) } else { Body::full(bytes) };
    with_content(answer(StatusCode::OK, &headers, body), &digest, outcome)
}

/// 304 when the client has exactly this content already (RFC 9110 §13.1.2).
#[must_use]
pub(crate) fn not_modified(
    headers: &HeaderMap,
    digest: &Digest,
    outcome: Outcome,
) -> Option<Answer> {
    let asked = headers.get(IF_NONE_MATCH)?.to_str().ok()?;
    let tag = digest.to_string();
    let fits = |entry: &str| {
        let entry = entry.trim();
        entry == "*" || entry.strip_prefix("W/").unwrap_or(entry).trim_matches('"') == tag
    };
    let known = asked.split(',').any(fits);
    let unchanged = || answer(StatusCode::NOT_MODIFIED, &[], Body::empty());
    known.then(|| with_content(unchanged(), digest, outcome))
}

/// A blob, or the part of it in `range`.
#[must_use]
pub(crate) fn blob(
    digest: &Digest,
    range: Option<ContentRange>,
    outcome: Outcome,
    body: Body,
) -> Answer {
    let mut headers = vec![
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (ACCEPT_RANGES, "bytes".to_owned()),
    ];
    headers.extend(range.map(|range| (CONTENT_RANGE, range.to_string())));
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    with_content(answer(status, &headers, body), digest, outcome)
}

/// The same headers without the content.
#[must_use]
pub(crate) fn head(mut full: Answer, size_bytes: u64) -> Answer {
    full.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size_bytes));
    *full.body_mut() = Body::empty();
    full
}

/// 201 with the location of new content.
#[must_use]
pub(crate) fn created(location: String, digest: &Digest) -> Answer {
    let created = answer(StatusCode::CREATED, &[(LOCATION, location)], Body::empty());
    with_digest(created, digest)
}

/// A new upload: 202 with its location, and the recommended length of chunks. Shorter ones are
/// taken too.
#[must_use]
pub(crate) fn opened(repo: &RepoName, id: UploadId) -> Answer {
    let mut opened = upload(StatusCode::ACCEPTED, repo, id, 0);
    opened.headers_mut().insert(OCI_CHUNK_MIN_LENGTH, HeaderValue::from(UPLOAD_CHUNK_BYTES));
    opened
}

/// The offset of an upload: 202 after writing, 204 for its status. `Range` of nothing is `0-0`, as
/// every registry writes it.
#[must_use]
pub(crate) fn upload(status: StatusCode, repo: &RepoName, id: UploadId, offset: u64) -> Answer {
    let headers = [
        (LOCATION, upload_path(repo, id)),
        (RANGE, format!("0-{}", offset.saturating_sub(1))),
        (HeaderName::from_static("docker-upload-uuid"), id.to_string()),
    ];
    answer(status, &headers, Body::empty())
}

/// One entry, or one for each missing piece.
fn error_body(error: &Error, code: ErrorCode) -> ErrorBody {
    let Error::ManifestBlobUnknown { repo, missing } = error else {
        return ErrorBody::one(code, error.message(), serde_json::Value::Null);
    };
    let entry = |digest: &Digest| ErrorEntry {
        code: code.as_str().to_owned(),
        message: format!("the manifest names {digest}, which is not in {repo}"),
        detail: serde_json::json!({ "digest": digest }),
    };
    ErrorBody { errors: missing.iter().map(entry).collect() }
}

/// The answer for an error.
#[must_use]
pub(crate) fn error(error: &Error) -> Answer {
    let shown = error.response();
    let body = error_body(error, shown.code);
    let mut headers = vec![(CONTENT_TYPE, "application/json".to_owned())];
    let cause = match error {
        Error::PutInPart { source, .. } => source,
        error => error,
    };
    match cause {
        Error::ChunkOutOfOrder { offset, location } => {
            headers.push((RANGE, format!("0-{}", offset.saturating_sub(1))));
            headers.push((LOCATION, location.clone()));
        }
        Error::RangeUnsatisfiable { size_bytes } => {
            headers.push((CONTENT_RANGE, format!("bytes */{size_bytes}")));
        }
        Error::MethodNotAllowed { allowed } => headers.push((ALLOW, (*allowed).to_owned())),
        _ => {}
    }
    let seconds = cause.retry_after_seconds();
    let is_to_wait = shown.status == StatusCode::TOO_MANY_REQUESTS;
    let seconds = seconds.or_else(|| is_to_wait.then_some(RETRY_AFTER_SECONDS));
    headers.extend(seconds.map(|seconds| (RETRY_AFTER, seconds.to_string())));
    answer(shown.status, &headers, Body::full(body.to_json()))
}

/// Fits the content and its length header to method and status (RFC 9110 §6.4.1, §8.6, §9.3.2,
/// §15.3.5, §15.4.5): removes forbidden content, and adds lengths that hyper omits, of empty content over
/// HTTP/2 and of the content for GET. An answer to HEAD, a 204 and a 304 have no content in either
/// version of HTTP: HTTP/1.1 clients cannot see it, and HTTP/2 peers that keep to RFC 9113 §8.1.1 reset
/// the stream.
pub(crate) fn fit(method: &Method, answer: &mut Answer) {
    if matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        *answer.body_mut() = Body::empty();
        return;
    }
    let (is_head, length) = (method == Method::HEAD, answer.body().size_hint().exact());
    // The empty body of an answer to HEAD does not give the length for GET.
    let length = length.filter(|bytes| is_head == (*bytes > 0));
    if let Some(bytes) = length {
        answer.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(bytes));
    }
    if is_head {
        *answer.body_mut() = Body::empty();
    }
}

#[cfg(test)]
mod tests;
