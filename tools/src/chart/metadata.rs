//! The metadata of a chart in `Chart.yaml`.

use super::ChartFile;
use super::yaml::{self, YamlFault};
use crate::yaml::{Node, Spot, Value};

/// The content of `Chart.yaml`. A missing value, or one of another kind, is none; rules report it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `v2` for Helm 3.
    pub api_version: Option<SpannedText>,
    pub name: Option<SpannedText>,
    pub version: Option<SpannedText>,
    /// `application`, or `library`.
    pub kind: Option<SpannedText>,
    /// Its range of versions of Kubernetes.
    pub kube_version: Option<SpannedText>,
    /// The charts it needs.
    pub dependencies: Vec<ChartDependency>,
}

/// A text with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpannedText {
    pub text: String,
    pub spot: Spot,
}

/// A chart needed by another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartDependency {
    pub name: String,
    /// Its source; none for one in `charts`.
    pub repository: Option<String>,
    pub spot: Spot,
}

impl SpannedText {
    fn of(node: &Node) -> Option<Self> {
        Some(Self { text: node.said()?.to_owned(), spot: node.spot })
    }
}

/// Reads a `Chart.yaml`.
pub(super) fn read(file: Option<&ChartFile>) -> Result<Metadata, YamlFault> {
    let Some(file) = file else { return Ok(Metadata::default()) };
    let Some(text) = file.text() else { return Err(YamlFault::not_utf8(&file.path)) };
    let Some(node) = yaml::one(&file.path, text)? else { return Ok(Metadata::default()) };
    if !matches!(node.value, Value::Map(_)) {
        return Err(YamlFault::at(&file.path, &node, "this is no mapping of keys to values"));
    }
    let word = |key: &str| node.get(key).and_then(SpannedText::of);
    let items = node.get("dependencies").map(Node::items).unwrap_or_default();
    let dependencies = items.iter().filter_map(|item| {
        let text = |key: &str| item.get(key).and_then(Node::said).map(str::to_owned);
        Some(ChartDependency {
            name: text("name")?,
            repository: text("repository"),
            spot: item.spot,
        })
    });
    Ok(Metadata {
        api_version: word("apiVersion"),
        name: word("name"),
        version: word("version"),
        kind: word("type"),
        kube_version: word("kubeVersion"),
        dependencies: dependencies.collect(),
    })
}
