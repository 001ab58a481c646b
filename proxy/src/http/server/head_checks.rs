//! Checks of a request's head before its route is parsed. hyper enforces the rest of the grammar:
//! it answers 400 and closes.
//!
//! Invariant: an ambiguous head is refused and its connection closed, so that nothing behind it is
//! read as a request.

use http::request::Parts;
use http::uri::Authority;
use http::{Version, header};

use crate::Error;
use crate::settings::limits::Limits;

/// Refuses a head that is too large, or that does not name one host plainly.
pub(super) fn check(parts: &Parts, limits: &Limits) -> Result<(), Error> {
    let url_bytes = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if url_bytes > limits.url_bytes {
        return Err(Error::UrlTooLong { limit_bytes: limits.url_bytes });
    }
    if parts.headers.len() > limits.headers {
        return Err(Error::TooManyHeaders { limit: limits.headers });
    }
    host(parts).map_err(Error::HeadMalformed)
}

/// RFC 9112 §3.2: exactly one Host, equal to the target's host when the target names one.
fn host(parts: &Parts) -> Result<(), &'static str> {
    let mut lines = parts.headers.get_all(header::HOST).iter();
    let (first, second) = (lines.next(), lines.next());
    if second.is_some() {
        return Err("the request has more than one Host");
    }
    let named = parts.uri.authority();
    let Some(host) = first else {
        // HTTP/1.0 has none, and HTTP/2 has it in the target.
        let needed = match parts.version {
            Version::HTTP_2 => named.is_none(),
            version => version == Version::HTTP_11,
        };
        return if needed { Err("the request has no Host") } else { Ok(()) };
    };
    let host: Authority = host
        .to_str()
        .ok()
        .filter(|host| !host.contains('@'))
        .and_then(|host| host.parse().ok())
        .ok_or("the Host of the request is not a host")?;
    match named {
        Some(named) if *named != host => Err("the request names two hosts"),
        _ => Ok(()),
    }
}

/// Whether an answer must be the last of its connection. For a chunked request it is unknown here
/// whether the head had another length too (hyper removes such a header); a proxy in front may then
/// have seen its end elsewhere (RFC 9112 §6.3).
pub(super) fn is_last(parts: &Parts) -> bool {
    parts.version < Version::HTTP_2 && parts.headers.contains_key(header::TRANSFER_ENCODING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn parts(uri: &str, version: Version, hosts: &[&str]) -> Parts {
        let builder = Request::builder().uri(uri).version(version);
        let with = |builder: http::request::Builder, host: &&str| builder.header("host", *host);
        hosts.iter().fold(builder, with).body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_request_names_one_host_and_names_it_once() {
        let rows = [
            ("/v2/", Version::HTTP_11, &["a:5000"][..], None),
            ("http://a:5000/v2/", Version::HTTP_11, &["a:5000"], None),
            ("http://a/v2/", Version::HTTP_11, &["A"], None),
            ("/v2/", Version::HTTP_10, &[], None),
            ("https://a/v2/", Version::HTTP_2, &[], None),
            ("/v2/", Version::HTTP_11, &[], Some("no Host")),
            ("/v2/", Version::HTTP_11, &["a", "a"], Some("more than one")),
            ("http://b/v2/", Version::HTTP_11, &["a"], Some("two hosts")),
            ("https://b/v2/", Version::HTTP_2, &["a"], Some("two hosts")),
            ("/v2/", Version::HTTP_11, &["a b"], Some("not a host")),
            ("/v2/", Version::HTTP_11, &["a/b"], Some("not a host")),
            ("/v2/", Version::HTTP_11, &["a@b"], Some("not a host")),
            ("/v2/", Version::HTTP_11, &[""], Some("not a host")),
            ("/v2/", Version::HTTP_2, &[], Some("no Host")),
        ];
        for (uri, version, hosts, expected) in rows {
            let found = host(&parts(uri, version, hosts)).err();
            let fits = match (found, expected) {
                (None, None) => true,
                (Some(found), Some(expected)) => found.contains(expected),
                _ => false,
            };
            assert!(fits, "{uri} {version:?} {hosts:?}: {found:?}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let limits = Limits { url_bytes: 20, headers: 2, ..Limits::default() };
        let of = |uri: &str, hosts: &[&str]| check(&parts(uri, Version::HTTP_11, hosts), &limits);
        assert!(of("/v2/?a=012345678901", &["a"]).is_ok());
        let long = of("/v2/?a=01234567890123", &["a"]);
        assert!(matches!(long, Err(Error::UrlTooLong { limit_bytes: 20 })));
        let many = of("/v2/", &["a", "a", "a"]);
        assert!(matches!(many, Err(Error::TooManyHeaders { limit: 2 })));
    }
}
