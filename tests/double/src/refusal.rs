//! Every refusal of the double's own, in one table.
//!
//! Refusals of the backing registry pass through untouched and are not listed here.

use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::fault::Rejection;
use super::kind::Kind;
use wharf_testkit::http::{Body, full};

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No accepted credentials for this request; the challenge has the words for the token
    /// endpoint.
    Challenge { challenge: String, detail: Value },
    /// The token endpoints do not know this caller.
    CallerUnknown,
    /// A form or query lacks a field or holds a wrong one.
    FormInvalid(&'static str),
    /// No `Host` header as the start of addresses.
    HostMissing,
    /// A chunk or blob without `Content-Length`.
    LengthMissing,
    /// `Content-Range` not of the form `start-end`, or not as long as the body.
    ContentRangeFormat,
    /// A chunk with another start than the upload's end.
    ChunkOutOfOrder { location: String, range: String },
    /// A chunk after a chunk below the least size.
    ChunkTooShort,
    /// The digest has another algorithm than the upload's start named.
    AlgorithmChanged,
    /// A single PUT or PATCH beyond the front end's limit.
    BodyTooLarge,
    /// A manifest beyond the limit.
    ManifestTooLarge { bytes_max: usize },
    /// A missing manifest, or one unknown to the replica yet.
    ManifestUnknown,
    /// A missing repository.
    NameUnknown,
    /// Locked, in quarantine, or the registry is full.
    Disallowed,
    /// A user name with a newline, an internal error at ACR.
    UserNameBroken,
    /// An upload that is not open, or an outdated Location of an open one.
    UploadUnknown,
    /// More uploads open than the double keeps.
    UploadsFull,
    /// A page size other than a number.
    PageInvalid,
    /// The path names nothing, or not with this method.
    RouteUnknown,
    /// The backing registry did not answer, or answered wrongly.
    BackingFailed(String),
    /// Too much was asked for.
    TooManyRequests { retry_after_s: u64 },
    /// A fault on order.
    Ordered { rejection: Rejection, kind: Kind },
}

impl Refusal {
    pub(crate) fn into_response(self) -> Response<Body> {
        use StatusCode as Status;
        match self {
            Self::Challenge { challenge, detail } => {
                let message = "authentication is needed for this request";
                let answer = registry(Status::UNAUTHORIZED, "UNAUTHORIZED", message, &detail);
                with_header(answer, WWW_AUTHENTICATE, &challenge)
            }
            Self::CallerUnknown => plain(Status::UNAUTHORIZED, "UNAUTHORIZED", "unknown caller"),
            Self::FormInvalid(what) => plain(Status::BAD_REQUEST, "BAD_REQUEST", what),
            Self::HostMissing => plain(Status::BAD_REQUEST, "BAD_REQUEST", "no host was named"),
            Self::LengthMissing => {
                let message = "this request needs a content length";
                plain(Status::BAD_REQUEST, "CONTENT_LENGTH_INVALID", message)
            }
            Self::ContentRangeFormat => {
                let message = "the content range is not of the form start-end of this body";
                plain(Status::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message)
            }
            Self::ChunkOutOfOrder { location, range } => {
                let status = Status::RANGE_NOT_SATISFIABLE;
                let answer =
                    plain(status, "RANGE_INVALID", "the chunk does not continue the upload");
                let answer = with_header(answer, http::header::LOCATION, &location);
                with_header(answer, http::header::RANGE, &range)
            }
            Self::ChunkTooShort => {
                let message = "the chunk before was too short to be followed by another one";
                plain(Status::BAD_REQUEST, "SIZE_INVALID", message)
            }
            Self::AlgorithmChanged => {
                let message = "the upload was opened for another algorithm";
                plain(Status::BAD_REQUEST, "DIGEST_INVALID", message)
            }
            Self::BodyTooLarge => front_end(Status::PAYLOAD_TOO_LARGE),
            Self::ManifestTooLarge { bytes_max } => {
                let message = format!("a manifest has at most {bytes_max} bytes");
                plain(Status::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID", &message)
            }
            Self::ManifestUnknown => {
                plain(Status::NOT_FOUND, "MANIFEST_UNKNOWN", "no such manifest is known here")
            }
            Self::NameUnknown => {
                plain(Status::NOT_FOUND, "NAME_UNKNOWN", "no such repository is known here")
            }
            Self::Disallowed => {
                let message = "The operation is disallowed.";
                plain(Status::METHOD_NOT_ALLOWED, "UNSUPPORTED", message)
            }
            Self::UserNameBroken => {
                plain(Status::INTERNAL_SERVER_ERROR, "UNKNOWN", "the user name broke the server")
            }
            Self::UploadUnknown => {
                plain(Status::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "no such upload is open here")
            }
            Self::UploadsFull => Self::TooManyRequests { retry_after_s: 1 }.into_response(),
            Self::PageInvalid => {
                plain(Status::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", "n is no page size")
            }
            Self::RouteUnknown => plain(Status::NOT_FOUND, "NOT_FOUND", "nothing is served here"),
            Self::BackingFailed(reason) => {
                let detail = Value::String(reason);
                registry(Status::BAD_GATEWAY, "UNKNOWN", "the backing registry failed", &detail)
            }
            Self::TooManyRequests { retry_after_s } => {
                let message = "the limit of requests is reached";
                let answer = plain(Status::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message);
                with_header(answer, RETRY_AFTER, &retry_after_s.to_string())
            }
            Self::Ordered { rejection, kind } => ordered(rejection, kind),
        }
    }
}

/// ACR's response with a status ordered by a test.
fn ordered(rejection: Rejection, kind: Kind) -> Response<Body> {
    let status =
        StatusCode::from_u16(rejection.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let code = match rejection.status {
        413 | 502..=504 => None,
        400 => Some("BAD_REQUEST"),
        401 => Some("UNAUTHORIZED"),
        403 => Some("DENIED"),
        404 => Some(kind.unknown_code()),
        405 => Some("UNSUPPORTED"),
        416 => Some("RANGE_INVALID"),
        429 => Some("TOOMANYREQUESTS"),
        _ => Some("UNKNOWN"),
    };
    let answer = match code {
        Some(code) => plain(status, code, "this is refused on order"),
        None => front_end(status),
    };
    match rejection.retry_after {
        Some(text) => with_header(answer, RETRY_AFTER, &text),
        None => answer,
    }
}

fn plain(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    registry(status, code, message, &Value::Null)
}

fn registry(status: StatusCode, code: &str, message: &str, detail: &Value) -> Response<Body> {
    json_response(
        status,
        &json!({ "errors": [{ "code": code, "message": message, "detail": detail }] }),
    )
}

/// The load balancer before the registry knows no registry errors: it answers in HTML.
fn front_end(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(format!("<html><h1>{status}</h1></html>\r\n")));
    *response.status_mut() = status;
    with_header(response, CONTENT_TYPE, "text/html")
}

pub(crate) fn json_response(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(full(value.to_string()));
    *response.status_mut() = status;
    with_header(response, CONTENT_TYPE, "application/json; charset=utf-8")
}

/// Sets a header to a printable text: from an earlier header or from this program.
pub(crate) fn with_header(
    mut response: Response<Body>,
    name: http::HeaderName,
    value: &str,
) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}
