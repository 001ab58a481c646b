//! The settled input of a first offer.

use std::collections::BTreeSet;

use super::sources::{ChartImage, ImageFound, Sources};
use super::texts;
use super::topics::{Origin, Topic, Value, Values, text};
use crate::offer::words::{ImageName, ImageVersion};

/// The kind of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A Helm chart with its images.
    Kubernetes,
    Image,
}

/// The price of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Licence {
    Free,
    /// The customer brings a licence.
    Byol,
    PayAsYouGo,
}

/// Everything the files of an offer are made from.
#[derive(Debug, Clone)]
pub struct Answers {
    values: Values,
    pub kind: Kind,
    pub licence: Licence,
    /// Whether Microsoft's standard contract counts.
    pub standard_contract: bool,
    /// The version of application, chart and image.
    pub version: ImageVersion,
    /// The existing chart, relative to the offer; none where a first one is written.
    pub chart: Option<String>,
    /// The version of the chart, as written.
    pub chart_version: Option<String>,
    /// The images the chart names.
    pub chart_images: Vec<ChartImage>,
    /// The image the offer makes; none where the existing chart names its own.
    pub image: Option<ImageFound>,
    /// The day of the image, as `2026-11-29`.
    pub today: String,
}

impl Answers {
    /// The answers from the values and the sources.
    #[must_use]
    pub fn new(values: Values, sources: &Sources, today: String) -> Self {
        let kind = match text(&values, Topic::Kind) {
            "image" => Kind::Image,
            _ => Kind::Kubernetes,
        };
        let licence = match text(&values, Topic::Licence) {
            "free" => Licence::Free,
            "payAsYouGo" => Licence::PayAsYouGo,
            _ => Licence::Byol,
        };
        let chart = sources.chart.as_ref().filter(|_| kind == Kind::Kubernetes);
        let is_made = kind == Kind::Image || chart.is_none() || sources.image.is_some();
        Self {
            kind,
            licence,
            standard_contract: text(&values, Topic::Terms) != "own",
            version: sources.version(kind),
            chart: chart.map(|chart| chart.path.clone()),
            chart_version: chart.map(|chart| chart.version.clone()),
            chart_images: chart.map(|chart| chart.images.clone()).unwrap_or_default(),
            image: is_made.then(|| sources.image.clone().unwrap_or_default()),
            today,
            values,
        }
    }

    #[must_use]
    pub fn text(&self, topic: Topic) -> &str {
        text(&self.values, topic)
    }

    /// The topics with a placeholder as value.
    #[must_use]
    pub fn placeholders(&self) -> BTreeSet<Topic> {
        let is_placeholder = |value: &Value| value.origin == Origin::Placeholder;
        self.values.iter().filter(|(_, v)| is_placeholder(v)).map(|(topic, _)| *topic).collect()
    }

    /// The text behind a value in the file: empty, or the reminder to replace it.
    #[must_use]
    pub fn mark(&self, topic: Topic) -> &'static str {
        if self.placeholders().contains(&topic) { "  # replace" } else { "" }
    }

    /// The chart's name for the image made here: the one of this repository, else its first.
    #[must_use]
    pub fn image_name(&self) -> &str {
        let (registry, name) = (self.text(Topic::Registry), self.text(Topic::Repository));
        let wanted = format!("{registry}/{name}");
        let mut named = self.chart_images.iter().filter(|image| image.is_of_azure);
        let mut fitting = named.clone().filter(|image| image.location == wanted);
        let image = fitting.next().or_else(|| named.next());
        image
            .map(|image| image.name.as_str())
            .filter(|name| name.parse::<ImageName>().is_ok())
            .unwrap_or(texts::IMAGE_NAME)
    }

    /// Whether Kubernetes plans can have the image, as far as its platforms are known.
    #[must_use]
    pub fn runs_on_amd64(&self) -> bool {
        let platforms = self.image.iter().flat_map(|image| &image.platforms);
        let mut platforms = platforms.map(ToString::to_string).peekable();
        self.kind == Kind::Image
            || platforms.peek().is_none()
            || platforms.any(|platform| platform == "linux/amd64")
    }

    /// Every value without a flag or an answer, with its source.
    pub fn taken(&self) -> impl Iterator<Item = (Topic, &Value)> {
        let is_taken = |value: &Value| value.origin != Origin::Given;
        self.values.iter().filter(move |(_, value)| is_taken(value)).map(|(at, value)| (*at, value))
    }

    /// The note about an existing chart with a version no manifest can repeat.
    #[must_use]
    pub fn version_note(&self) -> Option<String> {
        let chart = self.chart_version.as_deref()?;
        let version = self.full_version();
        (chart != version).then(|| {
            format!(
                "the chart has version {chart}; a manifest takes three numbers alone, so manifest.yaml \
                 has {version}: write that into Chart.yaml, too (K8S-016)"
            )
        })
    }

    /// The three numbers of the version, as a manifest wants them.
    #[must_use]
    pub fn full_version(&self) -> String {
        let [major, minor, patch] = self.version.numbers();
        format!("{major}.{minor}.{patch}")
    }
}
