//! The fields of one header record.

/// A field up to its first NUL.
pub(super) fn text(record: &[u8], from: usize, to: usize) -> &[u8] {
    record.get(from..to).unwrap_or_default().split(|c| *c == 0).next().unwrap_or_default()
}

/// Name, with the prefix of POSIX headers before it.
pub(super) fn header_path(record: &[u8]) -> Vec<u8> {
    let name = text(record, 0, 100);
    let prefix = text(record, 345, 500);
    if record.get(257..263) != Some(b"ustar\0".as_slice()) || prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

/// A number in octal text, or in base 256 when its first bit is set; negative ones are refused.
pub(crate) fn field_number(record: &[u8], from: usize, to: usize) -> Option<u64> {
    let field = record.get(from..to)?;
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        let start = u64::from(first & 0x7f);
        return rest
            .iter()
            .try_fold(start, |sum, byte| sum.checked_mul(256).map(|sum| sum | u64::from(*byte)));
    }
    let digits = field.iter().filter(|c| !matches!(c, b' ' | 0));
    digits.copied().try_fold(0_u64, |sum, c| match c {
        b'0'..=b'7' => sum.checked_mul(8).map(|sum| sum + u64::from(c - b'0')),
        _ => None,
    })
}

/// The same, with a sign in base 256.
pub(super) fn signed_number(record: &[u8], from: usize, to: usize) -> Option<i64> {
    let field = record.get(from..to)?;
    let first = *field.first()?;
    if first & 0xc0 != 0xc0 {
        return i64::try_from(field_number(record, from, to)?).ok();
    }
    field
        .iter()
        .try_fold(-1_i64, |sum, byte| sum.checked_mul(256).map(|sum| sum | i64::from(*byte)))
}

/// Whether the checksum of a header is right; the sum counts its own field as spaces.
pub(super) fn checksum_holds(record: &[u8]) -> bool {
    let sum: u64 = record.iter().map(|byte| u64::from(*byte)).sum();
    let own: u64 = record.get(148..156).unwrap_or_default().iter().map(|c| u64::from(*c)).sum();
    field_number(record, 148, 156) == Some(sum - own + 8 * u64::from(b' '))
}
