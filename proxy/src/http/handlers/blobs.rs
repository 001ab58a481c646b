//! `GET` and `HEAD` of blobs (distribution-spec end-2).

use std::future::poll_fn;

use http::{HeaderMap, header};
use wharf_oci::{ByteRange, Digest, RepoName, Span};
use wharf_store::{InFlight, Tail};

use super::{App, Call};
use crate::Error;
use crate::http::response;
use crate::http::response::Answer;
use crate::limits::ARRIVAL_WAIT;
use crate::pull::{ArrivingBlob, Bypassed, ServedBlob, StoredBlob};
use crate::runtime::body::Body;

pub(super) async fn head(
    app: &App,
    Call { context, headers, .. }: &Call,
    repo: &RepoName,
    digest: &Digest,
) -> Result<Answer, Error> {
    let (info, came) = app.cache.blob_info(context, repo, digest).await?;
    app.metrics.outcome(came.outcome);
    if let Some(unchanged) = response::not_modified(headers, digest, came.told) {
        return Ok(response::with_account(unchanged, came));
    }
    let full = response::blob(digest, None, came.told, Body::empty());
    Ok(response::with_account(response::head(full, info.size_bytes), came))
}

pub(super) async fn get(
    app: &App,
    Call { context, headers, .. }: &Call,
    repo: &RepoName,
    digest: &Digest,
) -> Result<Answer, Error> {
    if headers.contains_key(header::IF_NONE_MATCH) {
        // A client that has the blob needs no download, only the check that the repository has it.
        let (_, came) = app.cache.blob_info(context, repo, digest).await?;
        if let Some(unchanged) = response::not_modified(headers, digest, came.told) {
            return Ok(response::with_account(unchanged, came));
        }
    }
    let range = byte_range(headers);
    let (served, came) = app.cache.blob(context, repo, digest, range).await?;
    app.metrics.outcome(came.outcome);
    let told = came.told;
    let blocking = app.cache.blocking.clone();
    let known_bytes = digest.is_of_nothing().then_some(0);
    let answer = match served {
        ServedBlob::Stored(StoredBlob { part, first, rest }) => {
            // Many may have begun to read at once, when there was room for each of them.
            context.budget.may_begin()?;
            response::blob(digest, part, told, Body::stored(blocking, first, rest))
        }
        ServedBlob::Arriving(ArrivingBlob { blob, subscription, size_bytes, part, ending }) => {
            arrived(&blob, part.map(|part| part.span)).await?;
            let body = match part {
                Some(part) => Body::in_flight_part(blocking, blob, part.span, ending),
                None => Body::in_flight(blocking, blob, size_bytes.or(known_bytes)),
            };
            response::blob(digest, part, told, body.seated(subscription))
        }
        ServedBlob::Bypassed(Bypassed { size_bytes, pieces }, part) => {
            let bytes = part.map(|part| part.span.end() - part.span.start()).or(size_bytes);
            let bytes = bytes.or(known_bytes);
            response::blob(digest, part, told, Body::bypassed(pieces, bytes))
        }
    };
    Ok(response::with_account(answer, came))
}

/// Waits a little for the first byte of the answer, so that a failed download is an error with a
/// status and not a body that breaks off. A blob of one segment is proven by then. Not for long:
/// the client of a slow upstream needs the head of an answer.
async fn arrived(blob: &InFlight, span: Option<Span>) -> Result<(), Error> {
    let start = span.map_or(0, |span| span.start());
    let first = poll_fn(|context| blob.poll_read(start, context));
    match tokio::time::timeout(ARRIVAL_WAIT, first).await {
        Ok(Tail::Abandoned(reason)) => {
            Err(Error::UpstreamFailed { operation: "fetching a blob", reason })
        }
        Ok(Tail::Bytes(_) | Tail::Stored | Tail::End) | Err(_) => Ok(()),
    }
}

/// A malformed range, or several ranges, are ignored, as RFC 9110 §14.2 allows.
fn byte_range(headers: &HeaderMap) -> Option<ByteRange> {
    headers.get(header::RANGE)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_and_several_are_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(byte_range(&headers), None);
        headers.insert(header::RANGE, "bytes=5-".parse().unwrap());
        assert_eq!(byte_range(&headers), "bytes=5-".parse().ok());
        headers.insert(header::RANGE, "bytes=0-1,4-5".parse().unwrap());
        assert_eq!(byte_range(&headers), None);
    }
}
