//! Writes YAML with one meaning for every reader: the ones of YAML 1.1 too (`az` and `kubectl` have
//! such), for which `no` is false, `012` is ten and `1:30` is ninety. So a text stands without
//! quotes only when every version reads it as a text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::tree::{Field, Map, Phrase, PhrasePart, TemplateNode};
use crate::characters;

/// The fate of parameters.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fill<'a> {
    /// Their values, by name; one without a value is left as `${NAME}`, for `envsubst`.
    Values(&'a BTreeMap<String, String>),
    /// Expressions of a Helm template, by name. A text Helm would take for one is escaped.
    Helm(&'a BTreeMap<String, String>),
}

/// Words of another type than text in some version of YAML.
const TAKEN: [&str; 11] =
    ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"];

/// One document, a newline at its end.
#[must_use]
pub(super) fn document(map: &Map, fill: Fill<'_>) -> String {
    let mut writer = Writer { text: String::new(), fill };
    if map.0.is_empty() {
        return "{}\n".to_owned();
    }
    writer.fields(map, 0, "");
    writer.text
}

/// Documents one after another.
#[must_use]
pub(super) fn documents<'m>(maps: impl IntoIterator<Item = &'m Map>, fill: Fill<'_>) -> String {
    let texts: Vec<String> = maps.into_iter().map(|map| document(map, fill)).collect();
    texts.join("---\n")
}

struct Writer<'a> {
    text: String,
    fill: Fill<'a>,
}

impl Writer<'_> {
    /// The fields of a mapping; before the first stands `lead`, a part of the indent.
    fn fields(&mut self, map: &Map, indent: usize, mut lead: &str) {
        for Field { key, note, value } in &map.0 {
            let outer = indent - lead.len();
            for line in note.iter().flat_map(|note| note.lines()) {
                let _ = writeln!(self.text, "{:outer$}# {line}", "");
            }
            let key = scalar(key);
            let _ = write!(self.text, "{:outer$}{lead}{key}:", "");
            lead = "";
            self.value(value, indent);
        }
    }

    /// The value behind a colon or a dash.
    fn value(&mut self, value: &TemplateNode, indent: usize) {
        match value {
            TemplateNode::Map(map) if !map.0.is_empty() => {
                self.text.push('\n');
                self.fields(map, indent + 2, "");
            }
            TemplateNode::List(items) | TemplateNode::ListIf { items, .. } if !items.is_empty() => {
                self.text.push('\n');
                self.items(items, indent + 2);
            }
            value => {
                let value = self.leaf(value);
                let _ = writeln!(self.text, " {value}");
            }
        }
    }

    fn items(&mut self, items: &[TemplateNode], indent: usize) {
        for item in items {
            match item {
                TemplateNode::Map(map) if !map.0.is_empty() => self.fields(map, indent + 2, "- "),
                item => {
                    let _ = write!(self.text, "{:indent$}-", "");
                    self.value(item, indent);
                }
            }
        }
    }

    fn leaf(&self, value: &TemplateNode) -> String {
        match value {
            TemplateNode::Text(phrase) => self.phrase(phrase),
            TemplateNode::Count(count) => count.to_string(),
            TemplateNode::Number(number) => number.to_string(),
            TemplateNode::Flag(flag) => flag.to_string(),
            TemplateNode::Parameter(name) => match self.fill {
                Fill::Values(values) => value_of(values, name),
                Fill::Helm(expressions) => expression(expressions, name),
            },
            TemplateNode::Map(_) => "{}".to_owned(),
            TemplateNode::List(_) | TemplateNode::ListIf { .. } => "[]".to_owned(),
        }
    }

    fn phrase(&self, phrase: &Phrase) -> String {
        let expressions = match self.fill {
            Fill::Values(values) => {
                let text = phrase.filled(|name| value_of(values, name));
                let is_left = matches!(phrase.0.as_slice(), [PhrasePart::Parameter(_)])
                    && is_placeholder(&text);
                // The filled-in value is not escaped: in single quotes only `'` has a meaning.
                return if is_left { format!("'{text}'") } else { scalar(&text) };
            }
            Fill::Helm(expressions) => expressions,
        };
        if phrase.is_plain() {
            return escaped_for_helm(&scalar(&phrase.filled(|_| String::new())));
        }
        let part = |part: &PhrasePart| match part {
            PhrasePart::Text(text) => escaped_for_helm(&escaped(text)),
            PhrasePart::Parameter(name) => expression(expressions, name),
        };
        let parts: String = phrase.0.iter().map(part).collect();
        format!("\"{parts}\"")
    }
}

/// `${NAME}`, for `envsubst`.
fn is_placeholder(text: &str) -> bool {
    let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_'))
}

fn value_of(values: &BTreeMap<String, String>, name: &str) -> String {
    values.get(name).cloned().unwrap_or_else(|| format!("${{{name}}}"))
}

fn expression(expressions: &BTreeMap<String, String>, name: &str) -> String {
    let known = expressions.get(name).map(String::as_str);
    format!("{{{{ {} }}}}", known.unwrap_or(name))
}

/// The template Helm prints as this text.
fn escaped_for_helm(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

/// A text as every reader takes it.
#[must_use]
pub(super) fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { format!("\"{}\"", escaped(text)) }
}

/// Whether every reader takes the text for a text. A possible start of a number, an anchor, a
/// comment or a list is never plain.
fn is_plain(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/._@:-".contains(c);
    // `a: b` and `a:` are mappings.
    let ends = !text.ends_with(':');
    let lower = text.to_ascii_lowercase();
    starts && ends && text.chars().all(allowed) && !TAKEN.contains(&lower.as_str())
}

/// The inside of double quotes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let code = u32::from(c);
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            // Neither is printable by YAML's own rule, but readers differ.
            '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(out, "\\u{code:04x}");
            }
            c if !characters::is_hidden(c) => out.push(c),
            _ if code <= 0xff => {
                let _ = write!(out, "\\x{code:02x}");
            }
            _ if code <= 0xffff => {
                let _ = write!(out, "\\u{code:04x}");
            }
            _ => {
                let _ = write!(out, "\\U{code:08x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn read(yaml: &str) -> serde_json::Value {
        serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}: {yaml}"))
    }

    #[test]
    fn a_text_is_never_read_as_something_else() {
        for text in [
            "",
            " ",
            "yes",
            "No",
            "NULL",
            "~",
            "0123",
            "0x1f",
            "1e3",
            "1:30",
            "1_000",
            "-1",
            ".5",
            ".inf",
            ".NaN",
            "a: b",
            "a:",
            "- a",
            "#x",
            "a #b",
            "2026-11-29",
            "=",
            "<<",
            "*a",
            "&a",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a`",
            "{a}",
            "[a]",
            "'",
            "\"",
            "\\",
            "a\nb",
            "\u{85}",
            "\u{feff}",
            "\u{2028}",
            "\u{202e}x",
            "日本 🚀",
            "\0",
            "${X}",
            "{{ x }}",
            "on",
            "y",
        ] {
            let map = Map::new().with("key", text).with("list", vec![text]);
            let written = document(&map, Fill::Values(&BTreeMap::new()));
            assert_eq!(read(&written), serde_json::json!({"key": text, "list": [text]}));
            assert!(written.lines().count() == 3, "{written}");
        }
        assert_eq!(scalar("/usr/bin:/bin"), "/usr/bin:/bin");
        assert_eq!(scalar("quay.azurecr.io/a@sha256:0"), "quay.azurecr.io/a@sha256:0");
    }

    #[test]
    fn notes_and_lists_stand_where_they_belong() {
        let inner = Map::new().noted("name", "why\ntwo", "a").with("empty", Map::new());
        let map = Map::new().with("list", vec![inner]).noted(
            "none",
            "because",
            Vec::<TemplateNode>::new(),
        );
        let written = document(&map, Fill::Values(&BTreeMap::new()));
        let expected = "list:\n  # why\n  # two\n  - name: a\n    empty: {}\n# because\nnone: []\n";
        assert_eq!(written, expected);
    }

    #[test]
    fn helm_reads_its_expressions_and_nothing_else() {
        let names = BTreeMap::from([("host".to_owned(), ".Values.host".to_owned())]);
        let text = "a {{ evil }} {{{";
        let parts =
            vec![PhrasePart::Parameter("host".to_owned()), PhrasePart::Text("/\"{{".to_owned())];
        let map = Map::new().with("a", text).with("b", Phrase(parts));
        let written = document(&map, Fill::Helm(&names));
        let expected = "a: \"a {{ \"{{\" }} evil }} {{ \"{{\" }}{\"\n\
                        b: \"{{ .Values.host }}/\\\"{{ \"{{\" }}\"\n";
        assert_eq!(written, expected);
    }

    #[test]
    fn what_envsubst_fills_in_may_hold_any_sign_but_a_single_quote() {
        let map = Map::new().with("password", Phrase::parameter("secret"));
        let written = document(&map, Fill::Values(&BTreeMap::new()));
        let value = r#"a"b\n\${x}: #{"#;
        let filled = written.replace("${secret}", value);
        assert_eq!(read(&filled), serde_json::json!({ "password": value }));
    }

    proptest! {
        #[test]
        fn any_text_is_read_back(key in "\\PC{1,12}", text in any::<String>()) {
            let map = Map::new().with(&key, text.as_str()).with("z\u{0}", vec![text.as_str()]);
            let written = document(&map, Fill::Values(&BTreeMap::new()));
            prop_assume!(key != "z\u{0}");
            prop_assert_eq!(read(&written), serde_json::json!({key: &text, "z\u{0}": [&text]}));
        }
    }
}
