//! The credentials of a request: `Authorization` (RFC 7617, RFC 6750).
//!
//! Invariant: malformed or repeated credentials are refused, never ignored: a client with wrong
//! credentials must not be served as anonymous.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use wharf_oci::Secret;

use crate::Error;
use crate::limits::SHOWN_BYTES_MAX;

/// Credentials that are not proven yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// No credentials.
    Nothing,
    /// A user and a password.
    Basic(String, Secret),
    /// A bearer token.
    Bearer(Secret),
}

impl Credentials {
    /// Reads the `Authorization` header.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(Self::Nothing) };
        let text = value.to_str().ok().filter(|text| text.len() <= SHOWN_BYTES_MAX);
        let shown = text.filter(|_| values.next().is_none()).and_then(Self::parse);
        shown.ok_or(Error::LoginRefused)
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(' ')?;
        let rest = rest.trim_matches(' ');
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Bearer(Secret::new(rest))).filter(|_| !rest.is_empty());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (user, password) = pair.split_once(':')?;
        Some(Self::Basic(user.to_owned(), Secret::new(password)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(values: &[&str]) -> Result<Credentials, Error> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        Credentials::of(&headers)
    }

    fn basic(user: &str, password: &str) -> Credentials {
        Credentials::Basic(user.to_owned(), Secret::new(password))
    }

    #[test]
    fn credentials_are_read_in_both_schemes() {
        assert_eq!(shown(&[]).unwrap(), Credentials::Nothing);
        assert_eq!(shown(&["Basic YTpiOmM="]).unwrap(), basic("a", "b:c"));
        assert_eq!(shown(&["basic YTo="]).unwrap(), basic("a", ""));
        assert_eq!(shown(&["BEARER a.b.c"]).unwrap(), Credentials::Bearer(Secret::new("a.b.c")));
    }

    #[test]
    fn what_is_wrong_is_refused_and_not_taken_for_nothing() {
        let long = format!("Bearer {}", "x".repeat(SHOWN_BYTES_MAX));
        for wrong in
            ["", "Basic", "Basic !", "Basic YQ==", "Bearer ", "Digest x", "Basic /w==", &long]
        {
            assert!(matches!(shown(&[wrong]), Err(Error::LoginRefused)), "{wrong}");
        }
        assert!(shown(&["Basic YTpi", "Basic YTpi"]).is_err());
    }
}
