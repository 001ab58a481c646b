//! An offer file as types: one struct per mapping, one field per key, in the order of the offer
//! reference. The way from text to types is in `parse`; the marketplace's view of them is in
//! `rules`.
//!
//! Invariant: an `Offer` keeps every format rule of the reference. Texts under the marketplace's
//! rules (titles, addresses, identifiers) are plain strings on purpose: their faults are findings.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_oci::{Platform, RepoName, Tag};

use super::described::Annotations;
use super::forms::{PlatformText, QuotedText, RepoNameText, TagText};
pub use super::layers::{Compression, DebInput, DirInput, FileInput, Layer, LayerInput, TarInput};
pub use super::market::{
    Lead, LeadDestination, ListingTranslation, PlanTranslation, Resale, ResaleChannel,
};
pub use super::origin::{ImageSource, MadeFrom};
pub use super::plans::{
    Audience, Bundle, Certification, Cluster, CustomMeter, ImagePlan, KubernetesPlan, Licence,
    Plan, PlanImage, PlanKind, PriceUnit, Prices, Region, Resources, Scope, Tenant, Visibility,
};
use super::secrets::Secret;
use super::tags::{ExpandedTag, TagTemplates};
use super::texts::{Terms, Text};
use super::timestamp::Timestamp;
use super::words::{
    EnvName, ExposedPort, ImagePath, ImageVersion, LoginServer, PlanId, RegistryName, RelativePath,
};

/// A mapping of the file: camel case keys, no others.
macro_rules! mapping {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }
    )*};
}
pub(super) use mapping;

mapping! {
    /// The whole file.
    Offer {
        /// Which format the file has; 1.
        version: u64,
        /// The publisher ID of the Partner Center account.
        publisher: String,
        /// Who the offer is.
        offer: Identity,
        /// The registries, by the name that `--to` and `--from` take.
        registries: BTreeMap<RegistryName, Registry>,
        /// What customers read and see.
        listing: Listing,
        /// The terms.
        legal: Legal,
        /// Where the offer stands in the marketplace.
        properties: Properties,
        /// Who sees the preview.
        preview: Preview,
        /// Where the contacts of interested customers go.
        #[serde(default)]
        leads: Option<Lead>,
        /// Which partners may sell it.
        #[serde(default)]
        resale: Option<Resale>,
        /// What the certification team has to know.
        #[serde(default)]
        certification_notes: Option<Text>,
        /// The plans; at least one, with different IDs.
        plans: Vec<Plan>,
    }

    /// Who the offer is.
    Identity {
        /// `externalId`; it can never change.
        id: String,
        /// Its name within Partner Center.
        alias: String,
        /// The registry that Microsoft copies from; a key of `registries`.
        registry: RegistryName,
        /// Whether Microsoft sells it.
        #[serde(default)]
        sell_through_microsoft: bool,
    }

    /// A registry of the publisher.
    Registry {
        /// Where it listens.
        login_server: LoginServer,
        /// What stands before every repository.
        #[serde(default)]
        #[schemars(with = "Option<RepoNameText>")]
        prefix: Option<RepoName>,
        /// Whether it speaks plain HTTP.
        #[serde(default)]
        plain_http: bool,
        /// How Azure knows it.
        #[serde(default)]
        azure: Option<AzureRegistry>,
        /// Where its credentials are.
        #[serde(default)]
        credentials: Option<Credentials>,
    }

    /// How Azure knows a registry.
    AzureRegistry {
        /// The subscription's GUID.
        subscription_id: String,
        /// The resource group.
        resource_group: String,
        /// The name, without `.azurecr.io`.
        registry_name: String,
        /// The GUID of the tenant that the subscription belongs to; bundles of Kubernetes plans are
        /// found by it.
        #[serde(default)]
        tenant_id: Option<String>,
    }

    /// Where the credentials of a registry are.
    Credentials {
        /// The user.
        username: Secret,
        /// The password.
        password: Secret,
    }

    /// What customers read and see.
    Listing {
        /// The language of all texts.
        #[serde(default = "default_language")]
        language: String,
        /// The title.
        title: String,
        /// One sentence for search results.
        search_summary: String,
        /// A plain paragraph.
        short_description: String,
        /// The long text, simple HTML.
        description: Text,
        /// Words to be found by.
        #[serde(default)]
        keywords: Vec<String>,
        /// Where the privacy policy is.
        privacy_policy: String,
        /// Where support is.
        support_url: String,
        /// The same for government customers.
        #[serde(default)]
        government_support_url: Option<String>,
        /// Useful links.
        #[serde(default)]
        links: Vec<Link>,
        /// People.
        contacts: Contacts,
        /// Where the pictures are published.
        #[serde(default)]
        asset_base_url: Option<String>,
        /// The logos.
        logos: Logos,
        /// The screenshots.
        #[serde(default)]
        screenshots: Vec<Screenshot>,
        /// The videos.
        #[serde(default)]
        videos: Vec<Video>,
        /// The same in other languages.
        #[serde(default)]
        translations: Vec<ListingTranslation>,
    }

    /// A useful link.
    Link {
        /// Its text.
        title: String,
        /// Where it leads.
        url: String,
    }

    /// The people of an offer.
    Contacts {
        /// Whom customers ask.
        support: Contact,
        /// Whom Microsoft asks.
        engineering: Contact,
        /// Whom partners ask.
        #[serde(default)]
        csp: Option<PartnerContact>,
    }

    /// Someone to ask.
    Contact {
        /// Name.
        name: String,
        /// Mail address.
        email: String,
        /// Telephone number.
        phone: String,
    }

    /// Whom partners ask.
    PartnerContact {
        /// Name.
        name: String,
        /// Mail address.
        email: String,
        /// Telephone number.
        phone: String,
        /// Marketing material.
        #[serde(default)]
        url: Option<String>,
    }

    /// The logos.
    Logos {
        /// 216 to 350 pixels, square.
        large: RelativePath,
        /// 90 × 90.
        #[serde(default)]
        medium: Option<RelativePath>,
        /// 48 × 48.
        #[serde(default)]
        small: Option<RelativePath>,
        /// 255 × 115.
        #[serde(default)]
        wide: Option<RelativePath>,
    }

    /// A screenshot.
    Screenshot {
        /// The picture.
        file: RelativePath,
        /// What it shows.
        caption: String,
    }

    /// A video.
    Video {
        /// Its title.
        title: String,
        /// Where it plays.
        url: String,
        /// The picture that stands for it.
        thumbnail: RelativePath,
    }

    /// The terms: one of the two, which the rules check.
    Legal {
        /// Microsoft's standard contract.
        #[serde(default)]
        standard_contract: bool,
        /// Terms of the publisher.
        #[serde(default)]
        terms: Option<Terms>,
    }

    /// Where the offer stands in the marketplace.
    Properties {
        /// Categories with their subcategories.
        categories: BTreeMap<String, Vec<String>>,
    }

    /// Who sees the preview.
    Preview {
        /// Azure subscriptions.
        #[serde(default)]
        subscriptions: Vec<PreviewSubscription>,
        /// More of them, in a table with the columns `Id`, `Description` and `Type`.
        #[serde(default)]
        csv: Option<RelativePath>,
    }

    /// A subscription that sees the preview.
    PreviewSubscription {
        /// Its GUID.
        id: String,
        /// A note about it.
        #[serde(default)]
        label: Option<String>,
    }

    /// An image.
    Image {
        /// The repository, without the registry and its prefix.
        #[schemars(with = "RepoNameText")]
        repository: RepoName,
        /// Its version.
        version: ImageVersion,
        /// The time of every file and of the image.
        #[serde(default)]
        created: Option<Timestamp>,
        /// The tags as written; `expanded_tags` says what they come to.
        #[serde(default)]
        tags: TagTemplates,
        /// The tags in the order of writing. Set when the file is parsed; never empty after that.
        #[serde(skip)]
        expanded_tags: Vec<ExpandedTag>,
        /// Tags of earlier versions that stay published; never written by us.
        #[serde(default)]
        #[schemars(with = "Vec<TagText>")]
        published_tags: Vec<Tag>,
        /// The image below the layers of every platform that names none itself.
        #[serde(default)]
        base: Option<ImageSource>,
        /// The image that every platform is which names none itself.
        #[serde(default)]
        adopt: Option<ImageSource>,
        /// Where its source code is.
        #[serde(default)]
        source: Option<String>,
        /// Which state of the source code it is made from.
        #[serde(default)]
        revision: Option<String>,
        /// Its licences, as an SPDX expression.
        #[serde(default)]
        licences: Option<String>,
        /// What the offer says of it for its labels and annotations, where those do not say it
        /// themselves. Set when the file is parsed.
        #[serde(skip)]
        described: Annotations,
        /// One build per platform; at least one, all different.
        platforms: Vec<PlatformBuild>,
        /// How its layers are compressed.
        #[serde(default)]
        compression: Compression,
        /// How a container starts.
        #[serde(default)]
        config: ContainerConfig,
        /// Annotations of every manifest and of the index.
        #[serde(default)]
        annotations: BTreeMap<String, String>,
        /// What is said of the image besides, and attached to it.
        #[serde(default = "all_attestations")]
        attestations: Vec<Attestation>,
    }

    /// What a platform's image is made of.
    PlatformBuild {
        /// The platform, without `os.version`; see [`PlatformBuild::full_platform`].
        #[serde(deserialize_with = "super::words::from_text")]
        #[schemars(with = "PlatformText")]
        platform: Platform,
        /// The exact version of Windows.
        #[serde(default)]
        os_version: Option<String>,
        /// The image below its layers.
        #[serde(default)]
        base: Option<ImageSource>,
        /// The image that it is.
        #[serde(default)]
        adopt: Option<ImageSource>,
        /// Its layers, bottom first; at least one where no image is named to start from.
        #[serde(default)]
        layers: Vec<Layer>,
    }
}

/// Something that is said of an image besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Attestation {
    /// What it is made of, in `CycloneDX` and in SPDX.
    Sbom,
    /// What it was made from, and how (in-toto).
    Provenance,
}

/// How a container of the image starts; the same for every platform.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ContainerConfig {
    /// The program, with its first arguments.
    pub entrypoint: Vec<String>,
    /// More arguments, or the program.
    pub cmd: Vec<String>,
    /// Environment variables.
    #[serde(deserialize_with = "super::quoted::map")]
    #[schemars(with = "BTreeMap<EnvName, QuotedText>")]
    pub env: BTreeMap<EnvName, String>,
    /// Where it starts.
    pub working_dir: Option<ImagePath>,
    /// As whom it runs.
    pub user: Option<String>,
    /// Where it listens.
    pub exposed_ports: Vec<ExposedPort>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Folders that outlive a container.
    pub volumes: Vec<ImagePath>,
    /// The signal that ends it.
    pub stop_signal: Option<String>,
}

impl PlatformBuild {
    /// The platform with its `os.version`.
    #[must_use]
    pub fn full_platform(&self) -> Platform {
        Platform { os_version: self.os_version.clone(), ..self.platform.clone() }
    }
}

impl Offer {
    /// The plan with this ID.
    #[must_use]
    pub fn plan(&self, id: &PlanId) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.id == *id)
    }

    /// The images of all plans, in the order of the file.
    pub fn images(&self) -> impl Iterator<Item = &PlanImage> {
        self.plans.iter().flat_map(Plan::images)
    }

    /// The plans of one image each, with their places in `plans`.
    pub fn image_plans(&self) -> impl Iterator<Item = (usize, &Plan, &ImagePlan)> {
        self.plans.iter().enumerate().filter_map(|(place, plan)| match &plan.kind {
            PlanKind::Image(image) => Some((place, plan, &**image)),
            PlanKind::Kubernetes(_) => None,
        })
    }

    /// The plans of Kubernetes applications, with their places in `plans`.
    pub fn kubernetes_plans(&self) -> impl Iterator<Item = (usize, &Plan, &KubernetesPlan)> {
        self.plans.iter().enumerate().filter_map(|(place, plan)| match &plan.kind {
            PlanKind::Kubernetes(application) => Some((place, plan, &**application)),
            PlanKind::Image(_) => None,
        })
    }
}

fn all_attestations() -> Vec<Attestation> {
    vec![Attestation::Sbom, Attestation::Provenance]
}

fn default_language() -> String {
    "en-us".to_owned()
}
