//! A container group of Azure Container Instances (API 2023-05-01): as `az container create --file`
//! takes it, as a template of Azure Resource Manager, and as Bicep.

use std::collections::{BTreeMap, BTreeSet};

use super::fitting::{faults, notes, resources};
use super::health::{Health, HealthCheck};
use super::limits::is_variable;
use super::parameters::{Parameter, Start};
use super::refusal::DeployRefusal;
use super::tree::{Map, Phrase, PhrasePart, TemplateNode};
use super::workload::{EnvVariable, Os, Workload};
use super::yaml::Fill;
use super::{arm, bicep, yaml};
use crate::offer::values::{ExposedPort, Protocol};

/// The type of the resource, and the version of its API.
pub const KIND: &str = "Microsoft.ContainerInstance/containerGroups";
/// The newest version whose clients we know.
pub const API_VERSION: &str = "2023-05-01";

/// The variables that `envsubst` fills in, and no others.
pub const USERNAME: &str = "REGISTRY_USERNAME";
/// The same for the password.
pub const PASSWORD: &str = "REGISTRY_PASSWORD";

/// The advice about a value for the person who fills in the file.
pub const FILLED: &str = "What `envsubst` fills in stands in single quotes: write a ' in a value \
                          twice. A value of several lines takes `--format arm`.";

const ABOUT: &str =
    "Made by `wharf offer deploy aci`; the digest is the one of the packaged image.";

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    File,
    Template,
}

/// A container group.
#[derive(Debug)]
pub struct ContainerGroup<'a> {
    workload: &'a Workload,
    notes: Vec<String>,
}

impl<'a> ContainerGroup<'a> {
    /// The group of a workload, or everything the service would refuse of it.
    pub fn new(workload: &'a Workload) -> Result<Self, DeployRefusal> {
        let faults = faults(workload);
        if faults.is_empty() {
            Ok(Self { workload, notes: notes(workload) })
        } else {
            Err(DeployRefusal(faults))
        }
    }

    /// The notes for the deployment.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The parameters for the variables with secrets; a deployment has to set them.
    #[must_use]
    pub fn secret_parameters(&self) -> Vec<String> {
        secret_parameters(&self.workload.variables).into_values().collect()
    }

    /// The input of `az container create --file`.
    #[must_use]
    pub fn yaml(&self) -> String {
        let image = &self.workload.image;
        let values = BTreeMap::from([
            ("name".to_owned(), self.workload.name.to_string()),
            ("registryServer".to_owned(), image.server.to_string()),
            ("repository".to_owned(), image.repository.to_string()),
            ("registryUsername".to_owned(), format!("${{{USERNAME}}}")),
            ("registryPassword".to_owned(), format!("${{{PASSWORD}}}")),
        ]);
        let head = format!(
            "# {ABOUT}\n# Where it runs is the location of the resource group.\n# {FILLED}\n"
        );
        let document = yaml::document(&self.resource(Form::File), Fill::Values(&values));
        format!("{head}{document}")
    }

    /// A template of Azure Resource Manager.
    #[must_use]
    pub fn arm(&self) -> String {
        let kind = format!("resourceId('{KIND}', parameters('name'))");
        let address = format!("[reference({kind}, '{API_VERSION}').ipAddress.ip]");
        let outputs =
            if self.workload.ports.is_empty() { vec![] } else { vec![("address", address)] };
        let template =
            arm::template(&self.parameters(), &self.resource(Form::Template).into(), &outputs);
        let mut text = serde_json::to_string_pretty(&template).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The same in Bicep.
    #[must_use]
    pub fn bicep(&self) -> String {
        let mut resource = self.resource(Form::Template);
        // The resource line says them.
        resource.0.retain(|field| !matches!(field.key.as_str(), "type" | "apiVersion"));
        let address = "group.properties.ipAddress.ip".to_owned();
        let outputs =
            if self.workload.ports.is_empty() { vec![] } else { vec![("address", address)] };
        let kind = format!("{KIND}@{API_VERSION}");
        bicep::file(ABOUT, &self.parameters(), &kind, &resource.into(), &outputs)
    }

    fn parameters(&self) -> Vec<Parameter> {
        let image = &self.workload.image;
        let text = |text: &dyn ToString| Start::Text(text.to_string());
        let mut parameters = vec![
            Parameter::new("name", "The name of the container group.", text(&self.workload.name)),
            Parameter::new("location", "Where it runs.", Start::GroupLocation),
            Parameter::new(
                "registryServer",
                "The registry to pull from: after publishing, the one that the Marketplace serves the image from.",
                text(&image.server),
            ),
            Parameter::new(
                "repository",
                "The repository of the image there.",
                text(&image.repository),
            ),
            Parameter::new("registryUsername", "Who pulls; empty where everybody may.", text(&"")),
            Parameter::new("registryPassword", "The password to that.", text(&"")).secret(),
        ];
        for (variable, parameter) in secret_parameters(&self.workload.variables) {
            let description = format!("The value of the variable {variable}.");
            parameters.push(Parameter::new(&parameter, &description, Start::Required).secret());
        }
        parameters
    }

    fn resource(&self, form: Form) -> Map {
        let workload = self.workload;
        let tags = Map::new()
            .with("offer", workload.offer.as_str())
            .with("plan", workload.name.as_str())
            .with("version", workload.version.as_str());
        let resource = Map::new()
            .with("type", KIND)
            .with("apiVersion", API_VERSION)
            .with("name", Phrase::parameter("name"));
        let location = (form == Form::Template).then(|| Phrase::parameter("location"));
        resource
            .with_some("location", location)
            .with("tags", tags)
            .with("properties", self.group(form))
    }

    fn group(&self, form: Form) -> Map {
        let workload = self.workload;
        let os = match workload.os {
            Os::Linux => "Linux",
            Os::Windows => "Windows",
        };
        let credentials = Map::new()
            .with("server", Phrase::parameter("registryServer"))
            .with("username", Phrase::parameter("registryUsername"))
            .with("password", Phrase::parameter("registryPassword"));
        let credentials = vec![credentials.into()];
        let (who, credentials) = match form {
            Form::File => {
                ("Take this out where everybody may pull.", TemplateNode::List(credentials))
            }
            Form::Template => {
                let items = credentials;
                let list = TemplateNode::ListIf { parameter: "registryUsername", items };
                ("None where everybody may pull.", list)
            }
        };
        let group = Map::new()
            .with("osType", os)
            .noted("restartPolicy", "A service: it is started again whenever it ends.", "Always")
            .noted("imageRegistryCredentials", who, credentials)
            .with("containers", vec![self.container()]);
        let group = if workload.ports.is_empty() {
            group
        } else {
            let address = Map::new().with("type", "Public").with("ports", ports(&workload.ports));
            group.noted(
                "ipAddress",
                "Ports are not mapped: what is open here is where the program listens.",
                address,
            )
        };
        let volume = |at: &super::workload::Volume| {
            Map::new().with("name", at.name.as_str()).with("emptyDir", Map::new())
        };
        match self.volumes() {
            [] => group,
            volumes => group.noted(
                "volumes",
                "Empty at each start. For what must stay, take azureFile in place of emptyDir.",
                volumes.iter().map(volume).collect::<Vec<_>>(),
            ),
        }
    }

    fn container(&self) -> Map {
        let workload = self.workload;
        let (cpu, memory) = resources(workload);
        let image = vec![
            PhrasePart::Parameter("registryServer".to_owned()),
            PhrasePart::Text("/".to_owned()),
            PhrasePart::Parameter("repository".to_owned()),
            PhrasePart::Text(format!("@{}", workload.image.digest)),
        ];
        let requests = Map::new()
            .with("cpu", TemplateNode::Number(cpu))
            .with("memoryInGB", TemplateNode::Number(memory));
        let properties = Map::new()
            .noted("image", "By digest, so that what was certified is what runs.", Phrase(image))
            .with("resources", Map::new().with("requests", requests));
        let properties = if workload.ports.is_empty() {
            properties
        } else {
            properties.with("ports", ports(&workload.ports))
        };
        let variables = self.variables();
        let properties = if variables.is_empty() {
            properties
        } else {
            properties.noted(
                "environmentVariables",
                "As the image sets them; change what differs.",
                variables,
            )
        };
        let mount = |at: &super::workload::Volume| {
            Map::new().with("name", at.name.as_str()).with("mountPath", at.path.as_str())
        };
        let mounts: Vec<Map> = self.volumes().iter().map(mount).collect();
        let properties =
            if mounts.is_empty() { properties } else { properties.with("volumeMounts", mounts) };
        let probe = workload.health.as_ref().and_then(probe);
        let properties =
            properties.with_some("livenessProbe", probe.clone()).with_some("readinessProbe", probe);
        Map::new().with("name", workload.name.as_str()).with("properties", properties)
    }

    /// Windows has no `emptyDir`.
    fn volumes(&self) -> &[super::workload::Volume] {
        match self.workload.os {
            Os::Linux => &self.workload.volumes,
            Os::Windows => &[],
        }
    }

    fn variables(&self) -> Vec<Map> {
        let secrets = secret_parameters(&self.workload.variables);
        let variables = self.workload.variables.iter().filter(|it| is_variable(&it.name));
        variables
            .map(|EnvVariable { name, value }| {
                let variable = Map::new().with("name", name.as_str());
                match (value, secrets.get(name)) {
                    (Some(value), _) => variable.with("value", value.as_str()),
                    (None, Some(parameter)) => {
                        variable.with("secureValue", Phrase::parameter(parameter))
                    }
                    (None, None) => variable,
                }
            })
            .collect()
    }
}

/// The parameter for each secret variable. Names of parameters differ by more than their case.
fn secret_parameters(variables: &[EnvVariable]) -> BTreeMap<String, String> {
    let mut taken = BTreeSet::new();
    let mut parameters = BTreeMap::new();
    let secrets = variables.iter().filter(|it| it.value.is_none() && is_variable(&it.name));
    for variable in secrets {
        let mut name = format!("env_{}", variable.name);
        while !taken.insert(name.to_ascii_lowercase()) {
            name.push('x');
        }
        parameters.insert(variable.name.clone(), name);
    }
    parameters
}

fn ports(ports: &[ExposedPort]) -> Vec<Map> {
    let port = |port: &ExposedPort| {
        let protocol = match port.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        };
        Map::new().with("port", port.number).with("protocol", protocol)
    };
    ports.iter().map(port).collect()
}

/// The service asks pages and commands, no ports.
fn probe(health: &Health) -> Option<Map> {
    let probe = match &health.check {
        HealthCheck::Tcp(_) => return None,
        HealthCheck::Command(words) => {
            Map::new().with("exec", Map::new().with("command", words.clone()))
        }
        HealthCheck::Http { port, path, is_tls } => {
            let page = Map::new()
                .with("path", path.as_str())
                .with("port", *port)
                .with("scheme", if *is_tls { "https" } else { "http" });
            Map::new().with("httpGet", page)
        }
    };
    Some(
        probe
            .with("initialDelaySeconds", health.start)
            .with("periodSeconds", health.interval)
            .with("timeoutSeconds", health.timeout)
            .with("failureThreshold", health.failures),
    )
}
