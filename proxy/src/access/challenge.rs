//! What a client is told when it is turned away for want of a login: `WWW-Authenticate` (Docker's token
//! specification), with where to get a token.
//!
//! Invariant: nothing of a request gets into the header but a host that can be one.

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Uri};

use super::issued::SERVICE;
use crate::Error;
use crate::limits::HOST_CHARS_MAX;

/// Where tokens are given out.
pub(crate) const TOKEN_PATH: &str = "/token";

/// How a client came here.
pub(crate) struct Way<'a> {
    /// Whether its connection is encrypted, here or at a balancer that is trusted.
    pub(crate) is_encrypted: bool,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

impl Way<'_> {
    /// The address that the client used, when it can be one.
    fn base(&self) -> Option<String> {
        let by_header = || self.headers.get(HOST)?.to_str().ok();
        let host = self.uri.authority().map(http::uri::Authority::as_str).or_else(by_header)?;
        let scheme = if self.is_encrypted { "https" } else { "http" };
        is_host(host).then(|| format!("{scheme}://{host}"))
    }
}

fn is_host(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-:[]_".contains(c);
    !text.is_empty() && text.len() <= HOST_CHARS_MAX && text.chars().all(allowed)
}

/// The header that goes with an error; none for errors that no login mends.
pub(super) fn challenge(
    error: &Error,
    public_url: Option<&str>,
    way: &Way<'_>,
) -> Option<HeaderValue> {
    let (scope, reason) = match error {
        Error::LoginNeeded { scope } => (scope.as_str(), None),
        Error::ScopeNeeded { scope } => (scope.as_str(), Some("insufficient_scope")),
        Error::LoginRefused => ("", Some("invalid_token")),
        _ => return None,
    };
    let base = public_url.map(str::to_owned).or_else(|| way.base()).unwrap_or_default();
    let mut text = format!("Bearer realm=\"{base}{TOKEN_PATH}\",service=\"{SERVICE}\"");
    if !scope.is_empty() {
        text = format!("{text},scope=\"{scope}\"");
    }
    if let Some(reason) = reason {
        text = format!("{text},error=\"{reason}\"");
    }
    HeaderValue::from_str(&text).ok()
}

/// What the place where tokens are given out wants to be shown.
pub(super) fn basic() -> HeaderValue {
    HeaderValue::from_static("Basic realm=\"wharfd\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: &Error, public_url: Option<&str>, host: &str, is_encrypted: bool) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        let uri = Uri::from_static("/v2/");
        let way = Way { is_encrypted, uri: &uri, headers: &headers };
        challenge(error, public_url, &way).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_client_learns_where_it_gets_which_token() {
        let needed = Error::LoginNeeded { scope: "repository:a/b:pull".to_owned() };
        assert_eq!(
            said(&needed, None, "registry.example.com:5443", true),
            "Bearer realm=\"https://registry.example.com:5443/token\",service=\"wharfd\",\
             scope=\"repository:a/b:pull\""
        );
        let url = Some("https://r.example.com");
        let none = Error::LoginNeeded { scope: String::new() };
        assert_eq!(
            said(&none, url, "inside:5000", false),
            "Bearer realm=\"https://r.example.com/token\",service=\"wharfd\""
        );
        let more = Error::ScopeNeeded { scope: "repository:a:pull".to_owned() };
        assert!(said(&more, None, "h", false).ends_with(",error=\"insufficient_scope\""));
        assert!(said(&Error::LoginRefused, None, "h", false).contains("error=\"invalid_token\""));
    }

    #[test]
    fn a_host_that_cannot_be_one_is_not_repeated() {
        let needed = Error::LoginNeeded { scope: String::new() };
        let long = "x".repeat(HOST_CHARS_MAX + 1);
        for host in ["", "a\"b", "a b", "a/b", "evil@host", "a,b", &long] {
            let text = said(&needed, None, host, false);
            assert_eq!(text, "Bearer realm=\"/token\",service=\"wharfd\"", "{host}");
        }
    }
}
