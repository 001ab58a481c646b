//! Keys of a YAML file with a secret's name: the value behind one is not repeated, even where the
//! file's types take it for an ordinary one.
//!
//! Invariant: a reference to a secret (`{ env: NAME }`) is none, and stays.

/// Words in the names of secret keys.
const WORDS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "pasword",
    "secret",
    "token",
    "credential",
    "username",
];
/// How the name of a secret's key ends.
const ENDS: [&str; 2] = ["key", "pass"];
/// How a reference to a secret begins.
const REFERENCES: [&str; 3] = ["env:", "file:", "keyVault:"];

/// Whether a key has a secret's name, in any case.
#[must_use]
pub fn names_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    WORDS.iter().any(|word| key.contains(word)) || ENDS.iter().any(|end| key.ends_with(end))
}

/// The byte at the first value of a line behind such a key.
#[must_use]
pub fn value_in(line: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(colon) = line.get(from..)?.find(':').map(|at| from + at) {
        from = colon + 1;
        let (before, behind) = (line.get(..colon)?, line.get(from..)?);
        let is_quoted = before.ends_with(['"', '\'']);
        if !is_quoted && !behind.is_empty() && !behind.starts_with(char::is_whitespace) {
            continue;
        }
        let key = key_before(before);
        if names_secret(key)
            && let Some(at) = shown_to(key, behind)
        {
            return Some(from + at);
        }
    }
    None
}

/// The key before this end, without its quotes.
fn key_before(before: &str) -> &str {
    let word = before.trim_end().trim_end_matches(['"', '\'']);
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    word.rfind(|c| !is_of_key(c))
        .map_or(word, |at| word.get(at..).unwrap_or_default().trim_start_matches(|c| !is_of_key(c)))
}

/// The first hidden byte of a key's value.
fn shown_to(key: &str, behind: &str) -> Option<usize> {
    let value = behind.trim_start();
    if value.is_empty() || value.starts_with('#') {
        return None;
    }
    let Some(inner) = value.strip_prefix('{').map(str::trim_start) else {
        return Some(behind.len() - value.len());
    };
    let is_reference = REFERENCES.iter().any(|begin| inner.starts_with(begin));
    // The keys of a mapping of credentials are looked at by themselves.
    let is_mapping = key.to_ascii_lowercase().ends_with("credentials");
    (!is_reference && !is_mapping).then(|| behind.len() - inner.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> &str {
        value_in(line).and_then(|at| line.get(..at)).unwrap_or(line)
    }

    #[test]
    fn what_stands_behind_a_secrets_key_is_not_shown() {
        for (line, before) in [
            ("  password: hunter2", "  password: "),
            ("  password : `hunter2`", "  password : "),
            ("  \"password\" : %hunter2", "  \"password\" : "),
            ("  {\"x\": 1, \"token\":\"hunter2\"}", "  {\"x\": 1, \"token\":"),
            ("  env: { PASSWORD: [hunter2] }", "  env: { PASSWORD: "),
            ("  env: { DB_PASSWORD: hunter2, X: 1 }", "  env: { DB_PASSWORD: "),
            ("  env: { ACCESS_KEY: hunter2, X: 1 }", "  env: { ACCESS_KEY: "),
            ("  password: { value: hunter2 }", "  password: { "),
            ("  credentials: bob:hunter2", "  credentials: "),
            ("  credentials: { password: hunter2 }", "  credentials: { password: "),
            ("- é: { Kennwort: 1, pwd: hunter2 }", "- é: { Kennwort: 1, pwd: "),
        ] {
            assert_eq!(shown(line), before);
        }
    }

    #[test]
    fn other_values_and_references_stay() {
        for line in [
            "  password: { env: QUAY_PASSWORD }",
            "  credentials: { username: { env: A }, password: { env: B } }",
            "  credentials:",
            "  password: # see the vault",
            "  keywords: [cache]",
            "  password: { keyVault: quayline-vault/acr-password }",
            "  base: registry.example/token:1.0",
            "  url: https://token:8080/x",
        ] {
            assert_eq!(shown(line), line);
        }
    }
}
