//! `PageQuery`: the query of a registry's `Link` to the next page of a list (distribution-spec,
//! "Listing Referrers"), for the next request.
//!
//! Invariant: it contains only characters of a query (RFC 3986 §3.4), so it leads to no other path
//! or host and ends no header; its length is bounded.

use std::fmt;
use std::fmt::Write as _;

use crate::ParseError;
use crate::error::excerpt;

/// Longest query, in bytes. Escaped once more it still fits into the path of a request.
const LEN_MAX: usize = 2 * 1024;

/// The query of a page, without its question mark; empty for the first page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageQuery(String);

impl PageQuery {
    /// Reads a query, without its question mark. Characters outside the grammar are escaped. The
    /// parameter `ns` chooses another registry behind a mirror, so it is left out: no list of this
    /// repository continues there.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let kept: Vec<_> = text.split('&').filter(|pair| !names_a_registry(pair)).collect();
        let text = kept.join("&");
        let mut query = String::with_capacity(text.len());
        for byte in text.bytes() {
            let punctuation = b"-._~!$&'()*+,;=:@/?%";
            if byte.is_ascii_alphanumeric() || punctuation.contains(&byte) {
                query.push(char::from(byte));
            } else {
                // Writing to a string does not fail.
                let _ = write!(query, "%{byte:02X}");
            }
        }
        if query.len() > LEN_MAX {
            return Err(ParseError::PageQuery { text: excerpt(&text), limit_bytes: LEN_MAX });
        }
        Ok(Self(query))
    }

    /// Whether this is the query of the first page.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.0.is_empty()
    }

    /// The query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a pair of a query is `ns`, however it is escaped.
fn names_a_registry(pair: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    let (mut bytes, mut plain) = (name.bytes(), Vec::new());
    while let Some(byte) = bytes.next() {
        let digits = [bytes.clone().next(), bytes.clone().nth(1)];
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        match (byte, digit(digits[0]), digit(digits[1])) {
            (b'%', Some(high), Some(low)) => {
                plain.extend(u8::try_from(high * 16 + low));
                bytes.nth(1);
            }
            _ => plain.push(byte),
        }
    }
    plain.eq_ignore_ascii_case(b"ns")
}

/// With its question mark, to follow a path; empty for the first page.
impl fmt::Display for PageQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_first() { Ok(()) } else { write!(f, "?{}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_registry_says_never_leaves_the_query() {
        let said = "n=2&last=sha256:0%2F/../x?y#z\"> <a\r\nb: c\u{e9}";
        let query = PageQuery::parse(said).unwrap();
        let escaped = "n=2&last=sha256:0%2F/../x?y%23z%22%3E%20%3Ca%0D%0Ab:%20c%C3%A9";
        assert_eq!((query.as_str(), query.to_string()), (escaped, format!("?{escaped}")));
        assert_eq!(PageQuery::parse(escaped).unwrap(), query);
        assert_eq!(PageQuery::default().to_string(), "");
    }

    #[test]
    fn it_is_not_long() {
        assert!(PageQuery::parse(&"x".repeat(LEN_MAX)).is_ok());
        for long in ["x".repeat(LEN_MAX + 1), "#".repeat(LEN_MAX / 3 + 1)] {
            let refused = PageQuery::parse(&long).unwrap_err().to_string();
            assert!(refused.contains("2048") && refused.len() < 300, "{refused}");
        }
    }

    #[test]
    fn no_page_is_at_another_registry() {
        let kept = |text| PageQuery::parse(text).unwrap().as_str().to_owned();
        assert_eq!(kept("n=5&ns=secret.example&last=a"), "n=5&last=a");
        for other in ["ns=a", "NS=a", "n%73=a", "%6E%73=a", "ns", "ns=a&ns=b"] {
            assert_eq!(kept(other), "", "{other}");
        }
        for own in ["nsx=1", "n=s", "x=ns", "n%7=1", "cursor=a%26ns%3Db"] {
            assert_eq!(kept(own), own);
        }
    }
}
