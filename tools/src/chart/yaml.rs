//! YAML of a chart, and the message about a file of other text.

use crate::yaml::{self, Bounds, Node, Spot, Stop};

/// Most values, keys and lists of one file together.
const NODES_MAX: usize = 200_000;
/// Deepest nesting.
const DEPTH_MAX: usize = 100;

/// Why a file is no YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlFault {
    /// The file, by its path in the chart.
    pub file: String,
    pub spot: Spot,
    pub message: String,
}

impl YamlFault {
    fn new(file: &str, spot: Spot, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), spot, message: message.into() }
    }

    /// The file is no text.
    pub(super) fn not_utf8(file: &str) -> Self {
        Self::new(file, Spot::START, "the file is not UTF-8; save it as UTF-8")
    }

    /// A wrong value in it.
    pub(super) fn at(file: &str, node: &Node, message: impl Into<String>) -> Self {
        Self::new(file, node.spot, message)
    }
}

/// The one document of a file; nothing when it is empty.
pub fn one(file: &str, text: &str) -> Result<Option<Node>, YamlFault> {
    let mut documents = all(file, text)?;
    match documents.len() {
        0 => Ok(None),
        1 => Ok(documents.pop()),
        _ => {
            let second = documents.get(1).map_or(Spot::START, |node| node.spot);
            Err(YamlFault::new(file, second, "a second document; Helm reads the first only"))
        }
    }
}

/// All documents of a file.
pub fn all(file: &str, text: &str) -> Result<Vec<Node>, YamlFault> {
    let bounds = Bounds { depth: DEPTH_MAX, values: NODES_MAX, documents: usize::MAX };
    let reading = yaml::read(text, bounds);
    let (spot, message) = match reading.stop {
        None => return Ok(reading.documents),
        Some(Stop::Syntax(spot, _, info)) => (spot, info),
        Some(Stop::Deep(spot)) => (spot, format!("nested deeper than {DEPTH_MAX}")),
        Some(Stop::Large(spot)) => (spot, format!("more than {NODES_MAX} values")),
    };
    Err(YamlFault::new(file, spot, message))
}
