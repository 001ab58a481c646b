//! `Digest`: the address of content, as plain bytes. Text exists only at the edges.
//!
//! Invariant: a `Digest` has exactly the length of its algorithm, and `parse` accepts exactly the
//! output of `Display` (lowercase hexadecimal, no other form).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{ParseError, excerpt};

/// The hash functions of digests (image-spec, "Registered algorithms").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, known by every registry.
    Sha256,
    /// SHA-512, optional in the specification.
    Sha512,
}

impl Algorithm {
    /// The name before the colon.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many bytes its hashes have.
    #[must_use]
    pub const fn len_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(invalid(text, "the algorithm is not sha256 or sha512")),
        }
    }
}

/// The address of a blob or a manifest: algorithm and hash of its exact bytes.
///
/// - `Copy`, and ordered as its raw bytes are, so that key order is digest order.
/// - Parses and displays as `sha256:<64 hex>` or `sha512:<128 hex>`, lowercase.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Digest {
    /// The SHA-256 of the content.
    Sha256([u8; 32]),
    /// The SHA-512 of the content.
    Sha512([u8; 64]),
}

impl Digest {
    /// The digest with these raw bytes, or `None` when their number is not the algorithm's.
    #[must_use]
    pub fn from_raw(algorithm: Algorithm, raw: &[u8]) -> Option<Self> {
        match algorithm {
            Algorithm::Sha256 => raw.try_into().ok().map(Self::Sha256),
            Algorithm::Sha512 => raw.try_into().ok().map(Self::Sha512),
        }
    }

    /// The hash function.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The hash, 32 or 64 bytes.
    #[must_use]
    pub const fn raw(&self) -> &[u8] {
        match self {
            Self::Sha256(raw) => raw,
            Self::Sha512(raw) => raw,
        }
    }

    /// The hash in lowercase hexadecimal, without the algorithm.
    #[must_use]
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(self.raw().len() * 2);
        for byte in self.raw() {
            text.push(hex_digit(byte >> 4));
            text.push(hex_digit(byte & 15));
        }
        text
    }

    /// The first twelve hexadecimal digits, for tables.
    #[must_use]
    pub fn short(&self) -> String {
        self.hex().chars().take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (algorithm, hex) = text.split_once(':').ok_or_else(|| invalid(text, "no colon"))?;
        let algorithm: Algorithm = algorithm
            .parse()
            .map_err(|_| invalid(text, "the algorithm is not sha256 or sha512"))?;
        if hex.len() != algorithm.len_bytes() * 2 {
            return Err(invalid(text, "the hash has the wrong length"));
        }
        let mut raw = [0_u8; 64];
        for (slot, pair) in raw.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *slot = hex_byte(pair).ok_or_else(|| invalid(text, "not lowercase hexadecimal"))?;
        }
        raw.get(..algorithm.len_bytes())
            .and_then(|raw| Self::from_raw(algorithm, raw))
            .ok_or_else(|| invalid(text, "the hash has the wrong length"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

fn invalid(text: &str, reason: &'static str) -> ParseError {
    ParseError::Digest { text: excerpt(text), reason }
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

fn hex_byte(pair: &[u8]) -> Option<u8> {
    let nibble = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    match pair {
        [high, low] => Some((nibble(*high)? << 4) | nibble(*low)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    fn any_digest() -> impl Strategy<Value = Digest> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 32).prop_map(|raw| Digest::from_raw(
                Algorithm::Sha256,
                &raw
            )
            .unwrap()),
            proptest::collection::vec(any::<u8>(), 64).prop_map(|raw| Digest::from_raw(
                Algorithm::Sha512,
                &raw
            )
            .unwrap()),
        ]
    }

    proptest! {
        #[test]
        fn parse_undoes_display(digest in any_digest()) {
            prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        }

        #[test]
        fn any_text_parses_or_is_refused_without_panic(text in ".{0,200}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }

        #[test]
        fn raw_order_is_digest_order(a in any_digest(), b in any_digest()) {
            if a.algorithm() == b.algorithm() {
                prop_assert_eq!(a.cmp(&b), a.raw().cmp(b.raw()));
            }
        }
    }

    #[test]
    fn uppercase_short_and_foreign_digests_are_refused() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert!(format!("sha256:{hex}").parse::<Digest>().is_ok());
        assert!(format!("sha256:{}", hex.to_uppercase()).parse::<Digest>().is_err());
        assert!(format!("sha512:{hex}").parse::<Digest>().is_err());
        assert!(format!("md5:{hex}").parse::<Digest>().is_err());
        assert!(hex.parse::<Digest>().is_err());
        assert!(format!("sha256:{}é", &hex[..62]).parse::<Digest>().is_err());
    }
}
