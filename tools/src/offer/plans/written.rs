//! A plan's way from its written form to one of its kind: the keys each kind needs, and the keys of
//! the other.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, json};

use super::{Cluster, ImagePlan, KubernetesPlan, Licence, Plan, PlanImage, PlanKind, WrittenPlan};
use crate::offer::values::ImageId;

/// What only plans of an image have.
pub(crate) const OF_IMAGE: [&str; 2] = ["image", "resources"];
/// What only Kubernetes plans have.
pub(crate) const OF_KUBERNETES: [&str; 13] = [
    "chart",
    "manifest",
    "uiDefinition",
    "armTemplate",
    "clusters",
    "scope",
    "namespace",
    "extensionType",
    "bundle",
    "prices",
    "markets",
    "audience",
    "images",
];
/// What no Kubernetes plan is without.
pub(crate) const KUBERNETES_NEEDS: [&str; 5] =
    ["chart", "manifest", "uiDefinition", "armTemplate", "extensionType"];
/// What is said of a plan that is of no kind.
pub(crate) const NO_KIND: &str =
    "the key `kind` is missing here: write `kind: kubernetes`, or `kind: image` with an `image`";
/// What is said of an image plan that Microsoft should bill.
pub(crate) const NOT_BILLED: &str =
    "an image plan is `free` or `byol`; Microsoft bills for `kind: kubernetes` only (PLN-007)";

/// The kind of a plan, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WrittenKind {
    /// One image.
    Image,
    /// A Helm chart with its images.
    Kubernetes,
}

impl<'de> Deserialize<'de> for Plan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WrittenPlan::deserialize(deserializer)?.plan().map_err(de::Error::custom)
    }
}

impl WrittenKind {
    const fn words(self) -> &'static str {
        match self {
            Self::Image => "an image plan",
            Self::Kubernetes => "a Kubernetes plan",
        }
    }
}

impl WrittenPlan {
    /// Adds to the schema the required and the forbidden keys of each kind.
    pub(crate) fn by_kind(mut schema: Schema) -> Schema {
        let none = |keys: &[&str]| {
            keys.iter().map(|key| ((*key).to_owned(), false.into())).collect::<Map<_, _>>()
        };
        let mut of_no_image = none(&OF_KUBERNETES);
        of_no_image.insert("licence".to_owned(), json!({ "enum": ["free", "byol"] }));
        let is_kubernetes = json!({
            "properties": { "kind": { "const": "kubernetes" } }, "required": ["kind"]
        });
        schema.insert("description".to_owned(), "A plan: one variant of the offer.".into());
        schema.insert("if".to_owned(), is_kubernetes);
        schema.insert(
            "then".to_owned(),
            json!({ "required": KUBERNETES_NEEDS, "properties": none(&OF_IMAGE) }),
        );
        schema
            .insert("else".to_owned(), json!({ "required": ["image"], "properties": of_no_image }));
        schema
    }

    fn plan(mut self) -> Result<Plan, String> {
        let kind = match (self.kind, &self.image) {
            (Some(kind), _) => kind,
            // Files from before there were kinds.
            (None, Some(_)) => WrittenKind::Image,
            (None, None) => {
                return Err(NO_KIND.to_owned());
            }
        };
        let kind = match kind {
            WrittenKind::Image => PlanKind::Image(Box::new(self.image_plan()?)),
            WrittenKind::Kubernetes => PlanKind::Kubernetes(Box::new(self.kubernetes_plan()?)),
        };
        Ok(Plan {
            id: self.id,
            name: self.name,
            summary: self.summary,
            description: self.description,
            translations: self.translations,
            licence: self.licence,
            visibility: self.visibility,
            regions: self.regions,
            government_certifications: self.government_certifications,
            kind,
        })
    }

    fn image_plan(&mut self) -> Result<ImagePlan, String> {
        let are_there = [
            self.chart.is_some(),
            self.manifest.is_some(),
            self.ui_definition.is_some(),
            self.arm_template.is_some(),
            self.clusters.is_some(),
            self.scope.is_some(),
            self.namespace.is_some(),
            self.extension_type.is_some(),
            self.bundle.is_some(),
            self.prices.is_some(),
            self.markets.is_some(),
            self.audience.is_some(),
            self.images.is_some(),
        ];
        refuse(WrittenKind::Image, OF_KUBERNETES.into_iter().zip(are_there))?;
        if self.licence == Licence::PayAsYouGo {
            return Err(NOT_BILLED.to_owned());
        }
        let image = self.image.take().ok_or_else(|| missing(WrittenKind::Image, "image"))?;
        let image = PlanImage::new(ImageId::of_plan(&self.id), None, image);
        Ok(ImagePlan { image, resources: self.resources.take() })
    }

    fn kubernetes_plan(&mut self) -> Result<KubernetesPlan, String> {
        let are_there = [self.image.is_some(), self.resources.is_some()];
        refuse(WrittenKind::Kubernetes, OF_IMAGE.into_iter().zip(are_there))?;
        let missing = |key| missing(WrittenKind::Kubernetes, key);
        let id = &self.id;
        let images = self.images.take().unwrap_or_default().into_iter();
        let images = images
            .map(|(name, image)| PlanImage::new(ImageId::of_chart(id, &name), Some(name), image));
        Ok(KubernetesPlan {
            images: images.collect(),
            chart: self.chart.take().ok_or_else(|| missing("chart"))?,
            manifest: self.manifest.take().ok_or_else(|| missing("manifest"))?,
            ui_definition: self.ui_definition.take().ok_or_else(|| missing("uiDefinition"))?,
            arm_template: self.arm_template.take().ok_or_else(|| missing("armTemplate"))?,
            extension_type: { self.extension_type.take().ok_or_else(|| missing("extensionType"))? },
            clusters: self.clusters.take().unwrap_or_else(|| vec![Cluster::Aks]),
            scope: self.scope.unwrap_or_default(),
            namespace: self.namespace.take(),
            bundle: self.bundle.take(),
            prices: self.prices.take(),
            markets: self.markets.take().unwrap_or_default(),
            audience: self.audience.take(),
        })
    }
}

/// The message for a plan of this kind that lacks a key.
pub(crate) fn missing(kind: WrittenKind, key: &str) -> String {
    format!("{} needs the key `{key}`", kind.words())
}

/// The message for a key of the other kind of plan.
pub(crate) fn of_the_other(kind: WrittenKind, key: &str) -> String {
    let other = match kind {
        WrittenKind::Image => "kubernetes",
        WrittenKind::Kubernetes => "image",
    };
    format!("{} has no `{key}`; that is of a plan of `kind: {other}`", kind.words())
}

/// Refuses the keys of the other kind.
fn refuse(
    kind: WrittenKind,
    mut keys: impl Iterator<Item = (&'static str, bool)>,
) -> Result<(), String> {
    keys.find(|(_, is_there)| *is_there).map_or(Ok(()), |(key, _)| Err(of_the_other(kind, key)))
}
