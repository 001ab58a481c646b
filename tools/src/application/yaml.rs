//! One YAML document of an application, with the place of every value. Anchors, several documents
//! and keys other than texts are reported: the files of an application need none of them.

use std::collections::HashSet;

use super::tree::{
    DEPTH_MAX, FAULTS_MAX, FileNode, FormFault, MapEntry, NODES_MAX, NodeValue, Spanned,
    TreeReading,
};
use crate::yaml::{self, Bounds, Spot, Stop, YamlStyle};

/// Reads a text.
#[must_use]
pub fn read(text: &str) -> TreeReading {
    let bounds = Bounds { depth: DEPTH_MAX, values: NODES_MAX, documents: 1 };
    let read = yaml::read(text, bounds);
    let mut judging = Judging { faults: Vec::new() };
    let mut root = None;
    // Faults of the parsed part come before the fault at its end.
    let judged = match read.documents.first().map(|node| judging.node(node)).transpose() {
        Ok(judged) => {
            root = judged;
            match (read.stop, read.further) {
                (Some(stop), _) => Err(fault_of(stop)),
                (None, Some(further)) => {
                    let message = "the file is one YAML document; remove the `---`";
                    Err(FormFault::new(further.root, message))
                }
                (None, None) => Ok(()),
            }
        }
        Err(fault) => Err(fault),
    };
    if let Err(fault) = judged {
        judging.faults.push(fault);
        return TreeReading { root: None, faults: judging.faults };
    }
    if root.is_none() {
        judging.faults.push(FormFault::new(Spot::START, "the file is empty"));
    }
    TreeReading { root, faults: judging.faults }
}

fn fault_of(stop: Stop) -> FormFault {
    match stop {
        Stop::Syntax(spot, _, info) => FormFault::new(spot, format!("this is no YAML: {info}")),
        Stop::Deep(spot) | Stop::Large(spot) => {
            FormFault::new(spot, "it is nested too deeply or holds too many values")
        }
    }
}

struct Judging {
    faults: Vec<FormFault>,
}

impl Judging {
    fn fault(&mut self, spot: Spot, message: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(FormFault::new(spot, message));
        }
    }

    /// A value with its type; an error ends the reading.
    fn node(&mut self, node: &yaml::Node) -> Result<FileNode, FormFault> {
        if node.is_anchored {
            let message = "anchors are not read here; write the value in both places";
            self.fault(node.spot, message);
        }
        let value = match &node.value {
            yaml::Value::Scalar { text, style: YamlStyle::Plain } => plain(text),
            yaml::Value::Scalar { text, .. } => NodeValue::Text(text.clone()),
            yaml::Value::List(items) => {
                let items = items.iter().map(|item| self.node(item));
                NodeValue::List(items.collect::<Result<_, _>>()?)
            }
            yaml::Value::Map(entries) => self.mapping(entries)?,
            yaml::Value::Alias(_) => {
                return Err(FormFault::new(node.spot, "anchors and aliases are not read here"));
            }
        };
        Ok(FileNode { spot: node.spot, value })
    }

    fn mapping(&mut self, read: &[(yaml::Node, yaml::Node)]) -> Result<NodeValue, FormFault> {
        let mut entries: Vec<MapEntry> = Vec::new();
        let mut known = HashSet::new();
        for (key, value) in read {
            let spot = key.spot;
            let yaml::Value::Scalar { text: key, .. } = &key.value else {
                return Err(FormFault::new(spot, "a key is a text"));
            };
            if !known.insert(key) {
                self.fault(spot, format!("the key `{key}` stands twice"));
            }
            let mut value = self.node(value)?;
            if matches!(value.value, NodeValue::List(_) | NodeValue::Map(_) | NodeValue::Null) {
                // Such a value often begins on the line below, or nowhere; readers look for its
                // key.
                value.spot = spot;
            }
            entries.push(MapEntry { key: Spanned { spot, value: key.clone() }, value });
        }
        Ok(NodeValue::Map(entries))
    }
}

/// As YAML 1.2 reads words without quotes.
fn plain(text: &str) -> NodeValue {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => NodeValue::Null,
        "true" | "True" | "TRUE" => NodeValue::Bool(true),
        "false" | "False" | "FALSE" => NodeValue::Bool(false),
        text if is_number(text) => NodeValue::Number(text.to_owned()),
        text => NodeValue::Text(text.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    let starts = text.trim_start_matches(['-', '+', '.']);
    starts.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok()
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
        let kinds: Vec<_> = value("d").items().iter().map(FileNode::kind).collect();
        assert_eq!(kinds, ["a text", "a yes or no"]);
        assert_eq!(value("e").value, NodeValue::Null);
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
