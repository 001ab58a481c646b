//! The settled input of a first offer.

use std::collections::BTreeSet;

use super::kind::OfferKind;
use super::names::IMAGE_NAME;
use super::sources::{ImageFound, NamedImage, Sources};
use super::topics::{Topic, TopicValue, ValueOrigin, Values, text};
use crate::offer::values::{ImageName, ImageVersion};

/// The price of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LicenceChoice {
    Free,
    /// The customer brings a licence.
    Byol,
    PayAsYouGo,
}

/// Everything the files of an offer are made from.
#[derive(Debug, Clone)]
pub struct Answers {
    values: Values,
    pub kind: OfferKind,
    pub licence: LicenceChoice,
    /// Whether Microsoft's standard contract counts.
    pub standard_contract: bool,
    /// The version of application, chart and image.
    pub version: ImageVersion,
    /// The existing chart, relative to the offer; none where a first one is written.
    pub chart: Option<String>,
    /// The version of the chart, as written.
    pub chart_version: Option<String>,
    /// The images the chart names.
    pub chart_images: Vec<NamedImage>,
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
            "image" => OfferKind::Image,
            _ => OfferKind::Kubernetes,
        };
        let licence = match text(&values, Topic::Licence) {
            "free" => LicenceChoice::Free,
            "payAsYouGo" => LicenceChoice::PayAsYouGo,
            _ => LicenceChoice::Byol,
        };
        let chart = sources.chart.as_ref().filter(|_| kind == OfferKind::Kubernetes);
        let is_made = kind == OfferKind::Image || chart.is_none() || sources.image.is_some();
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
        let is_placeholder = |value: &TopicValue| value.origin == ValueOrigin::Placeholder;
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
            .unwrap_or(IMAGE_NAME)
    }

    /// Whether Kubernetes plans can have the image, as far as its platforms are known.
    #[must_use]
    pub fn runs_on_amd64(&self) -> bool {
        let platforms = self.image.iter().flat_map(|image| &image.platforms);
        let mut platforms = platforms.map(ToString::to_string).peekable();
        self.kind == OfferKind::Image
            || platforms.peek().is_none()
            || platforms.any(|platform| platform == "linux/amd64")
    }

    /// Every value without a flag or an answer, with its source.
    pub fn taken(&self) -> impl Iterator<Item = (Topic, &TopicValue)> {
        let is_taken = |value: &TopicValue| value.origin != ValueOrigin::Given;
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
