//! The images of a chart: the entries under `global.azure.images` of its values, where Microsoft's
//! packaging tool looks for them (AC-technical-assets-kubernetes).

use crate::yaml::{Node, Spot, Value};

/// The keys of the images' mapping.
pub const IMAGES: [&str; 3] = ["global", "azure", "images"];

/// An image under `global.azure.images`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartImage {
    pub name: String,
    pub spot: Spot,
    /// Whether it is a mapping at all.
    pub is_mapping: bool,
    /// The registry, without a repository.
    pub registry: Option<String>,
    pub image: Option<String>,
    pub digest: Option<String>,
    pub tag: Option<String>,
}

/// Whether a variable of a container may hold an image: by its name, and by its value.
#[must_use]
pub fn is_image_variable(name: &str, value: &str) -> bool {
    let other = ["POLICY", "SIZE", "SECRET", "SECRETS"];
    let is_named = name.split('_').any(|part| part == "IMAGE")
        && !name.rsplit('_').next().is_some_and(|last| other.contains(&last));
    let is_number = value.bytes().all(|letter| letter.is_ascii_digit() || letter == b'.');
    is_named && !is_number && !matches!(value, "true" | "false")
}

/// Reads them from the values of a chart.
pub(super) fn read(values: &Node) -> Vec<ChartImage> {
    let Some(images) = values.find(&IMAGES) else { return Vec::new() };
    let entries = images.entries().iter();
    entries.filter_map(|(name, node)| ChartImage::of(name, node)).collect()
}

impl ChartImage {
    fn of(name: &Node, node: &Node) -> Option<Self> {
        let said = |key: &str| node.get(key).and_then(Node::said).map(str::to_owned);
        Some(Self {
            name: name.text()?.to_owned(),
            spot: name.spot,
            is_mapping: matches!(node.value, Value::Map(_)),
            registry: said("registry"),
            image: said("image"),
            digest: said("digest"),
            tag: said("tag"),
        })
    }

    /// Every reference a template may make of it.
    #[must_use]
    pub fn references(&self) -> Vec<String> {
        let (Some(registry), Some(image)) = (&self.registry, &self.image) else {
            return Vec::new();
        };
        let base = format!("{registry}/{image}");
        let tagged = self.tag.as_ref().map(|tag| format!("{base}:{tag}"));
        let pinned = self.digest.as_ref().map(|digest| format!("{base}@{digest}"));
        let both = self.tag.as_ref().zip(self.digest.as_ref());
        let both = both.map(|(tag, digest)| format!("{base}:{tag}@{digest}"));
        pinned.into_iter().chain(both).chain(tagged).collect()
    }
}
