//! The registry behind the double, reached over plain HTTP without credentials.
//!
//! The responses of the backing registry stream through. The double removes the hop-by-hop headers,
//! and takes the registry's own address out of every Location, so no client finds the way around
//! the double.

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, IF_NONE_MATCH,
    LOCATION, RANGE, TRANSFER_ENCODING,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use hyper::body::Incoming;

use super::refusal::Refusal;
use wharf_testkit::http::{Body, Client, empty, read_to_limit, streamed};

/// The headers of a client's request for the backing registry.
const PASSED_ON: [HeaderName; 6] =
    [ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_NONE_MATCH, RANGE];

/// Where the backing registry is, and the connections to it.
#[derive(Clone, Debug)]
pub(crate) struct Backing {
    authority: Authority,
    client: Client,
}

impl Backing {
    /// Takes a base address, `http://HOST:PORT`.
    pub(crate) fn new(base: &str) -> anyhow::Result<Self> {
        let uri: Uri = base.parse().with_context(|| format!("{base:?} is not an address"))?;
        let plain = uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/");
        anyhow::ensure!(plain, "the backing registry {base:?} must be given as http://HOST:PORT");
        let authority = uri.authority().cloned().context("an http address has a host")?;
        Ok(Self { authority, client: Client::new() })
    }

    /// Sends a request and hands back the answer's head; the body streams.
    pub(crate) async fn send(
        &self,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response<Incoming>, Refusal> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{target}", self.authority))
            .body(body)
            .map_err(|error| Refusal::BackingFailed(error.to_string()))?;
        *request.headers_mut() = headers;
        let sent = self.client.send(request).await;
        sent.map_err(|error| Refusal::BackingFailed(format!("{error:#}")))
    }

    /// Sends a GET and reads the whole body.
    pub(crate) async fn read(
        &self,
        target: &str,
        limit: usize,
    ) -> Result<(http::response::Parts, Bytes), Refusal> {
        let answer = self.send(Method::GET, target, HeaderMap::new(), empty()).await?;
        let (parts, body) = answer.into_parts();
        let body = read_to_limit(body, limit).await;
        Ok((parts, body.map_err(|error| Refusal::BackingFailed(error.to_string()))?))
    }

    /// The same request again, against the backing registry.
    pub(crate) async fn relay(
        &self,
        request: Request<Body>,
        target: &str,
    ) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        let headers = passed_on(&parts.headers);
        Ok(cleaned(self.send(parts.method, target, headers, body).await?))
    }
}

/// The content headers of a client's request.
pub(crate) fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::new();
    for name in PASSED_ON {
        for value in headers.get_all(&name) {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

/// A Location of the backing registry without its address.
pub(crate) fn local_target(location: &str) -> Option<String> {
    let uri: Uri = location.parse().ok()?;
    uri.path_and_query().map(|target| target.as_str().to_owned())
}

/// An answer fit for another connection.
pub(crate) fn cleaned(answer: Response<Incoming>) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    for name in [CONNECTION, TRANSFER_ENCODING, HeaderName::from_static("keep-alive")] {
        parts.headers.remove(name);
    }
    if let Some(location) = parts.headers.remove(LOCATION) {
        let local = location.to_str().ok().and_then(local_target);
        if let Some(local) = local.and_then(|local| HeaderValue::from_str(&local).ok()) {
            parts.headers.insert(LOCATION, local);
        }
    }
    Response::from_parts(parts, streamed(body))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn only_a_plain_base_address_is_taken() {
        assert!(Backing::new("http://127.0.0.1:5001").is_ok());
        for base in ["127.0.0.1:5001", "https://127.0.0.1", "http://127.0.0.1/below", ""] {
            assert!(Backing::new(base).is_err(), "{base:?}");
        }
    }

    #[test]
    fn absolute_and_relative_locations_become_local() {
        for location in ["http://127.0.0.1:9/v2/a/x?y=1", "/v2/a/x?y=1"] {
            assert_eq!(local_target(location).as_deref(), Some("/v2/a/x?y=1"));
        }
    }
}
