//! What is read of a certificate beyond what the handshake proves: until when it is valid, and whose
//! it is. Read with x509-parser, because nothing that proves certificates tells these two.
//!
//! Invariant: any bytes are read without a panic and without a decision: what is said here goes into
//! logs and metrics, never into whether somebody is let in.

use std::fmt::Write as _;

use x509_parser::asn1_rs::{Oid, Tag};
use x509_parser::certificate::{X509Certificate, X509CertificateParser};
use x509_parser::nom::Parser as _;
use x509_parser::oid_registry::{
    OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME, OID_X509_ORGANIZATIONAL_UNIT,
};

use crate::limits::SUBJECT_CHARS_MAX;

/// The parts of a name that are told.
static PARTS: [(Oid<'_>, &str); 3] = [
    (OID_X509_COMMON_NAME, "CN"),
    (OID_X509_ORGANIZATIONAL_UNIT, "OU"),
    (OID_X509_ORGANIZATION_NAME, "O"),
];

/// The certificate at the begin of these bytes.
fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
    parser.parse(der).ok().map(|(_, certificate)| certificate)
}

/// Until when a certificate is valid, in seconds since 1970.
pub(super) fn valid_until(der: &[u8]) -> Option<u64> {
    u64::try_from(parse(der)?.validity().not_after.timestamp()).ok()
}

/// The subject of a certificate, as one line that is safe to log; `None` when the certificate has
/// none.
pub(super) fn subject(der: &[u8]) -> Option<String> {
    let certificate = parse(der)?;
    let mut text = String::new();
    for entry in certificate.subject().iter_rdn().filter_map(|set| set.iter().next()) {
        let part = PARTS.iter().find(|(known, _)| known == entry.attr_type());
        let readable = [Tag::Utf8String, Tag::PrintableString, Tag::Ia5String];
        let readable = readable.contains(&entry.attr_value().tag());
        if let Some((_, part)) = part.filter(|_| readable) {
            let comma = if text.is_empty() { "" } else { "," };
            let _ =
                write!(text, "{comma}{part}={}", safe(&String::from_utf8_lossy(entry.as_slice())));
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

    const INTEGER: u8 = 0x02;
    const BIT_STRING: u8 = 0x03;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    const UTF8_STRING: u8 = 0x0c;
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    const SEQUENCE: u8 = 0x30;
    const SET: u8 = 0x31;
    /// `[0]`, the tag of the version.
    const VERSION: u8 = 0xa0;
    const ED25519: [u8; 3] = [0x2b, 0x65, 0x70];

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
        let algorithm = tlv(SEQUENCE, &tlv(OBJECT_IDENTIFIER, &ED25519));
        let bits = tlv(BIT_STRING, &[0; 33]);
        let signed = [
            version,
            tlv(INTEGER, &[1]),
            algorithm.clone(),
            tlv(SEQUENCE, &[]),
            tlv(SEQUENCE, &validity),
            tlv(SEQUENCE, &subject),
            tlv(SEQUENCE, &[algorithm.clone(), bits.clone()].concat()),
        ];
        tlv(SEQUENCE, &[tlv(SEQUENCE, &signed.concat()), algorithm, bits].concat())
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
            at in 0_usize..300, byte in any::<u8>(), cut in 0_usize..300,
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
