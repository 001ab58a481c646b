//! The places of the page that links name.

use sha2::{Digest as _, Sha256};

/// An ID for a name of any characters.
pub(super) fn id(kind: &str, name: &str) -> String {
    use std::fmt::Write as _;
    let mut text = kind.to_owned();
    for byte in Sha256::digest(name).iter().take(6) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
