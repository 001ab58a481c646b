//! `WWW-Authenticate`: how a registry wants to be asked (RFC 9110 §11.6.1, and the token
//! specification of the distribution project).

use std::collections::BTreeMap;

/// Longest header, in bytes.
const LEN_MAX: usize = 8192;

/// A registry's demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password on each request.
    Basic,
    /// A token from the realm.
    Bearer {
        /// Where tokens are given out.
        realm: String,
        /// The audience of the token.
        service: Option<String>,
    },
}

impl Challenge {
    /// Reads a header; a token is preferred when both are offered.
    pub(super) fn parse(header: &str) -> Option<Self> {
        if header.len() > LEN_MAX {
            return None;
        }
        let mut basic = None;
        for (scheme, parameters) in schemes(header) {
            if scheme.eq_ignore_ascii_case("bearer") {
                let realm = parameters.get("realm")?.clone();
                return Some(Self::Bearer { realm, service: parameters.get("service").cloned() });
            }
            if scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Self::Basic);
            }
        }
        basic
    }
}

/// The schemes of a header, each with its parameters. A comma separates parameters and schemes
/// alike; a scheme is a word without a `=` after it.
fn schemes(header: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = header.trim_start();
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if let Some(value) = after.strip_prefix('=') {
            let (value, after) = value_of(value);
            if let Some((_, parameters)) = found.last_mut() {
                parameters.entry(word.to_ascii_lowercase()).or_insert(value);
            }
            rest = after;
        } else {
            if !word.is_empty() {
                found.push((word.to_owned(), BTreeMap::new()));
            }
            rest = after;
        }
        rest = rest.trim_start_matches([' ', ',']);
    }
    found
}

/// A token or a quoted text, and the rest after it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) }
    }

    #[test]
    fn challenges_of_real_registries_are_read() {
        let acr = r#"Bearer realm="https://r.azurecr.io/oauth2/token",service="r.azurecr.io",scope="repository:a:pull,push""#;
        let expected = bearer("https://r.azurecr.io/oauth2/token", Some("r.azurecr.io"));
        assert_eq!(Challenge::parse(acr), Some(expected));
        assert_eq!(Challenge::parse(r#"Basic realm="Registry Realm""#), Some(Challenge::Basic));
        let both = r#"Basic realm="x, y", bearer realm=https://a/t"#;
        assert_eq!(Challenge::parse(both), Some(bearer("https://a/t", None)));
        assert_eq!(Challenge::parse(r#"Bearer realm="a\"b""#), Some(bearer("a\"b", None)));
        assert_eq!(Challenge::parse("Negotiate"), None);
        assert_eq!(Challenge::parse("Bearer service=x"), None);
    }

    proptest! {
        #[test]
        fn any_header_ends_without_panic(header in "\\PC{0,200}|[a-z=\", \\\\]{0,100}") {
            let _ = Challenge::parse(&header);
        }
    }
}
