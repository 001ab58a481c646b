//! The Kubernetes form of a workload: objects as `kubectl apply` takes them, or the same as
//! templates of a Helm chart. The pod itself is in `pod`.

use std::collections::BTreeMap;

use super::pod::pod;
use super::refusal::DeployRefusal;
use super::tree::{Map, Phrase, TemplateNode};
use super::units::{is_variable, port_name, protocol};
use super::words::{Capacity, is_label};
use super::workload::{EnvVariable, Os, RunAs, Volume, Workload};
use super::yaml::{self, Fill};
use crate::offer::values::ExposedPort;
use crate::shown::visible;

/// Microsoft's label for the billed pods of a release.
const BILLING: &str = "azure-extensions-usage-release-identifier";

const ABOUT: &str =
    "# Made by `wharf offer deploy aks`; the digest is the one of the packaged image.\n";

/// How many pods there are, and their lasting volumes.
#[derive(Debug, Clone)]
pub struct Scale<'a> {
    pub replicas: u32,
    /// How much each volume of each pod holds, when volumes outlive pods.
    pub storage: Option<&'a Capacity>,
}

/// The objects of a workload.
#[derive(Debug)]
pub struct Objects<'a> {
    pub(super) workload: &'a Workload,
    pub(super) scale: Scale<'a>,
    pub(super) in_chart: bool,
}

/// An object, and the file of a chart it stands in.
struct Object {
    file: &'static str,
    map: Map,
}

impl<'a> Objects<'a> {
    /// The objects, or why there can be none.
    pub fn new(workload: &'a Workload, scale: Scale<'a>) -> Result<Self, DeployRefusal> {
        if scale.storage.is_some() && workload.volumes.is_empty() {
            return Err(DeployRefusal::one(
                "--storage is for volumes, and the image has none",
                "leave --storage out, or state `volumes` in the image",
            ));
        }
        Ok(Self { workload, scale, in_chart: false })
    }

    /// The same as templates of a chart.
    #[must_use]
    pub fn of_chart(self) -> Self {
        Self { in_chart: true, ..self }
    }

    /// All objects in one file.
    #[must_use]
    pub fn manifests(&self) -> String {
        let image = &self.workload.image;
        let values = BTreeMap::from([
            ("name".to_owned(), self.workload.name.to_string()),
            ("registry".to_owned(), image.server.to_string()),
            ("repository".to_owned(), image.repository.to_string()),
            ("digest".to_owned(), image.digest.to_string()),
            ("replicas".to_owned(), self.scale.replicas.to_string()),
        ]);
        let objects = self.objects();
        let maps = objects.iter().map(|object| &object.map);
        format!("{ABOUT}{}", yaml::documents(maps, Fill::Values(&values)))
    }

    /// Each object by the file of a chart it stands in.
    #[must_use]
    pub fn templates(&self, expressions: &BTreeMap<String, String>) -> Vec<(&'static str, String)> {
        let text = |object: &Object| yaml::document(&object.map, Fill::Helm(expressions));
        self.objects().iter().map(|object| (object.file, text(object))).collect()
    }

    /// The names of the variables a Secret has to hold.
    #[must_use]
    pub fn secrets(&self) -> Vec<&str> {
        let secret = |it: &&EnvVariable| it.value.is_none() && is_variable(&it.name);
        let secret = self.workload.variables.iter().filter(secret);
        secret.map(|it| it.name.as_str()).collect()
    }

    /// The notes for the deployment.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.workload.notes.clone();
        match &self.workload.user {
            RunAs::Root => notes.push(
                "the image runs as root: nothing can ask for another user (IMG-016)".to_owned(),
            ),
            RunAs::Named(name) if self.workload.os == Os::Linux => notes.push(format!(
                "the image runs as `{}`, of whom its files say no number, so nobody can prove that \
                 it is not root (DEP-003)",
                visible(name)
            )),
            RunAs::Named(_) | RunAs::Number { .. } => {}
        }
        for variable in self.workload.variables.iter().filter(|it| !is_variable(&it.name)) {
            let name = visible(&variable.name);
            notes.push(format!(
                "clusters take no variable of the name `{name}`: the image's own stays"
            ));
        }
        if self.workload.health.is_none() {
            notes.push(
                "there is no probe: the image has neither a HEALTHCHECK nor a TCP port".into(),
            );
        }
        if self.workload.resources.is_none() {
            notes.push("the plan says nothing of `resources`, so nothing is asked for".into());
        }
        if self.scale.storage.is_none() && !self.workload.volumes.is_empty() {
            notes
                .push("what is in volumes is gone with its pod; --storage 8Gi keeps it".to_owned());
        }
        notes
    }

    fn objects(&self) -> Vec<Object> {
        let mut objects = vec![Object { file: "serviceaccount.yaml", map: self.account() }];
        if !self.workload.ports.is_empty() || self.scale.storage.is_some() {
            objects.push(Object { file: "service.yaml", map: self.service() });
        }
        let file = match self.scale.storage {
            None => "deployment.yaml",
            Some(_) => "statefulset.yaml",
        };
        objects.push(Object { file, map: self.controller() });
        objects.push(Object { file: "networkpolicy.yaml", map: self.network() });
        if self.scale.replicas > 1 {
            objects.push(Object { file: "poddisruptionbudget.yaml", map: self.disruption() });
        }
        objects
    }

    fn account(&self) -> Map {
        self.object("v1", "ServiceAccount").noted(
            "automountServiceAccountToken",
            "The program asks the cluster for nothing.",
            false,
        )
    }

    fn service(&self) -> Map {
        let port = |port: &ExposedPort| {
            let name = port_name(*port);
            Map::new()
                .with("name", name.as_str())
                .with("port", port.number)
                .with("targetPort", name.as_str())
                .with("protocol", protocol(*port))
        };
        let ports: Vec<Map> = self.workload.ports.iter().map(port).collect();
        let spec = Map::new();
        let spec = match (self.scale.storage, ports.is_empty()) {
            (Some(_), true) => spec.noted("clusterIP", "Only names for the pods.", "None"),
            _ => spec.noted(
                "type",
                "Within the cluster; LoadBalancer opens it to others.",
                "ClusterIP",
            ),
        };
        let spec = spec.with("selector", self.selector());
        let spec = if ports.is_empty() { spec } else { spec.with("ports", ports) };
        self.object("v1", "Service").with("spec", spec)
    }

    fn controller(&self) -> Map {
        let mut labels = self.labels();
        if self.in_chart {
            let release = Phrase::parameter("name");
            labels = labels.noted(BILLING, "By it Microsoft finds what to bill.", release);
        }
        let template = Map::new()
            .with("metadata", Map::new().with("labels", labels))
            .with("spec", pod(self.workload, self.scale.storage.is_some()));
        let spec = Map::new()
            .with("replicas", TemplateNode::Parameter("replicas"))
            .with("selector", Map::new().with("matchLabels", self.selector()));
        let Some(storage) = self.scale.storage else {
            let spec = spec.with("template", template);
            return self.object("apps/v1", "Deployment").with("spec", spec);
        };
        let claim = |volume: &Volume| {
            let request = Map::new().with("storage", storage.as_str());
            let spec = Map::new()
                .with("accessModes", vec!["ReadWriteOnce"])
                .with("resources", Map::new().with("requests", request));
            Map::new()
                .with("metadata", Map::new().with("name", volume.name.as_str()))
                .with("spec", spec)
        };
        let claims: Vec<Map> = self.workload.volumes.iter().map(claim).collect();
        let spec = spec
            .with("serviceName", Phrase::parameter("name"))
            .with("template", template)
            .noted("volumeClaimTemplates", "Each pod keeps its own.", claims);
        self.object("apps/v1", "StatefulSet").with("spec", spec)
    }

    fn network(&self) -> Map {
        let port = |port: &ExposedPort| {
            Map::new().with("port", port.number).with("protocol", protocol(*port))
        };
        let ports: Vec<Map> = self.workload.ports.iter().map(port).collect();
        let rules: Vec<Map> =
            if ports.is_empty() { vec![] } else { vec![Map::new().with("ports", ports)] };
        let spec = Map::new()
            .with("podSelector", Map::new().with("matchLabels", self.selector()))
            .with("policyTypes", vec!["Ingress"])
            .noted("ingress", "Nothing but the ports of the image.", rules);
        self.object("networking.k8s.io/v1", "NetworkPolicy").with("spec", spec)
    }

    fn disruption(&self) -> Map {
        let spec = Map::new()
            .noted("maxUnavailable", "Nodes are emptied one pod after another.", 1_u32)
            .with("selector", Map::new().with("matchLabels", self.selector()));
        self.object("policy/v1", "PodDisruptionBudget").with("spec", spec)
    }

    fn object(&self, version: &str, kind: &str) -> Map {
        let metadata =
            Map::new().with("name", Phrase::parameter("name")).with("labels", self.labels());
        Map::new().with("apiVersion", version).with("kind", kind).with("metadata", metadata)
    }

    fn labels(&self) -> Map {
        let workload = self.workload;
        let version = Some(workload.version.as_str()).filter(|text| is_label(text));
        let part_of = Some(workload.offer.as_str()).filter(|text| is_label(text));
        self.selector()
            .with_some("app.kubernetes.io/version", version)
            .with_some("app.kubernetes.io/part-of", part_of)
    }

    /// The labels to find pods by; they can never change.
    fn selector(&self) -> Map {
        Map::new()
            .with("app.kubernetes.io/name", self.workload.name.as_str())
            .with("app.kubernetes.io/instance", Phrase::parameter("name"))
    }
}
