//! The plans of an offer. A plan is a Kubernetes application, the only kind for new offers since
//! 2024-01-18, or an image, for existing offers (facts of Microsoft's planning page).
//!
//! Invariant: a `Plan` has every key its kind needs, and none of the other kind. Its file has one
//! flat mapping for both; only the internal `WrittenPlan` has it too.

mod written;

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::forms::{DigestText, RepoNameText};
use super::images::Image;
use super::mapping::mapping;
use super::market::PlanTranslation;
use super::tags::ExpandedTag;
use super::texts::Text;
use super::values::{Annotations, ImageId, ImageName, PlanId, RelativePath};
use wharf_oci::RepoName;

pub use crate::application::cluster::Cluster;
pub use written::WrittenKind;
pub(super) use written::{
    KUBERNETES_NEEDS, NO_KIND, NOT_BILLED, OF_IMAGE, OF_KUBERNETES, missing, of_the_other,
};

pub(super) const PLANS_MAX: usize = 100;

/// A plan: one variant of the offer.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// `externalId`.
    pub id: PlanId,
    /// The name that customers read.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// The long text.
    pub description: Text,
    /// The same in other languages.
    pub translations: Vec<PlanTranslation>,
    /// What it costs.
    pub licence: Licence,
    /// Whether it can be found.
    pub visibility: Visibility,
    /// In which clouds it is offered.
    pub regions: Vec<Region>,
    /// Certifications for government customers.
    pub government_certifications: Vec<Certification>,
    /// What customers get.
    pub kind: PlanKind,
}

/// What customers of a plan get.
#[derive(Debug, Clone, PartialEq)]
pub enum PlanKind {
    /// One image.
    Image(Box<ImagePlan>),
    /// A Helm chart with its images.
    Kubernetes(Box<KubernetesPlan>),
}

/// A plan of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImagePlan {
    /// The image.
    pub image: PlanImage,
    /// What one container needs.
    pub resources: Option<Resources>,
}

/// A plan of a Kubernetes application.
#[derive(Debug, Clone, PartialEq)]
pub struct KubernetesPlan {
    /// The folder of the Helm chart.
    pub chart: RelativePath,
    /// What Microsoft's packaging tool reads first: `manifest.yaml`.
    pub manifest: RelativePath,
    /// What the portal asks a customer: `createUiDefinition.json`.
    pub ui_definition: RelativePath,
    /// What the portal deploys: `mainTemplate.json`.
    pub arm_template: RelativePath,
    /// On which clusters it runs.
    pub clusters: Vec<Cluster>,
    /// Whether it is installed once in a cluster, or once in a namespace.
    pub scope: Scope,
    /// The namespace of an application of cluster scope.
    pub namespace: Option<String>,
    /// The type of the cluster extension: `Publisher.Application`.
    pub extension_type: String,
    /// What the packaging tool makes of all this.
    pub bundle: Option<Bundle>,
    /// What is billed, where Microsoft bills.
    pub prices: Option<Prices>,
    /// Countries and regions where it is sold, by two letters; none means all that the API takes.
    pub markets: Vec<String>,
    /// Who alone sees it; a plan with an audience is private.
    pub audience: Option<Audience>,
    /// The images of the chart that are made here, in the order of their names.
    pub images: Vec<PlanImage>,
}

/// An image of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanImage {
    /// What it is called, and the folder of its layout.
    pub id: ImageId,
    /// Its name under `global.azure.images` of the chart; none in a plan of one image.
    pub name: Option<ImageName>,
    /// The place of its plan in the offer.
    pub plan: usize,
    /// Where it stands in the file: `plans[0].image`, `plans[1].images.web`.
    pub key: String,
    /// What it is.
    pub image: Image,
    /// The same as it is written.
    pub written_image: serde_json::Value,
}

mapping! {
    /// A plan as it stands in the file.
    WrittenPlan {
        /// Its ID.
        id: PlanId,
        /// What customers get.
        #[serde(default)]
        kind: Option<WrittenKind>,
        /// The name that customers read.
        name: String,
        /// One sentence.
        summary: String,
        /// The long text.
        description: Text,
        /// The same in other languages.
        #[serde(default)]
        translations: Vec<PlanTranslation>,
        /// What it costs.
        licence: Licence,
        /// Whether it can be found.
        #[serde(default)]
        visibility: Visibility,
        /// In which clouds it is offered.
        #[serde(default = "default_regions")]
        regions: Vec<Region>,
        /// Certifications for government customers.
        #[serde(default)]
        government_certifications: Vec<Certification>,
        /// The image; `kind: image`.
        #[serde(default)]
        image: Option<Image>,
        /// What one container needs; `kind: image`.
        #[serde(default)]
        resources: Option<Resources>,
        /// The folder of the Helm chart; this and all below `kind: kubernetes`.
        #[serde(default)]
        chart: Option<RelativePath>,
        /// `manifest.yaml`.
        #[serde(default)]
        manifest: Option<RelativePath>,
        /// `createUiDefinition.json`.
        #[serde(default)]
        ui_definition: Option<RelativePath>,
        /// `mainTemplate.json`.
        #[serde(default)]
        arm_template: Option<RelativePath>,
        /// On which clusters it runs.
        #[serde(default)]
        clusters: Option<Vec<Cluster>>,
        /// Whether it is installed once in a cluster, or once in a namespace.
        #[serde(default)]
        scope: Option<Scope>,
        /// The namespace of an application of cluster scope.
        #[serde(default)]
        namespace: Option<String>,
        /// `Publisher.Application`.
        #[serde(default)]
        extension_type: Option<String>,
        /// What the packaging tool makes.
        #[serde(default)]
        bundle: Option<Bundle>,
        /// What is billed.
        #[serde(default)]
        prices: Option<Prices>,
        /// Countries and regions, by two letters.
        #[serde(default)]
        markets: Option<Vec<String>>,
        /// Who alone sees it.
        #[serde(default)]
        audience: Option<Audience>,
        /// The images of the chart that are made here.
        #[serde(default)]
        images: Option<BTreeMap<ImageName, Image>>,
    }

    /// A certification for government customers.
    Certification {
        /// Its name.
        name: String,
        /// Where it is described.
        url: String,
    }

    /// What one container needs.
    Resources {
        /// Cores; more than 0.
        cpu: f64,
        /// Memory in gigabytes; more than 0.
        memory_gb: f64,
    }

    /// What Microsoft's packaging tool makes of chart, manifest and templates.
    Bundle {
        /// Its repository, without the registry and its prefix.
        #[schemars(with = "RepoNameText")]
        repository: RepoName,
        /// Its tag; the version of `manifest.yaml` where it is left out.
        #[serde(default)]
        version: Option<String>,
        /// Its digest, once it is made.
        #[serde(default)]
        #[schemars(with = "Option<DigestText>")]
        digest: Option<wharf_oci::Digest>,
    }

    /// What Microsoft bills.
    Prices {
        /// What is counted; none where only meters are billed.
        #[serde(default)]
        unit: Option<PriceUnit>,
        /// US dollars for one of it and an hour.
        #[serde(default)]
        usd_per_hour: Option<f64>,
        /// What the application counts itself.
        #[serde(default)]
        meters: Vec<CustomMeter>,
    }

    /// Something that the application counts itself.
    CustomMeter {
        /// What the application reports it by.
        id: String,
        /// The name that customers read.
        name: String,
        /// One of it, in a word.
        unit: String,
        /// US dollars for one.
        usd_per_unit: f64,
        /// How many are free each month.
        #[serde(default)]
        included: u64,
    }

    /// Who alone sees a private plan.
    Audience {
        /// Tenants.
        #[serde(default)]
        tenants: Vec<Tenant>,
        /// More of them, in a table with the columns `Id`, `Description` and `Type`.
        #[serde(default)]
        csv: Option<RelativePath>,
    }

    /// A tenant that sees a private plan.
    Tenant {
        /// Its GUID.
        id: String,
        /// A note about it.
        #[serde(default)]
        label: Option<String>,
    }
}

/// What a plan costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Licence {
    /// Nothing.
    Free,
    /// The customer brings a licence.
    Byol,
    /// Microsoft bills by `prices`.
    PayAsYouGo,
}

/// What is counted for a price (a publisher's SDK, `systemMeterPricing.priceInputOption`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PriceUnit {
    /// Cores that the application asks for.
    PerCore,
    /// Cores of the cluster.
    PerEveryCoreInCluster,
    /// Nodes that the application runs on.
    PerNode,
    /// Nodes of the cluster.
    PerEveryNodeInCluster,
    /// Pods of the application.
    PerPod,
    /// Clusters.
    PerCluster,
}

/// Whether a plan can be found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Visibility {
    /// By everyone.
    #[default]
    Visible,
    /// By no one who does not know it.
    Hidden,
}

/// A cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Region {
    /// The public cloud.
    AzureGlobal,
    /// The cloud of the United States' government.
    AzureGovernment,
}

/// How often an application is installed in a cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// Once.
    #[default]
    Cluster,
    /// Once in each namespace.
    Namespace,
}

impl Plan {
    /// Its images: the one of an image plan, or the chart's images built here.
    #[must_use]
    pub fn images(&self) -> &[PlanImage] {
        match &self.kind {
            PlanKind::Image(plan) => std::slice::from_ref(&plan.image),
            PlanKind::Kubernetes(plan) => &plan.images,
        }
    }

    /// The same, to be filled in.
    pub(super) fn images_mut(&mut self) -> &mut [PlanImage] {
        match &mut self.kind {
            PlanKind::Image(plan) => std::slice::from_mut(&mut plan.image),
            PlanKind::Kubernetes(plan) => &mut plan.images,
        }
    }
}

impl PlanImage {
    fn new(id: ImageId, name: Option<ImageName>, image: Image) -> Self {
        let written_image = serde_json::Value::Null;
        Self { id, name, plan: 0, key: String::new(), image, written_image }
    }

    /// The one image of a plan, as a test has it.
    #[cfg(test)]
    pub(crate) fn of_plan(id: &str, image: Image) -> Self {
        let id = id.parse().expect("a test names its plan well");
        Self::new(id, None, image)
    }

    /// Fills in the facts of the whole file.
    pub(super) fn complete(&mut self, tags: Vec<ExpandedTag>, described: Annotations) {
        self.image.expanded_tags = tags;
        self.image.described = described;
    }
}

impl JsonSchema for Plan {
    fn schema_name() -> Cow<'static, str> {
        "Plan".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        WrittenPlan::by_kind(WrittenPlan::json_schema(generator))
    }
}

fn default_regions() -> Vec<Region> {
    vec![Region::AzureGlobal]
}

/// How many plans an offer has.
pub(super) fn plans_allowed() -> String {
    format!("an offer has 1 to {PLANS_MAX}")
}
