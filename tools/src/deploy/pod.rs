//! The pod of a workload: its container with probes, rights, room and volumes, and the nodes it
//! fits. It keeps to the restricted Pod Security Standard where the image can.

use super::health::{Health, HealthCheck};
use super::tree::{Map, Phrase, PhrasePart, TemplateNode};
use super::units::{cores, gigabytes, has_low_port, is_variable, port_name, protocol};
use super::workload::{EnvVariable, Os, RunAs, Workload};

/// The folder of programs' temporary files.
const TEMPORARY: &str = "/tmp";
/// The name of the volume there.
const TEMPORARY_NAME: &str = "tmp";
/// Seconds from the image's stop signal to the end; Kubernetes' own default.
const GRACE_SECONDS: u32 = 30;
/// The interval and number of a starting container's checks before it counts as failed: 5 minutes.
const START_INTERVAL_SECONDS: u32 = 5;
const START_FAILURES: u32 = 60;

/// The capabilities of root's entrypoint, to make its folders and to change its user.
const ROOT_CAPABILITIES: [&str; 7] =
    ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"];

/// The pod; `is_kept` says whether its volumes outlive it.
pub(super) fn pod(workload: &Workload, is_kept: bool) -> Map {
    let pod = Map::new()
        .with("serviceAccountName", Phrase::parameter("name"))
        .with("automountServiceAccountToken", false);
    let pod = nodes(pod, workload);
    let pod = pod.with("securityContext", pod_rights(workload)).noted(
        "terminationGracePeriodSeconds",
        "From the image's stop signal until it is killed.",
        GRACE_SECONDS,
    );
    let pod = pod.with("containers", vec![container(workload)]);
    let volumes = volumes(workload, is_kept);
    if volumes.is_empty() {
        return pod;
    }
    let note =
        if is_kept { "The others are in volumeClaimTemplates." } else { "Empty at each start." };
    pod.noted("volumes", note, volumes)
}

/// Adds the selectors of the nodes that fit.
fn nodes(pod: Map, workload: &Workload) -> Map {
    let os = match workload.os {
        Os::Linux => "linux",
        Os::Windows => "windows",
    };
    let pod = pod.with("os", Map::new().with("name", os));
    let selector = Map::new().with("kubernetes.io/os", os);
    if let [only] = workload.architectures.as_slice() {
        let selector = selector.with("kubernetes.io/arch", only.as_str());
        return pod.noted("nodeSelector", "The image has this platform only.", selector);
    }
    let expression = Map::new()
        .with("key", "kubernetes.io/arch")
        .with("operator", "In")
        .with("values", workload.architectures.clone());
    let term = Map::new().with("matchExpressions", vec![expression]);
    let required = Map::new().with("nodeSelectorTerms", vec![term]);
    let affinity = Map::new().with("requiredDuringSchedulingIgnoredDuringExecution", required);
    pod.with("nodeSelector", selector).noted(
        "affinity",
        "The architectures that the image has.",
        Map::new().with("nodeAffinity", affinity),
    )
}

fn pod_rights(workload: &Workload) -> Map {
    let rights = Map::new();
    if workload.os == Os::Windows {
        return windows_rights(rights, workload);
    }
    let rights = match &workload.user {
        RunAs::Number { user, group } => {
            let rights = rights.with("runAsNonRoot", true).with("runAsUser", *user);
            let rights = rights.with_some("runAsGroup", *group);
            let fs_group = (!workload.volumes.is_empty()).then(|| group.unwrap_or(*user));
            match fs_group {
                Some(group) => rights.noted("fsGroup", "So that it may write into volumes.", group),
                None => rights,
            }
        }
        RunAs::Root | RunAs::Named(_) => rights,
    };
    let rights = rights.with("seccompProfile", Map::new().with("type", "RuntimeDefault"));
    if !has_low_port(workload) || workload.user.is_root() {
        return rights;
    }
    let sysctl = Map::new().with("name", "net.ipv4.ip_unprivileged_port_start").with("value", "0");
    rights.noted("sysctls", "It listens below 1024, which is root's otherwise.", vec![sysctl])
}

/// Of all these rights, Windows has only the user.
fn windows_rights(rights: Map, workload: &Workload) -> Map {
    match &workload.user {
        RunAs::Named(name) if !name.eq_ignore_ascii_case("containeradministrator") => {
            let options = Map::new().with("runAsUserName", name.as_str());
            rights.with("runAsNonRoot", true).with("windowsOptions", options)
        }
        _ => rights,
    }
}

fn container(workload: &Workload) -> Map {
    let image = Phrase(vec![
        PhrasePart::Parameter("registry".to_owned()),
        PhrasePart::Text("/".to_owned()),
        PhrasePart::Parameter("repository".to_owned()),
        PhrasePart::Text("@".to_owned()),
        PhrasePart::Parameter("digest".to_owned()),
    ]);
    let container = Map::new()
        .with("name", workload.name.as_str())
        .noted("image", "By digest, so that what was certified is what runs.", image)
        .with("imagePullPolicy", "IfNotPresent");
    let ports: Vec<Map> = workload
        .ports
        .iter()
        .map(|port| {
            Map::new()
                .with("name", port_name(*port))
                .with("containerPort", port.number)
                .with("protocol", protocol(*port))
        })
        .collect();
    let container = if ports.is_empty() { container } else { container.with("ports", ports) };
    let variables = variables(workload);
    let container = if variables.is_empty() {
        container
    } else {
        container.noted("env", "As the image sets them; change what differs.", variables)
    };
    let container = probes(container, workload);
    let container = match &workload.resources {
        None => container,
        Some(said) => {
            let room =
                Map::new().with("cpu", cores(said.cpu)).with("memory", gigabytes(said.memory_gb));
            let both = Map::new().with("requests", room.clone()).with("limits", room);
            container.noted("resources", "As the plan says.", both)
        }
    };
    let container = match rights(workload) {
        Some(rights) => container.with("securityContext", rights),
        None => container,
    };
    let mounts = mounts(workload);
    if mounts.is_empty() { container } else { container.with("volumeMounts", mounts) }
}

fn variables(workload: &Workload) -> Vec<Map> {
    let secret = Phrase(vec![
        PhrasePart::Parameter("name".to_owned()),
        PhrasePart::Text("-secrets".to_owned()),
    ]);
    let variable = |EnvVariable { name, value }: &EnvVariable| {
        let variable = Map::new().with("name", name.as_str());
        if let Some(value) = value {
            return variable.with("value", unexpanded(value));
        }
        let key = Map::new().with("name", secret.clone()).with("key", name.as_str());
        variable.with("valueFrom", Map::new().with("secretKeyRef", key))
    };
    workload.variables.iter().filter(|it| is_variable(&it.name)).map(variable).collect()
}

/// Kubernetes puts the values of other variables into `$(NAME)`, and reads `$$` as `$`.
fn unexpanded(value: &str) -> String {
    if value.contains("$(") || value.contains("$$") {
        value.replace('$', "$$")
    } else {
        value.to_owned()
    }
}

fn probes(container: Map, workload: &Workload) -> Map {
    let Some(health) = &workload.health else { return container };
    let timed = |check: Map, interval: u32, failures: u32| {
        check
            .with("periodSeconds", interval)
            .with("timeoutSeconds", health.timeout)
            .with("failureThreshold", failures)
    };
    let probe = timed(check(health, workload), health.interval, health.failures);
    let failures = START_FAILURES.max(health.start.div_ceil(START_INTERVAL_SECONDS));
    let start = timed(check(health, workload), START_INTERVAL_SECONDS, failures);
    container
        .noted("startupProbe", "The others wait until it has started.", start)
        .with("livenessProbe", probe.clone())
        .with("readinessProbe", probe)
}

fn check(health: &Health, workload: &Workload) -> Map {
    // A port by its name, if the image states it.
    let port = |number: u16| -> TemplateNode {
        let known =
            workload.ports.iter().find(|port| port.number == number && protocol(**port) == "TCP");
        known.map_or_else(|| number.into(), |port| port_name(*port).into())
    };
    match &health.check {
        HealthCheck::Tcp(number) => {
            Map::new().with("tcpSocket", Map::new().with("port", port(*number)))
        }
        HealthCheck::Command(words) => {
            Map::new().with("exec", Map::new().with("command", words.clone()))
        }
        HealthCheck::Http { port: number, path, is_tls } => {
            let page = Map::new()
                .with("path", path.as_str())
                .with("port", port(*number))
                .with("scheme", if *is_tls { "HTTPS" } else { "HTTP" });
            Map::new().with("httpGet", page)
        }
    }
}

/// The container's rights; Windows has none of them.
fn rights(workload: &Workload) -> Option<Map> {
    if workload.os == Os::Windows {
        return None;
    }
    let rights = Map::new().with("allowPrivilegeEscalation", false);
    let nothing = Map::new().with("drop", vec!["ALL"]);
    let rights = match &workload.user {
        RunAs::Root => rights.noted(
            "capabilities",
            "What entrypoints of root use; take out what this one does not.",
            nothing.with("add", ROOT_CAPABILITIES.to_vec()),
        ),
        RunAs::Number { .. } | RunAs::Named(_) => rights.with("capabilities", nothing),
    };
    Some(if workload.volumes.is_empty() {
        rights.noted(
            "readOnlyRootFilesystem",
            "The image states no volumes. Where it writes nothing, make this true.",
            false,
        )
    } else {
        rights.noted("readOnlyRootFilesystem", "It writes into its volumes only.", true)
    })
}

/// Whether the pod gets a temporary folder: where no other place is writable.
fn needs_temporary(workload: &Workload) -> bool {
    workload.os == Os::Linux
        && !workload.volumes.is_empty()
        && !workload.volumes.iter().any(|volume| volume.path == TEMPORARY)
}

fn mounts(workload: &Workload) -> Vec<Map> {
    let mount = |name: &str, path: &str| Map::new().with("name", name).with("mountPath", path);
    let temporary = needs_temporary(workload).then(|| mount(TEMPORARY_NAME, TEMPORARY));
    let volumes = workload.volumes.iter();
    volumes.map(|at| mount(at.name.as_str(), &at.path)).chain(temporary).collect()
}

fn volumes(workload: &Workload, is_kept: bool) -> Vec<Map> {
    let empty = |name: &str| Map::new().with("name", name).with("emptyDir", Map::new());
    let temporary = needs_temporary(workload).then(|| empty(TEMPORARY_NAME));
    let volumes = if is_kept { &[] } else { workload.volumes.as_slice() };
    volumes.iter().map(|at| empty(at.name.as_str())).chain(temporary).collect()
}
