//! The rendered manifests of a chart: its workloads with their pods, and other places with images.

use super::images::is_image_variable;
use super::yaml;
use crate::yaml::Node;

/// Most objects of one chart.
const OBJECTS_MAX: usize = 10_000;
/// How deep an object of an unknown kind is searched for images.
const SEARCH_DEPTH_MAX: usize = 40;

/// The rendered manifests of a chart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RenderedChart {
    pub workloads: Vec<RenderedWorkload>,
    /// Images in other objects, or in variables of containers.
    pub loose: Vec<LooseImage>,
    /// How many objects there are.
    pub objects: usize,
}

/// A workload with pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedWorkload {
    /// The template, by its path in the chart.
    pub template: String,
    /// Its kind: `Deployment`.
    pub kind: String,
    pub name: String,
    /// The labels of its pods.
    pub labels: Vec<(String, String)>,
    /// Its containers, also the init and ephemeral ones.
    pub containers: Vec<Container>,
    /// Its nodes, by their labels: each with the accepted values.
    pub nodes: Vec<(String, Vec<String>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub name: String,
    pub image: String,
    /// Whether it asks for cores.
    pub has_cpu_request: bool,
    /// Whether it runs as long as its pod.
    pub is_main: bool,
    /// Its command, in one line.
    pub command: String,
}

/// An image outside of containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LooseImage {
    /// The template, by its path in the chart.
    pub template: String,
    /// The kind and name of the object.
    pub object: String,
    /// The key or variable.
    pub key: String,
    pub image: String,
}

impl RenderedWorkload {
    /// The kind and name, as `Deployment web`.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }
}

/// Reads the output of `helm template` for the chart of this name.
pub fn read(text: &str, chart: &str) -> Result<RenderedChart, String> {
    let mut rendered = RenderedChart::default();
    for piece in pieces(text) {
        let source = piece.lines().find_map(|line| line.strip_prefix("# Source: "));
        let source = source.unwrap_or_default().trim();
        let template =
            source.strip_prefix(chart).and_then(|rest| rest.strip_prefix('/')).unwrap_or(source);
        let object = yaml::one(template, piece).map_err(|fault| {
            format!("{source}: what it renders to is no YAML: {}", fault.message)
        })?;
        if let Some(object) = object {
            rendered.take(template, &object, 0);
        }
        if rendered.objects > OBJECTS_MAX {
            return Err(format!("the chart renders to more than {OBJECTS_MAX} objects"));
        }
    }
    Ok(rendered)
}

/// The documents of a stream. Lines of a text in one are indented, so `---` at the start is a border.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" {
            pieces.push(text.get(start..at).unwrap_or_default());
            start = at + line.len();
        }
        at += line.len();
    }
    pieces.push(text.get(start..).unwrap_or_default());
    pieces
}

impl RenderedChart {
    fn take(&mut self, template: &str, object: &Node, depth: usize) {
        let said =
            |keys: &[&str]| object.find(keys).and_then(Node::said).unwrap_or_default().to_owned();
        let (kind, name) = (said(&["kind"]), said(&["metadata", "name"]));
        if kind == "List" && depth == 0 {
            for item in object.get("items").map(Node::items).unwrap_or_default() {
                self.take(template, item, 1);
            }
            return;
        }
        self.objects += 1;
        match pod(&kind, object) {
            Some(pod) => {
                let workload = workload(template, kind, name, pod);
                self.variables(&workload, pod);
                self.workloads.push(workload);
            }
            None if kind == "CustomResourceDefinition" => {}
            None => self.search(template, &format!("{kind} {name}"), object, 0),
        }
    }

    /// The images for operators to start.
    fn variables(&mut self, workload: &RenderedWorkload, pod: &Node) {
        for container in containers(pod).map(|(container, _)| container) {
            for variable in container.get("env").map(Node::items).unwrap_or_default() {
                let (Some(name), Some(value)) = (
                    variable.get("name").and_then(Node::said),
                    variable.get("value").and_then(Node::said),
                ) else {
                    continue;
                };
                if is_image_variable(name, value) {
                    self.loose.push(LooseImage {
                        template: workload.template.clone(),
                        object: workload.shown(),
                        key: name.to_owned(),
                        image: value.to_owned(),
                    });
                }
            }
        }
    }

    /// Keys `image` of an object of an unknown kind.
    fn search(&mut self, template: &str, object: &str, node: &Node, depth: usize) {
        if depth > SEARCH_DEPTH_MAX {
            return;
        }
        for (key, value) in node.entries() {
            let key = key.text().unwrap_or_default();
            match value.said() {
                Some(image) if key == "image" => self.loose.push(LooseImage {
                    template: template.to_owned(),
                    object: object.to_owned(),
                    key: key.to_owned(),
                    image: image.to_owned(),
                }),
                _ => self.search(template, object, value, depth + 1),
            }
        }
        for item in node.items() {
            self.search(template, object, item, depth + 1);
        }
    }
}

/// The pod an object makes: its template, or itself.
fn pod<'a>(kind: &str, object: &'a Node) -> Option<&'a Node> {
    match kind {
        "Pod" => Some(object),
        "Deployment"
        | "StatefulSet"
        | "DaemonSet"
        | "ReplicaSet"
        | "ReplicationController"
        | "Job" => object.find(&["spec", "template"]),
        "CronJob" => object.find(&["spec", "jobTemplate", "spec", "template"]),
        _ => None,
    }
}

fn workload(template: &str, kind: String, name: String, pod: &Node) -> RenderedWorkload {
    let text = |node: Option<&Node>, key: &str| {
        node.and_then(|node| node.get(key)).and_then(Node::said).unwrap_or_default().to_owned()
    };
    let labels = pod.find(&["metadata", "labels"]).map(Node::entries).unwrap_or_default();
    let labels = labels
        .iter()
        .filter_map(|(key, value)| Some((key.text()?.to_owned(), value.text()?.to_owned())));
    let found = containers(pod).map(|(container, is_main)| Container {
        name: text(Some(container), "name"),
        image: text(Some(container), "image"),
        has_cpu_request: container
            .find(&["resources", "requests", "cpu"])
            .and_then(Node::said)
            .is_some(),
        is_main,
        command: command(container),
    });
    let containers = found.collect();
    RenderedWorkload {
        template: template.to_owned(),
        kind,
        name,
        labels: labels.collect(),
        containers,
        nodes: nodes(pod),
    }
}

/// The containers of a pod, each with whether it is a lasting one.
fn containers(pod: &Node) -> impl Iterator<Item = (&Node, bool)> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(move |key| {
        let items = pod.find(&["spec", key]).map(Node::items).unwrap_or_default();
        items.iter().map(move |item| (item, key == "containers"))
    })
}

fn command(container: &Node) -> String {
    let keys = ["command", "args"].iter().filter_map(|key| container.get(key));
    let words: Vec<&str> = keys.flat_map(Node::items).filter_map(Node::text).collect();
    words.join(" ")
}

/// A pod's demands on its node: selectors, and required affinity with `In`.
fn nodes(pod: &Node) -> Vec<(String, Vec<String>)> {
    let selector = pod.find(&["spec", "nodeSelector"]).map(Node::entries).unwrap_or_default();
    let mut nodes: Vec<(String, Vec<String>)> = selector
        .iter()
        .filter_map(|(key, value)| Some((key.text()?.to_owned(), vec![value.text()?.to_owned()])))
        .collect();
    let required = [
        "spec",
        "affinity",
        "nodeAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "nodeSelectorTerms",
    ];
    let terms = pod.find(&required).map(Node::items).unwrap_or_default();
    // One of several terms is enough, so only a single one is a must.
    if let [term] = terms {
        for rule in term.get("matchExpressions").map(Node::items).unwrap_or_default() {
            let is_in = rule.get("operator").and_then(Node::text) == Some("In");
            if let (true, Some(key)) = (is_in, rule.get("key").and_then(Node::text)) {
                let values = rule.get("values").map(Node::items).unwrap_or_default();
                let values = values.iter().filter_map(Node::text).map(str::to_owned);
                nodes.push((key.to_owned(), values.collect()));
            }
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const STREAM: &str = "---\n# Source: pool/templates/a.yaml\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      nodeSelector: {kubernetes.io/os: linux}\n      initContainers:\n        - {name: first, image: i}\n      containers:\n        - name: main\n          image: m\n          command: [sh, -c]\n          args: [run]\n          resources: {requests: {cpu: 1}}\n          env: [{name: RELATED_IMAGE_X, value: rel}, {name: IMAGE_PULL_POLICY, value: Always}, {name: MAX_IMAGE_SIZE, value: \"10\"}, {name: USE_IMAGE, value: \"true\"}]\n---\n# Source: pool/charts/sea/templates/b.yaml\nkind: CronJob\nmetadata: {name: night}\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: n}]}}}}}\n---\n# Source: pool/templates/c.yaml\nkind: Sea\nmetadata: {name: deep}\nspec: {parts: [{image: wave}]}\n---\n# Source: pool/templates/d.yaml\n# nothing\n";

    #[test]
    fn workloads_and_images_of_other_objects_are_found() {
        let rendered = read(STREAM, "pool").unwrap();
        assert_eq!(rendered.objects, 3);
        let [web, night] = rendered.workloads.as_slice() else { panic!("{rendered:?}") };
        assert_eq!(
            (web.template.as_str(), web.shown().as_str()),
            ("templates/a.yaml", "Deployment web")
        );
        assert_eq!(web.labels, [("app".to_owned(), "web".to_owned())]);
        assert_eq!(web.nodes, [("kubernetes.io/os".to_owned(), vec!["linux".to_owned()])]);
        let main = &web.containers[1];
        assert!(main.has_cpu_request && main.is_main && !web.containers[0].is_main);
        assert_eq!((main.image.as_str(), main.command.as_str()), ("m", "sh -c run"));
        assert_eq!(night.template, "charts/sea/templates/b.yaml");
        assert_eq!(night.containers[0].image, "n");
        let loose: Vec<&str> = rendered.loose.iter().map(|at| at.image.as_str()).collect();
        assert_eq!(loose, ["rel", "wave"]);
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_template() {
        let error = read("---\n# Source: pool/templates/a.yaml\na: [\n", "pool").unwrap_err();
        assert!(error.starts_with("pool/templates/a.yaml: "), "{error}");
    }
}
