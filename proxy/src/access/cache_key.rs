//! What stands for credentials where something is remembered for them.
//!
//! Invariant: only this process can compute a mark from credentials, and nobody credentials from a mark.

use std::net::IpAddr;

use ring::hmac;

use crate::runtime::party::Party;

/// Stands for credentials.
pub(super) type CacheKey = [u8; 32];

/// Makes marks; with another key in each process, and with the same one over its reloads.
pub(super) struct CacheKeys(hmac::Key);

impl CacheKeys {
    /// The key is random.
    pub(super) fn new() -> std::io::Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(std::io::Error::other)?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
    }

    /// What stands for these words together.
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

    /// What stands for these words when they come from there. A guess from elsewhere has another one: what
    /// is remembered of somebody spares no stranger a check.
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
