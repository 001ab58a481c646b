//! `mainTemplate.json`: the ARM template of the application's installation, as far as the
//! marketplace restricts it (AC-technical-assets-kubernetes, K8S-S).

use super::expression;
use super::tree::{FileNode, Spanned};
use crate::offer::source_map::Spot;

/// The only type that may stand in the template besides the extension.
pub const CLUSTER_TYPE: &str = "Microsoft.ContainerService/managedClusters";
/// The type of the resource that installs the application.
pub const EXTENSION_TYPE: &str = "Microsoft.KubernetesConfiguration/extensions";

/// The content of the template.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmTemplate {
    /// `$schema`.
    pub schema: Option<Spanned<String>>,
    /// `contentVersion`.
    pub content_version: Option<Spanned<String>>,
    /// The input that the template asks of its deployer.
    pub parameters: Vec<TemplateParameter>,
    /// Names with values.
    pub variables: Vec<TemplateVariable>,
    /// Every resource, those inside of others too.
    pub resources: Vec<TemplateResource>,
    /// The extensions of a cluster.
    pub extensions: Vec<Extension>,
    /// Each `parameters('x')` of the template, with its place.
    pub used_parameters: Vec<Spanned<String>>,
    /// Each `variables('x')`.
    pub used_variables: Vec<Spanned<String>>,
}

/// A value from the deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateParameter {
    pub name: Spanned<String>,
    pub kind: Option<Spanned<String>>,
    /// The default value.
    pub default: Option<FileNode>,
}

/// A name with a value.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateVariable {
    pub name: Spanned<String>,
    pub value: FileNode,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TemplateResource {
    pub spot: Spot,
    pub kind: Option<Spanned<String>>,
    /// Where it links another template.
    pub link: Option<Spot>,
}

/// The resource that installs the application.
#[derive(Debug, Clone, PartialEq)]
pub struct Extension {
    pub spot: Spot,
    /// The resource it extends.
    pub of: Option<Spanned<String>>,
    /// Where `plan` stands, with `name`, `publisher` and `product`.
    pub plan: Option<(Spot, [Option<Spanned<String>>; 3])>,
    /// `extensionType`.
    pub extension_type: Option<Spanned<String>>,
    /// `releaseTrain`.
    pub release_train: Option<Spanned<String>>,
    /// Its scope in the cluster.
    pub scope: Option<ReleaseScope>,
    /// The chart's values.
    pub settings: Vec<ChartSetting>,
    /// The same for secrets.
    pub protected: Vec<ChartSetting>,
}

/// How often the extension is in a cluster, and where.
#[derive(Debug, Clone, PartialEq)]
pub enum ReleaseScope {
    /// Once, in this namespace.
    Cluster {
        spot: Spot,
        /// `releaseNamespace`.
        namespace: Option<Spanned<String>>,
    },
    /// Once in each namespace.
    Namespace { spot: Spot },
}

/// A value the chart is given.
#[derive(Debug, Clone, PartialEq)]
pub struct ChartSetting {
    /// Its name: the path of the value in the chart, with dots.
    pub name: Spanned<String>,
    pub value: FileNode,
}

impl TemplateParameter {
    /// Whether its value is kept out of logs.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        let kind = self.kind.as_ref().map(|kind| kind.value.to_ascii_lowercase());
        matches!(kind.as_deref(), Some("securestring" | "secureobject"))
    }
}

impl ArmTemplate {
    pub(super) fn of(root: &FileNode) -> Self {
        let text = |key: &str| root.get(key).and_then(FileNode::placed);
        let (mut used_parameters, mut used_variables) = (Vec::new(), Vec::new());
        let mut take = |text: &str, spot: Spot| {
            let Some(expression) = expression::of(text) else { return };
            let placed = |name: &str| Spanned { spot, value: name.to_owned() };
            used_parameters
                .extend(expression::calls(expression, "parameters").into_iter().map(placed));
            used_variables
                .extend(expression::calls(expression, "variables").into_iter().map(placed));
        };
        // A function of the template has parameters of its own, and sees no others.
        let is_function = |key: &str| key.eq_ignore_ascii_case("functions");
        for entry in root.entries().iter().filter(|at| !is_function(&at.key.value)) {
            entry.value.each_text(&mut take);
        }
        let mut template = Self {
            schema: text("$schema"),
            content_version: text("contentVersion"),
            parameters: parameters(root),
            variables: variables(root),
            resources: Vec::new(),
            extensions: Vec::new(),
            used_parameters,
            used_variables,
        };
        if let Some(resources) = root.get("resources") {
            template.add_resources(resources, None);
        }
        template
    }

    /// A list, or, by the newer language version, a mapping of names.
    fn add_resources(&mut self, resources: &FileNode, above: Option<&str>) {
        let named = resources.entries().iter().map(|entry| &entry.value);
        for node in resources.items().iter().chain(named) {
            let kind =
                node.get_any_case("type").and_then(FileNode::placed).map(|kind| match above {
                    // A resource inside of another has the rest of its type only.
                    Some(above) if !kind.value.contains('.') => {
                        Spanned { value: format!("{above}/{}", kind.value), ..kind }
                    }
                    _ => kind,
                });
            let properties = node.get_any_case("properties");
            let link = properties.and_then(|at| at.get_any_case("templateLink"));
            let inner = properties.and_then(|at| at.get_any_case("template"));
            let is = |wanted: &str| {
                kind.as_ref().is_some_and(|at| at.value.eq_ignore_ascii_case(wanted))
            };
            if is(EXTENSION_TYPE) {
                self.extensions.push(Extension::of(node));
            }
            let name = kind.as_ref().map(|kind| kind.value.clone());
            let link = link.map(|at| at.spot);
            self.resources.push(TemplateResource { spot: node.spot, kind, link });
            if let Some(children) = node.get_any_case("resources") {
                self.add_resources(children, name.as_deref());
            }
            if let Some(children) = inner.and_then(|inner| inner.get_any_case("resources")) {
                self.add_resources(children, None);
            }
        }
    }

    /// The variable of this name.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&TemplateVariable> {
        self.variables.iter().find(|variable| variable.name.value.eq_ignore_ascii_case(name))
    }

    /// The parameter of this name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&TemplateParameter> {
        self.parameters.iter().find(|parameter| parameter.name.value.eq_ignore_ascii_case(name))
    }

    /// The text behind a text: itself, or the value of its variable. `None` where it is known only
    /// at the deployment.
    #[must_use]
    pub fn literal<'a>(&'a self, text: &'a str) -> Option<&'a str> {
        let Some(expression) = expression::of(text) else { return Some(text) };
        let name = expression::only_call(expression, "variables")?;
        let value = self.variable(name)?.value.text()?;
        expression::of(value).is_none().then_some(value)
    }
}

fn parameters(root: &FileNode) -> Vec<TemplateParameter> {
    let entries = root.get("parameters").map(FileNode::entries).unwrap_or_default();
    let parameter = |entry: &super::tree::MapEntry| TemplateParameter {
        name: entry.key.clone(),
        kind: entry.value.get_any_case("type").and_then(FileNode::placed),
        default: entry.value.get_any_case("defaultValue").cloned(),
    };
    entries.iter().map(parameter).collect()
}

fn variables(root: &FileNode) -> Vec<TemplateVariable> {
    let Some(declared) = root.get("variables") else { return Vec::new() };
    let (copies, plain): (Vec<_>, Vec<_>) =
        declared.entries().iter().partition(|at| at.key.value.eq_ignore_ascii_case("copy"));
    let plain = plain.into_iter().map(|at| (at.key.clone(), &at.value));
    // Each item of `copy` declares a list; its content is known only at the deployment.
    let lists = copies.into_iter().flat_map(|at| at.value.items());
    let lists = lists.filter_map(|at| Some((at.get_any_case("name")?.placed()?, at)));
    plain
        .chain(lists)
        .map(|(name, value)| TemplateVariable { name, value: value.clone() })
        .collect()
}

impl Extension {
    fn of(node: &FileNode) -> Self {
        let text = |of: Option<&FileNode>, key: &str| {
            of.and_then(|of| of.get_any_case(key)).and_then(FileNode::placed)
        };
        let properties = node.get_any_case("properties");
        let plan = node.get_any_case("plan").map(|plan| {
            (plan.spot, ["name", "publisher", "product"].map(|key| text(Some(plan), key)))
        });
        let scope = properties.and_then(|at| at.get_any_case("scope")).and_then(|scope| {
            let cluster = scope.get_any_case("cluster").map(|cluster| ReleaseScope::Cluster {
                spot: cluster.spot,
                namespace: text(Some(cluster), "releaseNamespace"),
            });
            let namespace = scope.get_any_case("namespace");
            cluster.or_else(|| namespace.map(|at| ReleaseScope::Namespace { spot: at.spot }))
        });
        let settings = |key: &str| {
            let settings = properties.and_then(|at| at.get_any_case(key));
            let entries = settings.map(FileNode::entries).unwrap_or_default().iter();
            entries
                .map(|at| ChartSetting { name: at.key.clone(), value: at.value.clone() })
                .collect()
        };
        Self {
            spot: node.spot,
            of: text(Some(node), "scope"),
            plan,
            extension_type: text(properties, "extensionType"),
            release_train: text(properties, "releaseTrain"),
            scope,
            settings: settings("configurationSettings"),
            protected: settings("configurationProtectedSettings"),
        }
    }
}
