//! Ranges: of a blob that is read (`Range`, `Content-Range`), of a chunk that is uploaded.
//!
//! Invariant: a [`Span`] is never empty and ends within the size of its content.

use std::fmt;
use std::str::FromStr;

use crate::error::{ParseError, excerpt};

/// A requested range: one of `Range: bytes=…` (RFC 9110 §14.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// `first-last`, both inclusive, `first <= last`.
    FromTo {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte.
        last: u64,
    },
    /// `first-`: to the end.
    From {
        /// Offset of the first byte.
        first: u64,
    },
    /// `-count`: the last bytes.
    Last {
        /// Number of bytes.
        count: u64,
    },
}

/// Where a range lies in content of a known size: `start..end`, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    start: u64,
    end: u64,
}

impl Span {
    /// The span of `start..end`; `None` when it is empty.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Option<Self> {
        if start < end { Some(Self { start, end }) } else { None }
    }

    /// Offset of the first byte.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Offset after the last byte.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Number of bytes, at least one.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.end - self.start
    }
}

impl ByteRange {
    /// Where this range lies in `size_bytes` bytes; `None` when no byte of it exists (status 416).
    /// An end past the size is clamped (RFC 9110 §14.1.2).
    #[must_use]
    pub const fn resolve(&self, size_bytes: u64) -> Option<Span> {
        let (start, end) = match *self {
            Self::FromTo { first, last } => {
                let end = last.saturating_add(1);
                (first, if end < size_bytes { end } else { size_bytes })
            }
            Self::From { first } => (first, size_bytes),
            Self::Last { count } => (size_bytes.saturating_sub(count), size_bytes),
        };
        Span::new(start, end)
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromTo { first, last } => write!(f, "bytes={first}-{last}"),
            Self::From { first } => write!(f, "bytes={first}-"),
            Self::Last { count } => write!(f, "bytes=-{count}"),
        }
    }
}

impl FromStr for ByteRange {
    type Err = ParseError;

    /// Several ranges in one header are refused here; a server may then ignore the header and send
    /// everything (RFC 9110 §14.2).
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |reason| ParseError::Range { text: excerpt(text), reason };
        let spec = text.strip_prefix("bytes=").ok_or_else(|| refuse("the unit is not bytes"))?;
        let (first, last) =
            spec.trim().split_once('-').ok_or_else(|| refuse("there is no dash"))?;
        match (first, last) {
            ("", count) => {
                let count = number(count).ok_or_else(|| refuse("not a number"))?;
                Ok(Self::Last { count })
            }
            (first, "") => {
                let first = number(first).ok_or_else(|| refuse("not a number"))?;
                Ok(Self::From { first })
            }
            (first, last) => {
                let first = number(first).ok_or_else(|| refuse("not a number"))?;
                let last = number(last).ok_or_else(|| refuse("not a number"))?;
                if last < first {
                    return Err(refuse("it ends before it starts"));
                }
                Ok(Self::FromTo { first, last })
            }
        }
    }
}

/// A served range: `Content-Range: bytes first-last/size` (RFC 9110 §14.4), size always known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// The span of the part.
    pub span: Span,
    /// The size of the whole, in bytes.
    pub size_bytes: u64,
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}-{}/{}", self.span.start, self.span.end - 1, self.size_bytes)
    }
}

impl FromStr for ContentRange {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |reason| ParseError::Range { text: excerpt(text), reason };
        let spec = text.strip_prefix("bytes ").ok_or_else(|| refuse("the unit is not bytes"))?;
        let (part, size) = spec.split_once('/').ok_or_else(|| refuse("there is no size"))?;
        let (first, last) = part.split_once('-').ok_or_else(|| refuse("there is no dash"))?;
        let (Some(first), Some(last), Some(size_bytes)) =
            (number(first), number(last), number(size))
        else {
            return Err(refuse("not a number"));
        };
        let span = last
            .checked_add(1)
            .filter(|end| *end <= size_bytes)
            .and_then(|end| Span::new(first, end))
            .ok_or_else(|| refuse("it does not lie within the size"))?;
        Ok(Self { span, size_bytes })
    }
}

/// The bytes of a chunk, or of an upload so far: `first-last`, inclusive, without a unit
/// (distribution-spec, "Pushing a blob in chunks"). Some registries write `bytes=` before it, so
/// the parser accepts that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte, not before the first.
    pub last: u64,
}

impl ChunkRange {
    /// Number of bytes, at least one.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

impl fmt::Display for ChunkRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for ChunkRange {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |reason| ParseError::Range { text: excerpt(text), reason };
        let spec = text.strip_prefix("bytes=").unwrap_or(text);
        let (first, last) = spec.split_once('-').ok_or_else(|| refuse("there is no dash"))?;
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            (Some(_), Some(_)) => Err(refuse("it ends before it starts")),
            _ => Err(refuse("write first-last in digits")),
        }
    }
}

/// A decimal number of digits only: `u64::from_str` would also take `+1`.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn any_range() -> impl Strategy<Value = ByteRange> {
        prop_oneof![
            (any::<u64>(), any::<u64>())
                .prop_map(|(a, b)| ByteRange::FromTo { first: a.min(b), last: a.max(b) }),
            any::<u64>().prop_map(|first| ByteRange::From { first }),
            any::<u64>().prop_map(|count| ByteRange::Last { count }),
        ]
    }

    proptest! {
        #[test]
        fn parse_undoes_display(range in any_range()) {
            prop_assert_eq!(range.to_string().parse::<ByteRange>().unwrap(), range);
        }

        #[test]
        fn a_span_never_exceeds_the_size(range in any_range(), size in any::<u64>()) {
            if let Some(span) = range.resolve(size) {
                prop_assert!(span.start() < span.end() && span.end() <= size);
                let sent = ContentRange { span, size_bytes: size };
                prop_assert_eq!(sent.to_string().parse::<ContentRange>().unwrap(), sent);
            }
        }

        #[test]
        fn a_chunk_survives_display(a in any::<u64>(), b in any::<u64>()) {
            let chunk = ChunkRange { first: a.min(b), last: a.max(b) };
            prop_assert_eq!(chunk.to_string().parse::<ChunkRange>().unwrap(), chunk);
        }

        #[test]
        fn any_text_parses_or_is_refused_without_panic(text in "(bytes[= ])?[-0-9/*, ]{0,50}|\\PC{0,40}") {
            let _ = text.parse::<ByteRange>();
            let _ = text.parse::<ContentRange>();
            let _ = text.parse::<ChunkRange>();
        }
    }

    #[test]
    fn ranges_resolve_as_the_standard_says() {
        let resolve = |text: &str, size| {
            text.parse::<ByteRange>().unwrap().resolve(size).map(|s| (s.start(), s.end()))
        };
        assert_eq!(resolve("bytes=0-", 10), Some((0, 10)));
        assert_eq!(resolve("bytes=2-4", 10), Some((2, 5)));
        assert_eq!(resolve("bytes=2-400", 10), Some((2, 10)));
        assert_eq!(resolve("bytes=-3", 10), Some((7, 10)));
        assert_eq!(resolve("bytes=-30", 10), Some((0, 10)));
        assert_eq!(resolve("bytes=-0", 10), None);
        assert_eq!(resolve("bytes=10-", 10), None);
        assert_eq!(resolve("bytes=0-0", 0), None);
    }

    #[test]
    fn malformed_ranges_are_refused() {
        for text in ["", "bytes=", "bytes=-", "bytes=5-2", "bytes=a-b", "bytes=+1-2", "0-5"] {
            assert!(text.parse::<ByteRange>().is_err(), "{text:?}");
        }
        for text in ["bytes=0-1,3-4", "items=0-1", "bytes=18446744073709551616-"] {
            assert!(text.parse::<ByteRange>().is_err(), "{text:?}");
        }
        for text in ["5-2", "bytes 0-5/*", "0-", "-5", "0-5/6"] {
            assert!(text.parse::<ChunkRange>().is_err(), "{text:?}");
        }
        assert!("bytes 0-9/5".parse::<ContentRange>().is_err());
    }
}
