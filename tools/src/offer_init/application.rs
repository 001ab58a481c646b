//! The packaging tool's and the portal's files beside a chart: `manifest.yaml`,
//! `createUiDefinition.json` and `mainTemplate.json`, for existing clusters (Microsoft's sample
//! "existing cluster only", restated).

use serde_json::Value;

use super::answers::Answers;
use super::names;
use super::scalar::{quoted, scalar};
use super::texts::CHART_FOLDER;
use super::topics::Topic;

/// Longest answer of a value the portal shows, in characters.
const DESCRIPTION_CHARS_MAX: usize = 100;

/// The files, with their paths.
#[must_use]
pub(super) fn files(answers: &Answers) -> Vec<(String, String)> {
    vec![
        ("manifest.yaml".to_owned(), manifest(answers)),
        ("createUiDefinition.json".to_owned(), ui_definition(answers)),
        ("mainTemplate.json".to_owned(), ARM_TEMPLATE.to_owned()),
    ]
}

fn manifest(answers: &Answers) -> String {
    let id = names::label(answers.text(Topic::OfferId));
    let publisher = answers.text(Topic::Publisher);
    let chart = answers.chart.as_deref().unwrap_or(CHART_FOLDER);
    let summary = answers.text(Topic::Summary);
    let description = names::one_line(summary, DESCRIPTION_CHARS_MAX).unwrap_or_default();
    format!(
        "# What Microsoft's packaging tool (`cpa`) makes the bundle from.\n\
         applicationName: {}\n\
         publisher: {}\n\
         description: {}\n\
         # Three numbers; raise them for each release, or the bundle is refused.\n\
         version: {}\n\
         helmChart: {}\n\
         clusterArmTemplate: ./mainTemplate.json\n\
         uiDefinition: ./createUiDefinition.json\n\
         registryServer: {}{}\n\
         extensionRegistrationParameters:\n\
         \x20 # cluster: once in a cluster, into the namespace below; namespace: once in each.\n\
         \x20 defaultScope: cluster\n\
         \x20 namespace: {}\n",
        scalar(&format!("com.{}.{id}", names::host_part(publisher))),
        scalar(publisher),
        quoted(&description),
        answers.full_version(),
        scalar_path(chart),
        scalar(answers.text(Topic::Registry)),
        answers.mark(Topic::Registry),
        scalar(&id),
    )
}

/// A path with a dot at its beginning, as the tool's samples have them.
fn scalar_path(path: &str) -> String {
    if path.starts_with("..") { quoted(path) } else { quoted(&format!("./{path}")) }
}

/// The page of the portal; the name of the product is a text in JSON.
fn ui_definition(answers: &Answers) -> String {
    let label = format!("Where {} runs", answers.text(Topic::Title));
    UI_DEFINITION.replace("\"LABEL\"", &Value::from(label).to_string())
}

const UI_DEFINITION: &str = r#"{
  "$schema": "https://schema.management.azure.com/schemas/0.1.2-preview/CreateUIDefinition.MultiVm.json#",
  "handler": "Microsoft.Azure.CreateUIDef",
  "version": "0.1.2-preview",
  "parameters": {
    "config": {
      "isWizard": false,
      "basics": {
        "location": { "visible": false },
        "resourceGroup": { "allowExisting": true }
      }
    },
    "resourceTypes": ["Microsoft.ContainerService/managedClusters"],
    "basics": [],
    "steps": [
      {
        "name": "cluster",
        "label": "LABEL",
        "elements": [
          {
            "name": "lookup",
            "type": "Microsoft.Solutions.ArmApiControl",
            "request": {
              "method": "GET",
              "path": "[concat(subscription().id, '/resourcegroups/', resourceGroup().name, '/providers/Microsoft.ContainerService/managedClusters?api-version=2025-05-01')]"
            }
          },
          {
            "name": "clusterResourceId",
            "type": "Microsoft.Common.DropDown",
            "label": "AKS cluster",
            "toolTip": "A cluster in the resource group that was chosen before.",
            "constraints": {
              "allowedValues": "[map(steps('cluster').lookup.value, (item) => parse(concat('{\"label\":\"', item.name, '\",\"value\":\"', item.id, '\"}')))]",
              "required": true
            },
            "visible": true
          },
          {
            "name": "extensionResourceName",
            "type": "Microsoft.Common.TextBox",
            "label": "Name of the cluster extension",
            "defaultValue": "",
            "toolTip": "6 to 30 lowercase letters and digits, a letter first.",
            "constraints": {
              "required": true,
              "regex": "^[a-z][a-z0-9]{5,29}$",
              "validationMessage": "Write 6 to 30 lowercase letters and digits, a letter first."
            },
            "visible": true
          }
        ]
      }
    ],
    "outputs": {
      "clusterResourceId": "[steps('cluster').clusterResourceId]",
      "extensionResourceName": "[steps('cluster').extensionResourceName]"
    }
  }
}
"#;

/// The packaging tool replaces `DONOTMODIFY`.
const ARM_TEMPLATE: &str = r#"{
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
  "contentVersion": "1.0.0.0",
  "parameters": {
    "clusterResourceId": {
      "type": "string",
      "metadata": { "description": "The resource ID of the AKS cluster." }
    },
    "extensionResourceName": {
      "type": "string",
      "metadata": { "description": "The name of the cluster extension." }
    }
  },
  "variables": {
    "plan-name": "DONOTMODIFY",
    "plan-publisher": "DONOTMODIFY",
    "plan-offerID": "DONOTMODIFY",
    "releaseTrain": "DONOTMODIFY",
    "clusterExtensionTypeName": "DONOTMODIFY"
  },
  "resources": [
    {
      "type": "Microsoft.KubernetesConfiguration/extensions",
      "apiVersion": "2024-11-01",
      "name": "[parameters('extensionResourceName')]",
      "scope": "[parameters('clusterResourceId')]",
      "plan": {
        "name": "[variables('plan-name')]",
        "publisher": "[variables('plan-publisher')]",
        "product": "[variables('plan-offerID')]"
      },
      "properties": {
        "extensionType": "[variables('clusterExtensionTypeName')]",
        "autoUpgradeMinorVersion": true,
        "releaseTrain": "[variables('releaseTrain')]",
        "configurationSettings": {},
        "configurationProtectedSettings": {}
      }
    }
  ],
  "outputs": {}
}
"#;
