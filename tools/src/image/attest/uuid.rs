//! Unique names derived from their content alone: UUIDs of version 5 (RFC 9562 §5.5).

use sha1::{Digest as _, Sha1};
use wharf_oci::Digest;

/// The namespace of all of wharf's UUIDs.
const NAMESPACE: [u8; 16] = [
    0x5b, 0x1f, 0x0a, 0x6e, 0x7a, 0x52, 0x4c, 0x37, 0x9d, 0x2e, 0x61, 0xc4, 0x88, 0x0f, 0xb3, 0x19,
];

/// The name of a document of this format about this subject, as a URN.
pub(super) fn urn(format: &str, subject: &Digest) -> String {
    let mut hash = Sha1::new();
    hash.update(NAMESPACE);
    hash.update(format!("{format} {subject}"));
    let mut bytes = [0_u8; 16];
    for (slot, byte) in bytes.iter_mut().zip(hash.finalize()) {
        *slot = byte;
    }
    let mut value = u128::from_be_bytes(bytes);
    value = (value & !(0xf << 76)) | (5 << 76);
    value = (value & !(0b11 << 62)) | (0b10 << 62);
    let hex = format!("{value:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "urn:uuid:{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_have_the_form_of_version_5_and_follow_from_format_and_subject() {
        let digest = |byte: &str| format!("sha256:{}", byte.repeat(32)).parse().unwrap();
        let name = urn("spdx", &digest("ab"));
        assert_eq!(name.len(), "urn:uuid:".len() + 36);
        let parts: Vec<&str> = name.trim_start_matches("urn:uuid:").split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(parts.get(2).unwrap().starts_with('5'));
        assert!(parts.get(3).unwrap().starts_with(['8', '9', 'a', 'b']));
        assert_eq!(name, urn("spdx", &digest("ab")));
        assert_ne!(name, urn("cyclonedx", &digest("ab")));
        assert_ne!(name, urn("spdx", &digest("ac")));
    }
}
