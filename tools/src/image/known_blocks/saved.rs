//! An unfinished SHA-256 in a record: with it, the known part of a layer need not be hashed again.

use std::fmt;

use wharf_oci::{Algorithm, Digester, HashState};

/// How many bytes the hash library makes of its state.
const STATE_BYTES: usize = 104;

/// How many bytes it takes in a record: those it has seen, counted, and its state.
pub(super) const SAVED_BYTES: usize = 8 + STATE_BYTES;

/// A hash on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SavedHash([u8; SAVED_BYTES]);

impl SavedHash {
    /// The present state of the hash; `None` for any hash but a SHA-256 of the known form.
    #[must_use]
    pub fn of(digester: &Digester) -> Option<Self> {
        let HashState { algorithm, size_bytes, bytes } = digester.save();
        let all = [&size_bytes.to_le_bytes()[..], &bytes].concat();
        let all = all.try_into().ok().filter(|_| algorithm == Algorithm::Sha256)?;
        Some(Self(all))
    }

    /// The hash, to go on with.
    #[must_use]
    pub fn restore(&self) -> Option<Digester> {
        let (size_bytes, bytes) = self.0.split_first_chunk::<8>()?;
        Digester::restore(&HashState {
            algorithm: Algorithm::Sha256,
            size_bytes: u64::from_le_bytes(*size_bytes),
            bytes: bytes.to_vec(),
        })
    }

    pub(super) const fn from_bytes(bytes: [u8; SAVED_BYTES]) -> Self {
        Self(bytes)
    }

    pub(super) const fn bytes(&self) -> &[u8; SAVED_BYTES] {
        &self.0
    }
}

impl fmt::Debug for SavedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SavedHash(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_hash_goes_on_where_it_was_saved() {
        for length in [0, 1, 64, 100, 70_000] {
            let mut digester = Digester::new(Algorithm::Sha256);
            digester.update(&vec![7; length]);
            let mut restored = SavedHash::of(&digester).unwrap().restore().unwrap();
            assert!(SavedHash::of(&restored) == SavedHash::of(&digester));
            for both in [&mut digester, &mut restored] {
                both.update(b"and on");
            }
            assert_eq!(restored.finish(), digester.finish());
        }
        assert!(SavedHash::of(&Digester::new(Algorithm::Sha512)).is_none());
    }
}
