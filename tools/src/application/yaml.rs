//! Reads one YAML document with the place of every value. Anchors, several documents and keys that
//! are no texts are told: the files of an application need none of them.

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::tree::{Entry, Fault, Node, Placed, Reading, Value};
use super::{DEPTH_MAX, FAULTS_MAX, NODES_MAX};
use crate::offer::spots::Spot;

/// Reads a text.
#[must_use]
pub fn read(text: &str) -> Reading {
    let events = Parser::new_from_str(text);
    let mut reader = Reader { events, spot: Spot::START, nodes: 0, faults: Vec::new() };
    let mut root = None;
    loop {
        let read = reader.next().and_then(|(event, span)| match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => Ok(true),
            Event::StreamEnd => Ok(false),
            _ if root.is_some() => {
                Err(Fault::new(spot_of(&span), "the file is one YAML document; remove the `---`"))
            }
            event => {
                root = Some(reader.node(&event, &span, 0)?);
                Ok(true)
            }
        });
        match read {
            Ok(true) => {}
            Ok(false) => break,
            Err(fault) => {
                reader.faults.push(fault);
                return Reading { root: None, faults: reader.faults };
            }
        }
    }
    if root.is_none() {
        reader.faults.push(Fault::new(Spot::START, "the file is empty"));
    }
    Reading { root, faults: reader.faults }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    spot: Spot,
    nodes: usize,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.events.next() {
            Some(Ok((event, span))) => {
                self.spot = spot_of(&span);
                Ok((event, span))
            }
            Some(Err(error)) => {
                let mark = error.marker();
                let spot = Spot { line: mark.line(), column: mark.col() + 1, width: 1 };
                Err(Fault::new(spot, format!("this is no YAML: {}", error.info())))
            }
            None => Err(Fault::new(self.spot, "the file ends before its YAML does")),
        }
    }

    fn fault(&mut self, spot: Spot, message: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault::new(spot, message));
        }
    }

    fn node(&mut self, event: &Event<'a>, span: &Span, depth: usize) -> Result<Node, Fault> {
        let spot = spot_of(span);
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            return Err(Fault::new(spot, "it is nested too deeply or holds too many values"));
        }
        if let Event::Scalar(_, _, anchor, _)
        | Event::SequenceStart(_, anchor, _)
        | Event::MappingStart(_, anchor, _) = event
            && *anchor != 0
        {
            self.fault(spot, "anchors are not read here; write the value in both places");
        }
        let value = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => plain(text),
            Event::Scalar(text, ..) => Value::Text(text.to_string()),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        break Value::List(items);
                    }
                    items.push(self.node(&event, &span, depth + 1)?);
                }
            }
            Event::MappingStart(..) => self.mapping(depth)?,
            _ => return Err(Fault::new(spot, "anchors and aliases are not read here")),
        };
        Ok(Node { spot, value })
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Fault> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let spot = spot_of(&span);
            let key = match event {
                Event::MappingEnd => return Ok(Value::Map(entries)),
                Event::Scalar(text, ..) => text.to_string(),
                _ => return Err(Fault::new(spot, "a key is a text")),
            };
            if entries.iter().any(|known| known.key.value == key) {
                self.fault(spot, format!("the key `{key}` stands twice"));
            }
            let (event, span) = self.next()?;
            let mut value = self.node(&event, &span, depth + 1)?;
            if matches!(value.value, Value::List(_) | Value::Map(_) | Value::Null) {
                // Such a value often begins on the line below, or nowhere; its key is what is looked for.
                value.spot = spot;
            }
            entries.push(Entry { key: Placed { spot, value: key }, value });
        }
    }
}

/// As YAML 1.2 reads words without quotes.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        text if is_number(text) => Value::Number(text.to_owned()),
        text => Value::Text(text.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    let starts = text.trim_start_matches(['-', '+', '.']);
    starts.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok()
}

fn spot_of(span: &Span) -> Spot {
    let (line, column) = (span.start.line(), span.start.col() + 1);
    let same_line = span.end.line() == line;
    let width = if same_line { (span.end.col() + 1).saturating_sub(column).max(1) } else { 1 };
    Spot { line, column, width }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_are_what_yaml_reads_with_their_places() {
        let read = read("a: 1.0\nb: 1.0.0\nc: \"2\"\nd:\n  - yes\n  - true\ne:\n");
        assert_eq!(read.faults, []);
        let root = read.root.unwrap();
        let value = |key: &str| root.get(key).unwrap();
        assert_eq!(value("a").kind(), "a number");
        assert_eq!((value("b").text(), value("c").text()), (Some("1.0.0"), Some("2")));
        assert_eq!(value("d").spot.line, 4);
        let kinds: Vec<_> = value("d").items().iter().map(Node::kind).collect();
        assert_eq!(kinds, ["a text", "a yes or no"]);
        assert_eq!(value("e").value, Value::Null);
    }

    #[test]
    fn what_is_not_one_plain_document_is_told_at_its_line() {
        for (text, line, words) in [
            ("", 1, "empty"),
            ("a: 1\n---\nb: 2\n", 3, "one YAML document"),
            ("a: 1\na: 2\n", 2, "stands twice"),
            ("a: &x 1\nb: 2\n", 1, "anchors"),
            ("a: [1\nb: 2\n", 2, "no YAML"),
            ("a: 1\n[1]: 2\n", 2, ""),
        ] {
            let read = read(text);
            let fault = read.faults.first().unwrap_or_else(|| panic!("{text}"));
            assert_eq!(fault.spot.line, line, "{text}: {fault:?}");
            assert!(fault.message.contains(words), "{text}: {fault:?}");
        }
    }
}
