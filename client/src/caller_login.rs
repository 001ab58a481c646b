//! A caller's credentials, sent to a registry in the caller's name where access is `passthrough`.
//!
//! Invariant: a login appears in no log and no `Debug`. Two logins are one when their fingerprints
//! are equal, and a fingerprint is useless without the key of this process.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};

use ring::hmac::{self, HMAC_SHA256};
use ring::rand::SystemRandom;
use wharf_oci::{Login, Secret};

/// The user and password that a caller sent.
pub struct CallerLogin {
    pub(crate) login: Login,
    fingerprint: Fingerprint,
    /// Whether the registry recently confirmed this login.
    known: AtomicBool,
}

/// A keyed hash that stands for a login in caches.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// Makes fingerprints; the hash key is unique to the process. A clone makes the same fingerprints.
#[derive(Clone)]
pub struct Fingerprints(hmac::Key);

impl Fingerprints {
    /// With a random hash key.
    #[must_use]
    pub fn random() -> Self {
        let key = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new());
        Self(key.expect("the system has random numbers"))
    }

    /// A login with its fingerprint.
    pub fn login(&self, user: &str, password: &str) -> CallerLogin {
        let mut context = hmac::Context::with_key(&self.0);
        // The length keeps `a` with `bc` apart from `ab` with `c`.
        context.update(&(user.len() as u64).to_be_bytes());
        context.update(user.as_bytes());
        context.update(password.as_bytes());
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.sign().as_ref());
        CallerLogin {
            login: Login::basic(user, Secret::new(password)),
            fingerprint: Fingerprint(fingerprint),
            known: AtomicBool::new(false),
        }
    }
}

impl CallerLogin {
    /// The fingerprint of this login.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether the registry recently confirmed this login. False at first.
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    /// Records the registry's answer about this login.
    pub fn set_known(&self, known: bool) {
        self.known.store(known, Ordering::Release);
    }
}

impl Fingerprint {
    /// The bytes of the fingerprint, as input of other hashes.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for CallerLogin {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for CallerLogin {}

impl Hash for CallerLogin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl fmt::Debug for CallerLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerLogin(…)")
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_told_from_every_other_and_shows_nothing() {
        let prints = Fingerprints::random();
        let login = prints.login("alice", "planted-secret");
        assert_eq!(login, prints.login("alice", "planted-secret"));
        let others = [("alice", "else"), ("bob", "planted-secret"), ("alicep", "lanted-secret")];
        for (user, password) in others {
            assert_ne!(login, prints.login(user, password));
        }
        assert_ne!(login, Fingerprints::random().login("alice", "planted-secret"));
        let shown = format!("{login:?} {:?}", login.fingerprint());
        assert!(!shown.contains("alice") && !shown.contains("planted"), "{shown}");
    }
}
