//! Maps with values in quotes only. YAML reads `PORT: 6379` as a number and `DEBUG: no` as a truth
//! value; guessing the text back would change it (`1.10`, `0755`), so quotes are asked for.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer};

/// Reads a map of texts; refuses a number, a truth value or an empty value.
pub(super) fn map<'de, K, D>(deserializer: D) -> Result<BTreeMap<K, String>, D::Error>
where
    K: Ord + DeserializeOwned,
    D: Deserializer<'de>,
{
    let quoted = BTreeMap::<K, Quoted>::deserialize(deserializer)?;
    Ok(quoted.into_iter().map(|(key, value)| (key, value.0)).collect())
}

struct Quoted(String);

impl<'de> Deserialize<'de> for Quoted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuotedVisitor)
    }
}

struct QuotedVisitor;

impl de::Visitor<'_> for QuotedVisitor {
    type Value = Quoted;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text; put the value in quotes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Quoted, E> {
        Ok(Quoted(text.to_owned()))
    }
}
