//! Whether a workload fits a container group: the service's refusals, and its omissions.

use super::health::HealthCheck;
use super::limits::{
    CPU_DEFAULT, CPU_MAX, GROUP_MIN, IMAGE_BYTES_MAX, MEMORY_GB_DEFAULT, MEMORY_GB_MAX, PORTS_MAX,
    VOLUMES_MAX, is_reserved, is_variable,
};
use super::refusal::DeployFault;
use super::workload::{Os, Workload};
use crate::shown::visible;

/// A group asks for one core and one gigabyte at least.
pub(super) fn resources(workload: &Workload) -> (f64, f64) {
    let said = workload.resources.as_ref();
    let (cpu, memory) =
        said.map_or((CPU_DEFAULT, MEMORY_GB_DEFAULT), |said| (said.cpu, said.memory_gb));
    (cpu.max(GROUP_MIN), memory.max(GROUP_MIN))
}

/// Everything the service would refuse.
pub(super) fn faults(workload: &Workload) -> Vec<DeployFault> {
    let mut faults = Vec::new();
    let mut fault = |what: String, fix: &str| faults.push(DeployFault::new(what, fix));
    if !workload.architectures.iter().any(|architecture| architecture == "amd64") {
        let has = workload.architectures.join(", ");
        fault(
            format!("the image is for {has}; Azure Container Instances runs amd64 only"),
            "add the platform linux/amd64 to the image",
        );
    }
    let count = workload.ports.len();
    if count > PORTS_MAX {
        fault(
            format!("the image exposes {count} ports; one address opens {PORTS_MAX} (IMG-015)"),
            "expose only what customers connect to",
        );
    }
    for port in workload.ports.iter().filter(|port| is_reserved(**port)) {
        fault(
            format!("the service keeps the port {port} for itself (IMG-014)"),
            "let the program listen on another port",
        );
    }
    let (cpu, memory) = resources(workload);
    if cpu > CPU_MAX || memory > MEMORY_GB_MAX {
        fault(
            format!(
                "{cpu} cores and {memory} GB are asked for; a group has {CPU_MAX} cores and \
                 {MEMORY_GB_MAX} GB at most (DEP-001)"
            ),
            "ask for less in `resources` of the plan",
        );
    }
    if workload.volumes.len() > VOLUMES_MAX {
        let count = workload.volumes.len();
        fault(
            format!("the image has {count} volumes; a group has {VOLUMES_MAX} at most"),
            "state fewer `volumes` in the image",
        );
    }
    if workload.image_bytes > IMAGE_BYTES_MAX {
        fault(
            "the image is larger than 15 GB (IMG-008)".to_owned(),
            "make it smaller, or offer it for AKS only",
        );
    }
    faults
}

/// The settings the service leaves out, or does not get.
pub(super) fn notes(workload: &Workload) -> Vec<String> {
    let mut notes = workload.notes.clone();
    if workload.resources.is_none() {
        notes.push(format!(
            "the plan says nothing of `resources`: {CPU_DEFAULT} core and {MEMORY_GB_DEFAULT} GB are \
             asked for"
        ));
    }
    if workload.resources.as_ref().is_some_and(|it| it.cpu < GROUP_MIN || it.memory_gb < GROUP_MIN)
    {
        notes.push("a group asks for 1 core and 1 GB at least, so it does".to_owned());
    }
    for variable in workload.variables.iter().filter(|it| !is_variable(&it.name)) {
        let name = visible(&variable.name);
        notes.push(format!(
            "the service takes no variable of the name `{name}`: the image's own stays"
        ));
    }
    match workload.health.as_ref().map(|health| &health.check) {
        Some(HealthCheck::Tcp(_)) => notes.push(
            "there is no probe: the service asks pages and commands, no ports; name a page with \
             --probe-path"
                .to_owned(),
        ),
        None => notes.push(
            "there is no probe: the image has neither a HEALTHCHECK nor a TCP port".to_owned(),
        ),
        Some(_) => {}
    }
    if workload.os == Os::Windows && !workload.volumes.is_empty() {
        notes.push("volumes are left out: groups of Windows have no emptyDir".to_owned());
    }
    notes
}
