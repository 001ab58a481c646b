//! The text format of Prometheus: families with their help and kind, rows with escaped labels.
//!
//! Invariant: a family is begun once, and everything between two begins belongs to the first; a
//! label's value cannot end its line.

use std::fmt::Write as _;

/// The kind of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A page on its way.
#[derive(Default)]
pub(crate) struct Page {
    text: String,
    family: &'static str,
    begun: Vec<&'static str>,
}

/// Labels of a row: names of ours, and values from closed sets.
pub(crate) type Labels<'a> = &'a [(&'static str, &'a str)];

impl Page {
    /// Begins a family. A second begin of the same one is a mistake of ours and writes nothing.
    pub(crate) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> &mut Self {
        debug_assert!(!self.begun.contains(&name), "{name} is begun twice");
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self.family = name;
        self.begun.push(name);
        self
    }

    /// A row of the family that was begun last.
    pub(crate) fn row(&mut self, labels: Labels<'_>, value: u64) -> &mut Self {
        self.part("", labels, None, value)
    }

    /// A row whose value has a fraction.
    pub(crate) fn fraction(&mut self, labels: Labels<'_>, value: f64) -> &mut Self {
        self.part("", labels, None, value)
    }

    /// A row of a histogram: its suffix, and `le` where it has one.
    pub(crate) fn part(
        &mut self,
        suffix: &str,
        labels: Labels<'_>,
        le: Option<&str>,
        value: impl std::fmt::Display,
    ) -> &mut Self {
        let _ = write!(self.text, "{}{suffix}", self.family);
        let all = labels.iter().copied().chain(le.map(|le| ("le", le)));
        for (number, (name, value)) in all.enumerate() {
            self.text.push(if number == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{name}=\"");
            escape(&mut self.text, value);
            self.text.push('"');
        }
        if !labels.is_empty() || le.is_some() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
        self
    }

    /// A family of one row without labels.
    pub(crate) fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: u64) {
        self.family(name, kind, help).row(&[], value);
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// As label values are escaped: `\`, `"`, and the end of a line.
fn escape(text: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            letter => text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_its_line_or_its_quotes() {
        let mut page = Page::default();
        page.family("x", Kind::Gauge, "Help.").row(&[("a", "1\"} 2\nevil 3\\"), ("b", "c")], 7);
        let expected = "# HELP x Help.\n# TYPE x gauge\nx{a=\"1\\\"} 2\\nevil 3\\\\\",b=\"c\"} 7\n";
        assert_eq!(page.finish(), expected);
    }
}
