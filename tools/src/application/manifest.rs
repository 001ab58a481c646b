//! `manifest.yaml`: the packaging tool's first file (AC-technical-assets-kubernetes, K8S-S).
//! Missing keys are `None`; the rules report them.

use super::cluster::Cluster;
use super::tree::{FileNode, FormFault, Spanned};
use crate::offer::source_map::Spot;

/// The keys of the file.
const KEYS: [&str; 11] = [
    "applicationName",
    "publisher",
    "description",
    "version",
    "helmChart",
    "clusterArmTemplate",
    "clusterARMTemplate",
    "uiDefinition",
    "registryServer",
    "extensionRegistrationParameters",
    "supportedClusterTypes",
];
/// The keys below `extensionRegistrationParameters`. Where `supportedClusterTypes` stands is not said
/// by the pages we have; it is read in both places (INFERENCE).
const REGISTRATION_KEYS: [&str; 3] = ["defaultScope", "namespace", "supportedClusterTypes"];

/// The content of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PackageManifest {
    /// The name of the application.
    pub application_name: Option<Spanned<String>>,
    pub publisher: Option<Spanned<String>>,
    pub description: Option<Spanned<String>>,
    /// Its version, `#.#.#`.
    pub version: Option<Spanned<String>>,
    /// The folder of the chart.
    pub helm_chart: Option<Spanned<String>>,
    /// The ARM template.
    pub arm_template: Option<Spanned<String>>,
    /// How the key of the ARM template is spelled.
    pub arm_key: Option<&'static str>,
    /// The UI definition.
    pub ui_definition: Option<Spanned<String>>,
    /// The registry of the bundle and its images.
    pub registry_server: Option<Spanned<String>>,
    /// Where `extensionRegistrationParameters` stands.
    pub registration: Option<Spot>,
    /// `cluster` or `namespace`.
    pub scope: Option<Spanned<String>>,
    /// The namespace of an application of cluster scope.
    pub namespace: Option<Spanned<String>>,
    /// Its kinds of clusters; none where the file has no such key.
    pub clusters: Option<Vec<SupportedClusters>>,
    pub unknown: Vec<FormFault>,
    /// Values of another kind than they should be.
    pub faults: Vec<FormFault>,
}

/// A kind of cluster with the distributions of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SupportedClusters {
    /// `managedClusters` or `connectedClusters`.
    pub kind: Spanned<String>,
    /// Whether at least one distribution is supported.
    pub is_supported: bool,
}

impl SupportedClusters {
    /// The kind as an offer has it; none where it is not known.
    #[must_use]
    pub fn cluster(&self) -> Option<Cluster> {
        match self.kind.value.as_str() {
            "managedClusters" => Some(Cluster::Aks),
            "connectedClusters" => Some(Cluster::Arc),
            _ => None,
        }
    }
}

impl PackageManifest {
    pub(super) fn of(root: &FileNode) -> Self {
        let mut manifest = Self::default();
        if root.entries().is_empty() {
            manifest.faults.push(FormFault::new(root.spot, "the manifest is a mapping of keys"));
            return manifest;
        }
        manifest.strangers(root, &KEYS);
        manifest.application_name = manifest.text(root, "applicationName");
        manifest.publisher = manifest.text(root, "publisher");
        manifest.description = manifest.text(root, "description");
        manifest.version = manifest.text(root, "version");
        manifest.helm_chart = manifest.text(root, "helmChart");
        manifest.ui_definition = manifest.text(root, "uiDefinition");
        manifest.registry_server = manifest.text(root, "registryServer");
        // Pages and samples spell it in two ways.
        let (sample, page) = ("clusterArmTemplate", "clusterARMTemplate");
        manifest.arm_template = manifest.text(root, sample).or_else(|| manifest.text(root, page));
        manifest.arm_key = [sample, page].into_iter().find(|key| root.get(key).is_some());
        if let (Some(_), Some(second)) = (root.get(sample), root.get(page)) {
            let message = format!("`{sample}` and `{page}` stand together; keep one");
            manifest.faults.push(FormFault::new(second.spot, message));
        }
        if let Some(registration) = root.get("extensionRegistrationParameters") {
            manifest.registration = Some(registration.spot);
            manifest.strangers(registration, &REGISTRATION_KEYS);
            manifest.scope = manifest.text(registration, "defaultScope");
            manifest.namespace = manifest.text(registration, "namespace");
            manifest.clusters(registration);
        }
        manifest.clusters(root);
        manifest
    }

    fn strangers(&mut self, mapping: &FileNode, known: &[&str]) {
        for entry in mapping.entries() {
            if !known.contains(&entry.key.value.as_str()) {
                let message = format!(
                    "the key `{}` is not known here: {}",
                    entry.key.value,
                    known.join(", ")
                );
                self.unknown.push(FormFault::new(entry.key.spot, message));
            }
        }
    }

    /// A text; a number is one without its quotes.
    fn text(&mut self, mapping: &FileNode, key: &str) -> Option<Spanned<String>> {
        let node = mapping.get(key)?;
        if node.text().is_none() {
            let message = format!("`{key}` is {}, but a text is expected", node.kind());
            self.faults.push(FormFault::new(node.spot, message));
        }
        node.placed()
    }

    fn clusters(&mut self, mapping: &FileNode) {
        const KEYS: [&str; 3] = ["distribution", "distributionSupported", "unsupportedVersions"];
        let Some(node) = mapping.get("supportedClusterTypes") else { return };
        if node.entries().is_empty() {
            let message = "`supportedClusterTypes` is a mapping of `managedClusters` or \
                           `connectedClusters` to lists of distributions";
            self.faults.push(FormFault::new(node.spot, message));
            return;
        }
        let mut found = Vec::new();
        for entry in node.entries() {
            let mut is_supported = false;
            if entry.value.items().is_empty() {
                let message = format!("`{}` is a list of distributions", entry.key.value);
                self.faults.push(FormFault::new(entry.value.spot, message));
            }
            for distribution in entry.value.items() {
                self.strangers(distribution, &KEYS);
                self.distribution(distribution);
                is_supported |= self.is_supported(distribution);
            }
            let kind = entry.key.clone();
            let clusters = SupportedClusters { kind, is_supported };
            if clusters.cluster().is_none() {
                let message = format!(
                    "`{}` is no kind of cluster: managedClusters, connectedClusters",
                    clusters.kind.value
                );
                self.faults.push(FormFault::new(clusters.kind.spot, message));
            }
            found.push(clusters);
        }
        self.clusters.get_or_insert_default().extend(found);
    }

    /// One name, or a list of names.
    fn distribution(&mut self, distribution: &FileNode) {
        let names = distribution.get("distribution").map(FileNode::items).unwrap_or_default();
        if let Some(other) = names.iter().find(|name| name.text().is_none()) {
            let message = format!("a name in `distribution` is {}, not a text", other.kind());
            self.faults.push(FormFault::new(other.spot, message));
        } else if names.is_empty() && self.text(distribution, "distribution").is_none() {
            let message = "each distribution has a name: `distribution`";
            self.faults.push(FormFault::new(distribution.spot, message));
        }
    }

    fn is_supported(&mut self, distribution: &FileNode) -> bool {
        use super::tree::NodeValue;
        if let Some(versions) = distribution.get("unsupportedVersions")
            && !matches!(versions.value, NodeValue::List(_) | NodeValue::Null)
        {
            let message = "`unsupportedVersions` is a list";
            self.faults.push(FormFault::new(versions.spot, message));
        }
        match distribution.get("distributionSupported") {
            None => true,
            Some(FileNode { value: NodeValue::Bool(is_supported), .. }) => *is_supported,
            Some(other) => {
                let message =
                    format!("`distributionSupported` is {}, not true or false", other.kind());
                self.faults.push(FormFault::new(other.spot, message));
                false
            }
        }
    }
}
