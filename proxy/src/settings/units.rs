//! Sizes and periods as people write and read them: `50GiB`, `30d`.
//!
//! Invariant: ambiguous units are refused. `50G`, which means one size to `du` and another on a
//! disk's box, is one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// A text that is neither a size nor a period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}")]
pub struct QuantityError {
    text: String,
    what: &'static str,
}

const SIZES: &str = "a size: write bytes, or a number with KiB, MiB, GiB, TiB, kB, MB, GB or TB";
const SPANS: &str = "a length of time: write a number with s, m, h, d or w";

impl FromStr for ByteSize {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let unit = |unit: &str| match unit {
            "" | "B" => Some(1),
            "kB" | "KB" => Some(1_000),
            "MB" => Some(1_000_000),
            "GB" => Some(1_000_000_000),
            "TB" => Some(1_000_000_000_000),
            "KiB" => Some(1 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1 << 30),
            "TiB" => Some(1 << 40),
            _ => None,
        };
        let bytes = counted(text, unit);
        bytes.map(Self).ok_or_else(|| QuantityError { text: text.to_owned(), what: SIZES })
    }
}

impl FromStr for Period {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let unit = |unit: &str| match unit {
            "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3_600),
            "d" => Some(86_400),
            "w" => Some(7 * 86_400),
            _ => None,
        };
        let seconds = counted(text, unit).map(Duration::from_secs);
        seconds.map(Self).ok_or_else(|| QuantityError { text: text.to_owned(), what: SPANS })
    }
}

/// A whole number and its unit, with or without a space between.
fn counted(text: &str, unit: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(digits)?;
    number.parse::<u64>().ok()?.checked_mul(unit(rest.trim_start_matches(' '))?)
}

impl fmt::Display for ByteSize {
    /// In binary units, with one digit after the point: `1.5 GiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        for (name, power) in units {
            if self.0 >> power > 0 {
                let tenths = (u128::from(self.0) * 10) >> power;
                return write!(f, "{}.{} {name}", tenths / 10, tenths % 10);
            }
        }
        write!(f, "{} B", self.0)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes, or a size such as \"50GiB\"")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<ByteSize, E> {
                let bytes = u64::try_from(value).ok();
                bytes.map(ByteSize).ok_or_else(|| E::custom("a size is not negative"))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(value))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<ByteSize, E> {
                value.parse().map_err(E::custom)
            }
        }
        from.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        let size = |text: &str| text.parse::<ByteSize>().ok().map(|size| size.0);
        assert_eq!(size("0"), Some(0));
        assert_eq!(size("1234"), Some(1_234));
        assert_eq!(size("50GiB"), Some(50 << 30));
        assert_eq!(size("50 GB"), Some(50_000_000_000));
        for wrong in ["", "GiB", "50G", "1.5GiB", "-1", "+1", "50gib", "99999999TiB", "1 GiB "] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
        let shown =
            [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (u64::MAX, "16777215.9 TiB")];
        for (bytes, text) in shown {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }

    #[test]
    fn spans_are_read() {
        let seconds = |text: &str| text.parse::<Period>().ok().map(|span| span.0.as_secs());
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("2w"), Some(14 * 86_400));
        for wrong in ["", "90", "d", "1y", "99999999999999999999d"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
