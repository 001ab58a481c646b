//! Hash and size while bytes pass. No IO: the caller moves the bytes, this file proves them.
//!
//! Invariant: the digest in a [`HashResult`] is of exactly the bytes given to `update`, for any
//! split of them, also across `save` and `restore`.

use std::fmt;

use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest as _, Sha256, Sha512};

use crate::{Algorithm, Digest};

/// A running hash of one algorithm, with the number of bytes seen.
#[derive(Clone)]
pub struct Digester {
    state: State,
    size_bytes: u64,
}

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Digester {
    /// A hash of no bytes yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Box::new(Sha512::new())),
        };
        Self { state, size_bytes: 0 }
    }

    /// The digest of bytes in memory.
    #[must_use]
    pub fn digest(algorithm: Algorithm, bytes: &[u8]) -> Digest {
        let mut digester = Self::new(algorithm);
        digester.update(bytes);
        digester.finish().digest
    }

    /// The algorithm of the hash.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.state {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The number of bytes so far.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha256(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
        }
        self.size_bytes += bytes.len() as u64;
    }

    /// The digest and size of all bytes so far.
    #[must_use]
    pub fn finish(self) -> HashResult {
        let digest = match self.state {
            State::Sha256(hash) => Digest::Sha256(hash.finalize().into()),
            State::Sha512(hash) => Digest::Sha512(hash.finalize().into()),
        };
        HashResult { digest, size_bytes: self.size_bytes }
    }

    /// The state of the hash, for [`Digester::restore`] in another process.
    #[must_use]
    pub fn save(&self) -> HashState {
        let bytes = match &self.state {
            State::Sha256(hash) => hash.serialize().to_vec(),
            State::Sha512(hash) => hash.serialize().to_vec(),
        };
        HashState { algorithm: self.algorithm(), size_bytes: self.size_bytes, bytes }
    }

    /// Continues from a state of [`Digester::save`]; `None` when the bytes are no such state.
    #[must_use]
    pub fn restore(saved: &HashState) -> Option<Self> {
        let bytes = saved.bytes.as_slice();
        let state = match saved.algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::deserialize(bytes.try_into().ok()?).ok()?),
            Algorithm::Sha512 => {
                State::Sha512(Box::new(Sha512::deserialize(bytes.try_into().ok()?).ok()?))
            }
        };
        Some(Self { state, size_bytes: saved.size_bytes })
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digester({}, {} bytes)", self.algorithm(), self.size_bytes)
    }
}

/// The saved state of a [`Digester`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashState {
    /// The algorithm of the hash.
    pub algorithm: Algorithm,
    /// The number of bytes hashed.
    pub size_bytes: u64,
    /// The state in the encoding of the hash library.
    pub bytes: Vec<u8>,
}

/// Digest and size of hashed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashResult {
    /// The digest of the bytes.
    pub digest: Digest,
    /// The size, in bytes.
    pub size_bytes: u64,
}

impl HashResult {
    /// `Ok` when the digest is the expected one.
    pub fn expect(&self, expected: &Digest) -> Result<(), Mismatch> {
        if self.digest == *expected {
            return Ok(());
        }
        Err(Mismatch { expected: *expected, actual: self.digest, size_bytes: self.size_bytes })
    }
}

/// The bytes are not the named content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, but the {size_bytes} bytes that came are {actual}")]
pub struct Mismatch {
    /// The expected digest.
    pub expected: Digest,
    /// The digest of the bytes.
    pub actual: Digest,
    /// The size, in bytes.
    pub size_bytes: u64,
}

impl Digest {
    /// Whether this is the digest of empty content, so its size is known.
    #[must_use]
    pub fn is_of_nothing(&self) -> bool {
        Digester::digest(self.algorithm(), b"") == *self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    fn algorithms() -> impl Strategy<Value = Algorithm> {
        prop_oneof![Just(Algorithm::Sha256), Just(Algorithm::Sha512)]
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_digest(
            bytes in proptest::collection::vec(any::<u8>(), 0..2000),
            cut in any::<prop::sample::Index>(),
            algorithm in algorithms(),
        ) {
            let at = cut.index(bytes.len() + 1);
            let mut first = Digester::new(algorithm);
            first.update(&bytes[..at]);
            let mut second = Digester::restore(&first.save()).unwrap();
            second.update(&bytes[at..]);
            let hashed = second.finish();
            prop_assert_eq!(hashed.digest, Digester::digest(algorithm, &bytes));
            prop_assert_eq!(hashed.size_bytes, bytes.len() as u64);
        }

        #[test]
        fn a_foreign_state_is_refused_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            algorithm in algorithms(),
        ) {
            let _ = Digester::restore(&HashState { algorithm, size_bytes: 7, bytes });
        }
    }

    #[test]
    fn the_empty_digest_is_the_known_one() {
        let digest = Digester::digest(Algorithm::Sha256, b"");
        assert_eq!(
            digest.to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let hashed = Digester::new(Algorithm::Sha256).finish();
        assert!(hashed.expect(&digest).is_ok());
        let other = Digester::digest(Algorithm::Sha256, b"x");
        assert_eq!(hashed.expect(&other).unwrap_err().actual, digest);
    }
}
