//! The workload: the image of a plan by its digest, with the run settings of its configuration and
//! of the offer. Services make their files of it.
//!
//! Invariant: a `Workload` names its image by one digest with all its platforms, has a command, and
//! no secret: of a variable that looks like a secret only the name is kept.

use std::collections::BTreeSet;

use wharf_oci::{Digest, RepoName};

use super::health::{Health, health};
use super::refusal::{DeployFault, DeployRefusal};
use super::words::{Path, RegistryOrigin, ResourceName};
use crate::image::accounts::{ContainerUser, resolve};
use crate::image::config::ImageConfig;
use crate::image::facts::{ImageFacts, PlatformImage, Weight};
use crate::logins;
use crate::offer::model::{PlanImage, Resources};
use crate::offer::values::{ExposedPort, LoginServer};
use crate::secret_patterns::looks_secret;
use crate::shown::visible;

/// How many faults of a layout are told.
const FAULTS_SHOWN_MAX: usize = 3;

/// The workload of a plan's image.
#[derive(Debug, Clone)]
pub struct Workload {
    pub name: ResourceName,
    /// The offer, for labels.
    pub offer: String,
    /// The version, for labels.
    pub version: String,
    pub image: PinnedImage,
    pub os: Os,
    /// The image's architectures for it, in their order.
    pub architectures: Vec<String>,
    /// Compressed bytes of the largest of them.
    pub image_bytes: u64,
    pub user: RunAs,
    pub variables: Vec<EnvVariable>,
    pub ports: Vec<ExposedPort>,
    /// The folders of its lasting files.
    pub volumes: Vec<Volume>,
    /// How to ask whether it is well.
    pub health: Option<Health>,
    /// Its resources, when the offer has them.
    pub resources: Option<Resources>,
    /// The notes for the deployment.
    pub notes: Vec<String>,
}

/// An image by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedImage {
    pub server: LoginServer,
    /// The repository there.
    pub repository: RepoName,
    /// The manifest, or the index of all platforms.
    pub digest: Digest,
}

/// The services' operating systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Os {
    Linux,
    Windows,
}

impl Os {
    /// Docker's command for a line of a shell.
    const fn shell(self) -> &'static [&'static str] {
        match self {
            Self::Linux => &["/bin/sh", "-c"],
            Self::Windows => &["cmd", "/S", "/C"],
        }
    }
}

/// The user of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunAs {
    /// This user, other than root, and this main group where one is known.
    Number {
        /// The number of the user.
        user: u32,
        /// The number of the group, if it is not root's.
        group: Option<u32>,
    },
    Root,
    /// A user by name, missing from the files of the image.
    Named(String),
}

/// A variable of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvVariable {
    pub name: String,
    /// Its value; none for one that looks like a secret.
    pub value: Option<String>,
}

/// A folder that outlives its container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    pub name: ResourceName,
    pub path: String,
}

/// The options besides the offer and the image.
#[derive(Debug, Clone, Copy, Default)]
pub struct WorkloadRequest<'a> {
    /// The registry customers pull from.
    pub origin: Option<&'a RegistryOrigin>,
    /// A page for the health check.
    pub page: Option<&'a Path>,
}

impl Workload {
    /// The workload of a plan's image. `registry` is its default place, `offer` the ID of the
    /// offer.
    pub fn of(
        facts: &ImageFacts,
        plan: &PlanImage,
        resources: Option<&Resources>,
        offer: &str,
        registry: &RegistryOrigin,
        wishes: WorkloadRequest<'_>,
    ) -> Result<Self, DeployRefusal> {
        let digest = whole(facts)?;
        let (os, images) = runnable(facts)?;
        let lead = images.iter().find(|image| image.config.architecture == "amd64");
        let Some(lead) = lead.or_else(|| images.first()) else { return Err(nothing_runs(facts)) };
        let config = lead.config;
        if config.config.entrypoint.is_empty() && config.config.cmd.is_empty() {
            return Err(DeployRefusal::one(
                "the image has no command, so nothing would start (IMG-011)",
                "write `entrypoint` or `cmd` of the image, and package it again",
            ));
        }
        let mut notes = Vec::new();
        let ports = ports(config);
        let architectures: BTreeSet<String> =
            images.iter().map(|image| image.config.architecture.clone()).collect();
        Ok(Self {
            name: ResourceName::nearest(plan.id.as_str(), "app-"),
            offer: offer.to_owned(),
            version: plan.image.version.to_string(),
            image: PinnedImage::new(plan, digest, wishes.origin.unwrap_or(registry))?,
            os,
            architectures: architectures.into_iter().collect(),
            image_bytes: images.iter().map(|at| at.image.stored_bytes()).max().unwrap_or_default(),
            user: RunAs::of(lead.image, config),
            variables: variables(config),
            volumes: volumes(config, os, &mut notes),
            health: health(&config.config.healthcheck, wishes.page, &ports, os.shell()),
            ports,
            resources: resources.cloned(),
            notes,
        })
    }
}

impl PinnedImage {
    /// An image of a plan on a registry.
    pub fn new(
        plan: &PlanImage,
        digest: Digest,
        origin: &RegistryOrigin,
    ) -> Result<Self, DeployRefusal> {
        let repository = match &origin.prefix {
            None => plan.image.repository.clone(),
            Some(prefix) => plan.image.repository.under(prefix).map_err(|error| {
                let what = format!("`{prefix}` cannot stand before the repository: {error}");
                DeployRefusal::one(what, "give a shorter prefix")
            })?,
        };
        Ok(Self { server: origin.server.clone(), repository, digest })
    }

    /// The reference as clients take it.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}/{}@{}", self.server, self.repository, self.digest)
    }
}

/// The one digest an image is found by on every platform: its index, or its only manifest.
pub fn whole(facts: &ImageFacts) -> Result<Digest, DeployRefusal> {
    let damage: Vec<String> = facts
        .faults
        .iter()
        .filter(|fault| fault.kind.weight() >= Weight::Unusable)
        .map(|fault| visible(&fault.to_string()))
        .collect();
    if let Some(first) = damage.first() {
        let shown =
            damage.get(..FAULTS_SHOWN_MAX).map_or_else(|| first.clone(), |it| it.join("; "));
        return Err(DeployRefusal::one(
            format!("{} cannot be used as it is: {shown}", facts.location),
            "package it again; `wharf verify` says everything that is wrong",
        ));
    }
    match one_digest(facts) {
        Some(digest) => Ok(digest),
        None if facts.images.is_empty() => Err(DeployRefusal::one(
            format!("there is no image in {}", facts.location),
            "package the plan first: wharf package OFFER",
        )),
        None => Err(DeployRefusal::one(
            format!("no single digest names the image for every platform in {}", facts.location),
            "list all platforms in one index: `wharf package` does",
        )),
    }
}

/// The one digest, when there is one, even beside other faults.
#[must_use]
pub fn one_digest(facts: &ImageFacts) -> Option<Digest> {
    let has_all = |children: &[wharf_oci::Descriptor]| {
        let listed = |digest: &Digest| children.iter().any(|child| child.digest == *digest);
        facts.images.iter().all(|image| listed(&image.descriptor.digest))
    };
    let is_root = |digest: &Digest| facts.roots.iter().any(|root| root.digest == *digest);
    let index = facts
        .indexes
        .iter()
        .find(|index| is_root(&index.descriptor.digest) && has_all(&index.children));
    match (index, facts.images.as_slice()) {
        (_, []) => None,
        (Some(index), _) => Some(index.descriptor.digest),
        (None, [only]) => Some(only.descriptor.digest),
        (None, _) => None,
    }
}

/// An image with its configuration.
struct Readable<'a> {
    image: &'a PlatformImage,
    config: &'a ImageConfig,
}

/// The images for Azure's nodes: the ones for Linux, else the ones for Windows.
fn runnable(facts: &ImageFacts) -> Result<(Os, Vec<Readable<'_>>), DeployRefusal> {
    let readable = || {
        facts
            .images
            .iter()
            .filter_map(|image| Some(Readable { image, config: image.config.as_ref()? }))
    };
    for (os, name, architectures) in
        [(Os::Linux, "linux", &["amd64", "arm64"][..]), (Os::Windows, "windows", &["amd64"])]
    {
        let runs = |at: &Readable<'_>| {
            at.config.os == name && architectures.contains(&at.config.architecture.as_str())
        };
        let found: Vec<Readable<'_>> = readable().filter(runs).collect();
        if !found.is_empty() {
            return Ok((os, found));
        }
    }
    Err(nothing_runs(facts))
}

fn nothing_runs(facts: &ImageFacts) -> DeployRefusal {
    let names: Vec<String> = facts.images.iter().map(PlatformImage::name).collect();
    let names = visible(&names.join(", "));
    DeployRefusal(vec![DeployFault::new(
        format!("no node of Azure runs an image for {names}"),
        "add linux/amd64, linux/arm64 or windows/amd64 to the platforms of the image",
    )])
}

impl RunAs {
    /// The user of a container of this image: names by the image's own files.
    #[must_use]
    pub fn of(image: &PlatformImage, config: &ImageConfig) -> Self {
        let user = config.config.user.as_str();
        let files = image.files.as_deref().filter(|files| files.is_complete());
        let text = |path: &str| {
            let file = files?.follow(path.as_bytes()).ok()?;
            file.content().text.as_deref()
        };
        let passwd = text("etc/passwd").unwrap_or_default();
        let group = text("etc/group").unwrap_or_default();
        match resolve(user, passwd, group) {
            Ok(ContainerUser { user: 0, .. }) => Self::Root,
            Ok(ContainerUser { user, groups }) => {
                Self::Number { user, group: groups.first().copied().filter(|group| *group != 0) }
            }
            Err(_) if is_number_or_root(user) => Self::Root,
            Err(_) => Self::Named(user.to_owned()),
        }
    }

    #[must_use]
    pub const fn is_root(&self) -> bool {
        matches!(self, Self::Root)
    }
}

/// A user of a text engines read as root although nothing of it is in the files.
fn is_number_or_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default();
    matches!(name, "" | "root") || (!name.is_empty() && name.bytes().all(|c| c == b'0'))
}

/// The readable ports, once each, in the order of their numbers.
fn ports(config: &ImageConfig) -> Vec<ExposedPort> {
    let ports = config.config.exposed_ports.keys().filter_map(|port| port.parse().ok());
    let ports: BTreeSet<ExposedPort> = ports.collect();
    ports.into_iter().collect()
}

/// The variables, the last of a name; `PATH` is the image's own affair.
fn variables(config: &ImageConfig) -> Vec<EnvVariable> {
    let mut variables: Vec<EnvVariable> = Vec::new();
    for entry in &config.config.env {
        let Some((name, value)) = entry.split_once('=') else { continue };
        if name.is_empty() || name.eq_ignore_ascii_case("path") {
            continue;
        }
        let is_secret = looks_secret(Some(name), value).is_some() || logins::within(value);
        let value = (!is_secret).then(|| value.to_owned());
        variables.retain(|known| known.name != name);
        variables.push(EnvVariable { name: name.to_owned(), value });
    }
    variables
}

/// The mountable folders of VOLUME, each once.
fn volumes(config: &ImageConfig, os: Os, notes: &mut Vec<String>) -> Vec<Volume> {
    let mut volumes: Vec<Volume> = Vec::new();
    for written in config.config.volumes.keys() {
        let path = match os {
            Os::Linux => written.trim_end_matches('/'),
            Os::Windows => written.trim_end_matches(['/', '\\']),
        };
        let is_good = match os {
            Os::Linux => {
                path.starts_with('/')
                    && !path.contains([':', '\0'])
                    && !path.split('/').any(|part| part == "..")
            }
            Os::Windows => path.as_bytes().get(1) == Some(&b':') && path.len() > 2,
        };
        if !is_good {
            let shown = visible(written);
            notes.push(format!("the volume `{shown}` is left out: nothing can be mounted there"));
            continue;
        }
        if volumes.iter().any(|known| known.path == path) {
            continue;
        }
        let mut name = ResourceName::of_volume(path);
        if volumes.iter().any(|known| known.name == name) {
            name = name.numbered(volumes.len() + 1);
        }
        volumes.push(Volume { name, path: path.to_owned() });
    }
    volumes
}
