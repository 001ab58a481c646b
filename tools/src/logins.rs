//! Logins in addresses (`user:password@host`) and the form of a text with one in messages. Wharf
//! takes no login from an address; a login written in one all the same stays out of every message,
//! report and log.
//!
//! Invariant: a text before an `@` without a digest behind it is not repeated.

use std::borrow::Cow;

use url::Url;
use url::form_urlencoded;
use wharf_oci::Digest;

use crate::secret_keys;

/// The words in place of a text that may hold a password.
pub const NOT_SHOWN: &str = "(not shown, it may hold a password)";

/// The words in place of a secret within an address.
const HIDDEN: &str = "(not shown)";

/// The separators of an address's parameters, before them and between them.
const PARAMETER_ENDS: [char; 4] = ['?', '&', ';', '#'];

/// Endings of the names of secret parameters. `sig` is the one of Azure's signatures, `code` the
/// one of keys of its functions, where it is no short word.
const SECRET_ENDS: [&str; 9] =
    ["token", "secret", "password", "passwd", "pwd", "signature", "apikey", "api_key", "api-key"];

/// Shortest value of `code` and `key` taken for a secret, in bytes.
const KEY_BYTES_MIN: usize = 8;

/// The advice in place of a login in an address.
pub const ADVICE: &str = "write it without user and password, and log in with `docker login` or name a file with --authfile";

/// The key of an offer with an address as its value.
const ADDRESS_KEY: &str = "loginServer";

/// Whether an address or an argument has an `@` without a digest behind it.
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

/// Whether a value holds an address with a login anywhere: `postgres://USER:PASSWORD@…`. A mail address
/// is none.
#[must_use]
pub fn within(value: &str) -> bool {
    let has_login = |rest: &str| {
        let word = rest.split_whitespace().next().unwrap_or_default();
        let before = word.rsplit_once('@').filter(|_| may_hold(word)).map(|(before, _)| before);
        before.is_some_and(|before| !before.contains('/') || before.contains(':'))
    };
    value.split("://").skip(1).any(has_login)
        || (is_address(value) && !value.starts_with("mailto:"))
}

/// A message without the words that may hold a login.
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

/// An address without user, password and the values of secret parameters; a text of several words
/// is taken for as many addresses. An unreadable address with an `@` is not shown at all.
#[must_use]
pub fn hide_in_address(text: &str) -> Cow<'_, str> {
    if text.contains(' ') && !text.starts_with("http") {
        let words: Vec<_> = text.split(' ').map(hide_in_address).collect();
        return Cow::Owned(words.join(" "));
    }
    let read = Url::parse(text);
    let Some((scheme, rest)) = text.split_once("://") else {
        let is_login = read.is_ok_and(|url| !url.username().is_empty() || url.password().is_some());
        return if is_login { NOT_SHOWN.into() } else { text.into() };
    };
    if text.contains('@') && read.is_err() {
        return NOT_SHOWN.into();
    }
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{HIDDEN}@{host}"),
        None => authority.to_owned(),
    };
    let part = |part: &str| match part.split_once('=') {
        Some((name, _)) if secret_parameter(part).is_some() => {
            let end = part.chars().next_back().filter(|c| PARAMETER_ENDS.contains(c));
            format!("{name}={HIDDEN}{}", end.map(String::from).unwrap_or_default())
        }
        _ => part.to_owned(),
    };
    let tail: String = tail.split_inclusive(PARAMETER_ENDS).map(part).collect();
    Cow::Owned(format!("{scheme}://{host}{tail}"))
}

/// The names of the secret parameters of an address.
pub fn secret_parameters(address: &str) -> impl Iterator<Item = String> {
    let parameters = address.split(PARAMETER_ENDS).skip(1);
    parameters.filter_map(secret_parameter)
}

/// The name of a parameter (`NAME=VALUE`) when its value is a secret.
fn secret_parameter(parameter: &str) -> Option<String> {
    let parameter = parameter.trim_end_matches(PARAMETER_ENDS);
    let (name, value) = form_urlencoded::parse(parameter.as_bytes()).next()?;
    let lower = name.to_ascii_lowercase();
    let is_long = value.len() >= KEY_BYTES_MIN;
    let is_secret = SECRET_ENDS.iter().any(|end| lower.ends_with(end))
        || matches!(lower.as_str(), "sig" | "sas")
        || (is_long && matches!(lower.as_str(), "code" | "key"));
    (is_secret && !value.is_empty()).then(|| name.into_owned())
}

/// A message without these texts, of any content, and without other words that may hold a login.
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

/// A line of an offer file up to the first login in it, or to the value of a key with a secret's
/// name.
#[must_use]
pub fn cut_line(line: &str) -> Cow<'_, str> {
    let cut = [login_in(line), secret_keys::value_in(line)].into_iter().flatten().min();
    match cut.and_then(|cut| line.get(..cut)) {
        Some(kept) => Cow::Owned(format!("{kept}…")),
        None => Cow::Borrowed(line),
    }
}

/// The byte at the first login of a line.
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
    fn addresses_are_shown_without_their_secrets() {
        for (address, shown) in [
            ("https://u:PLANTEDPW@a.dev/x", "https://(not shown)@a.dev/x"),
            ("https://PLANTED@a.dev", "https://(not shown)@a.dev"),
            (
                "https://a.dev/x?a=1&sig=PLANTEDSIG&code=PLANTEDCODE#top",
                "https://a.dev/x?a=1&sig=(not shown)&code=(not shown)#top",
            ),
            ("https://a.dev/#access_token=PLANTED", "https://a.dev/#access_token=(not shown)"),
            ("https://a.dev/?s%69g=PLANTED", "https://a.dev/?s%69g=(not shown)"),
            ("https://u:PLANTED PW@a .dev/", NOT_SHOWN),
            ("see https://u:PLANTED@a.dev now", "see https://(not shown)@a.dev now"),
        ] {
            assert_eq!(hide_in_address(address), shown);
        }
        for open in [
            "https://a.dev/@user?code=en&key=top&sig=",
            "https://a.dev/x?signed=1#a@b",
            "help@a.dev",
            "Write to help@a.dev or see https://a.dev",
            "mailto:help@a.dev",
        ] {
            assert_eq!(hide_in_address(open), open);
        }
        let names: Vec<_> = secret_parameters("https://a.dev/x?v=1&sig=x&api-key=y").collect();
        assert_eq!(names, ["sig", "api-key"]);
    }

    #[test]
    fn logins_within_values_are_known() {
        for value in [
            "postgres://u:pw@db/x",
            "url=amqp://u:p/w@mq",
            "u:pw@tcp(db:3306)/x",
            "https://token@a.dev/x",
            "a,redis://:pw@cache:6379",
        ] {
            assert!(within(value), "{value}");
        }
        let image = format!("docker://a.dev:5000/x@{DIGEST}");
        for value in
            ["help@a.dev", "https://a.dev/@user", "mailto:help@a.dev", "redis://cache:6379", &image]
        {
            assert!(!within(value), "{value}");
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
