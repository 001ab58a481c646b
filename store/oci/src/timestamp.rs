//! `Timestamp`: a moment in whole seconds, as `YYYY-MM-DDThh:mm:ssZ` in files and as seconds since
//! 1970 in archives. `Day`: a day in UTC, as `YYYY-MM-DD`.
//!
//! Neither reads the clock. The calendar is that of jiff; no other file counts days.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The moment from which seconds are counted.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// 9999-12-31T23:59:59Z, the last moment with a year of four digits.
const SECONDS_MAX: u64 = 253_402_300_799;
/// How many characters of a wrong text an error repeats.
const SHOWN_CHARS_MAX: usize = 40;

/// A moment from 1970 to 9999, in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(u64);

/// The text or the number is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time: write it as \"2026-11-01T00:00:00Z\", from 1970 on")]
pub struct TimestampError(String);

/// A day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(Date);

/// The text is not a day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no day; write it as 2026-12-31")]
pub struct DayError(String);

impl Timestamp {
    /// 9999-12-31T23:59:59Z.
    pub const MAX: Self = Self(SECONDS_MAX);

    /// The moment this many seconds after 1970-01-01T00:00:00Z (`SOURCE_DATE_EPOCH`).
    pub fn from_unix_seconds(seconds: u64) -> Result<Self, TimestampError> {
        if seconds > SECONDS_MAX {
            return Err(TimestampError(seconds.to_string()));
        }
        Ok(Self(seconds))
    }

    /// The second of a text of RFC 3339 with any offset; `None` before 1970.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        Self::from_unix_seconds(u64::try_from(Self::rfc3339_seconds(text)?).ok()?).ok()
    }

    /// Seconds since 1970 of a text of RFC 3339 with any offset; negative before 1970.
    #[must_use]
    pub fn rfc3339_seconds(text: &str) -> Option<i64> {
        text.parse().ok().map(jiff::Timestamp::as_second)
    }

    /// The moment this many seconds later, or [`Self::MAX`].
    #[must_use]
    pub fn saturating_add(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds).min(SECONDS_MAX))
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn unix_seconds(self) -> u64 {
        self.0
    }

    /// The day of this moment.
    #[must_use]
    pub fn day(self) -> Day {
        Day(self.date_time().date())
    }

    fn date_time(self) -> DateTime {
        let seconds = i64::try_from(self.0).unwrap_or(i64::MAX);
        EPOCH.saturating_add(SignedDuration::from_secs(seconds))
    }
}

impl Day {
    /// How many days this one is after another.
    #[must_use]
    pub fn days_since(self, other: Self) -> i64 {
        self.0.duration_since(other.0).as_hours() / 24
    }

    /// Its first moment; `None` before 1970.
    #[must_use]
    pub fn start(self) -> Option<Timestamp> {
        let seconds = self.0.duration_since(EPOCH.date()).as_secs();
        Timestamp::from_unix_seconds(u64::try_from(seconds).ok()?).ok()
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        parse(text).ok_or_else(|| TimestampError(shown(text)))
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let shape = "0000-00-00T00:00:00Z";
    let fits = text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(c, model)| match model {
            b'0' => c.is_ascii_digit(),
            _ => c == model,
        });
    if !fits {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i8>().ok();
    let year = text.get(0..4)?.parse::<i16>().ok()?;
    let (month, day) = (number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let moment = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let seconds = moment.duration_since(EPOCH).as_secs();
    Timestamp::from_unix_seconds(u64::try_from(seconds).ok()?).ok()
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        let is_day = text.len() == 10 && text.bytes().all(|c| c.is_ascii_digit() || c == b'-');
        let day = if is_day { text.parse().ok() } else { None };
        day.map(Self).ok_or_else(|| DayError(shown(text)))
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Z", self.date_time())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parse_undoes_display(seconds in 0..=SECONDS_MAX) {
            let moment = Timestamp::from_unix_seconds(seconds).unwrap();
            prop_assert_eq!(moment.to_string().parse::<Timestamp>().unwrap(), moment);
        }

        #[test]
        fn any_text_parses_or_is_refused_without_panic(text in "\\PC{0,30}") {
            let _ = text.parse::<Timestamp>();
        }
    }

    #[test]
    fn known_moments_have_their_known_seconds() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2026-11-01T00:00:00Z", 1_793_491_200),
            ("9999-12-31T23:59:59Z", SECONDS_MAX),
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().unix_seconds(), seconds, "{text}");
        }
    }

    #[test]
    fn moments_that_do_not_exist_are_refused() {
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:60Z",
            "1969-12-31T23:59:59Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-1-1T00:00:00Z",
            "",
            "now",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        assert!(Timestamp::from_unix_seconds(SECONDS_MAX + 1).is_err());
    }

    #[test]
    fn a_day_starts_at_midnight_from_1970_on() {
        let start = |text: &str| text.parse::<Day>().unwrap().start();
        assert_eq!(start("1970-01-01"), Some(Timestamp::default()));
        assert_eq!(start("2000-02-29").map(Timestamp::unix_seconds), Some(951_782_400));
        assert_eq!(start("9999-12-31").unwrap().saturating_add(86_399), Timestamp::MAX);
        assert_eq!(start("1969-12-31"), None);
        assert_eq!(Timestamp::MAX.saturating_add(1), Timestamp::MAX);
    }
}
