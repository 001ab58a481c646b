//! What a customer runs of a plan: a container group of Azure Container Instances, objects of
//! Kubernetes, or the values of a Helm chart, made from the offer and the packaged image.
//!
//! Invariant: every file names its images by digest, has no secret in it, and is the same for the
//! same input. What a service would refuse is a [`DeployRefusal`] and no file.

pub mod aci;
pub mod aks;
mod arm;
mod bicep;
mod fitting;
mod health;
pub mod helm;
pub mod limits;
pub mod next;
mod parameters;
mod pod;
mod refusal;
mod tree;
mod units;
pub mod words;
pub mod workload;
mod yaml;

pub use aci::ContainerGroup;
pub use aks::{Objects, Scale};
pub use refusal::{DeployFault, DeployRefusal};
pub use words::{Capacity, Path, RegistryOrigin};
pub use workload::{PinnedImage, Workload, WorkloadRequest};

#[cfg(test)]
mod tests;
