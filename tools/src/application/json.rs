//! Reads JSON as RFC 8259 has it, with the place of every value. Deviations that other readers
//! accept and the marketplace's may not (comments, a byte order mark, commas before an end,
//! repeated keys) are read over and reported, so one run shows all of them.

use std::collections::HashSet;

use super::tree::{
    DEPTH_MAX, FAULTS_MAX, FileNode, FormFault, MapEntry, NODES_MAX, NodeValue, Spanned,
    TreeReading,
};
use crate::offer::source_map::Spot;

/// Reads a text.
#[must_use]
pub fn read(text: &str) -> TreeReading {
    let mut reader =
        Reader { rest: text.chars().collect(), line: 1, column: 1, ..Reader::default() };
    reader.rest.reverse();
    if reader.peek() == Some('\u{feff}') {
        reader.next();
        reader.column = 1;
        reader.fault(Spot::START, "it starts with a byte order mark; save it as UTF-8 without one");
    }
    let root = reader.value(0).and_then(|root| {
        reader.blank();
        match reader.peek() {
            None => Ok(root),
            Some(_) => Err(reader.stop("something stands behind the end of the JSON value")),
        }
    });
    let root = match root {
        Ok(root) => Some(root),
        Err(fault) => {
            reader.faults.push(fault);
            None
        }
    };
    TreeReading { root, faults: reader.faults }
}

#[derive(Default)]
struct Reader {
    /// The rest, last character first.
    rest: Vec<char>,
    line: usize,
    column: usize,
    nodes: usize,
    faults: Vec<FormFault>,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.rest.last().copied()
    }

    fn second(&self) -> Option<char> {
        self.rest.iter().rev().nth(1).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.pop()?;
        if next == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(next)
    }

    const fn spot(&self) -> Spot {
        Spot { line: self.line, column: self.column, width: 1 }
    }

    /// From a place to here, where both are on one line.
    const fn since(&self, start: Spot) -> Spot {
        if self.line == start.line && self.column > start.column {
            Spot { width: self.column - start.column, ..start }
        } else {
            start
        }
    }

    fn fault(&mut self, spot: Spot, message: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(FormFault::new(spot, message));
        }
    }

    fn stop(&self, message: impl Into<String>) -> FormFault {
        FormFault::new(self.spot(), message)
    }

    /// Passes blanks, and comments with a fault.
    fn blank(&mut self) {
        loop {
            match (self.peek(), self.second()) {
                (Some(' ' | '\t' | '\r' | '\n'), _) => {
                    self.next();
                }
                (Some('/'), Some('/' | '*')) => self.comment(),
                _ => return,
            }
        }
    }

    fn comment(&mut self) {
        let start = self.spot();
        self.fault(start, "it holds a comment, which JSON has none of; remove it");
        self.next();
        let is_line = self.next() == Some('/');
        while let Some(next) = self.next() {
            if is_line && next == '\n' {
                return;
            }
            if !is_line && next == '*' && self.peek() == Some('/') {
                self.next();
                return;
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<FileNode, FormFault> {
        self.blank();
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            return Err(self.stop("it is nested too deeply or holds too many values"));
        }
        let spot = self.spot();
        let value = match self.peek() {
            Some('{') => self.mapping(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => NodeValue::Text(self.text()?),
            Some('-' | '0'..='9') => self.number()?,
            Some(letter) if letter.is_ascii_alphabetic() => self.word()?,
            Some(_) => return Err(self.stop("a JSON value is expected here")),
            None => return Err(self.stop("the file ends before its JSON does")),
        };
        let spot = match value {
            NodeValue::List(_) | NodeValue::Map(_) => spot,
            _ => self.since(spot),
        };
        Ok(FileNode { spot, value })
    }

    fn mapping(&mut self, depth: usize) -> Result<NodeValue, FormFault> {
        self.next();
        let mut entries: Vec<MapEntry> = Vec::new();
        let mut known = HashSet::new();
        loop {
            self.blank();
            let spot = self.spot();
            match self.peek() {
                Some('}') => {
                    self.ended(!entries.is_empty(), spot);
                    self.next();
                    return Ok(NodeValue::Map(entries));
                }
                Some('"') => {}
                _ => return Err(self.stop("a key in quotes is expected here")),
            }
            let key = self.text()?;
            let key = Spanned { spot: self.since(spot), value: key };
            if !known.insert(key.value.clone()) {
                self.fault(key.spot, format!("the key `{}` stands twice", key.value));
            }
            self.blank();
            if self.next() != Some(':') {
                return Err(self.stop("a `:` is expected before here"));
            }
            let value = self.value(depth + 1)?;
            entries.push(MapEntry { key, value });
            if !self.goes_on('}')? {
                return Ok(NodeValue::Map(entries));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<NodeValue, FormFault> {
        self.next();
        let mut items = Vec::new();
        loop {
            self.blank();
            if self.peek() == Some(']') {
                self.ended(!items.is_empty(), self.spot());
                self.next();
                return Ok(NodeValue::List(items));
            }
            items.push(self.value(depth + 1)?);
            if !self.goes_on(']')? {
                return Ok(NodeValue::List(items));
            }
        }
    }

    fn ended(&mut self, after_comma: bool, spot: Spot) {
        if after_comma {
            self.fault(spot, "a comma stands before the end; remove it");
        }
    }

    /// Whether a comma follows; else the end is passed.
    fn goes_on(&mut self, end: char) -> Result<bool, FormFault> {
        self.blank();
        match self.peek() {
            Some(',') => {
                self.next();
                Ok(true)
            }
            Some(found) if found == end => {
                self.next();
                Ok(false)
            }
            _ => Err(self.stop(format!("a `,` or `{end}` is expected here"))),
        }
    }

    fn text(&mut self) -> Result<String, FormFault> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape()?),
                Some(control) if control < ' ' => {
                    return Err(self.stop("a text ends on its line; write a line break as `\\n`"));
                }
                Some(other) => text.push(other),
                None => return Err(self.stop("the file ends within a text")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, FormFault> {
        Ok(match self.next() {
            Some(same @ ('"' | '\\' | '/')) => same,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => self.unicode()?,
            _ => return Err(self.stop("this escape is not known in JSON")),
        })
    }

    /// Half of a pair alone is no character; it reads as the replacement character.
    fn unicode(&mut self) -> Result<char, FormFault> {
        let high = self.hex()?;
        if !(0xd800..0xdc00).contains(&high) {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        if self.peek() != Some('\\') || self.second() != Some('u') {
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        self.next();
        self.next();
        let low = self.hex()?;
        let pair = low.checked_sub(0xdc00).map(|low| 0x1_0000 + ((high - 0xd800) << 10) + low);
        Ok(pair.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, FormFault> {
        let mut number = 0;
        for _ in 0..4 {
            let digit = self.next().and_then(|digit| digit.to_digit(16));
            number = number * 16 + digit.ok_or_else(|| self.stop("`\\u` takes four hex digits"))?;
        }
        Ok(number)
    }

    fn number(&mut self) -> Result<NodeValue, FormFault> {
        let start = self.spot();
        let mut number = String::new();
        while let Some(next @ ('0'..='9' | '-' | '+' | '.' | 'e' | 'E')) = self.peek() {
            number.push(next);
            self.next();
        }
        if serde_json::from_str::<serde_json::Number>(&number).is_err() {
            return Err(FormFault::new(self.since(start), "this is no JSON number"));
        }
        Ok(NodeValue::Number(number))
    }

    fn word(&mut self) -> Result<NodeValue, FormFault> {
        let start = self.spot();
        let mut word = String::new();
        while let Some(letter) = self.peek().filter(char::is_ascii_alphanumeric) {
            word.push(letter);
            self.next();
        }
        match word.as_str() {
            "null" => Ok(NodeValue::Null),
            "true" => Ok(NodeValue::Bool(true)),
            "false" => Ok(NodeValue::Bool(false)),
            _ => Err(FormFault::new(self.since(start), "a text stands in double quotes in JSON")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn faults(text: &str) -> Vec<(usize, String)> {
        read(text).faults.into_iter().map(|fault| (fault.spot.line, fault.message)).collect()
    }

    #[test]
    fn values_are_read_with_their_places() {
        let text = "{\n  \"a\": [1, \"x\\u00e9\\n\\ud83d\\ude00\", null, true],\n  \"b\": { }\n}\n";
        let read = read(text);
        assert_eq!(read.faults, []);
        let root = read.root.unwrap();
        let items = root.get("a").unwrap().items();
        assert_eq!(items[1].text(), Some("x\u{e9}\n\u{1f600}"));
        assert_eq!(items[0].spot, Spot { line: 2, column: 9, width: 1 });
        assert_eq!(items[3].value, NodeValue::Bool(true));
        assert_eq!(root.entries()[1].key.spot, Spot { line: 3, column: 3, width: 3 });
        assert_eq!(root.get("b").unwrap().kind(), "a mapping");
        // The reader of everybody else reads the same.
        let other: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(other["a"][1].as_str(), items[1].text());
    }

    #[test]
    fn what_only_some_readers_take_is_told_and_read_over() {
        let text = "\u{feff}{ // why\n  \"a\": 1, /* and\n */ \"a\": 2,\n}\n";
        let found = faults(text);
        let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 1, 2, 3, 4], "{found:?}");
        assert!(read(text).root.is_some());
        assert!(found[3].1.contains("`a` stands twice"), "{found:?}");
    }

    #[test]
    fn what_is_no_json_is_refused_where_it_stops_being_it() {
        for (text, line) in [
            ("", 1),
            ("{\n\"a\": 1\n\"b\": 2 }", 3),
            ("{ 'a': 1 }", 1),
            ("{\n\"a\": tru }", 2),
            ("[1, 2", 1),
            ("{\"a\": \"x\n\"}", 2),
            ("[01]", 1),
            ("[1] 2", 1),
            ("[\"\\x\"]", 1),
            ("/* never ends", 1),
        ] {
            let read = read(text);
            assert!(read.root.is_none(), "{text}");
            assert_eq!(read.faults.last().unwrap().spot.line, line, "{text}: {:?}", read.faults);
        }
    }

    #[test]
    fn depth_and_count_are_bounded() {
        assert!(read(&"[".repeat(1_000_000)).root.is_none());
        assert!(read(&format!("[{}1]", "1,".repeat(NODES_MAX))).root.is_none());
        let many = format!("[{}]", "// c\n".repeat(10_000));
        assert_eq!(read(&many).faults.len(), FAULTS_MAX);
    }
}
