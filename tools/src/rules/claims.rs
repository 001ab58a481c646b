//! The plain claims of a text about an image, fit to be compared: ports, platforms, and the version
//! of a named product. A sentence with a "not" in it says nothing here.

use std::collections::BTreeSet;

/// Words of sentences that deny or announce.
const DOUBTS: [&str; 20] = [
    "not", "no", "without", "except", "never", "cannot", "can't", "don't", "doesn't", "isn't",
    "unless", "instead", "planned", "soon", "future", "roadmap", "neither", "nor", "other",
    "older",
];
/// Other names of architectures.
const ARCHITECTURES: [(&str, &str); 9] = [
    ("amd64", "amd64"),
    ("x86_64", "amd64"),
    ("x86-64", "amd64"),
    ("arm64", "arm64"),
    ("aarch64", "arm64"),
    ("s390x", "s390x"),
    ("ppc64le", "ppc64le"),
    ("riscv64", "riscv64"),
    ("arm/v7", "arm"),
];
/// How much of a text is read; the longest the marketplace takes is far shorter.
const WORDS_MAX: usize = 20_000;

/// The claims of a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// Ports, each after the word `port`.
    pub(super) ports: BTreeSet<u16>,
    /// Architectures, with the text's words for them.
    pub(super) architectures: BTreeSet<(&'static str, String)>,
    /// Versions right after one of the names.
    pub(super) versions: BTreeSet<String>,
}

/// Reads a plain text; `names` are the products of its versions.
pub(super) fn claims(text: &str, names: &[&str]) -> Claims {
    let mut claims = Claims::default();
    for sentence in sentences(text) {
        let words: Vec<&str> = sentence.split_whitespace().take(WORDS_MAX).map(bare).collect();
        if words.iter().any(|word| DOUBTS.contains(&word.to_ascii_lowercase().as_str())) {
            continue;
        }
        ports(&words, &mut claims.ports);
        for word in &words {
            for part in word.split([',', '(', ')']) {
                let lower = part.to_ascii_lowercase();
                let bare = lower.strip_prefix("linux/").unwrap_or(&lower);
                if let Some((_, name)) = ARCHITECTURES.iter().find(|(word, _)| *word == bare) {
                    claims.architectures.insert((*name, lower));
                }
            }
        }
        for name in names {
            claims.versions.extend(versions(&words, name));
        }
    }
    claims
}

/// Pieces up to a full stop, another end, or a line's end.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split(". ").flat_map(|part| part.split(['\n', ';', '!', '?']))
}

/// A word without the marks around it.
fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// Words right before `port` for a port of the image; a probe may look at another program's.
const OWN_PORTS: [&str; 10] =
    ["on", "open", "opens", "use", "uses", "serve", "serves", "tcp", "udp", "default"];

fn says_where_it_listens(before: &[&str]) -> bool {
    let is_own = |word: &&str| OWN_PORTS.contains(&word.to_ascii_lowercase().as_str());
    let starts = |word: &&str| {
        let word = word.to_ascii_lowercase();
        word.starts_with("listen") || word.starts_with("expos")
    };
    before.last().is_none_or(is_own) || before.iter().any(starts)
}

/// `on port 6379`, `listens on ports 80 and 443`, `exposes port 53/udp`.
fn ports(words: &[&str], found: &mut BTreeSet<u16>) {
    for (at, word) in words.iter().enumerate() {
        let lower = word.to_ascii_lowercase();
        let before = words.get(..at).unwrap_or_default();
        if (lower != "port" && lower != "ports") || !says_where_it_listens(before) {
            continue;
        }
        for next in words.get(at + 1..).unwrap_or_default() {
            let number = next.split('/').next().unwrap_or_default();
            match number.parse::<u16>() {
                Ok(port) if port > 0 => {
                    found.insert(port);
                }
                _ if lower == "ports" && matches!(*next, "and" | "") => {}
                _ => break,
            }
            if lower == "port" {
                break;
            }
        }
    }
}

/// The version after a name: `NAME 1.2`, `NAME version 1.2`, `NAME v1.2`.
fn versions(words: &[&str], name: &str) -> Vec<String> {
    let name: Vec<&str> = name.split_whitespace().map(bare).collect();
    if name.is_empty() {
        return Vec::new();
    }
    let starts = words
        .windows(name.len())
        .enumerate()
        .filter(|(_, at)| at.iter().zip(&name).all(|(word, name)| word.eq_ignore_ascii_case(name)));
    let after = starts.filter_map(|(at, _)| {
        let rest = words.get(at + name.len()..)?;
        let (first, rest) = rest.split_first()?;
        let word = if first.eq_ignore_ascii_case("version") { rest.first()? } else { first };
        let number = word.strip_prefix('v').unwrap_or(word);
        is_version(number).then(|| number.to_owned())
    });
    after.collect()
}

/// `1.2` or `1.2.3`.
fn is_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    matches!(parts.len(), 2 | 3) && parts.iter().all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (Vec<u16>, Vec<&'static str>, Vec<String>) {
        let claims = claims(text, &["Tidepool Cache", "Server"]);
        let architectures = claims.architectures.into_iter().map(|(name, _)| name).collect();
        (claims.ports.into_iter().collect(), architectures, claims.versions.into_iter().collect())
    }

    #[test]
    fn plain_statements_are_read() {
        assert_eq!(of("It listens on TCP port 6379.").0, [6379]);
        assert_eq!(of("Ports 80, 443 and 8080 are open, port 53/udp too").0, [53, 80, 443, 8080]);
        assert_eq!(of("Images for linux/amd64 and linux/arm64.").1, ["amd64", "arm64"]);
        assert_eq!(of("Runs on aarch64 (arm64) nodes").1, ["arm64", "arm64"]);
        assert_eq!(of("Tidepool Cache 1.4.0 is here").2, ["1.4.0"]);
        assert_eq!(of("the server version 7.0, and Server v1.4").2, ["1.4", "7.0"]);
    }

    #[test]
    fn what_is_denied_or_is_said_of_something_else_is_no_claim() {
        for text in [
            "Port 22 is not open.",
            "arm64 is planned",
            "A port of Redis to Rust",
            "the ports you like, 80 for one",
            "port 0, port 70000, port http",
            "Redis 7.0 and Kubernetes 1.28",
            "the arm64ec machine",
            "",
        ] {
            assert_eq!(claims(text, &["Tidepool Cache"]), Claims::default(), "{text}");
        }
    }

    #[test]
    fn a_doubt_holds_for_its_own_sentence_only() {
        assert_eq!(of("It is not slow. It listens on port 80. No port 81.").0, [80]);
    }
}
