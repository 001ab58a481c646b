//! JSON of other programs, read as Go's `encoding/json` reads it: names in any case, the last of
//! two, `null` for absent. Other members are skipped, so memory is bounded by the members of
//! interest.
//!
//! Invariant: a value is the exact bytes of the document.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Faults of a document, the first of each kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    wrong: Option<String>,
    odd: Option<String>,
}

impl Faults {
    /// A digest, a type or a reference is wrong, so readers would disagree.
    pub(crate) fn wrong(&mut self, fault: impl FnOnce() -> String) {
        self.wrong.get_or_insert_with(fault);
    }

    /// Against the specification, and harmless for readers.
    pub(crate) fn odd(&mut self, fault: impl FnOnce() -> String) {
        self.odd.get_or_insert_with(fault);
    }

    /// These faults first, then `more`.
    pub(crate) fn then(self, more: Self) -> Self {
        Self { wrong: self.wrong.or(more.wrong), odd: self.odd.or(more.odd) }
    }

    /// The first fault of the kind [`Self::wrong`].
    pub(crate) fn into_wrong(self) -> Option<String> {
        self.wrong
    }

    /// The first fault of either kind.
    pub(crate) fn into_any(self) -> Option<String> {
        self.wrong.or(self.odd)
    }
}

/// The members of an object, by name.
pub(crate) struct FoundMembers<'a, const N: usize> {
    /// The values, in the order of the requested names.
    pub(crate) values: [Option<&'a RawValue>; N],
    /// Whether each member occurs once, under exactly its name.
    pub(crate) is_exact: bool,
}

/// The members of an object with these names; an error when the text is no object, or no JSON.
pub(crate) fn members<'a, const N: usize>(
    json: &'a str,
    names: [&str; N],
) -> Result<FoundMembers<'a, N>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let FoundMembers { values, is_exact } = Members(names).deserialize(&mut reader)?;
    reader.end()?;
    let values = values.map(|value| value.filter(|value| value.get() != "null"));
    Ok(FoundMembers { values, is_exact })
}

/// Visits each element of an array with its index; whether the value is an array.
pub(crate) fn each(raw: &RawValue, visit: impl FnMut(usize, &RawValue)) -> bool {
    serde_json::Deserializer::from_str(raw.get()).deserialize_seq(Each(visit)).is_ok()
}

/// A string.
pub(crate) fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// A whole number that is not negative.
pub(crate) fn number(raw: Option<&RawValue>) -> Option<u64> {
    serde_json::from_str(raw?.get()).ok()
}

struct Members<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Members<'_, N> {
    type Value = FoundMembers<'de, N>;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Members<'_, N> {
    type Value = FoundMembers<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut values, mut is_exact) = ([None; N], true);
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let mut wanted = self.0.iter().zip(&mut values);
            match wanted.find(|(wanted, _)| wanted.eq_ignore_ascii_case(&name)) {
                Some((wanted, value)) => {
                    is_exact &= *wanted == name && value.is_none();
                    *value = Some(map.next_value()?);
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(FoundMembers { values, is_exact })
    }
}

struct Each<F>(F);

impl<'de, F: FnMut(usize, &RawValue)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
        let mut place = 0;
        while let Some(element) = array.next_element::<&RawValue>()? {
            (self.0)(place, element);
            place += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_the_last_of_two_counts() {
        let json = r#" {"a": 1, "B" : [ 1 ], "A": {"x" : 2} , "c": null, "d": "D"} "#;
        let found = members(json, ["a", "b", "c", "d", "e"]).unwrap();
        assert!(!found.is_exact);
        let values = found.values.map(|value| value.map(RawValue::get));
        assert_eq!(values, [Some(r#"{"x" : 2}"#), Some("[ 1 ]"), None, Some(r#""D""#), None]);
    }

    #[test]
    fn names_that_are_there_once_are_exact() {
        for (json, is_exact) in [
            (r#"{"a": 1, "x": 2, "X": 3}"#, true),
            (r#"{"A": 1}"#, false),
            (r#"{"a": 1, "a": 1}"#, false),
        ] {
            assert_eq!(members(json, ["a"]).unwrap().is_exact, is_exact, "{json}");
        }
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for json in ["", "{", "[]", "1", "null", r#"{"a": 1} x"#, r#"{"a" 1}"#, "{\"a\": 01}"] {
            assert!(members(json, ["a"]).is_err(), "{json}");
        }
    }

    #[test]
    fn elements_come_with_their_places() {
        let raw: &RawValue = serde_json::from_str(r#"[1, null, {"a": 2}]"#).unwrap();
        let mut seen = Vec::new();
        assert!(each(raw, |place, element| seen.push((place, element.get().to_owned()))));
        assert_eq!(seen, [(0, "1".into()), (1, "null".into()), (2, r#"{"a": 2}"#.into())]);
        let object: &RawValue = serde_json::from_str("{}").unwrap();
        assert!(!each(object, |_, _| panic!("no element")));
    }
}
