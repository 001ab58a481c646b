//! A saved resource tree: the answer to `GET resource-tree/product/ID?targetType=…` of the Product
//! Ingestion API, kept in a file (facts of PIA, PIAC, CLI-C). Several pages of one answer are an
//! array.
//!
//! Invariant: a tree is of one offer, whole, and bounded; each resource stays as it was, with every
//! key unknown here.

mod technical;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

pub use self::technical::{PlanBundle, SavedTechnical};
use crate::input;

/// Largest file, in bytes; an offer of 100 plans in ten languages has less than 2 MiB.
pub const TREE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Most resources of one tree.
const RESOURCES_MAX: usize = 20_000;
/// Most pages of one answer.
const PAGES_MAX: usize = 1000;

/// The target of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TreeTarget {
    /// The unsubmitted draft.
    Draft,
    /// The preview, for its audience only.
    Preview,
    /// The live offer, for customers.
    Live,
}

impl TreeTarget {
    /// `targetType` as the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Preview => "preview",
            Self::Live => "live",
        }
    }
}

#[derive(Debug, Clone)]
pub struct ResourceTree {
    file: PathBuf,
    target: TreeTarget,
    resources: Vec<TreeResource>,
    /// The place of the product.
    product: usize,
}

/// One resource of a tree.
#[derive(Debug, Clone, PartialEq)]
pub struct TreeResource {
    /// The name of its schema without the version: `plan`, `listing-asset`.
    pub kind: String,
    /// The version of its schema: `2022-03-01-preview3`.
    pub version: String,
    pub value: Map<String, Value>,
}

/// Why a file is no tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// It cannot be read.
    #[error("cannot read the resource tree {}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    /// It is too large.
    #[error("the resource tree {} has more than {TREE_BYTES_MAX} bytes", file.display())]
    TooLarge { file: PathBuf },
    /// It is no JSON.
    #[error("{}:{} is no JSON; save what `GET resource-tree/product/ID` answers", file.display(), source.line())]
    NoJson { file: PathBuf, source: serde_json::Error },
    /// It is JSON and not such a tree.
    #[error("{} is no resource tree: {at}: {reason}; save what `GET resource-tree/product/ID?targetType=live` answers", file.display())]
    Shape {
        file: PathBuf,
        /// The place as a path of keys: `resources[3].$schema`.
        at: String,
        reason: String,
    },
}

impl ResourceTree {
    /// Reads the tree of a file.
    pub fn open(file: &Path) -> Result<Self, TreeError> {
        let failed = |source| TreeError::Read { file: file.to_owned(), source };
        let mut bytes = Vec::new();
        let opened = input::open(file).map_err(failed)?;
        opened.take(TREE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        Self::parse(file, &bytes)
    }

    /// Reads a tree from bytes; `file` is for messages.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self, TreeError> {
        if bytes.len() as u64 > TREE_BYTES_MAX {
            return Err(TreeError::TooLarge { file: file.to_owned() });
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|source| TreeError::NoJson { file: file.to_owned(), source })?;
        let shape = |(at, reason)| TreeError::Shape { file: file.to_owned(), at, reason };
        let (target, resources) = pages(value).map_err(shape)?;
        let product = the_product(&resources).map_err(shape)?;
        Ok(Self { file: file.to_owned(), target, resources, product })
    }

    /// The file, as it was named.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Its target.
    #[must_use]
    pub const fn target(&self) -> TreeTarget {
        self.target
    }

    /// Every resource, in the order of the file.
    #[must_use]
    pub fn resources(&self) -> &[TreeResource] {
        &self.resources
    }

    /// The resources of a kind: the name of a schema without its version.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a TreeResource> {
        self.resources.iter().filter(move |resource| resource.kind == kind)
    }

    /// The offer itself. A tree without one cannot be made.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the place was found when the tree was read")]
    pub fn product(&self) -> &TreeResource {
        self.resources.get(self.product).expect("a tree has a product")
    }

    /// The offer's ID; empty where the tree does not say it.
    #[must_use]
    pub fn offer_id(&self) -> &str {
        self.product().external_id().unwrap_or_default()
    }

    /// The plan with this external ID.
    #[must_use]
    pub fn plan(&self, external_id: &str) -> Option<&TreeResource> {
        self.of_kind("plan").find(|plan| plan.external_id() == Some(external_id))
    }

    /// A plan's resources of one kind.
    pub fn of_plan<'a>(
        &'a self,
        kind: &'a str,
        plan: &'a TreeResource,
    ) -> impl Iterator<Item = &'a TreeResource> {
        self.of_kind(kind).filter(move |resource| {
            resource.value.get("plan").is_some_and(|reference| plan.is_meant_by(reference))
        })
    }

    /// The plan a resource belongs to.
    #[must_use]
    pub fn plan_of(&self, resource: &TreeResource) -> Option<&TreeResource> {
        let reference = resource.value.get("plan")?;
        self.of_kind("plan").find(|plan| plan.is_meant_by(reference))
    }

    /// The same without a version of a plan's bundle that has another digest.
    #[must_use]
    pub fn without_other(
        mut self,
        plan: &str,
        repository: &str,
        version: &str,
        digest: &str,
    ) -> Self {
        let Some(plan) = self.plan(plan).cloned() else { return self };
        let is_other = |value: &Value| {
            let text = |key: &str| value.get(key).and_then(Value::as_str);
            text("repositoryName") == Some(repository)
                && text("tag") == Some(version)
                && text("digest").is_some_and(|known| !known.eq_ignore_ascii_case(digest))
        };
        for resource in &mut self.resources {
            let is_of_plan = resource.value.get("plan").is_some_and(|at| plan.is_meant_by(at));
            if is_of_plan && let Some(Value::Array(list)) = resource.value.get_mut("cnabReferences")
            {
                list.retain(|value| !is_other(value));
            }
        }
        self
    }

    /// The content of a plan, for customers.
    #[must_use]
    pub fn technical<'a>(&'a self, plan: &'a TreeResource) -> Option<SavedTechnical<'a>> {
        self.of_plan("container-plan-technical-configuration", plan).next().map(SavedTechnical::of)
    }
}

impl TreeResource {
    /// Its durable ID: `plan/PRODUCT/PLAN`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.text("id")
    }

    /// The ID the publisher gave; samples spell it in two ways.
    #[must_use]
    pub fn external_id(&self) -> Option<&str> {
        let identity = self.value.get("identity")?;
        ["externalId", "externalID"].iter().find_map(|key| identity.get(key)?.as_str())
    }

    /// The text of a key.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.value.get(key)?.as_str()
    }

    /// The texts of a list; values of other kinds are left out.
    #[must_use]
    pub fn texts(&self, key: &str) -> Vec<&str> {
        texts(self.value.get(key))
    }

    /// The clouds of a plan.
    #[must_use]
    pub fn regions(&self) -> Vec<&str> {
        self.texts("azureRegions")
    }

    /// Whether it is no longer sold: deprecated or deleted.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.text("lifecycleState").is_some_and(|state| state != "generallyAvailable")
    }

    /// Whether a reference means this one: its durable ID, its external ID, or its name in a payload.
    #[must_use]
    pub fn is_meant_by(&self, reference: &Value) -> bool {
        let is = |mine: Option<&str>, theirs: Option<&Value>| {
            mine.is_some() && mine == theirs.and_then(Value::as_str)
        };
        match reference {
            Value::String(_) => is(self.id(), Some(reference)),
            Value::Object(keys) => {
                is(self.id(), keys.get("id"))
                    || is(self.external_id(), keys.get("externalId"))
                    || is(self.external_id(), keys.get("externalID"))
                    || is(self.text("resourceName"), keys.get("resourceName"))
            }
            _ => false,
        }
    }
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The place of a fault, and the fault.
type Fault = (String, String);

/// One answer, or its pages.
fn pages(value: Value) -> Result<(TreeTarget, Vec<TreeResource>), Fault> {
    let is_list = value.is_array();
    let pages = match value {
        Value::Array(pages) => pages,
        page => vec![page],
    };
    if pages.is_empty() || pages.len() > PAGES_MAX {
        let reason = format!("there are {} pages; 1 to {PAGES_MAX} are read", pages.len());
        return Err(("the file".to_owned(), reason));
    }
    let count = pages.len();
    let mut target = None;
    let mut resources = Vec::new();
    for (number, page) in pages.into_iter().enumerate() {
        let at = if is_list { format!("[{number}]") } else { String::new() };
        let found = read_page(&at, page, number + 1 == count, &mut resources)?;
        if *target.get_or_insert(found) != found {
            return Err((at, "this page is of another target than the one before".to_owned()));
        }
    }
    Ok((target.unwrap_or(TreeTarget::Draft), resources))
}

/// Adds the resources of a page, and says its target.
fn read_page(
    at: &str,
    page: Value,
    is_last: bool,
    resources: &mut Vec<TreeResource>,
) -> Result<TreeTarget, Fault> {
    let key = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    let Value::Object(mut page) = page else {
        return Err((key("the file"), "it is no object".to_owned()));
    };
    if let Some(schema) = page.get("$schema").and_then(Value::as_str) {
        let is_tree = schema_name(schema).is_some_and(|(kind, _)| kind == "resource-tree");
        if !is_tree {
            let reason = format!("`{}` is another document", shortened(schema));
            return Err((key("$schema"), reason));
        }
    }
    // A part would make everything else look as if it were gone.
    let goes_on = page.get("@nextLink").and_then(Value::as_str).is_some_and(|at| !at.is_empty());
    if goes_on && is_last {
        let reason = "the answer goes on there; save every page, and write them as one JSON array";
        return Err((key("@nextLink"), reason.to_owned()));
    }
    let target = target(page.get("target")).map_err(|reason| (key("target"), reason))?;
    let Some(Value::Array(values)) = page.remove("resources") else {
        return Err((key("resources"), "there is no list of this name".to_owned()));
    };
    if resources.len() + values.len() > RESOURCES_MAX {
        let reason = format!("there are more than {RESOURCES_MAX} resources");
        return Err((key("resources"), reason));
    }
    for (place, value) in values.into_iter().enumerate() {
        let resource = saved(value)
            .map_err(|(name, reason)| (key(&format!("resources[{place}]{name}")), reason))?;
        resources.push(resource);
    }
    Ok(target)
}

/// The API answers with the draft when nothing else is asked for.
fn target(value: Option<&Value>) -> Result<TreeTarget, String> {
    let Some(value) = value else { return Ok(TreeTarget::Draft) };
    let written = value.get("targetType").unwrap_or(value);
    match written.as_str() {
        Some("draft") => Ok(TreeTarget::Draft),
        Some("preview") => Ok(TreeTarget::Preview),
        Some("live") => Ok(TreeTarget::Live),
        Some(other) => Err(format!("`{}` is none of draft, preview, live", shortened(other))),
        None => Err("it has no `targetType`".to_owned()),
    }
}

fn saved(value: Value) -> Result<TreeResource, Fault> {
    let Value::Object(value) = value else {
        return Err((String::new(), "it is no object".to_owned()));
    };
    let schema = value.get("$schema").and_then(Value::as_str).unwrap_or_default();
    let Some((kind, version)) = schema_name(schema) else {
        let reason = format!("`{}` is no address of a schema", shortened(schema));
        return Err((".$schema".to_owned(), reason));
    };
    let (kind, version) = (kind.to_owned(), version.to_owned());
    Ok(TreeResource { kind, version, value })
}

/// The name and the version of a schema, on any host: `…/schema/plan/2022-03-01-preview2`.
#[must_use]
pub fn schema_name(address: &str) -> Option<(&str, &str)> {
    let (_, path) = address.split_once("/schema/")?;
    let (kind, version) = path.split_once('/')?;
    let is_kind = !kind.is_empty()
        && kind.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
    let is_version = version.starts_with(|c: char| c.is_ascii_digit()) && !version.contains('/');
    (is_kind && is_version).then_some((kind, version))
}

fn the_product(resources: &[TreeResource]) -> Result<usize, Fault> {
    let mut places = resources.iter().enumerate().filter(|(_, at)| at.kind == "product");
    let first = places.next();
    match (first, places.next()) {
        (Some((place, _)), None) => Ok(place),
        (None, _) => Err(("resources".to_owned(), "there is no `product`".to_owned())),
        (_, Some((place, _))) => {
            Err((format!("resources[{place}]"), "it is a second `product`".to_owned()))
        }
    }
}

/// A text of the file, short enough for a message.
fn shortened(text: &str) -> String {
    const CHARS: usize = 80;
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().take(CHARS).map(clean).collect()
}

#[cfg(test)]
mod tests;
