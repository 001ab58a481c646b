//! Lists of any length, read an element at a time: the kept part of one is small, so a list of a
//! million costs no more memory than its text. Lists inside of an element are short, or refused.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Error;
use serde_json::value::RawValue;

/// Hands over each element of a list; `null` and nothing at all are an empty one.
pub(super) fn each<'a, T: Deserialize<'a>>(
    list: Option<&'a RawValue>,
    take: impl FnMut(T) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(list) = list else { return Ok(()) };
    let mut reader = serde_json::Deserializer::from_str(list.get());
    Each { take, kind: PhantomData }.deserialize(&mut reader)
}

/// Hands over each value of a mapping with its key; `null` and nothing at all are an empty one.
pub(super) fn each_entry<'a, T: Deserialize<'a>>(
    mapping: Option<&'a RawValue>,
    take: impl FnMut(String, T) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(mapping) = mapping else { return Ok(()) };
    let mut reader = serde_json::Deserializer::from_str(mapping.get());
    EachEntry { take, kind: PhantomData }.deserialize(&mut reader)
}

struct Each<T, F> {
    take: F,
    kind: PhantomData<T>,
}

struct EachEntry<T, F> {
    take: F,
    kind: PhantomData<T>,
}

impl<'a, T, F> DeserializeSeed<'a> for Each<T, F>
where
    T: Deserialize<'a>,
    F: FnMut(T) -> Result<(), Error>,
{
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'a, T, F> Visitor<'a> for Each<T, F>
where
    T: Deserialize<'a>,
    F: FnMut(T) -> Result<(), Error>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            (self.take)(element).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }
}

impl<'a, T, F> DeserializeSeed<'a> for EachEntry<T, F>
where
    T: Deserialize<'a>,
    F: FnMut(String, T) -> Result<(), Error>,
{
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'a, T, F> Visitor<'a> for EachEntry<T, F>
where
    T: Deserialize<'a>,
    F: FnMut(String, T) -> Result<(), Error>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut mapping: A) -> Result<(), A::Error> {
        while let Some((key, value)) = mapping.next_entry()? {
            (self.take)(key, value).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }
}

/// How long a list inside of an element may be; real ones have a dozen.
const FEW_MAX: usize = 500;

/// A short list; `null` is an empty one, and a long one is refused.
#[derive(Debug)]
pub(super) struct Few<T>(Vec<T>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Few<T> {
    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<'a, T: Deserialize<'a>> Deserialize<'a> for Few<T> {
    fn deserialize<D: Deserializer<'a>>(reader: D) -> Result<Self, D::Error> {
        let mut few = Vec::new();
        let take = |element| {
            if few.len() >= FEW_MAX {
                return Err(serde::de::Error::custom("a list inside of an element is too long"));
            }
            few.push(element);
            Ok(())
        };
        Each { take, kind: PhantomData }.deserialize(reader)?;
        Ok(Self(few))
    }
}
