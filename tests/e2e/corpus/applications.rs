//! Offers of Kubernetes applications with faults for Microsoft's packaging tool, the portal or a
//! cluster: in the chart, the manifest, the questions and the template.

use wharf_testkit::offers::Offer;

use super::{Case, Make, Weight, offer, unrendered};

pub(super) const MANIFEST: &str = "manifest.yaml";
const QUESTIONS: &str = "createUiDefinition.json";
const TEMPLATE: &str = "mainTemplate.json";
pub(super) const CHART: &str = "chart/Chart.yaml";
const WORKLOAD: &str = "chart/templates/web.yaml";

/// Replaces one piece of one file of a healthy application offer.
fn change(at: &mut Offer, name: &'static str, from: &str, to: &str) {
    at.add_application();
    edit(at, name, from, to);
}

/// An offer of an application alone, billed by Microsoft per core.
pub(super) fn sold(at: &mut Offer) {
    at.add_application();
    let image = at.text.find("  - id: tide-service").unwrap();
    let application = at.text.find("  - id: tide-cluster").unwrap();
    at.text.replace_range(image..application, "");
    at.add_after("  registry: harbour\n", "  sellThroughMicrosoft: true\n");
    at.replace(
        "    licence: byol\n",
        "    licence: payAsYouGo\n    prices: { unit: perCore, usdPerHour: 0.02 }\n",
    );
}

pub(super) fn edit(at: &mut Offer, name: &'static str, from: &str, to: &str) {
    let text = String::from_utf8(at.files[name].clone()).unwrap();
    assert!(text.contains(from), "{name} does not hold {from:?}");
    at.file(name, text.replacen(from, to, 1));
}

/// The same for the plan in `offer.yaml`.
pub(super) fn plan(at: &mut Offer, from: &str, to: &str) {
    at.add_application();
    at.replace(from, to);
}

/// A case of the rule `$id` with one changed file.
macro_rules! file {
    ($id:literal, $weight:ident, $what:literal, $name:ident, $from:literal => $to:literal) => {
        offer($id, Weight::$weight, $what, |at| change(at, $name, $from, $to))
    };
}

/// A case of the rule `$id` with a changed plan.
macro_rules! said {
    ($id:literal, $weight:ident, $what:literal, $from:literal => $to:literal) => {
        offer($id, Weight::$weight, $what, |at| plan(at, $from, $to))
    };
}

pub(super) const HEALTHY: &[(&str, Make)] = &[
    ("an offer with a Kubernetes application", Make::Offer(Offer::add_application)),
    ("an application that Microsoft bills", Make::Offer(sold)),
];

pub(super) const CASES: &[Case] = &[
    file!("K8S-001", Error, "the template makes a storage account", TEMPLATE,
        "\"resources\": [" => "\"resources\": [\n    { \"type\": \"Microsoft.Storage/storageAccounts\", \"apiVersion\": \"2023-01-01\", \"name\": \"tide\" },"),
    offer("K8S-003", Weight::Error, "a billed pod has no billing label", |at| {
        sold(at);
        let label = "        azure-extensions-usage-release-identifier: {{ .Release.Name }}\n";
        edit(at, WORKLOAD, label, "");
    }),
    file!("K8S-004", Error, "the manifest has no version of three numbers", MANIFEST,
        "version: 1.0.0" => "version: 1.0"),
    offer("K8S-002", Weight::Error, "a template names an image itself", |at| {
        let same = "quayharbour.azurecr.io/sold/tide/web@sha256:\
                    5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
        let first = format!(
            "      initContainers:\n        - {{ name: first, image: {same} }}\n      containers:"
        );
        change(at, WORKLOAD, "      containers:", &first);
    }),
    file!("K8S-007", Error, "what renders is another image", WORKLOAD,
        "images.web.image }}" => "images.web.image | replace \"tide\" \"ebb\" }}"),
    file!("K8S-013", Error, "the template has a comment", TEMPLATE,
        "{\n" => "{\n  // the template\n"),
    file!("K8S-014", Error, "the manifest leads to another chart", MANIFEST,
        "helmChart: chart" => "helmChart: charts"),
    file!("K8S-015", Error, "the manifest names another registry", MANIFEST,
        "quayharbour.azurecr.io" => "quaystaging.azurecr.io"),
    said!("K8S-016", Error, "the bundle has another version than its manifest",
        "bundle: { repository: tide/bundle }" => "bundle: { repository: tide/bundle, version: \"1.0.1\" }"),
    said!("K8S-017", Error, "the extension type has a digit", "Quayline.Tide" => "Quayline.Tide2"),
    file!("K8S-018", Error, "the template installs into another namespace", TEMPLATE,
        "\"releaseNamespace\": \"tide\"" => "\"releaseNamespace\": \"water\""),
    file!("K8S-019", Error, "the template is for connected clusters", TEMPLATE,
        "Microsoft.ContainerService/managedClusters/" => "Microsoft.Kubernetes/connectedClusters/"),
    file!("K8S-020", Error, "the template has no version", TEMPLATE,
        "  \"contentVersion\": \"1.0.0.0\",\n" => ""),
    file!("K8S-021", Error, "the template names a plan itself", TEMPLATE,
        "[variables('plan-name')]" => "tide-plan"),
    file!("K8S-022", Error, "the template names an extension type itself", TEMPLATE,
        "[variables('clusterExtensionTypeName')]" => "Quayline.Tide"),
    file!("K8S-023", Error, "the template uses a parameter that it does not declare", TEMPLATE,
        "[parameters('pageTitle')]" => "[concat(parameters('pageTitle'), parameters('pageFoot'))]"),
    file!("K8S-024", Error, "the questions leave out a parameter", QUESTIONS,
        ",\n      \"pageTitle\": \"[steps('page').title]\"" => ""),
    file!("K8S-025", Error, "the questions have another handler", QUESTIONS,
        "Microsoft.Azure.CreateUIDef\"" => "Microsoft.Azure.CreateUi\""),
    file!("K8S-026", Error, "an output takes an answer that nobody is asked for", QUESTIONS,
        "[steps('page').title]" => "[steps('page').heading]"),
    file!("K8S-027", Error, "a setting has an empty part", TEMPLATE,
        "\"page.title\"" => "\"page..title\""),
    file!("K8S-028", Error, "a secure parameter has a value", TEMPLATE,
        "\"pageTitle\": { \"type\": \"string\" }" => "\"pageTitle\": { \"type\": \"secureString\", \"defaultValue\": \"tea4two\" }"),
    file!("K8S-029", Warning, "a setting sets what the chart has not", TEMPLATE,
        "\"page.title\"" => "\"page.heading\""),
    unrendered("K8S-005", Weight::Error, "a subchart is packed", |at| {
        at.add_application();
        at.file("chart/charts/sea-1.0.0.tgz", "sea");
    }),
    file!("K8S-006", Error, "the chart does not render", WORKLOAD,
        "replicas: 1" => "replicas: {{ required \"say how many\" .Values.replicas }}"),
    unrendered("K8S-008", Weight::Error, "the chart has no version", |at| {
        change(at, CHART, "version: 1.0.0\n", "");
    }),
    unrendered("K8S-009", Weight::Error, "a chart that is needed is not there", |at| {
        let needed = "version: 1.0.0\ndependencies:\n  - { name: redis, version: 20.0.0, repository: \"file://../redis\" }\n";
        change(at, CHART, "version: 1.0.0\n", needed);
    }),
    file!("K8S-010", Warning, "the chart asks the cluster while it renders", WORKLOAD,
        "replicas: 1" => "replicas: {{ if (lookup \"v1\" \"Namespace\" \"\" \"tide\") }}1{{ else }}1{{ end }}"),
    file!("K8S-011", Error, "the pods want another processor", WORKLOAD,
        "kubernetes.io/arch: amd64" => "kubernetes.io/arch: arm64"),
    said!("K8S-012", Error, "the offer makes an image that the chart has not", "      web:\n" => "      wave:\n"),
];
