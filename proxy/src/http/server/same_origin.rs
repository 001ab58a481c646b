//! Refuses requests made by foreign web pages. A browser reaches its user's network, loopback too,
//! and makes requests for any page; on a registry without a login, the client's address would be
//! the only proof, and a page has it.
//!
//! A page cannot change the browser's own headers: `Origin` is there with everything but a plain
//! GET or HEAD, `Sec-Fetch-Site` with everything to an encrypted or a loopback address, and `Host`
//! is the page's own name, however that name resolves. Other programs send none of the first two.
//!
//! Where a login is needed a page has none to send, but a browser adds a password that its user
//! typed once: so a foreign page changes nothing there either. A Bearer token is never added, so
//! its sender has it.

use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method};

use crate::Error;
use crate::http::tls::Tls;
use crate::limits::HOST_CHARS_MAX;
use crate::settings::hosts::Hosts;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origin of requests to this listener.
pub(super) struct OriginPolicy<'a> {
    /// Whether the registry needs no login.
    pub(super) is_public: bool,
    /// Whether clients come encrypted, as far as known.
    pub(super) is_encrypted: bool,
    /// Names of this server.
    pub(super) hosts: &'a Hosts,
    /// The certificate of this server.
    pub(super) tls: Option<&'a Tls>,
}

/// Refuses a request that a foreign page could have made, if the page could gain by it.
pub(super) fn check(parts: &Parts, door: &OriginPolicy<'_>) -> Result<(), Error> {
    let host = host(parts);
    if door.is_public {
        // Without a host it is HTTP/1.0, which no browser speaks.
        if let Some(host) = &host {
            listed(host.host(), door)?;
        }
    } else if matches!(parts.method, Method::GET | Method::HEAD) || shows_token(&parts.headers) {
        return Ok(());
    }
    let is_foreign = |value: &HeaderValue| !is_own(value, host.as_ref(), door.is_encrypted);
    let headers = &parts.headers;
    let is_elsewhere = headers.get_all(SEC_FETCH_SITE).iter().any(is_elsewhere);
    if is_elsewhere || headers.get_all(ORIGIN).iter().any(is_foreign) {
        return Err(Error::ForeignPage);
    }
    Ok(())
}

/// The request's host; an earlier check found one at most.
fn host(parts: &Parts) -> Option<Authority> {
    let named = parts.uri.authority().cloned();
    named.or_else(|| parts.headers.get(HOST)?.to_str().ok()?.parse().ok())
}

/// Refuses an unknown host name: a page with a rebound name of its own is caught by that name.
fn listed(host: &str, door: &OriginPolicy<'_>) -> Result<(), Error> {
    let is_of_certificate = || door.tls.is_some_and(|tls| tls.is_for(host));
    if door.hosts.have(host) || is_of_certificate() {
        return Ok(());
    }
    let shown: String = host.chars().take(HOST_CHARS_MAX).collect();
    if door.hosts.tell() {
        tracing::warn!(
            host = %shown,
            "a request is refused because nobody has to log in and its host is not listed in `hosts` of \
             [access]; further ones are not warned of"
        );
    }
    Err(Error::HostUnlisted(shown))
}

/// Whether a browser reports a request from neither the user nor a page of ours.
fn is_elsewhere(target: &HeaderValue) -> bool {
    !matches!(target.as_bytes(), b"same-origin" | b"none")
}

/// Whether an `Origin` equals the request's target: the same name and port. TLS at a proxy in front
/// need not be known here: an encrypted page comes from the owner of the certificate.
fn is_own(origin: &HeaderValue, host: Option<&Authority>, is_encrypted: bool) -> bool {
    let Some((scheme, origin)) = origin.to_str().ok().and_then(|text| text.split_once("://"))
    else {
        return false;
    };
    let default = match scheme {
        "https" => 443,
        "http" if !is_encrypted => 80,
        _ => return false,
    };
    let (Ok(origin), Some(host)) = (origin.parse::<Authority>(), host) else { return false };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    origin.host().eq_ignore_ascii_case(host.host()) && port(&origin) == port(host)
}

/// Whether the request has credentials that no browser adds.
fn shows_token(headers: &HeaderMap) -> bool {
    let scheme = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().get(..7));
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Version};

    fn checked(
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        is_public: bool,
        is_encrypted: bool,
    ) -> Result<(), Error> {
        let hosts = Hosts::new(&[], Some(&"127.0.0.1:5000".parse().unwrap()));
        let mut request = Request::builder().method(method).uri(uri);
        if uri.starts_with("https") {
            request = request.version(Version::HTTP_2);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(&parts, &OriginPolicy { is_public, is_encrypted, hosts: &hosts, tls: None })
    }

    /// To an open registry, by this host.
    fn open(headers: &[(&str, &str)]) -> bool {
        let own = [("host", "127.0.0.1:5000")];
        let headers: Vec<_> = own.iter().chain(headers).copied().collect();
        let by = |method| checked(method, "/v2/", &headers, true, false).is_ok();
        let all = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].map(by);
        assert!(all.iter().all(|passes| *passes == all[0]), "{headers:?}: {all:?}");
        all[0]
    }

    #[test]
    fn a_page_of_another_site_is_refused_whatever_it_asks() {
        assert!(open(&[]), "other programs say nothing");
        assert!(open(&[("sec-fetch-site", "same-origin")]) && open(&[("sec-fetch-site", "none")]));
        for site in ["cross-site", "same-site", "", "Same-Origin", "anything"] {
            assert!(!open(&[("sec-fetch-site", site)]), "{site}");
        }
        assert!(!open(&[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")]));
        assert!(open(&[("origin", "http://127.0.0.1:5000")]));
        assert!(open(&[("origin", "https://127.0.0.1:5000")]), "TLS may end in front");
        for origin in [
            "null",
            "",
            "http://evil.test",
            "http://127.0.0.1",
            "http://127.0.0.1:5001",
            "http://localhost:5000",
            "ftp://127.0.0.1:5000",
            "127.0.0.1:5000",
            "http://127.0.0.1:5000 http://evil.test",
            "chrome-extension://abc",
        ] {
            assert!(!open(&[("origin", origin)]), "{origin}");
        }
        let twice = [("origin", "http://127.0.0.1:5000"), ("origin", "http://evil.test")];
        assert!(!open(&twice));
    }

    #[test]
    fn a_host_that_is_not_known_is_refused_wherever_it_is_named() {
        let by = |uri, host: &[(&str, &str)]| checked("GET", uri, host, true, false);
        for (uri, host) in [
            ("/v2/", &[("host", "localhost")][..]),
            ("/v2/", &[("host", "[::1]:5000")]),
            ("http://localhost:5000/v2/", &[("host", "localhost:5000")]),
            ("https://10.0.0.1:5000/v2/", &[]),
            // HTTP/1.0
            ("/v2/", &[]),
        ] {
            assert!(by(uri, host).is_ok(), "{uri} {host:?}");
        }
        for (uri, host) in [
            ("/v2/", &[("host", "evil.test:5000")][..]),
            ("/v2/", &[("host", "wharfd")]),
            ("http://evil.test/v2/", &[("host", "evil.test")]),
            ("https://evil.test/v2/", &[]),
        ] {
            let error = by(uri, host).unwrap_err();
            let said = error.to_string();
            assert!(matches!(error, Error::HostUnlisted(_)), "{said}");
            assert!(said.contains("hosts") && said.contains("[access]"), "{said}");
        }
        // A page with a rebound name looks like one of ours in everything but that name.
        let rebound = [
            ("host", "evil.test:5000"),
            ("origin", "http://evil.test:5000"),
            ("sec-fetch-site", "same-origin"),
        ];
        let error = by("/v2/", &rebound).unwrap_err();
        assert!(error.to_string().contains("evil.test"), "{error}");
        let long = format!("{}.test", "a".repeat(10_000));
        let said = by("/v2/", &[("host", &long)]).unwrap_err().to_string();
        assert!(said.len() < 2 * HOST_CHARS_MAX + 200, "{}", said.len());
    }

    #[test]
    fn who_shows_an_encrypted_page_is_of_the_same_name_only_when_it_came_encrypted() {
        let host = ("host", "127.0.0.1");
        let with = |origin| checked("PUT", "/v2/", &[host, ("origin", origin)], true, true);
        assert!(with("https://127.0.0.1").is_ok() && with("https://127.0.0.1:443").is_ok());
        assert!(with("http://127.0.0.1").is_err() && with("http://127.0.0.1:443").is_err());
    }

    #[test]
    fn where_a_login_is_needed_a_page_reads_by_its_login_and_changes_nothing_by_one_that_a_browser_adds()
     {
        let page = [("host", "evil.test"), ("origin", "https://other.test")];
        let by = |method, more: &[(&str, &str)]| {
            let headers: Vec<_> = page.iter().chain(more).copied().collect();
            checked(method, "/v2/", &headers, false, true).is_ok()
        };
        assert!(by("GET", &[]) && by("HEAD", &[]));
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            assert!(!by(method, &[]), "{method}");
            assert!(!by(method, &[("authorization", "Basic dTpw")]), "{method}");
            assert!(by(method, &[("authorization", "bearer abc")]), "{method}");
        }
        let bare = checked("PUT", "/v2/", &[("host", "evil.test")], false, true);
        assert!(bare.is_ok(), "hosts count where nobody has to log in");
    }
}
