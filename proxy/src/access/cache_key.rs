//! Keys that stand for credentials in caches.
//!
//! Invariant: only this process can compute a key from credentials, and no key leads back to
//! credentials.

use std::net::IpAddr;

use ring::hmac;

use wharf_client::runtime::party::Party;

/// A keyed hash that stands for credentials.
pub(super) type CacheKey = [u8; 32];

/// Makes cache keys; the hash key is unique to the process, and survives reloads of the
/// configuration.
pub(super) struct CacheKeys(hmac::Key);

impl CacheKeys {
    /// Makes a random hash key.
    pub(super) fn new() -> std::io::Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(std::io::Error::other)?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
    }

    /// The key for these values together.
    pub(super) fn of(&self, words: &[&[u8]]) -> CacheKey {
        let mut context = hmac::Context::with_key(&self.0);
        for word in words {
            context.update(&(word.len() as u64).to_be_bytes());
            context.update(word);
        }
        let mut mark = [0; 32];
        mark.copy_from_slice(context.sign().as_ref());
        mark
    }

    /// The key for these values from this client's network. A guess from another network has
    /// another key: a cached login spares no other network the check.
    pub(super) fn from(&self, client: IpAddr, words: &[&[u8]]) -> CacheKey {
        let place = Party::behind(client).to_string();
        let words: Vec<_> =
            std::iter::once(place.as_bytes()).chain(words.iter().copied()).collect();
        self.of(&words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_read_the_same_together_have_other_marks() {
        let marks = CacheKeys::new().unwrap();
        let mark = marks.of(&[b"basic", b"ab", b"c"]);
        assert_eq!(mark, marks.of(&[b"basic", b"ab", b"c"]));
        assert_ne!(mark, marks.of(&[b"basic", b"a", b"bc"]));
        assert_ne!(mark, CacheKeys::new().unwrap().of(&[b"basic", b"ab", b"c"]));
    }

    #[test]
    fn the_same_words_have_one_mark_for_each_network() {
        let marks = CacheKeys::new().unwrap();
        let from = |client: &str| marks.from(client.parse().unwrap(), &[b"alice", b"secret"]);
        assert_eq!(from("2001:db8::1"), from("2001:db8::2"));
        assert_ne!(from("2001:db8::1"), from("192.0.2.1"));
    }
}
