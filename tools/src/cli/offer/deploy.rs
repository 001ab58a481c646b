//! The arguments of `wharf offer deploy`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::deploy::{Capacity, Path, RegistryOrigin};
use crate::offer::values::PlanId;

/// Most pods that one file may ask for; a cluster of AKS has not room for more.
const REPLICAS_MAX: i64 = 10_000;

/// `wharf offer deploy`.
#[derive(Debug, Subcommand)]
pub enum DeployCommand {
    /// A container group of Azure Container Instances
    Aci(AciArgs),
    /// Objects of Kubernetes, a Helm chart of them, or the values of the plan's own chart
    Aks(AksArgs),
}

impl DeployCommand {
    /// What it is called in results.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Aci(_) => "offer deploy aci",
            Self::Aks(_) => "offer deploy aks",
        }
    }
}

/// What is deployed from where.
#[derive(Debug, Args)]
pub struct DeployArgs {
    /// The offer file
    pub offer: PathBuf,
    /// The plan; needed when several would do
    #[arg(long, value_name = "ID")]
    pub plan: Option<PlanId>,
    /// Where the layouts of the offer are [default: `out` beside the offer]
    #[arg(long, env = "WHARF_LAYOUTS", value_name = "DIR")]
    pub layouts: Option<PathBuf>,
    /// The registry that customers pull from [default: the one that the offer is published from]
    #[arg(long, value_name = "HOST[/PREFIX]")]
    pub registry: Option<RegistryOrigin>,
    /// The page that says whether it is well, asked over HTTP on the first TCP port [default: as the
    /// HEALTHCHECK of the image says, else the port alone]
    #[arg(long, value_name = "PATH")]
    pub probe_path: Option<Path>,
}

/// `wharf offer deploy aci`.
#[derive(Debug, Args)]
pub struct AciArgs {
    /// What is deployed.
    #[command(flatten)]
    pub deploy: DeployArgs,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "yaml")]
    pub format: GroupFormat,
    /// Where it goes [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The forms of a container group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GroupFormat {
    /// For `az container create --file`
    Yaml,
    /// A template of Azure Resource Manager
    Arm,
    /// The same in Bicep
    Bicep,
}

/// `wharf offer deploy aks`.
#[derive(Debug, Args)]
pub struct AksArgs {
    /// What is deployed.
    #[command(flatten)]
    pub deploy: DeployArgs,
    /// How it is written [default: manifests; values for a plan with a chart]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<ObjectsFormat>,
    /// Where it goes: a file [default: stdout], or for `helm` a new folder
    #[arg(long, value_name = "FILE|DIR")]
    pub output: Option<PathBuf>,
    /// How many pods
    #[arg(long, value_name = "COUNT", default_value = "1")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=REPLICAS_MAX))]
    pub replicas: u32,
    /// Keep the volumes of the image, each of this size, beyond the pod (a `StatefulSet`)
    #[arg(long, value_name = "SIZE")]
    pub storage: Option<Capacity>,
}

/// The forms of what Kubernetes runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ObjectsFormat {
    /// For `kubectl apply`
    Manifests,
    /// Values of a chart, with the images by digest
    Values,
    /// A chart of the plan's image, to begin a Kubernetes plan with
    Helm,
}
