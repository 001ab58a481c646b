//! Signatures of tokens and of storage links, made with one key per double.
//!
//! Every signed text carries a serial number, so a test expires all earlier texts without waiting
//! for a clock.

use std::io::{self, Read as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Seconds since 1970, as tokens and links count time.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Signs texts and knows the valid serial numbers.
#[derive(Debug)]
pub(crate) struct Signer {
    key: [u8; 32],
    /// The serial number given out next.
    next: AtomicU64,
    /// The smallest serial number still honoured; raised by `expire_all` only.
    oldest: AtomicU64,
}

impl Signer {
    pub(crate) fn new() -> io::Result<Self> {
        let mut key = [0; 32];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
        Ok(Self { key, next: AtomicU64::new(1), oldest: AtomicU64::new(0) })
    }

    pub(crate) fn next_serial(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    /// From here on nothing handed out until this moment is honoured.
    pub(crate) fn expire_all(&self) {
        self.oldest.store(self.next.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    pub(crate) fn honours(&self, serial: u64) -> bool {
        serial >= self.oldest.load(Ordering::SeqCst)
    }

    pub(crate) fn sign(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(text).finalize().into_bytes())
    }

    pub(crate) fn is_signature(&self, text: &str, signature: &str) -> bool {
        URL_SAFE_NO_PAD
            .decode(signature)
            .is_ok_and(|signature| self.mac(text).verify_slice(&signature).is_ok())
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.key)
            .expect("HMAC takes a key of any length")
            .chain_update(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_signature_fits_its_text_and_its_signer_only() {
        let (signer, stranger) = (Signer::new().unwrap(), Signer::new().unwrap());
        let signature = signer.sign("text");
        assert!(signer.is_signature("text", &signature));
        assert!(!signer.is_signature("other text", &signature));
        assert!(!signer.is_signature("text", "not base64 !"));
        assert!(!stranger.is_signature("text", &signature));
    }

    #[test]
    fn expiring_everything_spares_what_is_handed_out_later() {
        let signer = Signer::new().unwrap();
        let before = signer.next_serial();
        signer.expire_all();
        assert!(!signer.honours(before));
        assert!(signer.honours(signer.next_serial()));
    }
}
