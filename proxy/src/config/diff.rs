//! The configuration as keys and values, for the log lines that describe the changes of a reload.
//!
//! Invariant: a change stays on one line, has a bounded length, and never holds the value of a key
//! that is named like a secret.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::limits::CHANGE_CHARS_MAX;

/// Keys with effect at the next start only, including all keys below them.
const RESTART: [&str; 6] =
    ["listen", "admin", "store", "store_limit", "shutdown_deadline_seconds", "telemetry"];

/// Parts of the names of keys whose values stay hidden.
const SECRET: [&str; 10] = [
    "password",
    "passwd",
    "secret",
    "token",
    "passphrase",
    "private_key",
    "api_key",
    "apikey",
    "credential",
    "authorization",
];

/// Whether a key, or a line of the file, is named like a secret.
pub(super) fn is_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    SECRET.iter().any(|word| text.contains(word))
}

/// Whether a key takes effect at the next start only.
pub(crate) fn needs_restart(key: &str) -> bool {
    RESTART.iter().any(|name| {
        key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Every key with its value as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConfigKeys(BTreeMap<String, String>);

/// The change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangedKey {
    /// The key.
    pub(crate) key: String,
    /// `+ KEY VALUE`, `- KEY VALUE` or `~ KEY OLD -> NEW`.
    pub(crate) line: String,
}

impl ConfigKeys {
    /// The keys of a file.
    pub(super) fn of(table: &Table) -> Self {
        let mut keys = Self::default();
        keys.add_table("", table);
        keys
    }

    fn add_table(&mut self, name: &str, table: &Table) {
        for (key, value) in table {
            let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            self.add(name, value);
        }
    }

    fn add(&mut self, name: String, value: &Value) {
        match value {
            Value::Table(table) => self.add_table(&name, table),
            Value::Array(list) if list.iter().any(Value::is_table) => {
                for (number, entry) in list.iter().enumerate() {
                    let name = self.unused(&name, &entry_name(number, entry));
                    self.add(name, entry);
                }
            }
            Value::String(text) => {
                self.0.insert(name, format!("{text:?}"));
            }
            value => {
                self.0.insert(name, on_one_line(&value.to_string()));
            }
        }
    }

    /// `NAME[ENTRY]`; with a number for the second of the same name.
    fn unused(&self, name: &str, entry: &str) -> String {
        let mut wanted = format!("{name}[{entry}]");
        let mut number = 2;
        while self.0.range(format!("{wanted}.")..format!("{wanted}/")).next().is_some() {
            wanted = format!("{name}[{entry} {number}]");
            number += 1;
        }
        wanted
    }

    /// The changed keys of `new`, in order.
    pub(crate) fn changes(&self, new: &Self) -> Vec<ChangedKey> {
        let gone = self.0.iter().filter(|(key, _)| !new.0.contains_key(*key));
        let gone = gone.map(|(key, old)| (key, format!("- {key} {}", shown(key, old))));
        let others = new.0.iter().filter_map(|(key, value)| match self.0.get(key) {
            Some(old) if old == value => None,
            Some(old) => {
                let (old, value) = (shown(key, old), shown(key, value));
                Some((key, format!("~ {key} {old} -> {value}")))
            }
            None => Some((key, format!("+ {key} {}", shown(key, value)))),
        });
        let change = |(key, line): (&String, String)| ChangedKey { key: key.clone(), line };
        let mut all: Vec<_> = gone.chain(others).map(change).collect();
        all.sort_by(|one, other| one.key.cmp(&other.key));
        all
    }
}

/// A name for an entry of a list that is more stable than its number, which moves when an earlier
/// entry goes.
fn entry_name(number: usize, entry: &Value) -> String {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    match (text("prefix"), text("url").or_else(|| text("name")).or_else(|| text("pattern"))) {
        (Some(prefix), Some(name)) => format!("{prefix}={name}"),
        (None, Some(name)) => name.to_owned(),
        _ => number.to_string(),
    }
}

/// TOML writes a text with an end of line on several lines.
fn on_one_line(text: &str) -> String {
    let mut line = String::new();
    for letter in text.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

fn shown(key: &str, value: &str) -> String {
    if is_secret(key) {
        return "(not shown)".to_owned();
    }
    match value.char_indices().nth(CHANGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(old: &str, new: &str) -> Vec<String> {
        let keys = |text: &str| ConfigKeys::of(&toml::from_str(text).unwrap());
        keys(old).changes(&keys(new)).into_iter().map(|change| change.line).collect()
    }

    #[test]
    fn a_change_is_a_line_for_each_key() {
        let old = "listen = \"127.0.0.1:1\"\nscrub_rate = 1\n[[upstream]]\nurl = \"https://a\"\n\
                   [[upstream]]\nurl = \"https://b\"\ntag_ttl_seconds = 5\n[telemetry]\nx = 1\n";
        let new = "listen = \"127.0.0.1:1\"\ntrusted_proxies = [\"::1\", \"::2\"]\n\
                   [[upstream]]\nurl = \"https://b\"\ntag_ttl_seconds = 6\n[telemetry]\nx = 2\n";
        let expected = [
            "- scrub_rate 1",
            "~ telemetry.x 1 -> 2",
            "+ trusted_proxies [\"::1\", \"::2\"]",
            "- upstream[https://a].url \"https://a\"",
            "~ upstream[https://b].tag_ttl_seconds 5 -> 6",
        ];
        assert_eq!(changes(old, new), expected);
        assert!(changes(old, old).is_empty());
    }

    #[test]
    fn entries_of_one_name_are_told_apart() {
        let two =
            "[[upstream]]\nurl = \"https://a\"\n[[upstream]]\nurl = \"https://a\"\nmax_reads = 1";
        let expected = ["~ upstream[https://a 2].max_reads 1 -> 2"];
        assert_eq!(changes(two, &two.replace("= 1", "= 2")), expected);
    }

    #[test]
    fn secrets_are_not_shown_and_long_values_are_cut() {
        let lines = changes(
            "password = \"planted\"",
            "password = \"planted too\"\nx = \"1\\n2\"\ny = [\"\\n\"]",
        );
        assert_eq!(lines[..2], ["~ password (not shown) -> (not shown)", "+ x \"1\\n2\""]);
        assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:?}");
        let long = changes("", &format!("x = \"{}\"", "ä".repeat(10_000)));
        assert!(long[0].chars().count() < CHANGE_CHARS_MAX + 20, "{long:?}");
    }

    #[test]
    fn a_restart_is_needed_by_whole_names() {
        assert!(needs_restart("store") && needs_restart("telemetry.otlp_endpoint"));
        assert!(!needs_restart("stores") && !needs_restart("scrub_rate"));
    }
}
