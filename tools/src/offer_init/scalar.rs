//! A text as a value in YAML, on one line: plain where every reader agrees on it, in double quotes
//! else.

use std::fmt::Write as _;

use crate::characters::is_hidden;

/// Words with another type than text for some reader of YAML.
const WORDS: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan"];

/// The value as it is written.
#[must_use]
pub(super) fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// The same in double quotes, for any text.
#[must_use]
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if is_hidden(c) || matches!(u32::from(c), 0xe000..=0xf8ff | 0xfffe..=0xffff) => {
                // Writing to a text cannot fail.
                let _ = match u32::from(c) {
                    code @ ..=0xffff => write!(quoted, "\\u{code:04x}"),
                    code => write!(quoted, "\\U{code:08x}"),
                };
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Letters first, and then no character with a meaning in YAML.
fn is_plain(text: &str) -> bool {
    let fits =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_' | '/' | '@');
    let is_word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    // An address has the only safe colon: a slash stands behind it.
    let bare = text.strip_prefix("https://").unwrap_or(text);
    let bare = bare.strip_prefix("http://").unwrap_or(bare);
    bare.starts_with(|c: char| c.is_ascii_alphabetic())
        && bare.chars().all(fits)
        && !text.ends_with(' ')
        && !is_word
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn read(written: &str) -> String {
        let value: std::collections::BTreeMap<String, String> =
            serde_saphyr::from_str(&format!("key: {written}  # replace\n")).unwrap();
        value.get("key").unwrap().clone()
    }

    #[test]
    fn odd_texts_are_kept() {
        for text in [
            "plain words",
            "no",
            "1.0",
            "1e3",
            "0x1f",
            "~",
            "- a",
            "a: b",
            "a #b",
            "{x}",
            "[x]",
            "it's",
            "say \"x\"",
            "back\\slash",
            "two\nlines",
            "tab\there",
            "é",
            "日本",
            "🚀",
            "\u{feff}x",
            "x\u{202e}",
            "\u{7f}",
            "\u{85}",
            " x",
            "x ",
            "",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a",
            "|",
            ">",
            "?",
            "https://a.dev/x",
            "=",
            "<<",
            "NaN",
            ".inf",
            "a,b",
            "e\u{301}",
        ] {
            assert_eq!(read(&scalar(text)), text, "{text:?}");
        }
        assert_eq!(scalar("Tidepool Cache"), "Tidepool Cache");
        assert_eq!(scalar("https://a.dev/x"), "https://a.dev/x");
    }

    proptest! {
        #[test]
        fn every_text_is_kept(text in any::<String>()) {
            prop_assert_eq!(read(&scalar(&text)), text);
        }
    }
}
