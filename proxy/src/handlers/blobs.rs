//! `GET`, `HEAD` and `DELETE` of blobs (distribution-spec end-2, end-10).

use std::future::poll_fn;
use std::sync::Arc;

use http::{HeaderMap, StatusCode, header};
use wharf_oci::{ByteRange, ContentRange, Digest, Endpoint, RepoName, Span};
use wharf_store::{InFlight, Tail};

use super::App;
use crate::Error;
use crate::body::Body;
use crate::cache::{ServedBlob, StoredBlob};
use crate::response::{self, Answer};
use crate::upstreams::Site;

pub(super) async fn head(app: &App, repo: &RepoName, digest: &Digest) -> Result<Answer, Error> {
    let (info, outcome) = app.cache.blob_info(repo, digest).await?;
    app.metrics.outcome(outcome);
    let full = response::blob(digest, None, outcome, Body::empty());
    Ok(response::head(full, info.size_bytes))
}

pub(super) async fn get(
    app: &App,
    repo: &RepoName,
    digest: &Digest,
    headers: &HeaderMap,
) -> Result<Answer, Error> {
    let range = byte_range(headers);
    let (served, outcome) = app.cache.blob(repo, digest, range).await?;
    app.metrics.outcome(outcome);
    let bridge = app.cache.bridge.clone();
    match served {
        ServedBlob::Stored(StoredBlob { part, first, rest }) => {
            Ok(response::blob(digest, part, outcome, Body::stored(bridge, first, rest)))
        }
        ServedBlob::Arriving(blob, size_bytes) => {
            // Without a size there is no Content-Range; a server may then ignore the header.
            let part = size_bytes.map_or(Ok(None), |size| resolve(range, size))?;
            arrived(&blob, part.map(|part| part.span)).await?;
            let body = match part {
                Some(part) => Body::in_flight_part(bridge, blob, part.span),
                None => Body::in_flight(bridge, blob, size_bytes),
            };
            Ok(response::blob(digest, part, outcome, body))
        }
    }
}

/// Waits for the first byte of the answer, so that a download that fails before it is an error with
/// a status and not a body that breaks off. A blob of one segment is proven by then.
async fn arrived(blob: &InFlight, span: Option<Span>) -> Result<(), Error> {
    let start = span.map_or(0, |span| span.start());
    match poll_fn(|context| blob.poll_read(start, context)).await {
        Tail::Abandoned(reason) => {
            Err(Error::UpstreamFailed { operation: "fetching a blob", reason })
        }
        Tail::Bytes(_) | Tail::Stored | Tail::End => Ok(()),
    }
}

/// A range that is malformed, or several, is ignored, which RFC 9110 §14.2 allows.
fn byte_range(headers: &HeaderMap) -> Option<ByteRange> {
    headers.get(header::RANGE)?.to_str().ok()?.parse().ok()
}

fn resolve(range: Option<ByteRange>, size_bytes: u64) -> Result<Option<ContentRange>, Error> {
    let Some(range) = range else { return Ok(None) };
    let span = range.resolve(size_bytes).ok_or(Error::RangeUnsatisfiable { size_bytes })?;
    Ok(Some(ContentRange { span, size_bytes }))
}

/// Takes a blob from a repository; its bytes go with the last repository that had it.
pub(super) async fn delete(app: &App, repo: &RepoName, digest: &Digest) -> Result<Answer, Error> {
    let mut known = false;
    if let Site::Remote(remote) = app.cache.upstreams.site(repo)? {
        let endpoint = Endpoint::Blob { repo: remote.repo.clone(), digest: *digest };
        known = remote.upstream.delete(&endpoint).await?;
    }
    let (store, of, wanted) = (Arc::clone(&app.cache.store), repo.clone(), *digest);
    known |= app.cache.bridge.run(move || store.unlink_blob(&of, &wanted)).await?;
    if !known {
        return Err(Error::BlobUnknown { repo: repo.clone(), digest: *digest });
    }
    Ok(response::answer(StatusCode::ACCEPTED, &[], Body::empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_resolved_or_refused_with_the_size() {
        let mut headers = HeaderMap::new();
        assert_eq!(byte_range(&headers), None);
        headers.insert(header::RANGE, "bytes=5-".parse().unwrap());
        let part = resolve(byte_range(&headers), 10).unwrap().unwrap();
        assert_eq!(part.to_string(), "bytes 5-9/10");
        let outside = resolve(byte_range(&headers), 5);
        assert!(matches!(outside, Err(Error::RangeUnsatisfiable { size_bytes: 5 })));
        headers.insert(header::RANGE, "bytes=0-1,4-5".parse().unwrap());
        assert_eq!(byte_range(&headers), None);
    }
}
