//! Uploads with ACR's habits, in front of upload sessions of the backing registry.
//!
//! Each accepted answer names a fresh Location; bodies stream into the backing registry and are
//! counted on the way. An upload knows its offset, so a chunk out of order never reaches it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use tokio::sync::Mutex;

use super::backing::{cleaned, local_target, passed_on};
use super::bodies::{Counted, drain};
use super::counts::Flow;
use super::fault::Rejection;
use super::kind::Kind;
use super::refusal::{Refusal, with_header};
use super::route::Query;
use super::shared::Shared;
use super::upload_sessions::Session;
use wharf_testkit::http::{Body, empty};

const CHUNK_MIN: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// A request to an open upload.
pub(crate) struct UploadRequest<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: &'a str,
    pub(crate) query: &'a Query,
    pub(crate) parts: &'a Parts,
}

/// `POST`: a mount where the backing registry can, otherwise a session.
pub(crate) async fn start(
    shared: &Shared,
    name: &str,
    query: &Query,
) -> Result<Response<Body>, Refusal> {
    let full = shared.habits.registry_bytes_max;
    if full.is_some_and(|max| shared.recorder.counts().upload_bytes() >= max) {
        return Err(Refusal::Disallowed);
    }
    let mut target = format!("/v2/{name}/blobs/uploads/");
    if let (Some(mount), Some(from)) = (query.first("mount"), query.first("from")) {
        let pairs = [("mount", mount), ("from", from)];
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        target.push('?');
        target.push_str(&query);
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_LENGTH, 0.into());
    let answer = shared.backing.send(Method::POST, &target, headers, empty()).await?;
    if answer.status() != StatusCode::ACCEPTED {
        return Ok(cleaned(answer));
    }
    let algorithm = query.first("digest-algorithm").unwrap_or_else(|| "sha256".to_owned());
    let mut session = shared.uploads.open(name, next_target(answer.headers())?, algorithm)?;
    let mut response = shared.uploads.progress(&mut session, StatusCode::ACCEPTED);
    if let Some(bytes) = shared.habits.chunk_bytes_min {
        response = with_header(response, CHUNK_MIN, &bytes.to_string());
    }
    let id = session.id.clone();
    shared.uploads.with(|open| open.insert(id, Arc::new(Mutex::new(session))));
    Ok(response)
}

/// `PATCH` and `PUT`: content, after everything about the request was found right.
pub(crate) async fn receive(
    shared: &Shared,
    request: &UploadRequest<'_>,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    let session = match shared.uploads.find(request.id) {
        Ok(session) => session,
        Err(refusal) => {
            drain(body).await;
            return Err(refusal);
        }
    };
    let mut session = session.lock().await;
    let length = match check(shared, request, &mut session) {
        Ok(length) => length,
        Err(refusal) => {
            drain(body).await;
            return Err(refusal);
        }
    };
    let body = Counted::wrap(body, Arc::clone(&shared.recorder), Flow::Upload);
    if request.parts.method == Method::PATCH {
        append(shared, request, &mut session, length, body).await
    } else {
        finish(shared, request, &session, body).await
    }
}

/// Appends one chunk.
async fn append(
    shared: &Shared,
    request: &UploadRequest<'_>,
    session: &mut Session,
    length: Option<u64>,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    let headers = passed_on(&request.parts.headers);
    let target = session.target.clone();
    let answer = shared.backing.send(Method::PATCH, &target, headers, body).await?;
    if answer.status() != StatusCode::ACCEPTED {
        return Ok(cleaned(answer));
    }
    session.target = next_target(answer.headers())?;
    session.offset = match length {
        Some(length) => session.offset + length,
        None => accepted_bytes(answer.headers())?,
    };
    let least = shared.habits.chunk_bytes_min;
    session.short = least.is_some_and(|least| length.is_some_and(|length| length < least));
    Ok(shared.uploads.progress(session, StatusCode::ACCEPTED))
}

/// The end, with or without a last chunk.
async fn finish(
    shared: &Shared,
    request: &UploadRequest<'_>,
    session: &Session,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    let ends = shared.uploads.ends.fetch_add(1, Ordering::SeqCst) + 1;
    if shared.habits.nth_put_fails.is_some_and(|nth| nth > 0 && ends.is_multiple_of(nth)) {
        drain(body).await;
        shared.uploads.with(|open| open.remove(request.id));
        let rejection = Rejection { status: 416, retry_after: None };
        return Err(Refusal::Ordered { rejection, kind: Kind::UploadPut });
    }
    let digest = request.query.first("digest").unwrap_or_default();
    let fits = digest.split_once(':').is_some_and(|(algorithm, _)| algorithm == session.algorithm);
    if shared.habits.strict_algorithm && !fits {
        drain(body).await;
        return Err(Refusal::AlgorithmChanged);
    }
    let digest: String = form_urlencoded::byte_serialize(digest.as_bytes()).collect();
    let joint = if session.target.contains('?') { '&' } else { '?' };
    let target = format!("{}{joint}digest={digest}", session.target);
    let headers = passed_on(&request.parts.headers);
    let answer = shared.backing.send(Method::PUT, &target, headers, body).await?;
    let over = [StatusCode::CREATED, StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND];
    if over.contains(&answer.status()) {
        shared.uploads.with(|open| open.remove(request.id));
    }
    Ok(cleaned(answer))
}

/// `GET`: how far the upload is. An outdated Location is good enough to ask.
pub(crate) async fn status(
    shared: &Shared,
    request: &UploadRequest<'_>,
) -> Result<Response<Body>, Refusal> {
    let session = shared.uploads.find(request.id)?;
    let mut session = session.lock().await;
    if session.name != request.name {
        return Err(Refusal::UploadUnknown);
    }
    let target = session.target.clone();
    let answer = shared.backing.send(Method::GET, &target, HeaderMap::new(), empty()).await?;
    if answer.status() != StatusCode::NO_CONTENT {
        return Ok(cleaned(answer));
    }
    if let Ok(target) = next_target(answer.headers()) {
        session.target = target;
    }
    Ok(shared.uploads.progress(&mut session, StatusCode::NO_CONTENT))
}

/// `DELETE`: the end without a blob. After a broken chunk docker-registry has more bytes than its
/// own state counts, and answers 404 from then on; for ACR the session is over all the same.
pub(crate) async fn cancel(
    shared: &Shared,
    request: &UploadRequest<'_>,
) -> Result<Response<Body>, Refusal> {
    let session = shared.uploads.find(request.id)?;
    let session = session.lock().await;
    check_current(shared, request, &session)?;
    let target = session.target.clone();
    let answer = shared.backing.send(Method::DELETE, &target, HeaderMap::new(), empty()).await?;
    let mut answer = cleaned(answer);
    if answer.status().is_success() || answer.status() == StatusCode::NOT_FOUND {
        shared.uploads.with(|open| open.remove(request.id));
        answer = Response::new(empty());
        *answer.status_mut() = StatusCode::NO_CONTENT;
    }
    Ok(answer)
}

/// Checks a request with content; returns its declared length.
fn check(
    shared: &Shared,
    request: &UploadRequest<'_>,
    session: &mut Session,
) -> Result<Option<u64>, Refusal> {
    check_current(shared, request, session)?;
    if session.short && request.parts.method == Method::PATCH {
        return Err(Refusal::ChunkTooShort);
    }
    let headers = &request.parts.headers;
    let length = headers.get(CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_none() && shared.habits.refuse_chunked {
        // A PUT without a body may leave out its length.
        let bodiless = !headers.contains_key(TRANSFER_ENCODING);
        if request.parts.method == Method::PATCH || !bodiless {
            return Err(Refusal::LengthMissing);
        }
    }
    if let Some(start) = chunk_start(headers, length, shared.habits.strict_content_range)?
        && start != session.offset
    {
        session.generation += 1;
        let location = shared.uploads.location(session);
        return Err(Refusal::ChunkOutOfOrder { location, range: session.range() });
    }
    let bytes_max = match request.parts.method {
        Method::PUT => shared.habits.put_bytes_max,
        _ => shared.habits.patch_bytes_max,
    };
    let size = session.offset.saturating_add(length.unwrap_or(0));
    if bytes_max.is_some_and(|max| length.unwrap_or(0) > max) || size > shared.habits.blob_bytes_max
    {
        return Err(Refusal::BodyTooLarge);
    }
    Ok(length)
}

fn check_current(
    shared: &Shared,
    request: &UploadRequest<'_>,
    session: &Session,
) -> Result<(), Refusal> {
    let state = request.query.first("_state");
    let current = state.as_deref() == Some(shared.uploads.state(session).as_str());
    if session.name != request.name || (shared.habits.strict_location && !current) {
        return Err(Refusal::UploadUnknown);
    }
    Ok(())
}

/// Where the chunk says it starts; `None` when it does not say.
fn chunk_start(
    headers: &HeaderMap,
    length: Option<u64>,
    strict: bool,
) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get(CONTENT_RANGE) else {
        return Ok(None);
    };
    let mut text = value.to_str().unwrap_or_default();
    if !strict {
        // `bytes 0-9/*`, as RFC 9110 has it.
        text = text.strip_prefix("bytes ").unwrap_or(text);
        text = text.split_once('/').map_or(text, |(range, _)| range);
    }
    let (start, end) = parse_range(text)?;
    let span = end.checked_sub(start).and_then(|span| span.checked_add(1));
    match span {
        Some(span) if length.is_none_or(|length| length == span) => Ok(Some(start)),
        _ => Err(Refusal::ContentRangeFormat),
    }
}

fn parse_range(text: &str) -> Result<(u64, u64), Refusal> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten().ok_or(Refusal::ContentRangeFormat)
    };
    let (start, end) = text.split_once('-').ok_or(Refusal::ContentRangeFormat)?;
    Ok((number(start)?, number(end)?))
}

fn next_target(headers: &HeaderMap) -> Result<String, Refusal> {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let missing = || Refusal::BackingFailed("an upload was answered without a Location".to_owned());
    location.and_then(local_target).ok_or_else(missing)
}

fn accepted_bytes(headers: &HeaderMap) -> Result<u64, Refusal> {
    let range = headers.get(RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (_, end) = parse_range(range).map_err(|_| {
        Refusal::BackingFailed(format!("a chunk was answered with range {range:?}"))
    })?;
    Ok(end + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_start_and_end_make_a_content_range() {
        let start = |text: &'static str, length| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, HeaderValue::from_static(text));
            chunk_start(&headers, length, true)
        };
        assert_eq!(start("0-9", Some(10)), Ok(Some(0)));
        assert_eq!(start("10-19", None), Ok(Some(10)));
        for text in [
            "bytes 0-9/*",
            "bytes=0-9",
            "0-9/10",
            "0-",
            "-9",
            "+0-9",
            "9-0",
            "",
            "0-18446744073709551615",
        ] {
            assert_eq!(start(text, Some(10)), Err(Refusal::ContentRangeFormat), "{text:?}");
        }
        assert_eq!(start("0-9", Some(11)), Err(Refusal::ContentRangeFormat));
        assert_eq!(chunk_start(&HeaderMap::new(), Some(1), true), Ok(None));
    }
}
