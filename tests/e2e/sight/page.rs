//! The metrics page as Prometheus reads it: parsed, or refused.

use std::collections::{BTreeMap, BTreeSet};

/// A row with its labels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

/// A whole page.
pub(super) struct Page {
    pub(super) kinds: BTreeMap<String, String>,
    pub(super) rows: Vec<Row>,
}

impl Page {
    /// Every row with this name and at least these labels.
    pub(super) fn find(&self, name: &str, labels: &[(&str, &str)]) -> Vec<&Row> {
        let has = |row: &&Row| {
            row.name == name
                && labels
                    .iter()
                    .all(|(key, value)| row.labels.get(*key).is_some_and(|found| found == value))
        };
        self.rows.iter().filter(has).collect()
    }

    /// The value of the only such row.
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        match self.find(name, labels)[..] {
            [row] => row.value,
            ref rows => panic!("{name} {labels:?} is there {} times", rows.len()),
        }
    }
}

/// Reads a page; panics at any text invalid for Prometheus or `promtool check metrics`.
pub(super) fn parse(text: &str) -> Page {
    assert!(text.ends_with('\n'), "the last line does not end");
    let (mut kinds, mut rows, mut series) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
    let mut family = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a help has a text");
            assert!(!help.is_empty() && !kinds.contains_key(name), "{name} comes twice");
            name.clone_into(&mut family);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family, "a type without its help");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            kinds.insert(name.to_owned(), kind.to_owned());
        } else {
            let row = parse_row(line);
            let suffix = row.name.strip_prefix(&family).unwrap_or_else(|| panic!("{line}"));
            let histogram = kinds.get(&family).is_some_and(|kind| kind == "histogram");
            assert_eq!(histogram, ["_bucket", "_sum", "_count"].contains(&suffix), "{line}");
            assert!(series.insert((row.name.clone(), row.labels.clone())), "{line} comes twice");
            rows.push(row);
        }
    }
    let page = Page { kinds, rows };
    page.assert_histograms();
    page
}

impl Page {
    /// Buckets rise to the count.
    fn assert_histograms(&self) {
        for (name, _) in self.kinds.iter().filter(|(_, kind)| *kind == "histogram") {
            let mut before: Option<&Row> = None;
            for row in self.find(&format!("{name}_bucket"), &[]) {
                let le = &row.labels["le"];
                let labels = |row: &Row| {
                    let mut labels = row.labels.clone();
                    labels.remove("le");
                    labels
                };
                let same = before.filter(|before| labels(before) == labels(row));
                assert!(same.is_none_or(|before| before.value <= row.value), "{row:?}");
                if le == "+Inf" {
                    let all: Vec<_> = labels(row).into_iter().collect();
                    let all: Vec<_> = all.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                    let count = self.value(&format!("{name}_count"), &all);
                    assert!((count - row.value).abs() < 0.5, "{row:?}");
                }
                before = Some(row);
            }
        }
    }
}

fn parse_row(line: &str) -> Row {
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = match series.split_once('{') {
        None => (series, ""),
        Some((name, rest)) => (name, rest.strip_suffix('}').unwrap()),
    };
    assert!(is_name(name), "{line}");
    let mut found = BTreeMap::new();
    let mut rest = labels;
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").unwrap();
        assert!(is_name(name), "{line}");
        let (value, after) = quoted(value);
        assert!(found.insert(name.to_owned(), value).is_none(), "{line}");
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Row { name: name.to_owned(), labels: found, value: value.parse().unwrap() }
}

/// A text up to its quotes, and the text behind them.
fn quoted(text: &str) -> (String, &str) {
    let (mut value, mut letters) = (String::new(), text.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => match letters.next().unwrap().1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            letter => value.push(letter),
        }
    }
    panic!("no end of {text:?}");
}
