//! Names made from other names: each fits the grammar of its use, from any source.

use unicode_normalization::UnicodeNormalization as _;

use crate::characters::{breaks_line, is_hidden};
use crate::rules::html;
use crate::rules::registry::is_registry_name;

/// Longest ID of an offer or a plan, in characters.
const ID_CHARS_MAX: usize = 50;
/// Shortest ID.
const ID_CHARS_MIN: usize = 3;
/// Longest name of a namespace and its resources; Kubernetes takes 63.
const LABEL_CHARS_MAX: usize = 40;
/// Longest half of a type of extension: both and the dot have 50.
const EXTENSION_HALF_CHARS_MAX: usize = 24;

/// A first chart's name for its image.
pub(super) const IMAGE_NAME: &str = "server";

/// An ID of lowercase letters, digits and `-`; `None` when nothing of the text fits in one.
#[must_use]
pub(super) fn id(from: &str) -> Option<String> {
    let mut id = words(from).join("-");
    id.truncate(ID_CHARS_MAX);
    let id = id.trim_matches('-').to_owned();
    match id.len() {
        0 => None,
        short if short < ID_CHARS_MIN => Some(format!("{id}-offer")),
        _ => Some(id),
    }
}

/// A name within Kubernetes: lowercase letters, digits and `-`, a letter first.
#[must_use]
pub(super) fn label(id: &str) -> String {
    let mut label = words(id).join("-");
    if !label.starts_with(|c: char| c.is_ascii_lowercase()) {
        label.insert_str(0, "app-");
    }
    label.truncate(LABEL_CHARS_MAX);
    label.trim_end_matches('-').to_owned()
}

/// A title from the name of a chart, a repository or a folder: `tidepool-cache` is Tidepool Cache.
#[must_use]
pub(super) fn title(name: &str) -> Option<String> {
    let spaced = name.replace(['-', '_', '.'], " ");
    let words = spaced.split_whitespace().map(capitalised);
    one_line(&words.collect::<Vec<_>>().join(" "), ID_CHARS_MAX)
}

/// `Publisher.Application` in letters alone.
#[must_use]
pub(super) fn extension_type(publisher: &str, offer: &str) -> String {
    let half = |text: &str, otherwise: &str| {
        let letters = |word: &String| word.chars().filter(char::is_ascii_alphabetic).collect();
        let words: Vec<String> = words(text).iter().map(letters).collect();
        let mut half: String = words.iter().map(|word| capitalised(word)).collect();
        half.truncate(EXTENSION_HALF_CHARS_MAX);
        if half.is_empty() { otherwise.to_owned() } else { half }
    };
    format!("{}.{}", half(publisher, "Publisher"), half(offer, "Application"))
}

/// The name of a registry: 5 to 50 lowercase letters and digits.
#[must_use]
pub(super) fn registry(publisher: &str) -> String {
    let mut name = words(publisher).concat();
    if name.len() < 5 {
        name.push_str("registry");
    }
    name.truncate(ID_CHARS_MAX);
    name
}

/// The name of the registry behind a login server. Names have no `-`, so one a name stands before
/// begins the hash of a domain label; anything else is kept whole, to be judged as it was written.
#[must_use]
pub(super) fn registry_of(login_server: &str) -> &str {
    let first = login_server.split(['.', ':']).next().unwrap_or_default();
    let named = first.split_once('-').map(|(name, _)| name);
    named.filter(|name| is_registry_name(name)).unwrap_or(first)
}

/// A part of a host name.
#[must_use]
pub(super) fn host_part(publisher: &str) -> String {
    let mut part = words(publisher).join("-");
    part.truncate(ID_CHARS_MAX);
    let part = part.trim_matches('-');
    if part.is_empty() { "publisher".to_owned() } else { part.to_owned() }
}

/// The prefix of the environment's names for the secrets of an offer.
#[must_use]
pub(super) fn variable(id: &str) -> String {
    let name = words(id).join("_").to_ascii_uppercase();
    if name.starts_with(|c: char| c.is_ascii_uppercase()) { name } else { format!("OFFER_{name}") }
}

/// A text of one plain line, cut behind a word where it is longer; `None` when nothing is left, or
/// when it holds HTML.
#[must_use]
pub(super) fn one_line(text: &str, chars_max: usize) -> Option<String> {
    let spaced: String =
        text.nfc().map(|c| if breaks_line(c) || c == '\t' { ' ' } else { c }).collect();
    let seen: String = spaced.chars().filter(|c| !is_hidden(*c)).collect();
    let mut line = String::new();
    let mut count = 0;
    for word in seen.split_whitespace() {
        let length = word.chars().count();
        let space = usize::from(!line.is_empty());
        if count + space + length > chars_max {
            if line.is_empty() {
                line.extend(word.chars().take(chars_max));
            }
            break;
        }
        if space > 0 {
            line.push(' ');
        }
        line.push_str(word);
        count += space + length;
    }
    // Cutting may part a letter from its combining mark, and leave a comma.
    let line: String = line.trim_end_matches([',', ';', ':']).nfc().collect();
    (!line.is_empty() && html::markup(&line).is_none()).then_some(line)
}

/// The words of a text in lowercase ASCII letters and digits; accents go.
fn words(text: &str) -> Vec<String> {
    let plain: String = text.nfd().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).collect();
    let words = plain.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect()
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_made_of_names() {
        assert_eq!(id("Café \"Réseau\": {1}").as_deref(), Some("cafe-reseau-1"));
        assert_eq!(id("x").as_deref(), Some("x-offer"));
        assert_eq!(id("日本語"), None);
        assert_eq!(label("9lives"), "app-9lives");
        assert_eq!(title("tidepool_cache-server").as_deref(), Some("Tidepool Cache Server"));
        assert_eq!(extension_type("quay-line2", "tidepool-3"), "QuayLine.Tidepool");
        assert_eq!(extension_type("42", "7"), "Publisher.Application");
        assert_eq!(registry("ab"), "abregistry");
        for (server, name) in [
            ("quayline.azurecr.io", "quayline"),
            ("quayline-e7ggejfuhzhgedc8.azurecr.io", "quayline"),
            ("my-registry.azurecr.io", "my-registry"),
            ("localhost:5000", "localhost"),
        ] {
            assert_eq!(registry_of(server), name);
        }
        assert_eq!(host_part("Quay_Line."), "quay-line");
        assert_eq!(variable("7-up"), "OFFER_7_UP");
    }

    #[test]
    fn lines_are_cut_behind_words_and_hold_nothing_hidden() {
        assert_eq!(one_line("  a\u{200b}b\n c ", 50).as_deref(), Some("ab c"));
        assert_eq!(one_line("one two, three", 9).as_deref(), Some("one two"));
        assert_eq!(one_line("abcdef", 3).as_deref(), Some("abc"));
        assert_eq!(one_line("<b>x</b>", 50), None);
        assert_eq!(one_line("\u{200b}\n", 50), None);
    }

    proptest! {
        #[test]
        fn whatever_they_are_made_from_they_keep_their_grammar(text in "\\PC{0,80}") {
            if let Some(id) = id(&text) {
                prop_assert!((3..=50).contains(&id.len()) && !id.ends_with('-'), "{id}");
                prop_assert!(id.parse::<crate::offer::values::PlanId>().is_ok());
            }
            let kind = extension_type(&text, &text);
            prop_assert!(super::super::topics::Topic::ExtensionType.check(&kind).is_ok(), "{kind}");
            let label = label(&text);
            prop_assert!((1..=40).contains(&label.len()) && !label.ends_with('-'), "{label}");
            prop_assert!((5..=50).contains(&registry(&text).len()));
            if let Some(line) = one_line(&text, 20) {
                prop_assert!(line.chars().count() <= 20 && line.trim() == line, "{line:?}");
            }
        }
    }
}
