//! Texts that are probably secrets: by the shape that well-known services give to theirs, and by
//! the name of the variable. Few and certain patterns, because a false alarm is an error and stops
//! a release.

use std::borrow::Cow;

use crate::logins;

/// Starts of tokens, and how many characters of a token follow at least.
const STARTS: [(&str, usize, &str); 11] = [
    ("AKIA", 16, "looks like an AWS access key"),
    ("ghp_", 36, "looks like a GitHub token"),
    ("gho_", 36, "looks like a GitHub token"),
    ("ghs_", 36, "looks like a GitHub token"),
    ("github_pat_", 22, "looks like a GitHub token"),
    ("glpat-", 20, "looks like a GitLab token"),
    ("xoxb-", 20, "looks like a Slack token"),
    ("xoxp-", 20, "looks like a Slack token"),
    ("sk_live_", 20, "looks like a Stripe key"),
    ("AIza", 35, "looks like a Google key"),
    ("npm_", 36, "looks like an npm token"),
];

/// Marks that stand only in secrets.
const MARKS: [(&str, &str); 4] = [
    ("PRIVATE KEY-----", "holds a private key"),
    ("AccountKey=", "holds the key of a storage account"),
    ("SharedAccessKey=", "holds a shared access key"),
    ("SharedAccessSignature=", "holds a shared access signature"),
];

/// The names beside a password in the texts of a connection.
const CONNECTION_NAMES: [&str; 10] = [
    "server",
    "host",
    "hostname",
    "data source",
    "address",
    "database",
    "initial catalog",
    "user id",
    "uid",
    "username",
];

/// Ends of names of secret variables; a longer name (`TOKEN_ISSUER`, `PASSWORD_FILE`) is about a
/// secret, and holds none.
const NAMES: [&str; 11] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "SECRET_KEY",
    "SECRET_KEY_BASE",
];

/// Why a text is probably a secret; `name` is its variable.
#[must_use]
pub fn looks_secret(name: Option<&str>, value: &str) -> Option<&'static str> {
    if let Some((_, why)) = MARKS.iter().find(|(mark, _)| value.contains(mark)) {
        return Some(why);
    }
    if has_connection_password(value) {
        return Some("holds the password of a connection");
    }
    for word in value.split(|c: char| !is_token(c)) {
        for (start, least, why) in STARTS {
            if word.strip_prefix(start).is_some_and(|rest| rest.len() >= least) {
                return Some(why);
            }
        }
        if is_signed_token(word) {
            return Some("looks like a signed token");
        }
    }
    let name = name.unwrap_or_default().to_ascii_uppercase();
    let name = name.trim_start_matches('-').replace('-', "_");
    let says = NAMES.iter().any(|word| name.ends_with(word));
    // A bound or an address is none, but a password may be a number.
    let is_bound = name.ends_with("TOKEN") && value.bytes().all(|c| c.is_ascii_digit());
    let is_address = value.starts_with("https://") || value.starts_with("http://");
    let is_value = !value.is_empty()
        && !value.contains("${")
        && !matches!(
            value.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "0" | "1"
        );
    (says && is_value && !is_bound && !is_address).then_some("has the name of a secret and a value")
}

/// The text for other readers: a probable secret, or an address with a login, is replaced by its
/// kind. Reports go further than the image they are about.
#[must_use]
pub fn masked<'a>(name: Option<&str>, value: &'a str) -> Cow<'a, str> {
    match looks_secret(name, value) {
        Some(why) => Cow::Owned(format!("(not shown, it {why})")),
        None if value.contains("://") => logins::hide(value),
        None => Cow::Borrowed(value),
    }
}

/// `Server=HOST;Password=…`, as ODBC and ADO.NET write it: a password beside the name of a host or user.
fn has_connection_password(value: &str) -> bool {
    let pairs = || value.split([';', '"']).filter_map(|pair| pair.split_once('='));
    let is = |name: &str, words: &[&str]| {
        words.iter().any(|word| name.trim().eq_ignore_ascii_case(word))
    };
    let is_value = |text: &str| !text.is_empty() && !text.starts_with(['$', '<', '{', '%', '/']);
    pairs().any(|(name, _)| is(name, &CONNECTION_NAMES))
        && pairs().any(|(name, text)| is(name, &["password", "pwd"]) && is_value(text.trim()))
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// Three parts of base64; the first has JSON's beginning (RFC 7519).
fn is_signed_token(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    matches!(parts.as_slice(), [head, body, signature]
        if head.starts_with("eyJ") && body.starts_with("eyJ") && signature.len() >= 20)
}

#[cfg(test)]
mod tests {
    use super::{looks_secret, masked};

    #[test]
    fn secrets_are_named_and_not_shown() {
        assert_eq!(masked(Some("PORT"), "80"), "80");
        let hidden = masked(Some("DB_PASSWORD"), "hunter2");
        assert_eq!(hidden, "(not shown, it has the name of a secret and a value)");
        let step = masked(None, "RUN fetch https://bob:hunter2@mirror.example/x");
        assert!(step.starts_with("RUN fetch ") && !step.contains("hunter2"), "{step}");
    }

    #[test]
    fn secrets_are_known_by_shape_and_by_name() {
        let github = format!("x=ghp_{}", "a".repeat(36));
        let signed = format!("Bearer eyJhbGciOi.eyJzdWIi.{}", "s".repeat(30));
        for (name, value) in [
            (None, "AKIAABCDEFGHIJKLMNOP"),
            (None, github.as_str()),
            (None, signed.as_str()),
            (None, "-----BEGIN RSA PRIVATE KEY-----"),
            (None, "DefaultEndpointsProtocol=https;AccountKey=abc"),
            (None, "Server=x;Password=pw2;"),
            (Some("CONN"), "Driver={SQL};Server=x;UID=sa; PWD=pw2"),
            (Some("REDIS_PASSWORD"), "hunter2"),
            (Some("api_token"), "x"),
            (Some("PGPASSWORD"), "1234"),
            (Some("AWS_SECRET_ACCESS_KEY"), "x"),
            (Some("--db-password"), "x"),
        ] {
            assert!(looks_secret(name, value).is_some(), "{name:?} {value}");
        }
    }

    #[test]
    fn ordinary_settings_are_no_secrets() {
        for (name, value) in [
            (None, "AKIA"),
            (None, "/usr/bin/redis-server /etc/tidepool.conf"),
            (None, "a.b.c"),
            (None, "cd /x; PWD=/y; HOST=z"),
            (None, "Server=x;Password=${PASSWORD};"),
            (None, "Server=x;Password=;Database=y"),
            (Some("REDIS_PASSWORD_FILE"), "/run/secrets/redis"),
            (Some("REDIS_PASSWORD"), ""),
            (Some("TOKEN_ENABLED"), "x"),
            (Some("MAX_TOKENS"), "4096"),
            (Some("MAX_TOKEN"), "4096"),
            (Some("TOKENIZER"), "cl100k_base"),
            (Some("PASSWORD_MIN_CHARS"), "12"),
            (Some("SECRET_BACKEND"), "vault"),
            (Some("TOKEN_ISSUER"), "https://x.dev"),
            (Some("AUTH_TOKEN"), "https://x.dev/token"),
            (Some("SECRET"), "${SECRET}"),
            (Some("PATH"), "/usr/bin"),
        ] {
            assert!(looks_secret(name, value).is_none(), "{name:?} {value}");
        }
    }
}
