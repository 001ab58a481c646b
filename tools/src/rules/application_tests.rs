//! The public sample offer's shape passes every rule about applications, and each broken variant of
//! it raises exactly one rule, at the file at fault.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;
use crate::offer::fixture::{Folder, OFFER};

const PLAN: &str = r#"  - id: azure-vote
    kind: kubernetes
    name: Vote
    summary: A page to vote on.
    description: <p>A page to vote on, and a store that counts.</p>
    licence: byol
    chart: app/chart
    manifest: app/manifest.yaml
    uiDefinition: app/createUiDefinition.json
    armTemplate: app/mainTemplate.json
    clusters: [aks]
    scope: cluster
    namespace: azure-vote
    extensionType: Quayline.AzureVote
    bundle: { repository: vote/bundle, version: "1.0.4" }
    images:
      frontend: { repository: vote/front, version: "1.0.4", platforms: [{ platform: linux/amd64, layers: [{ dir: x }] }] }
      backend: { repository: vote/redis, version: "1.0.4", platforms: [{ platform: linux/amd64, layers: [{ dir: x }] }] }
"#;

const M: &str = "manifest.yaml";
const UI: &str = "createUiDefinition.json";
const ARM: &str = "mainTemplate.json";
const O: &str = "offer.yaml";

/// The rule, the changed file, its original text, and the replacement.
type Row = (&'static str, &'static str, &'static str, &'static str);

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kit/applications/azure-vote")
}

fn copy(from: &Path, to: &str, folder: &Folder, change: Option<(&str, &str, &str)>) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let to = format!("{to}/{name}");
        if path.is_dir() {
            copy(&path, &to, folder, change);
            continue;
        }
        let mut text = std::fs::read_to_string(&path).unwrap();
        if let Some((_, old, new)) = change.filter(|(file, ..)| to == format!("app/{file}")) {
            assert!(text.contains(old), "{to} does not hold {old:?}");
            text = text.replacen(old, new, 1);
        }
        folder.write(&to, text.as_bytes());
    }
}

/// The findings about applications, with one text of one file replaced.
fn found(change: Option<(&str, &str, &str)>) -> Vec<Finding> {
    let folder = Folder::new();
    copy(&sample(), "app", &folder, change);
    let mut plan = PLAN.to_owned();
    if let Some((_, old, new)) = change.filter(|(file, ..)| *file == O) {
        assert!(plan.contains(old), "the plan does not hold {old:?}");
        plan = plan.replacen(old, new, 1);
    }
    let (file, content) = folder.load(&format!("{OFFER}{plan}")).unwrap_or_else(|e| panic!("{e}"));
    let judgement = judge_offer(&file, &content, &Evidence::default(), Profile::Strict);
    judgement.findings.into_iter().filter(|finding| finding.rule.starts_with("K8S-")).collect()
}

#[expect(clippy::too_many_lines, reason = "a table, one row per case")]
fn rows() -> Vec<Row> {
    vec![
        // Resources.
        (
            "K8S-001",
            ARM,
            "Microsoft.ContainerService/managedClusters\"",
            "Microsoft.Storage/storageAccounts\"",
        ),
        (
            "K8S-001",
            ARM,
            "\"resources\": [",
            "\"resources\": [\n    { \"type\": \"Microsoft.Resources/deployments\" },",
        ),
        ("K8S-001", ARM, "\"dnsPrefix\"", "\"templateLink\": { \"uri\": \"x\" }, \"dnsPrefix\""),
        // Keys of the manifest.
        ("K8S-004", M, "publisher: Quayline\n", ""),
        (
            "K8S-004",
            M,
            "description: A page to vote on, and a store that counts.",
            "description: ''",
        ),
        ("K8S-004", M, "publisher: Quayline", "publisher: [Quayline]"),
        ("K8S-004", M, "version: 1.0.4", "version: 1.0"),
        ("K8S-004", M, "version: 1.0.4", "version: v1.0.4"),
        ("K8S-004", M, "version: 1.0.4", "version: 1.0.4-beta"),
        ("K8S-004", M, "  namespace: azure-vote\n", ""),
        ("K8S-004", M, "defaultScope: cluster", "defaultScope: everywhere"),
        ("K8S-004", M, "applicationName:", "nickname: vote\napplicationName:"),
        (
            "K8S-004",
            M,
            "distributionSupported: true",
            "distributionSupported: 'yes'\n      - distribution: k3s",
        ),
        // Form.
        ("K8S-013", ARM, "{\n  \"$schema\"", "{\n  // the template\n  \"$schema\""),
        ("K8S-013", UI, "{\n  \"$schema\"", "\u{feff}{\n  \"$schema\""),
        ("K8S-013", UI, "\"basics\": [", "\"basics\": [], \"basics\": ["),
        ("K8S-013", M, "publisher: Quayline", "publisher: Quayline\npublisher: Quayline"),
        ("K8S-013", ARM, "\"outputs\": {}", "\"outputs\": {},"),
        ("K8S-013", UI, "\"handler\": ", "\"handler\" "),
        // Paths, registry, version.
        ("K8S-014", M, "helmChart: chart", "helmChart: charts"),
        ("K8S-014", M, "uiDefinition: createUi", "uiDefinition: ../createUi"),
        ("K8S-014", M, "clusterArmTemplate: main", "clusterArmTemplate: /main"),
        ("K8S-015", M, "quayline.azurecr.io", "quaylinestaging.azurecr.io"),
        ("K8S-016", O, "version: \"1.0.4\" }\n    images", "version: \"1.0.3\" }\n    images"),
        ("K8S-016", M, "version: 1.0.4", "version: 1.0.5"),
        // Type, scope, namespace, clusters.
        ("K8S-017", O, "Quayline.AzureVote", "Quayline.AzureVote2"),
        ("K8S-017", O, "Quayline.AzureVote", "AzureVote"),
        ("K8S-018", M, "namespace: azure-vote", "namespace: vote"),
        ("K8S-018", ARM, "\"namespace\": \"azure-vote\"", "\"namespace\": \"vote\""),
        (
            "K8S-018",
            ARM,
            "{ \"cluster\": { \"releaseNamespace\": \"[variables('namespace')]\" } }",
            "{ \"cluster\": {} }",
        ),
        (
            "K8S-018",
            ARM,
            "\"cluster\": { \"releaseNamespace\"",
            "\"namespace\": { \"targetNamespace\"",
        ),
        (
            "K8S-019",
            ARM,
            "[concat('Microsoft.ContainerService/managedClusters/'",
            "[concat('Microsoft.Kubernetes/connectedClusters/'",
        ),
        ("K8S-019", M, "distributionSupported: true", "distributionSupported: false"),
        ("K8S-019", M, "managedClusters:", "connectedClusters:"),
        ("K8S-019", O, "clusters: [aks]", "clusters: []"),
        // The extension.
        ("K8S-020", ARM, "  \"contentVersion\": \"1.0.0.0\",\n", ""),
        ("K8S-020", ARM, "deploymentTemplate.json", "somethingElse.json"),
        (
            "K8S-020",
            ARM,
            "      \"scope\": \"[concat('Microsoft.ContainerService/managedClusters/', parameters('clusterResourceName'))]\",\n",
            "",
        ),
        ("K8S-021", ARM, "[variables('plan-name')]", "vote-plan"),
        ("K8S-021", ARM, "\"plan-publisher\": \"DONOTMODIFY\"", "\"plan-publisher\": \"quayline\""),
        ("K8S-021", ARM, ",\n        \"product\": \"[variables('plan-offerID')]\"", ""),
        (
            "K8S-022",
            ARM,
            "\"extensionType\": \"[variables('clusterExtensionTypeName')]\"",
            "\"extensionType\": \"Quayline.AzureVote\"",
        ),
        ("K8S-022", ARM, "        \"releaseTrain\": \"[variables('releaseTrain')]\",\n", ""),
        ("K8S-023", ARM, "\"[parameters('kubernetesVersion')]\"", "\"1.34\""),
        ("K8S-023", ARM, "parameters('nodeCount')", "parameters('nodes')"),
        ("K8S-023", ARM, "    \"namespace\": \"azure-vote\"", "    \"namespaces\": \"azure-vote\""),
        // The UI definition.
        ("K8S-024", UI, "      \"voteTitle\": \"[steps('vote').title]\",\n", ""),
        ("K8S-024", UI, "\"outputs\": {", "\"outputs\": { \"colour\": \"blue\","),
        (
            "K8S-024",
            UI,
            "\"voteTitle\": \"[steps('vote').title]\"",
            "\"voteTitle\": \"[steps('vote').password]\"",
        ),
        ("K8S-025", UI, "Microsoft.Azure.CreateUIDef\"", "Microsoft.Azure.CreateUi\""),
        ("K8S-025", UI, "\"version\": \"0.1.2-preview\"", "\"version\": \"0.0.1\""),
        ("K8S-025", UI, "\"isWizard\": false", "\"isWizard\": \"no\""),
        ("K8S-025", UI, "\"label\": \"Vote\",", ""),
        ("K8S-026", UI, "[steps('vote').title]", "[steps('vote').heading]"),
        ("K8S-026", UI, "[steps('vote').installation]", "[steps('votes').installation]"),
        ("K8S-026", UI, "\"name\": \"first\"", "\"name\": \"title\""),
        // Settings and secrets.
        ("K8S-027", ARM, "\"store.password\"", "\"store/password\""),
        ("K8S-027", ARM, "\"vote.title\"", "\"vote..title\""),
        (
            "K8S-004",
            M,
            "distributionSupported: true",
            "distributionSupported: true\n      - distribution: [k3s, 1]",
        ),
        ("K8S-028", ARM, "\"secureString\" }", "\"secureString\", \"defaultValue\": \"tea4two\" }"),
        (
            "K8S-028",
            ARM,
            "\"store.password\": \"[parameters('storePassword')]\"",
            "\"store.password\": \"tea4two\" }, \"aksAssignedIdentity\": { \"type\": \"[parameters('storePassword')]\"",
        ),
        (
            "K8S-028",
            ARM,
            "\"vote.title\": \"[parameters('voteTitle')]\"",
            "\"vote.title\": \"[concat(parameters('voteTitle'), parameters('storePassword'))]\"",
        ),
        ("K8S-029", ARM, "\"vote.first\"", "\"vote.one\""),
    ]
}

#[test]
fn the_sample_passes_every_rule_about_applications() {
    assert_eq!(found(None), []);
}

/// Valid templates and manifests beyond the sample's.
#[test]
fn other_forms_that_azure_takes_are_taken() {
    let function = "\"functions\": [{ \"namespace\": \"own\", \"members\": { \"low\": { \"parameters\": \
                    [{ \"name\": \"p\", \"type\": \"string\" }], \"output\": { \"type\": \"string\", \
                    \"value\": \"[toLower(parameters('p'))]\" } } } }],\n  \"variables\": {";
    let copy = "\"variables\": {\n    \"many\": \"[variables('limits')[0]]\",\n    \"copy\": [{ \"name\": \
                \"limits\", \"count\": 2, \"input\": \"[copyIndex('limits')]\" }],";
    let settings = "\"configurationSettings\": {\n          \"ingress.hosts[0].host\": \"x\",\n          \
                    \"nodeSelector.kubernetes\\\\.io/os\": \"linux\",\n          \
                    \"resourcesLimit.memory\\\\.Limit[0]\": \"1\",";
    for (file, old, new) in [
        (ARM, "\"variables\": {", function),
        (ARM, "\"variables\": {", copy),
        (ARM, "\"configurationSettings\": {", settings),
        (
            M,
            "distributionSupported: true",
            "distributionSupported: true\n      - distribution: [openshift, rancher]\n        \
             distributionSupported: false",
        ),
    ] {
        let found = found(Some((file, old, new)));
        assert!(found.is_empty(), "{new}: {found:#?}");
    }
}

#[test]
fn each_broken_application_raises_exactly_its_rule_in_its_file() {
    let rows = rows();
    assert!(rows.len() >= 30);
    let mut faults = Vec::new();
    for (rule, file, old, new) in &rows {
        let found = found(Some((file, old, new)));
        let rules: BTreeSet<&str> = found.iter().map(|finding| finding.rule).collect();
        let is_there = |finding: &Finding| {
            finding.place.file.ends_with(file)
                && finding.place.line.is_some()
                && finding.place.plan.as_deref() == Some("azure-vote")
        };
        // A fault of the offer against a file is told in the file.
        let is_placed = *file == O || found.iter().any(is_there);
        if rules != BTreeSet::from([*rule]) || !is_placed {
            let said: Vec<String> = found
                .iter()
                .map(|at| format!("{} {}: {}", at.rule, at.place.file.display(), at.message))
                .collect();
            faults.push(format!("{rule} {file} {old:?} → {new:?}: {said:#?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let broken: BTreeSet<&str> = rows.iter().map(|(rule, ..)| *rule).collect();
    let ours = all().filter(|rule| {
        let number = rule.id.strip_prefix("K8S-").and_then(|number| number.parse::<u32>().ok());
        number.is_some_and(|number| matches!(number, 1 | 4 | 13..=29))
    });
    let unbroken: Vec<&str> = ours.map(|rule| rule.id).filter(|id| !broken.contains(id)).collect();
    assert_eq!(unbroken, [] as [&str; 0]);
}

#[test]
fn a_fault_that_stands_everywhere_is_told_a_few_times() {
    let many = format!("\"outputs\": {{ {} \"z\": 1,", "\"x\": \"y\", ".repeat(2_000));
    let found = found(Some((UI, "\"outputs\": {", &many)));
    assert!((2..=45).contains(&found.len()), "{}", found.len());
}
