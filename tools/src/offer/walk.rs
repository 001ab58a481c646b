//! A refused offer, value by value beside the schema: every fault, not only the first. The message
//! about each is in `faults`.
//!
//! Invariant: time and memory are linear in the size of the file. The costly search for the
//! intended word is left to `faults`, for its few reported faults.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Map, Value as Part};

use super::forms::{self, QUOTED};
use super::layers::Layer;
use super::origin::ImageSource;
use super::parse::{self, reads_as};
use super::plans::{
    self, KUBERNETES_NEEDS, NO_KIND, NOT_BILLED, OF_IMAGE, OF_KUBERNETES, WrittenKind,
};
use super::schema::{DEFINITIONS, admits, choices, referred};
use super::source_map::Spot;
use super::tree::{Foreign, OfferTree, TreeEntry, TreeNode, TreeValue};
use crate::secret_keys;

/// The definition of a secret's place in the schema.
const SECRET: &str = "Secret";

/// One fault with its place.
#[derive(Debug)]
pub(super) struct SchemaFault<'a> {
    pub(super) spot: Spot,
    pub(super) what: SchemaFaultKind<'a>,
}

/// The kind of a fault.
#[derive(Debug)]
pub(super) enum SchemaFaultKind<'a> {
    /// YAML an offer has not.
    Foreign(Foreign),
    /// The merge key, `<<`.
    MergeKey,
    /// A list or a mapping as a key.
    NoWord,
    /// A repeated key.
    Twice(&'a str),
    /// A key outside the known ones.
    UnknownKey { key: &'a str, known: &'a Map<String, Part> },
    /// A missing key; its part of the schema.
    Missing { key: &'a str, property: Option<&'a Part> },
    /// The same, where the kind of a plan asks for it.
    MissingOfKind { message: String, key: &'static str, property: Option<&'a Part> },
    /// A word outside the choices of this part.
    UnknownWord { word: &'a str, part: &'a Part },
    /// Another type than this part has; the key it stands behind.
    Type { found: &'a TreeValue, part: &'a Part, key: Option<&'a str> },
    /// A word against its rule; a correct example.
    Word { message: String, example: &'static str },
    /// A secret, in clear.
    Literal,
    /// A wrong value in a secret's place; it may be the secret.
    NoSecret(&'static str),
    /// In words already.
    Said(String),
}

/// All a walk finds.
#[derive(Debug, Default)]
pub(super) struct WalkResult<'a> {
    /// The faults, in the order of the file.
    pub(super) faults: Vec<SchemaFault<'a>>,
    /// Lines with a possible secret: the first hidden column.
    pub(super) secrets: BTreeMap<usize, usize>,
}

/// Finds every fault of a tree.
pub(super) fn walk<'a>(text: &'a str, tree: &'a OfferTree, schema: &'a Part) -> WalkResult<'a> {
    walk_part(text, tree, schema, schema)
}

/// The same for a part of an offer's text.
pub(super) fn walk_part<'a>(
    text: &'a str,
    tree: &'a OfferTree,
    schema: &'a Part,
    part: &'a Part,
) -> WalkResult<'a> {
    let Some(Part::Object(definitions)) = schema.get(DEFINITIONS) else {
        return WalkResult::default();
    };
    let secret = with_secrets(definitions);
    let mut walk = Walk { text, definitions, secret, found: WalkResult::default() };
    for (spot, foreign) in &tree.foreign {
        walk.add(*spot, SchemaFaultKind::Foreign(*foreign));
    }
    walk.value(&tree.root, part, None);
    walk.found.faults.sort_by_key(|fault| fault.spot);
    walk.found
}

struct Walk<'a> {
    text: &'a str,
    definitions: &'a Map<String, Part>,
    /// The definitions with a secret anywhere below.
    secret: BTreeSet<&'a str>,
    found: WalkResult<'a>,
}

/// A part of the schema with its name.
type Named<'a> = (Option<&'a str>, &'a Part);

impl<'a> Walk<'a> {
    fn add(&mut self, spot: Spot, what: SchemaFaultKind<'a>) {
        self.found.faults.push(SchemaFault { spot, what });
    }

    fn value(&mut self, node: &'a TreeNode, part: &'a Part, key: Option<&'a str>) {
        if matches!(node.value, TreeValue::Refused) {
            if holds(part, &self.secret) {
                self.hide(node);
            }
            return;
        }
        let before = self.found.faults.len();
        let (name, chosen) = match self.choose(node, None, part) {
            Some(chosen) => chosen,
            None if is_secret(part) => (Some(SECRET), part),
            None => {
                if holds(part, &self.secret) {
                    self.hide(node);
                }
                return self
                    .add(node.spot, SchemaFaultKind::Type { found: &node.value, part, key });
            }
        };
        match &node.value {
            _ if name == Some(SECRET) => self.secret(node),
            TreeValue::Scalar { text, is_plain } => {
                self.scalar(node, (text, *is_plain), (name, chosen), (part, key));
            }
            TreeValue::List(items) => {
                if let Some(part) = chosen.get("items") {
                    for item in items {
                        self.value(item, part, None);
                    }
                }
            }
            TreeValue::Mapping(entries) => self.mapping(node, entries, (name, chosen), (part, key)),
            TreeValue::Refused => {}
        }
        if name == Some("Layer") && self.found.faults.len() == before {
            self.layer(node);
        }
    }

    /// The part of the schema for a value of this type.
    fn choose(&self, node: &TreeNode, name: Option<&'a str>, part: &'a Part) -> Option<Named<'a>> {
        let named = referred(part);
        let part = named.map_or(Some(part), |name| self.definitions.get(name))?;
        let name = named.or(name);
        let several = ["anyOf", "oneOf"].into_iter().find_map(|key| part.get(key)?.as_array());
        match several {
            Some(several) if choices(part).is_none() => {
                several.iter().find_map(|part| self.choose(node, name, part))
            }
            _ => admits(part, &node.value).then_some((name, part)),
        }
    }

    fn scalar(
        &mut self,
        node: &'a TreeNode,
        (text, is_plain): (&'a str, bool),
        (name, part): Named<'a>,
        (whole, key): (&'a Part, Option<&'a str>),
    ) {
        let type_fault = SchemaFaultKind::Type { found: &node.value, part: whole, key };
        if let Some(words) = choices(part) {
            if !words.contains(&text) {
                self.add(node.spot, SchemaFaultKind::UnknownWord { word: text, part });
            }
        } else if let Some(word) = name.and_then(forms::word) {
            if let Err(message) = (word.check)(text) {
                self.add(node.spot, SchemaFaultKind::Word { message, example: word.example });
            }
        } else if name.is_some_and(|name| QUOTED.contains(&name)) {
            let is_other = part.get("const").is_some_and(|known| known != text);
            if is_other || (is_plain && !reads_as::<String>(text, is_plain, true)) {
                self.add(node.spot, type_fault);
            } else if name == Some("ImageSource")
                && let Err(message) = text.parse::<ImageSource>()
            {
                self.add(node.spot, SchemaFaultKind::Said(message));
            }
        } else {
            let kind =
                part.get("type").and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str()));
            let fits = match kind {
                Some("integer") => reads_as::<u64>(text, is_plain, false),
                Some("number") => reads_as::<f64>(text, is_plain, false),
                Some("boolean") => reads_as::<bool>(text, is_plain, false),
                _ => true,
            };
            if !fits && !node.value.is_nothing() {
                self.add(node.spot, type_fault);
            }
        }
    }

    fn mapping(
        &mut self,
        node: &'a TreeNode,
        entries: &'a [TreeEntry],
        (name, part): Named<'a>,
        (whole, at): (&'a Part, Option<&'a str>),
    ) {
        let properties = part.get("properties").and_then(Part::as_object);
        let free = part.get("additionalProperties").filter(|free| free.is_object());
        let mut seen = HashSet::new();
        let mut unknown = Vec::new();
        for entry in entries {
            let Some(key) = entry.key.as_deref() else {
                self.add(entry.spot, SchemaFaultKind::NoWord);
                continue;
            };
            if key == "<<" {
                self.add(entry.spot, SchemaFaultKind::MergeKey);
                continue;
            }
            if !seen.insert(key) {
                self.add(entry.spot, SchemaFaultKind::Twice(key));
            }
            match (properties.and_then(|known| known.get(key)), free) {
                (Some(property), _) => self.value(&entry.node, property, Some(key)),
                (None, Some(free)) => {
                    self.free_key(entry, key, part);
                    if secret_keys::names_secret(key) && !holds(free, &self.secret) {
                        self.hide_behind(entry);
                    }
                    self.value(&entry.node, free, Some(key));
                }
                (None, None) => unknown.extend(properties.map(|known| (entry.spot, key, known))),
            }
        }
        let required = part.get("required").and_then(Part::as_array);
        for key in required.into_iter().flatten().filter_map(Part::as_str) {
            if !seen.contains(key) && !is_meant(key, &unknown) {
                let property = properties.and_then(|known| known.get(key));
                self.add(node.spot, SchemaFaultKind::Missing { key, property });
            }
        }
        let has_secrets = properties.is_some_and(|known| known.values().any(is_secret));
        if free.is_none()
            && let Some(known) = properties
        {
            self.hide_unknown(entries, known, has_secrets);
        }
        for (spot, key, known) in unknown {
            let what = if has_secrets && !is_key(key) {
                SchemaFaultKind::Said(NO_KEY.to_owned())
            } else {
                SchemaFaultKind::UnknownKey { key, known }
            };
            self.add(spot, what);
        }
        let most = part.get("maxProperties").and_then(Part::as_u64);
        if most.is_some_and(|most| most != entries.len() as u64) {
            self.add(node.spot, SchemaFaultKind::Type { found: &node.value, part: whole, key: at });
        }
        if name == Some("Plan") {
            self.kind(node, entries, &seen, properties);
        }
    }

    /// A free key: any word of a kind.
    fn free_key(&mut self, entry: &TreeEntry, key: &str, part: &Part) {
        let word = part.get("propertyNames").and_then(referred).and_then(forms::word);
        if let Some(word) = word
            && let Err(message) = (word.check)(key)
        {
            self.add(entry.spot, SchemaFaultKind::Word { message, example: word.example });
        }
    }

    /// The keys of its kind that a plan lacks, and the keys of the other kind that it has.
    fn kind(
        &mut self,
        node: &'a TreeNode,
        entries: &'a [TreeEntry],
        seen: &HashSet<&str>,
        properties: Option<&'a Map<String, Part>>,
    ) {
        let kind = match word_of(entries, "kind") {
            Some("kubernetes") => WrittenKind::Kubernetes,
            Some("image") => WrittenKind::Image,
            None if !seen.contains("kind") && seen.contains("image") => WrittenKind::Image,
            None if !seen.contains("kind") => {
                return self.add(node.spot, SchemaFaultKind::Said(NO_KIND.to_owned()));
            }
            _ => return,
        };
        let (needs, others): (&[&'static str], &[&'static str]) = match kind {
            WrittenKind::Image => (&["image"], &OF_KUBERNETES),
            WrittenKind::Kubernetes => (&KUBERNETES_NEEDS, &OF_IMAGE),
        };
        for key in needs.iter().copied().filter(|key| !seen.contains(key)) {
            let property = properties.and_then(|known| known.get(key));
            let message = plans::missing(kind, key);
            self.add(node.spot, SchemaFaultKind::MissingOfKind { message, key, property });
        }
        for entry in entries {
            let key = entry.key.as_deref().unwrap_or_default();
            if others.contains(&key) {
                self.add(entry.spot, SchemaFaultKind::Said(plans::of_the_other(kind, key)));
            } else if key == "licence"
                && kind == WrittenKind::Image
                && word_of(std::slice::from_ref(entry), key) == Some("payAsYouGo")
            {
                self.add(entry.node.spot, SchemaFaultKind::Said(NOT_BILLED.to_owned()));
            }
        }
    }

    /// The rules of a secret's place: no message ever repeats any of its text.
    fn secret(&mut self, node: &'a TreeNode) {
        let TreeValue::Mapping(entries) = &node.value else {
            if !node.value.is_nothing() {
                self.hide(node);
                self.add(node.spot, SchemaFaultKind::Literal);
            }
            return;
        };
        let Some(Part::Object(known)) =
            self.definitions.get(SECRET).and_then(|part| part.get("properties"))
        else {
            return;
        };
        if entries.len() != 1 {
            self.add(node.spot, SchemaFaultKind::NoSecret(ONE_SECRET));
        }
        for entry in entries {
            let key = entry.key.as_deref().unwrap_or_default();
            let fault = match (&entry.node.value, key) {
                (_, key) if !known.contains_key(key) => Some(SchemaFaultKind::NoSecret(ONE_SECRET)),
                (TreeValue::Scalar { text, .. }, "env") if !super::secrets::is_variable(text) => {
                    Some(SchemaFaultKind::NoSecret(NO_VARIABLE))
                }
                (TreeValue::Scalar { text, .. }, "keyVault" | "file") => {
                    let (word, said) = match key {
                        "file" => ("RelativePath", NO_FILE),
                        _ => ("KeyVaultSecret", NO_KEY_VAULT),
                    };
                    let fits = forms::word(word).is_none_or(|word| (word.check)(text).is_ok());
                    (!fits).then_some(SchemaFaultKind::NoSecret(said))
                }
                (TreeValue::Scalar { .. }, _) => None,
                _ => Some(SchemaFaultKind::NoSecret(ONE_SECRET)),
            };
            let Some(what) = fault else { continue };
            self.hide(&entry.node);
            // A text in the form of a key may be the secret.
            let is_known = known.contains_key(key);
            let spot = if is_known { entry.node.spot } else { entry.spot };
            if !is_known {
                self.hide_from(entry.spot);
            }
            self.add(spot, what);
        }
    }

    /// Hides the values of unknown keys: a misspelt one may be a secret's.
    fn hide_unknown(
        &mut self,
        entries: &[TreeEntry],
        known: &Map<String, Part>,
        has_secrets: bool,
    ) {
        for entry in entries {
            match entry.key.as_deref() {
                Some(key) if known.contains_key(key) => {}
                Some("<<") | None if !has_secrets => {}
                Some(key) if is_key(key) || !has_secrets => self.hide_behind(entry),
                _ => {
                    self.hide_from(entry.spot);
                    self.hide_lines(entry.spot, &entry.node);
                }
            }
        }
    }

    /// Never shows these lines from here on.
    fn hide(&mut self, node: &TreeNode) {
        self.hide_from(node.spot);
        self.hide_lines(node.spot, node);
    }

    /// Shows the key alone.
    fn hide_behind(&mut self, entry: &TreeEntry) {
        let Spot { column, width, .. } = entry.spot;
        self.hide_from(Spot { column: column + width + 2, ..entry.spot });
        self.hide_lines(entry.spot, &entry.node);
    }

    /// Hides the other lines of a value; a mapping's end may stand far below it.
    fn hide_lines(&mut self, first: Spot, node: &TreeNode) {
        let slice = self.text.get(node.bytes.0..node.bytes.1).unwrap_or_default();
        let below = slice.get(slice.trim_end().len()..).unwrap_or_default();
        let last = node.end_line.saturating_sub(below.matches('\n').count());
        for line in first.line + 1..=last {
            self.found.secrets.insert(line, 1);
        }
    }

    fn hide_from(&mut self, spot: Spot) {
        let column = self.found.secrets.entry(spot.line).or_insert(spot.column);
        *column = spot.column.min(*column);
    }

    /// A layer may combine valid keys wrongly: its own parser decides.
    fn layer(&mut self, node: &'a TreeNode) {
        let (start, end, column) = node.bytes;
        let Some(slice) = self.text.get(start..end) else { return };
        let alone = format!("{}{slice}", " ".repeat(column));
        if let Err(message) = parse::alone::<Layer>(&alone) {
            self.add(node.spot, SchemaFaultKind::Said(message));
        }
    }
}

/// The message for a possible secret in a key's place.
const NO_KEY: &str = "what stands here is no key, and is not shown: it may be a secret";
/// The message for a secret's place.
const ONE_SECRET: &str = "a secret is a mapping with exactly one key of: env, file, keyVault";
const NO_VARIABLE: &str =
    "this is not the name of an environment variable: use letters, digits and `_`";
const NO_KEY_VAULT: &str =
    "this is not a secret of a key vault: write VAULT/NAME, each of letters, digits and `-`";
const NO_FILE: &str =
    "this is not a path of this offer: write it relative to the folder of the offer file";

/// Whether a secret stands in this part.
fn is_secret(part: &Part) -> bool {
    let alternatives = part.get("anyOf").and_then(Part::as_array);
    referred(part) == Some(SECRET)
        || alternatives.is_some_and(|all| all.iter().any(|part| referred(part) == Some(SECRET)))
}

/// The definitions with a secret in them, or anywhere below.
fn with_secrets(definitions: &Map<String, Part>) -> BTreeSet<&str> {
    let mut found = BTreeSet::from([SECRET]);
    // Each round finds at least one more, so there are no more rounds than definitions.
    for _ in 0..definitions.len() {
        let more = definitions.iter().filter(|(_, part)| holds(part, &found));
        let more: Vec<&str> = more.map(|(name, _)| name.as_str()).collect();
        let before = found.len();
        found.extend(more);
        if found.len() == before {
            break;
        }
    }
    found
}

/// Whether one of these definitions stands in a part of the schema.
fn holds(part: &Part, definitions: &BTreeSet<&str>) -> bool {
    match part {
        Part::Object(keys) => {
            referred(part).is_some_and(|name| definitions.contains(name))
                || keys
                    .iter()
                    .filter(|(key, _)| key.as_str() != DEFINITIONS)
                    .any(|(_, part)| holds(part, definitions))
        }
        Part::Array(parts) => parts.iter().any(|part| holds(part, definitions)),
        _ => false,
    }
}

/// Whether a word has the form of a key, and not of a secret in a key's place.
fn is_key(word: &str) -> bool {
    word.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.'))
}

/// The word behind a key.
fn word_of<'a>(entries: &'a [TreeEntry], key: &str) -> Option<&'a str> {
    let entry = entries.iter().find(|entry| entry.key.as_deref() == Some(key))?;
    match &entry.node.value {
        TreeValue::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

/// Most unknown keys of one mapping for which the intended key is searched.
const MEANT_MAX: usize = 16;

/// Whether an unknown key is this one, misspelt: then the misspelling is reported, and not the
/// missing key too.
fn is_meant(key: &str, unknown: &[(Spot, &str, &Map<String, Part>)]) -> bool {
    let unknown = unknown.iter().take(MEANT_MAX);
    unknown
        .into_iter()
        .any(|(_, word, known)| parse::nearest(word, known.keys().map(String::as_str)) == Some(key))
}
