//! Two facts of a certificate beyond the handshake's proof: its end of validity, and its subject. A
//! small reader of DER (X.690), because no verifier of certificates tells these two.
//!
//! Invariant: any bytes are read without a panic and without a decision: the result goes into logs
//! and metrics, never into the decision about access.

use std::fmt::Write as _;

use crate::limits::SUBJECT_CHARS_MAX;

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0]`, the tag of the version.
const VERSION: u8 = 0xa0;

/// The logged parts of a name, by the last two bytes of 2.5.4.x.
const PARTS: [(&[u8], &str); 3] =
    [(&[0x55, 0x04, 3], "CN"), (&[0x55, 0x04, 11], "OU"), (&[0x55, 0x04, 10], "O")];

/// A sequence of values.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next value with its tag.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], mut rest) = self.0.split_first_chunk::<2>()?;
        let mut length = usize::from(first & 0x7f);
        if first & 0x80 != 0 {
            // No certificate has a length of more than four bytes.
            let (digits, after) = rest.split_at_checked(length.min(5))?;
            if digits.is_empty() || digits.len() > 4 {
                return None;
            }
            length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
            rest = after;
        }
        let (value, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some((tag, value))
    }

    /// The next value, which must have this tag.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }
}

/// The signed part, read up to and with its issuer (RFC 5280 §4.1).
fn after_issuer(der: &[u8]) -> Option<Reader<'_>> {
    let mut certificate = Reader(Reader(der).expect(SEQUENCE)?);
    let mut signed = Reader(certificate.expect(SEQUENCE)?);
    let (tag, _) = signed.next()?;
    if tag == VERSION {
        signed.expect(INTEGER)?;
    }
    signed.expect(SEQUENCE)?;
    signed.expect(SEQUENCE)?;
    Some(signed)
}

/// Until when a certificate is valid, in seconds since 1970.
pub(super) fn valid_until(der: &[u8]) -> Option<u64> {
    let mut validity = Reader(after_issuer(der)?.expect(SEQUENCE)?);
    validity.next()?;
    let (tag, text) = validity.next()?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let number = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let days = days_since_1970(year, number(0)?, number(2)?);
    let seconds = (days * 24 + number(4)?) * 3_600 + number(6)? * 60 + number(8)?;
    u64::try_from(seconds).ok()
}

/// Days from 1970-01-01 in the Gregorian calendar: years begin with March, so that the leap day is
/// the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 153 + 2) / 5
        + day
        - 719_469
}

/// The subject of a certificate, as one line that is safe to log; `None` when the certificate has
/// none.
pub(super) fn subject(der: &[u8]) -> Option<String> {
    let mut signed = after_issuer(der)?;
    signed.expect(SEQUENCE)?;
    let mut name = Reader(signed.expect(SEQUENCE)?);
    let mut text = String::new();
    while let Some(set) = name.expect(SET) {
        let mut entry = Reader(Reader(set).expect(SEQUENCE)?);
        let kind = entry.expect(OBJECT_IDENTIFIER)?;
        let (tag, value) = entry.next()?;
        let part = PARTS.iter().find(|(known, _)| *known == kind);
        let readable = [UTF8_STRING, PRINTABLE_STRING, IA5_STRING].contains(&tag);
        if let Some((_, part)) = part.filter(|_| readable) {
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{comma}{part}={}", safe(&String::from_utf8_lossy(value)));
        }
    }
    (!text.is_empty()).then(|| text.chars().take(SUBJECT_CHARS_MAX).collect())
}

/// The text without characters that could break a line, or pass for another part.
fn safe(text: &str) -> String {
    let odd = |c: char| c.is_control() || c == ',' || c == '=' || c == '"';
    text.chars().map(|c| if odd(c) { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &length[..], value].concat()
    }

    fn certificate(end: (u8, &str), common_name: &str) -> Vec<u8> {
        let version = tlv(VERSION, &tlv(INTEGER, &[2]));
        let validity = [tlv(UTC_TIME, b"200101000000Z"), tlv(end.0, end.1.as_bytes())].concat();
        let name = |kind: u8, text: &str| {
            let kind = tlv(OBJECT_IDENTIFIER, &[0x55, 0x04, kind]);
            tlv(SET, &tlv(SEQUENCE, &[kind, tlv(UTF8_STRING, text.as_bytes())].concat()))
        };
        let subject = [name(6, "DE"), name(10, "Contoso"), name(3, common_name)].concat();
        let signed = [
            version,
            tlv(INTEGER, &[1]),
            tlv(SEQUENCE, &[]),
            tlv(SEQUENCE, &[]),
            tlv(SEQUENCE, &validity),
            tlv(SEQUENCE, &subject),
        ];
        tlv(SEQUENCE, &tlv(SEQUENCE, &signed.concat()))
    }

    #[test]
    fn the_end_is_read_in_both_forms() {
        for (end, seconds) in [
            ((UTC_TIME, "700101000000Z"), 0),
            ((UTC_TIME, "240229235959Z"), 1_709_251_199),
            ((GENERALIZED_TIME, "20500101000000Z"), 2_524_608_000),
            ((GENERALIZED_TIME, "99991231235959Z"), 253_402_300_799),
        ] {
            assert_eq!(valid_until(&certificate(end, "x")), Some(seconds), "{end:?}");
        }
        assert_eq!(valid_until(&certificate((UTC_TIME, "24"), "x")), None);
        assert_eq!(valid_until(&certificate((INTEGER, "240229235959Z"), "x")), None);
    }

    #[test]
    fn a_subject_is_one_safe_line() {
        let end = (UTC_TIME, "240229235959Z");
        let of = |name: &str| subject(&certificate(end, name)).unwrap();
        assert_eq!(of("ci runner"), "O=Contoso,CN=ci runner");
        assert_eq!(of("a\nb,CN=\"root\""), "O=Contoso,CN=a_b_CN__root_");
        assert_eq!(of(&"x".repeat(1_000)).chars().count(), SUBJECT_CHARS_MAX);
        assert_eq!(subject(b"nonsense"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (valid_until(&bytes), subject(&bytes));
        }

        #[test]
        fn a_broken_certificate_is_read_without_panic(
            at in 0_usize..200, byte in any::<u8>(), cut in 0_usize..200,
        ) {
            let mut der = certificate((UTC_TIME, "240229235959Z"), "x");
            if let Some(there) = der.get_mut(at) {
                *there = byte;
            }
            der.truncate(der.len().saturating_sub(cut));
            let _ = (valid_until(&der), subject(&der));
        }
    }
}
