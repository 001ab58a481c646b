//! Passwords of users: an `htpasswd` file, and the hashing and checking of its lines. Slow on
//! purpose: `users.rs` runs the checks on the blocking pool.
//!
//! Invariant: a check takes as long for an unknown name as for a known one; weak hashes are
//! refused.

use std::collections::HashMap;
use std::fmt;

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
};
use bcrypt::{HashParts, Version as BcryptVersion};

use super::line_file::{LineError, lines};
use super::rules::ANONYMOUS;
use crate::limits::{
    ARGON2_KIB_MAX, ARGON2_PASSES_MAX, BCRYPT_COST, BCRYPT_COST_MAX, BCRYPT_COST_MIN,
    CALLER_NAME_CHARS_MAX,
};

/// The users of a file.
#[derive(Clone, Default)]
pub(crate) struct Passwords {
    places: HashMap<String, usize>,
    hashes: Vec<Hash>,
}

#[derive(Clone)]
enum Hash {
    Bcrypt(String),
    Argon2(Box<PasswordHash>),
}

/// A kind of hash this program can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashKind {
    /// `$2y$…`, readable by every tool for `htpasswd` files.
    Bcrypt,
    /// `$argon2id$…`, with 19 MiB of memory for each check.
    Argon2id,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passwords({} users)", self.hashes.len())
    }
}

impl Passwords {
    /// Parses a file with `NAME:HASH` in each line.
    pub(crate) fn parse(text: &str) -> Result<Self, LineError> {
        let mut passwords = Self::default();
        for (number, line) in lines(text) {
            let wrong = |reason: &str| LineError { number, reason: reason.to_owned() };
            let (name, hash) = line.split_once(':').ok_or_else(|| wrong("write NAME:HASH"))?;
            check_name(name).map_err(wrong)?;
            let hash = Hash::parse(hash).map_err(wrong)?;
            if passwords.places.insert(name.to_owned(), passwords.hashes.len()).is_some() {
                return Err(wrong("this name stands in the file twice"));
            }
            passwords.hashes.push(hash);
        }
        Ok(passwords)
    }

    /// Whether the file has this user.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// A digest of the user's line in the file.
    pub(super) fn line(&self, name: &str) -> Option<String> {
        let hash = self.places.get(name).and_then(|place| self.hashes.get(*place))?;
        Some(format!("{name}:{hash}"))
    }

    /// Whether it is the password of this user. For an unknown name it tries the hash of another
    /// user, always the same one for the same `chance`, so that timing does not tell names apart.
    /// Blocks.
    pub(super) fn check(&self, name: &str, password: &str, chance: u64) -> bool {
        let known = self.places.get(name).copied();
        let count = self.hashes.len().max(1) as u64;
        let other = usize::try_from(chance % count).unwrap_or(0);
        let fits = self.hashes.get(known.unwrap_or(other)).is_some_and(|hash| hash.fits(password));
        fits && known.is_some()
    }
}

/// Refuses names that rules cannot express, and those of anonymous callers.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-@+/".contains(c);
    if name.is_empty() || name.len() > CALLER_NAME_CHARS_MAX || !name.chars().all(allowed) {
        return Err("a name has letters, digits and ._-@+/ only");
    }
    if name == ANONYMOUS || name == "-" {
        return Err("this name stands for whoever shows nothing; choose another");
    }
    Ok(())
}

impl Hash {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with("$argon2") {
            return Self::parse_argon2(text);
        }
        let is_bcrypt = ["$2a$", "$2b$", "$2y$"].iter().any(|mark| text.starts_with(mark));
        if !is_bcrypt {
            return Err(
                "only bcrypt ($2y$…) and argon2id ($argon2id$…) are taken, because others are \
                        guessed too fast; make the line anew with `wharfd access hash-password NAME` or \
                        `htpasswd -B`",
            );
        }
        let parts: HashParts =
            text.parse().map_err(|_| "this is no bcrypt hash; it may be cut off")?;
        match parts.get_cost() {
            BCRYPT_COST_MIN..=BCRYPT_COST_MAX => Ok(Self::Bcrypt(text.to_owned())),
            _ => Err("the cost of this bcrypt hash is not within 5 to 16"),
        }
    }

    fn parse_argon2(text: &str) -> Result<Self, &'static str> {
        let malformed = "this is no argon2 hash; it may be cut off";
        let hash = PasswordHash::new(text).map_err(|_| malformed)?;
        if hash.algorithm != argon2::ARGON2ID_IDENT {
            return Err("of argon2, only argon2id is taken");
        }
        let params = Params::try_from(&hash).map_err(|_| malformed)?;
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(malformed);
        }
        if params.m_cost() > ARGON2_KIB_MAX || params.t_cost() > ARGON2_PASSES_MAX {
            return Err("this argon2 hash takes more than 256 MiB or 16 passes for each login");
        }
        Ok(Self::Argon2(Box::new(hash)))
    }

    fn fits(&self, password: &str) -> bool {
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Argon2(hash) => {
                Argon2::default().verify_password(password.as_bytes(), &**hash).is_ok()
            }
        }
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bcrypt(hash) => f.write_str(hash),
            Self::Argon2(hash) => hash.fmt(f),
        }
    }
}

/// A line for the file.
pub fn password_line(name: &str, password: &str, kind: HashKind) -> Result<String, String> {
    check_name(name)?;
    if password.is_empty() {
        return Err("the password is empty".to_owned());
    }
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
    let hash = match kind {
        HashKind::Bcrypt => {
            let parts = bcrypt::non_truncating_hash_with_salt(password, BCRYPT_COST, salt);
            let too_long =
                |_| "bcrypt takes passwords of at most 71 bytes; take argon2id".to_owned();
            parts.map_err(too_long)?.format_for_version(BcryptVersion::TwoY)
        }
        HashKind::Argon2id => {
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default());
            let hash = argon2.hash_password_with_salt(password.as_bytes(), &salt);
            hash.map_err(|error| error.to_string())?.to_string()
        }
    };
    Ok(format!("{name}:{hash}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `secret`, with the least cost.
    const BCRYPT: &str = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";

    fn wrong(text: &str) -> String {
        let LineError { number, reason } = Passwords::parse(text).unwrap_err();
        format!("{number}: {reason}")
    }

    #[test]
    fn a_password_fits_its_line_and_no_other() {
        for kind in [HashKind::Bcrypt, HashKind::Argon2id] {
            let text =
                format!("# users\n\n{}\n", password_line("alice", "pass word", kind).unwrap());
            let passwords = Passwords::parse(&text).unwrap();
            assert!(passwords.check("alice", "pass word", 0));
            assert!(
                !passwords.check("alice", "pass", 0) && !passwords.check("bob", "pass word", 7)
            );
        }
    }

    #[test]
    fn lines_of_htpasswd_are_taken() {
        // As `htpasswd -nbB -C 5 user password` writes it.
        let line = bcrypt::hash_with_salt("password", 5, [7; 16]).unwrap();
        for version in [BcryptVersion::TwoA, BcryptVersion::TwoB, BcryptVersion::TwoY] {
            let text = format!("user:{}", line.format_for_version(version));
            assert!(Passwords::parse(&text).unwrap().check("user", "password", 0));
        }
    }

    #[test]
    fn what_is_weak_or_wrong_is_refused_with_its_line() {
        assert!(wrong("a:$apr1$x$y").starts_with("1: only bcrypt"));
        assert!(wrong("# c\n\na:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=").starts_with("3: only bcrypt"));
        assert!(wrong("a:password").contains("hash-password"));
        assert!(wrong("alone").contains("NAME:HASH"));
        assert!(wrong("a:$2y$05$short").contains("cut off"));
        assert!(wrong(&format!("a:{}", BCRYPT.replace("$05$", "$04$"))).contains("cost"));
        assert!(wrong(&format!("a:{}", BCRYPT.replace("$05$", "$31$"))).contains("cost"));
        assert!(wrong(&format!("a:{BCRYPT}\na:{BCRYPT}")).starts_with("2: this name"));
        for name in ["", "a b", "a*", "anonymous", "-", "ä"] {
            assert!(wrong(&format!("{name}:{BCRYPT}")).contains("name"), "{name}");
        }
        let salt = "c29tZXNhbHRzb21lc2FsdA";
        let argon = |kind, m, t| {
            format!(
                "a:${kind}$v=19$m={m},t={t},p=1${salt}$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            )
        };
        assert!(Passwords::parse(&argon("argon2id", 19_456, 2)).is_ok());
        assert!(wrong(&argon("argon2i", 19_456, 2)).contains("argon2id"));
        assert!(wrong(&argon("argon2id", 1 << 20, 2)).contains("256 MiB"));
    }

    #[test]
    fn a_line_is_made_of_what_can_be_checked() {
        assert!(password_line("a b", "x", HashKind::Bcrypt).is_err());
        assert!(password_line("a", "", HashKind::Bcrypt).is_err());
        let long = "x".repeat(72);
        assert!(password_line("a", &long, HashKind::Bcrypt).unwrap_err().contains("argon2id"));
    }
}
