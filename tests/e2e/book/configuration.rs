//! The page of the configuration names every key of `wharfd`, and no other. The program lists a
//! table's keys in its message about an unknown key.

use std::collections::BTreeSet;

use super::{DOCS, root, text};
use crate::fixture::command;

/// A key unknown in every table.
const UNKNOWN: &str = "no-such-key";

/// Headings of the page, each with a configuration up to the table.
const TABLES: [(&str, &str); 10] = [
    ("The process", ""),
    ("`[[upstream]]`", "[[upstream]]\nurl = \"https://a.example\"\n"),
    ("`[[upstream.tag_ttl]]`", "[[upstream]]\nurl = \"https://a.example\"\n[[upstream.tag_ttl]]\n"),
    (
        "`[upstream.entra]`",
        "[[upstream]]\nurl = \"https://a.example\"\n[upstream.entra]\nkind = \"azure-cli\"\n",
    ),
    ("`[tls]`", "[tls]\n"),
    ("`[access]`", "[access]\n"),
    ("`[[access.rule]]`", "[[access.rule]]\n"),
    ("`[[access.issuer]]`", "[[access.issuer]]\n"),
    ("`[limits]`", "[limits]\n"),
    ("`[telemetry]`", "[telemetry]\n"),
];

/// The keys of a table, as the program names them.
fn taken(table: &str) -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wharfd.toml");
    std::fs::write(&file, format!("{table}{UNKNOWN} = 1\n")).unwrap();
    let output = command(["serve", "--check-config", "--config"]).arg(&file).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let unknown = format!("unknown field `{UNKNOWN}`, expected ");
    let (_, names) = said.split_once(&unknown).unwrap_or_else(|| panic!("{table}: {said}"));
    let names = names.lines().next().unwrap();
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Words in code of the first cells below a heading, in tables of keys.
fn described(page: &str, heading: &str) -> BTreeSet<String> {
    let (_, section) =
        page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("{heading}"));
    let section = section.split("\n## ").next().unwrap();
    let mut is_of_keys = false;
    let mut keys = BTreeSet::new();
    for line in section.lines() {
        is_of_keys = line.starts_with("| key |") || (is_of_keys && line.starts_with('|'));
        let cell = line.strip_prefix("| ").and_then(|line| line.split(" | ").next());
        if let Some(cell) = cell.filter(|_| is_of_keys) {
            keys.extend(cell.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    keys
}

#[test]
fn the_page_of_the_configuration_names_every_key() {
    let page = text(&root().join(DOCS).join("reference/configuration.md"));
    for (heading, table) in TABLES {
        let mut described = described(&page, heading);
        if table.is_empty() {
            // These have headings of their own.
            described
                .extend(["tls", "limits", "access", "telemetry", "upstream"].map(str::to_owned));
        }
        assert_eq!(described, taken(table), "{heading}");
    }
}
