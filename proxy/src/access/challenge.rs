//! The `WWW-Authenticate` header of a refused request (Docker's token specification), with the
//! address of the token endpoint.
//!
//! Invariants: of the request, only a well-formed host gets into the header; a client is sent to
//! `http://` with a password only on this machine, unless the configuration allows that.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri};

use super::token_service::SERVICE;
use crate::Error;
use crate::limits::HOST_CHARS_MAX;

/// The path of the token endpoint.
pub(crate) const TOKEN_PATH: &str = "/token";

/// How a client's request reached this proxy.
pub(crate) struct RequestOrigin<'a> {
    /// Whether the client's connection is encrypted, here or at a trusted balancer.
    pub(crate) is_encrypted: bool,
    /// Whether passwords may cross a network readable (`insecure_http`).
    pub(crate) may_be_plain: bool,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

impl RequestOrigin<'_> {
    /// The address the client used, when the request names a well-formed host.
    fn base(&self) -> Option<String> {
        let by_header = || self.headers.get(HOST)?.to_str().ok();
        let host = self.uri.authority().map(http::uri::Authority::as_str).or_else(by_header)?;
        if !is_host(host) {
            return None;
        }
        if self.is_encrypted {
            return Some(format!("https://{host}"));
        }
        if self.may_be_plain || is_this_machine(host) {
            return Some(format!("http://{host}"));
        }
        // A proxy in front forwarded the request to that host, without `X-Forwarded-Proto` or the
        // like.
        if !TOLD.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                host,
                "clients are sent to https:// for tokens; say where with public_url, or name what is \
                 in front in trusted_proxies, or allow readable passwords with insecure_http"
            );
        }
        Some(format!("https://{host}"))
    }
}

/// Whether the log already says that a connection is not known to be encrypted: one line is enough.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Whether a host, perhaps with a port, names the client's own machine.
fn is_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

fn is_host(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-:[]_".contains(c);
    !text.is_empty() && text.len() <= HOST_CHARS_MAX && text.chars().all(allowed)
}

/// The challenge for an error; none for errors that no login resolves.
pub(super) fn challenge(
    error: &Error,
    public_url: Option<&str>,
    way: &RequestOrigin<'_>,
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

/// The challenge of the token endpoint.
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
        let way = RequestOrigin { is_encrypted, may_be_plain: true, uri: &uri, headers: &headers };
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
    fn nobody_is_sent_to_another_machine_without_encryption_unless_that_is_allowed() {
        let base = |host: &str, is_encrypted, may_be_plain| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            let uri = Uri::from_static("/v2/");
            RequestOrigin { is_encrypted, may_be_plain, uri: &uri, headers: &headers }
                .base()
                .unwrap()
        };
        let far = "registry.example.com:5000";
        assert_eq!(base(far, false, true), format!("http://{far}"));
        assert_eq!(base(far, false, false), format!("https://{far}"));
        for near in ["localhost:5000", "127.0.0.1:5000", "[::1]:5000", "a.Localhost", "127.1.2.3"] {
            assert_eq!(base(near, false, false), format!("http://{near}"));
            assert_eq!(base(near, true, false), format!("https://{near}"));
        }
        for far in ["10.0.0.1", "notlocalhost", "localhost.example.com", "[2001:db8::1]:5000"] {
            assert_eq!(base(far, false, false), format!("https://{far}"));
        }
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
