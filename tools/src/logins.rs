//! Logins in addresses (`user:password@host`) and how text is shown that may hold one. Wharf takes no
//! login from an address; who writes one all the same finds it in no message, report or log.
//!
//! Invariant: what stands before an `@` that no digest follows is not repeated.

use std::borrow::Cow;

use wharf_oci::Digest;

use crate::secret_keys;

/// What stands in place of a text that may hold a password.
pub const NOT_SHOWN: &str = "(not shown, it may hold a password)";

/// What to do instead of writing a login into an address.
pub const ADVICE: &str = "write it without user and password, and log in with `docker login` or name a file with --authfile";

/// The key of an offer whose value is an address.
const ADDRESS_KEY: &str = "loginServer";

/// Whether an address or an argument has an `@` that begins no digest.
#[must_use]
pub fn may_hold(text: &str) -> bool {
    let Some((before, after)) = text.rsplit_once('@') else { return false };
    before.contains('@') || after.parse::<Digest>().is_err()
}

/// Whether a path is none, but an address with user and password: `[SCHEME://]USER:PASSWORD@…`.
#[must_use]
pub fn is_address(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let login = rest.split_once('@').filter(|_| may_hold(rest)).map(|(login, _)| login);
    login.is_some_and(|login| login.contains(':') && !login.contains('/'))
}

/// A message without its words that may hold a login.
#[must_use]
pub fn hide(message: &str) -> Cow<'_, str> {
    if !message.contains('@') {
        return Cow::Borrowed(message);
    }
    // Quotes and full stops stand behind a digest.
    let bare =
        |word: &str| word.trim_end_matches(|c: char| c != '@' && !c.is_alphanumeric()).to_owned();
    let shown = |word: &str| if may_hold(&bare(word)) { NOT_SHOWN } else { word }.to_owned();
    let line = |line: &str| line.split(' ').map(shown).collect::<Vec<_>>().join(" ");
    Cow::Owned(message.split('\n').map(line).collect::<Vec<_>>().join("\n"))
}

/// A message without these texts, whatever is in them, and without other words that may hold a login.
#[must_use]
pub fn hide_all<'a>(message: &str, texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hidden = message.to_owned();
    for text in texts {
        // Of `--option=VALUE` the value is repeated alone.
        let value = text.split_once('=').filter(|_| text.starts_with('-')).map(|(_, value)| value);
        for text in [Some(text), value].into_iter().flatten().filter(|text| may_hold(text)) {
            hidden = hidden.replace(text, NOT_SHOWN);
        }
    }
    hide(&hidden).into_owned()
}

/// A line of an offer file up to the first login in it, or to what stands behind a key that is called
/// like a secret's.
#[must_use]
pub fn cut_line(line: &str) -> Cow<'_, str> {
    let cut = [login_in(line), secret_keys::value_in(line)].into_iter().flatten().min();
    match cut.and_then(|cut| line.get(..cut)) {
        Some(kept) => Cow::Owned(format!("{kept}…")),
        None => Cow::Borrowed(line),
    }
}

/// The byte at which the first login of a line begins.
fn login_in(line: &str) -> Option<usize> {
    let (before, _) = line.rsplit_once('@')?;
    // A password may hold white space and quotes, so an address begins where its key ends.
    before.find(ADDRESS_KEY).map(|at| at + ADDRESS_KEY.len()).or_else(|| {
        let words = line.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
        let mut at = 0;
        words.into_iter().find_map(|word| {
            let begin = at;
            at += word.len();
            let (login, _) = word.split_once('@')?;
            (login.contains(':') && may_hold(word)).then_some(begin)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_is_no_login() {
        let image = format!("a.dev/x:1@{DIGEST}");
        assert!(!may_hold(&image));
        let said = format!("`{image}` is there.");
        assert_eq!(hide(&said), said);
        assert!(may_hold(&format!("bob:pw@a.dev/x@{DIGEST}")));
        assert!(may_hold("token@a.dev"));
    }

    #[test]
    fn a_path_with_an_at_sign_is_no_address() {
        for address in ["bob:pw@a.dev", "https://bob:pw@a.dev/x:1", "bob:p@w@a.dev/x"] {
            assert!(is_address(address), "{address}");
        }
        for path in ["out@2", "./a:b@c", "/tmp/a:b@c", &format!("a.dev:5000/x@{DIGEST}")] {
            assert!(!is_address(path), "{path}");
        }
    }

    #[test]
    fn texts_with_spaces_are_hidden_as_a_whole() {
        let said = hide_all("invalid value 'bob:my pw@a.dev'", ["--to=bob:my pw@a.dev"]);
        assert_eq!(said, format!("invalid value '{NOT_SHOWN}'"));
    }

    #[test]
    fn lines_end_before_a_login() {
        let cut = cut_line("  x: { loginServer: \"bob:my 'pw'@a.dev\", prefx: a }");
        assert_eq!(cut, "  x: { loginServer…");
        assert_eq!(cut_line("  x: https://bob:pw@a.dev"), "  x: …");
        let mail = "    support: { name: Help, email: help@a.dev }";
        assert_eq!(cut_line(mail), mail);
    }
}
