//! Where every value of an offer file stands: path (`plans[0].image.version`) to line and columns.
//! Read from the same text as the offer itself, by the same YAML parser.
//!
//! Invariant: a path without a place of its own (a missing key) is found at its nearest parent, so
//! every message can point somewhere.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser};

pub use crate::yaml::Spot;

/// The places of all keys and values.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    places: HashMap<String, Spot>,
    anchor: Option<Spot>,
    tag: Option<Spot>,
}

/// An open mapping or list while the events pass.
struct Open {
    path: String,
    next: Next,
}

enum Next {
    Item(usize),
    Key,
    Value { path: String, key: Spot },
}

impl SourceMap {
    /// Reads the places; stops quietly where the text is no YAML, because the offer's parser has a
    /// better message for it.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut spots = HashMap::new();
        let (mut anchor, mut tag) = (None, None);
        let mut open: Vec<Open> = Vec::new();
        for event in Parser::new_from_str(text) {
            let Ok((event, span)) = event else { break };
            if is_anchor(&event) {
                anchor = anchor.or(Some(Spot::of(&span)));
            }
            if has_tag(&event) {
                tag = tag.or(Some(Spot::of(&span)));
            }
            match event {
                Event::Scalar(value, ..) => scalar(&mut spots, &mut open, &value, Spot::of(&span)),
                Event::Alias(_) => scalar(&mut spots, &mut open, "", Spot::of(&span)),
                Event::SequenceStart(..) => {
                    start(&mut spots, &mut open, Spot::of(&span), Next::Item(0));
                }
                Event::MappingStart(..) => start(&mut spots, &mut open, Spot::of(&span), Next::Key),
                Event::SequenceEnd | Event::MappingEnd => {
                    open.pop();
                }
                _ => {}
            }
        }
        Self { places: spots, anchor, tag }
    }

    /// The place of this path, or of its nearest parent.
    #[must_use]
    pub fn find(&self, path: &str) -> Spot {
        let mut path = path;
        loop {
            if let Some(spot) = self.places.get(path) {
                return *spot;
            }
            match path.rfind(['.', '[']) {
                Some(cut) => path = path.get(..cut).unwrap_or_default(),
                None => return Spot::START,
            }
        }
    }

    /// The first anchor or alias; an offer may have none.
    #[must_use]
    pub fn anchor(&self) -> Option<Spot> {
        self.anchor
    }

    /// The first value with a tag (`!!str`); an offer may have none.
    #[must_use]
    pub fn tag(&self) -> Option<Spot> {
        self.tag
    }

    /// Whether this path stands in the file.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }
}

/// Every key and value of one word or line in a text.
pub(super) fn values(text: &str) -> Vec<String> {
    let events = Parser::new_from_str(text).map_while(Result::ok);
    let scalar = |(event, _)| match event {
        Event::Scalar(value, ..) if !value.contains('\n') => Some(value.into_owned()),
        _ => None,
    };
    events.filter_map(scalar).collect()
}

fn is_anchor(event: &Event<'_>) -> bool {
    match event {
        Event::Alias(_) => true,
        Event::Scalar(_, _, anchor, _)
        | Event::SequenceStart(_, anchor, _)
        | Event::MappingStart(_, anchor, _) => *anchor != 0,
        _ => false,
    }
}

fn has_tag(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(.., tag) | Event::SequenceStart(.., tag) | Event::MappingStart(.., tag) => {
            tag.is_some()
        }
        _ => false,
    }
}

/// A scalar is a key, or the value of one, or an item of a list.
fn scalar(spots: &mut HashMap<String, Spot>, open: &mut [Open], value: &str, spot: Spot) {
    let Some(parent) = open.last_mut() else { return };
    if matches!(parent.next, Next::Key) {
        let path = match parent.path.as_str() {
            "" => value.to_owned(),
            above => format!("{above}.{value}"),
        };
        parent.next = Next::Value { path, key: spot };
        return;
    }
    let (path, key) = take_path(parent);
    // A block of text begins below its key; readers look for the key.
    let spot = key.filter(|key| key.line != spot.line).unwrap_or(spot);
    spots.insert(path, spot);
}

/// A mapping or list as a value is shown at its key: its own place is often the line below.
fn start(spots: &mut HashMap<String, Spot>, open: &mut Vec<Open>, spot: Spot, next: Next) {
    let (path, key) = open.last_mut().map_or((String::new(), None), take_path);
    spots.insert(path.clone(), key.unwrap_or(spot));
    open.push(Open { path, next });
}

/// The path of the value at its beginning, and the place of its key; moves on to the value after
/// it.
fn take_path(parent: &mut Open) -> (String, Option<Spot>) {
    match std::mem::replace(&mut parent.next, Next::Key) {
        Next::Item(index) => {
            parent.next = Next::Item(index + 1);
            (format!("{}[{index}]", parent.path), None)
        }
        Next::Value { path, key } => (path, Some(key)),
        // A key in the form of a mapping or a list: the offer has none, and refuses it by name.
        Next::Key => (parent.path.clone(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
a: 1
list:
  - x: y
    deep: [p, \"q r\"]
  - plain
fold: >-
  one
  two
";

    #[test]
    fn values_are_found_at_their_own_place() {
        let spots = SourceMap::read(TEXT);
        assert_eq!(spots.find("a"), Spot { line: 1, column: 4, width: 1 });
        assert_eq!(spots.find("list[0].x"), Spot { line: 3, column: 8, width: 1 });
        assert_eq!(spots.find("list[0].deep[1]"), Spot { line: 4, column: 15, width: 5 });
        assert_eq!(spots.find("list[1]").line, 5);
        assert_eq!(spots.find("fold"), Spot { line: 6, column: 1, width: 4 });
    }

    #[test]
    fn containers_are_found_at_their_key_and_missing_keys_at_their_parent() {
        let spots = SourceMap::read(TEXT);
        assert_eq!(spots.find("list"), Spot { line: 2, column: 1, width: 4 });
        assert_eq!(spots.find("list[0].none.deeper").line, 3);
        assert_eq!(spots.find("nothing").line, 1);
        assert!(spots.contains("list[0].deep[0]") && !spots.contains("list[2]"));
    }

    #[test]
    fn text_that_is_no_yaml_gives_the_places_before_the_fault() {
        let spots = SourceMap::read("a: 1\nb: [\n");
        assert_eq!(spots.find("a").line, 1);
        assert_eq!(SourceMap::read("\u{0}").find("a"), Spot::START);
    }
}
