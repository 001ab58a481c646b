//! Long-lived API tokens: made by `wharfd access token`, kept as their hashes in a file.
//!
//! Invariant: a secret is printed once, when it is made; the file has hashes only. A secret has 256
//! random bits, so a fast hash protects it, and the look-up by hash reveals nothing through timing.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use wharf_oci::{Day, Timestamp};

use super::line_file::{LineError, lines};
use super::passwords::check_name;
use crate::runtime::clock;

/// Prefix of every API token, so that a scanner can find a leaked one.
const MARK: &str = "wharf_";
const HASH_MARK: &str = "sha256:";

/// The tokens of a file.
#[derive(Clone, Default)]
pub(crate) struct ApiTokens(HashMap<[u8; 32], ApiToken>);

/// A token's entry in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiToken {
    pub(super) name: String,
    /// Until when it is good.
    pub(super) expires: Option<Timestamp>,
}

impl fmt::Debug for ApiTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

impl ApiTokens {
    /// Reads a file: `NAME sha256:HASH [expires=DATE]` in each line.
    pub(crate) fn parse(text: &str) -> Result<Self, LineError> {
        let mut tokens = HashMap::new();
        for (number, line) in lines(text) {
            let wrong = |reason: &str| LineError { number, reason: reason.to_owned() };
            let (hash, token) = read_line(line).map_err(wrong)?;
            if tokens.insert(hash, token).is_some() {
                return Err(wrong("this token stands in the file twice"));
            }
        }
        Ok(Self(tokens))
    }

    /// The entry of a token that has not expired.
    pub(super) fn find(&self, secret: &str, now: Timestamp) -> Option<&ApiToken> {
        let token = self.0.get(&hash(secret))?;
        Some(token).filter(|token| token.expires.is_none_or(|expires| now < expires))
    }

    /// Whether a valid token has this name.
    pub(super) fn knows(&self, name: &str, now: Timestamp) -> bool {
        let is_good = |token: &&ApiToken| token.expires.is_none_or(|expires| now < expires);
        self.0.values().filter(is_good).any(|token| token.name == name)
    }
}

/// Whether a secret has the form of our API tokens.
pub(super) fn is_token(secret: &str) -> bool {
    secret.starts_with(MARK)
}

fn hash(secret: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    hash
}

fn read_line(line: &str) -> Result<([u8; 32], ApiToken), &'static str> {
    let mut words = line.split_whitespace();
    let form = "write NAME sha256:HASH, and expires=DATE if it shall end; `wharfd access token NAME` \
                prints such a line";
    let (name, hash) = words.next().zip(words.next()).ok_or(form)?;
    check_name(name)?;
    let hash = hash.strip_prefix(HASH_MARK).and_then(unhex).ok_or(form)?;
    let expires = words.next().map(|word| {
        let date = word.strip_prefix("expires=").and_then(read_time);
        date.ok_or("write expires=2027-01-31, or with a time: expires=2027-01-31T12:00:00Z")
    });
    if words.next().is_some() {
        return Err(form);
    }
    Ok((hash, ApiToken { name: name.to_owned(), expires: expires.transpose()? }))
}

/// Parses `2026-12-31`, meaning the start of the day, or `2026-12-31T23:59:59Z`.
pub(super) fn read_time(text: &str) -> Option<Timestamp> {
    match text.parse::<Day>() {
        Ok(day) => day.start(),
        Err(_) => text.to_ascii_uppercase().parse().ok(),
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// A new token: its secret, and its line for the file.
pub fn new_token(name: &str, lifetime_seconds: Option<u64>) -> Result<(String, String), String> {
    check_name(name)?;
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    let secret = format!("{MARK}{}", URL_SAFE_NO_PAD.encode(random));
    let mut line = format!("{name} {HASH_MARK}{}", hex(&hash(&secret)));
    if let Some(seconds) = lifetime_seconds {
        line = format!("{line} expires={}", clock::now().saturating_add(seconds));
    }
    Ok((secret, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let LineError { number, reason } = ApiTokens::parse(text).unwrap_err();
        format!("{number}: {reason}")
    }

    #[test]
    fn a_new_token_is_found_by_its_secret_until_it_ends() {
        let (secret, line) = new_token("ci", Some(60)).unwrap();
        let (other, forever) = new_token("ci", None).unwrap();
        assert!(is_token(&secret) && secret != other && !line.contains(&secret));
        let tokens = ApiTokens::parse(&format!("# tokens\n{line}\n{forever}\n")).unwrap();
        let now = clock::now();
        assert_eq!(tokens.find(&secret, now).unwrap().name, "ci");
        assert_eq!(tokens.find(&secret, now.saturating_add(61)), None);
        assert!(tokens.find(&other, now.saturating_add(1_000_000_000)).is_some());
        assert_eq!(tokens.find(&secret[..secret.len() - 1], now), None);
        assert!(tokens.knows("ci", now) && !tokens.knows("other", now));
        assert!(!format!("{tokens:?}").contains("sha"));
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_line() {
        let (_, line) = new_token("ci", None).unwrap();
        assert!(wrong("\nci").starts_with("2: write NAME"));
        assert!(wrong("ci sha256:abc").contains("wharfd access token"));
        assert!(wrong(&line.replace("sha256:", "md5:")).contains("sha256"));
        assert!(wrong(&format!("{line} expires=tomorrow")).contains("expires=2027"));
        assert!(wrong(&format!("{line} expires=2027-01-01 more")).starts_with("1: write NAME"));
        assert!(wrong(&format!("{line}\n{line}")).starts_with("2: this token"));
        assert!(new_token("a b", None).is_err());
    }

    #[test]
    fn an_end_is_a_day_or_a_second_of_utc() {
        let seconds = |text: &str| read_time(text).map(Timestamp::unix_seconds);
        assert_eq!(seconds("1970-01-01"), Some(0));
        assert_eq!(seconds("2026-11-26T03:08:13Z"), Some(1_795_662_493));
        assert_eq!(seconds("2026-11-26t03:08:13z"), Some(1_795_662_493));
        assert_eq!(seconds("2000-02-29"), Some(951_782_400));
        for wrong in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2026-1-1",
            "2026-01-00",
            "1969-12-31",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+01:00",
            "+026-01-01",
        ] {
            assert_eq!(read_time(wrong), None, "{wrong}");
        }
        let (_, line) = new_token("ci", Some(u64::MAX)).unwrap();
        assert!(line.ends_with("expires=9999-12-31T23:59:59Z") && ApiTokens::parse(&line).is_ok());
    }
}
