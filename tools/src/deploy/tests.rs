//! Odd images, and the files of each: refused with a reason, or correct files.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::zero_sized_map_values)]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wharf_oci::{Algorithm, Descriptor, Digest, Digester, MediaType, Platform};

use super::*;
use crate::image::config::{Empty, ImageConfig, RuntimeConfig};
use crate::image::facts::{Fault as ImageFault, FaultKind, ImageFacts, IndexFacts, PlatformImage};
use crate::offer::fixture::{OFFER, parse};
use crate::offer::model::{PlanImage, Resources};

fn digest(content: &str) -> Digest {
    Digester::digest(Algorithm::Sha256, content.as_bytes())
}

/// A faultless server.
fn runtime() -> RuntimeConfig {
    RuntimeConfig {
        user: "999:998".to_owned(),
        entrypoint: vec!["/bin/server".to_owned()],
        exposed_ports: BTreeMap::from([("6379/tcp".to_owned(), Empty {})]),
        env: vec!["PATH=/bin".to_owned(), "TZ=Etc/UTC".to_owned()],
        ..RuntimeConfig::default()
    }
}

fn facts(platforms: &[&str], runtime: &RuntimeConfig) -> ImageFacts {
    let image = |platform: &&str| {
        let platform: Platform = platform.parse().unwrap();
        let config = ImageConfig {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            config: runtime.clone(),
            ..ImageConfig::default()
        };
        let name = platform.to_string();
        PlatformImage {
            descriptor: Descriptor::new(MediaType::OCI_MANIFEST, digest(&name), 500),
            config: Some(config),
            config_descriptor: None,
            annotations: BTreeMap::new(),
            layers: Vec::new(),
            files: None,
        }
    };
    let images: Vec<PlatformImage> = platforms.iter().map(image).collect();
    let index = Descriptor::new(MediaType::OCI_INDEX, digest("index"), 700);
    let children = images.iter().map(|image| image.descriptor.clone()).collect();
    ImageFacts {
        location: "out/server".to_owned(),
        roots: vec![index.clone()],
        indexes: vec![IndexFacts { descriptor: index, children, annotations: BTreeMap::new() }],
        images,
        ..ImageFacts::default()
    }
}

fn plan() -> PlanImage {
    parse(OFFER).unwrap().offer.images().next().unwrap().clone()
}

fn published() -> RegistryOrigin {
    "quayline.azurecr.io/live".parse().unwrap()
}

fn workload_of(facts: &ImageFacts) -> Result<Workload, DeployRefusal> {
    let resources = Resources { cpu: 0.5, memory_gb: 1.5 };
    Workload::of(
        facts,
        &plan(),
        Some(&resources),
        "tidepool",
        &published(),
        WorkloadRequest::default(),
    )
}

fn workload(platforms: &[&str], change: impl Fn(&mut RuntimeConfig)) -> Workload {
    let mut runtime = runtime();
    change(&mut runtime);
    workload_of(&facts(platforms, &runtime)).unwrap()
}

const SCALE: Scale<'static> = Scale { replicas: 1, storage: None };

fn read(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}: {yaml}"))
}

fn group(workload: &Workload) -> Value {
    read(&ContainerGroup::new(workload).unwrap().yaml())
}

/// The objects by their kinds.
fn objects(workload: &Workload, scale: Scale<'_>) -> BTreeMap<String, Value> {
    let text = Objects::new(workload, scale).unwrap().manifests();
    let objects = text.split("---\n").map(read);
    objects.map(|object| (object["kind"].as_str().unwrap().to_owned(), object)).collect()
}

fn pod(workload: &Workload) -> Value {
    objects(workload, SCALE)["Deployment"]["spec"]["template"]["spec"].clone()
}

fn refused(workload: &Workload) -> String {
    ContainerGroup::new(workload).unwrap_err().to_string()
}

fn exposed(ports: &[&str]) -> BTreeMap<String, Empty> {
    ports.iter().map(|port| ((*port).to_owned(), Empty {})).collect()
}

const BOTH: [&str; 2] = ["linux/amd64", "linux/arm64"];

#[test]
fn a_container_group_says_what_the_image_and_the_plan_say() {
    let group = group(&workload(&BOTH, |_| {}));
    let image = format!("quayline.azurecr.io/live/tidepool/server@{}", digest("index"));
    let container = &group["properties"]["containers"][0];
    assert_eq!(container["properties"]["image"], json!(image));
    let requests = &container["properties"]["resources"]["requests"];
    // A group has a whole core at least.
    assert_eq!(*requests, json!({"cpu": 1, "memoryInGB": 1.5}));
    let ports = json!([{"port": 6379, "protocol": "TCP"}]);
    assert_eq!(container["properties"]["ports"], ports);
    assert_eq!(group["properties"]["ipAddress"]["ports"], ports);
    let variables = json!([{"name": "TZ", "value": "Etc/UTC"}]);
    assert_eq!(container["properties"]["environmentVariables"], variables);
    assert_eq!(group["properties"]["osType"], "Linux");
    // The image has its command, and the service asks no ports.
    let properties = container["properties"].as_object().unwrap();
    assert!(!properties.contains_key("command") && !properties.contains_key("livenessProbe"));
}

#[test]
fn all_three_forms_of_a_group_say_the_same() {
    let workload = workload(&["linux/amd64"], |runtime| {
        runtime.env.push("ODD=[x]".to_owned());
        runtime.healthcheck.test = vec!["CMD".to_owned(), "/bin/ok".to_owned(), "it's".to_owned()];
    });
    let made = ContainerGroup::new(&workload).unwrap();
    let template: Value = serde_json::from_str(&made.arm()).unwrap();
    let (of_file, of_template) = (group(&workload), &template["resources"][0]);
    let container = |group: &Value| group["properties"]["containers"][0]["properties"].clone();
    let (mut file, mut arm) = (container(&of_file), container(of_template));
    let image = file["image"].take().as_str().unwrap().to_owned();
    let end = format!("'/', parameters('repository'), '@{}')]", digest("index"));
    assert_eq!(arm["image"].take(), format!("[concat(parameters('registryServer'), {end}"));
    assert!(image.ends_with(&digest("index").to_string()));
    assert_eq!(arm["environmentVariables"][1]["value"].take(), "[[x]");
    assert_eq!(file["environmentVariables"][1]["value"].take(), "[x]");
    assert_eq!(file, arm);
    assert_eq!(template["parameters"]["registryServer"]["defaultValue"], "quayline.azurecr.io");
    assert_eq!(template["parameters"]["registryPassword"]["type"], "securestring");
    let bicep = made.bicep();
    for line in [
        "param registryServer string = 'quayline.azurecr.io'",
        "resource group 'Microsoft.ContainerInstance/containerGroups@2023-05-01' = {",
        "    imageRegistryCredentials: empty(registryUsername) ? [] : [",
        "output address string = group.properties.ipAddress.ip",
    ] {
        assert!(bicep.lines().any(|at| at == line), "{line} in {bicep}");
    }
    let image = format!("image: '${{registryServer}}/${{repository}}@{}'", digest("index"));
    assert!(bicep.contains(&image) && bicep.contains("'it\\'s'"), "{bicep}");
}

#[test]
fn a_group_that_the_service_would_refuse_is_refused_with_every_reason() {
    let many = ["1/tcp", "22/tcp", "3/tcp", "4/tcp", "5/udp", "9999/tcp"];
    let bad = Workload {
        resources: Some(Resources { cpu: 32.0, memory_gb: 8.0 }),
        ..workload(&["linux/arm64"], |runtime| runtime.exposed_ports = exposed(&many))
    };
    let said = refused(&bad);
    for part in ["6 ports", "22/tcp for itself", "9999/tcp", "arm64", "32 cores and 8 GB"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let volumes = workload(&BOTH, |runtime| {
        let names = (0..21).map(|number| (format!("/v/{number}"), Empty {}));
        runtime.volumes = names.collect();
    });
    assert!(refused(&volumes).contains("21 volumes"));
    let large = Workload { image_bytes: 16_000_000_000, ..workload(&BOTH, |_| {}) };
    assert!(refused(&large).contains("15 GB"));
    // Kubernetes takes all of these.
    for workload in [bad, volumes, large] {
        objects(&workload, SCALE);
    }
}

#[test]
fn an_image_that_nothing_can_be_made_of_is_refused() {
    let whole = facts(&BOTH, &runtime());
    let silent = RuntimeConfig { entrypoint: Vec::new(), ..runtime() };
    let unlisted = ImageFacts { indexes: Vec::new(), ..whole.clone() };
    let damaged = ImageFault::new(digest("x"), FaultKind::Missing, "there is no blob".to_owned());
    let damaged = ImageFacts { faults: vec![damaged], ..whole };
    for (facts, part) in [
        (facts(&["linux/riscv64", "freebsd/amd64"], &runtime()), "linux/riscv64, freebsd/amd64"),
        (facts(&BOTH, &silent), "no command"),
        (facts(&[], &runtime()), "no image"),
        (unlisted, "no single digest"),
        (damaged, "there is no blob"),
    ] {
        let said = workload_of(&facts).unwrap_err().to_string();
        assert!(said.contains(part), "{part} in {said}");
    }
    // One image needs no index.
    let mut single = facts(&["linux/amd64"], &runtime());
    single.indexes.clear();
    single.roots = vec![single.images[0].descriptor.clone()];
    assert_eq!(workload_of(&single).unwrap().image.digest, digest("linux/amd64"));
}

#[test]
fn secrets_are_asked_for_and_stand_nowhere() {
    let workload = workload(&["linux/amd64"], |runtime| {
        runtime.env.push("DB_PASSWORD=hunter2-planted".to_owned());
        runtime.env.push("db_password=hunter3-planted".to_owned());
        runtime.env.push("DATABASE_URL=postgres://u:hunter4-planted@db/x".to_owned());
        runtime.env.push("CONN=Server=x;Password=hunter5-planted;".to_owned());
    });
    let made = ContainerGroup::new(&workload).unwrap();
    let objects = Objects::new(&workload, SCALE).unwrap();
    assert_eq!(objects.secrets(), ["DB_PASSWORD", "db_password", "DATABASE_URL", "CONN"]);
    // Names of parameters are the same in any case.
    assert_eq!(
        made.secret_parameters(),
        ["env_CONN", "env_DATABASE_URL", "env_DB_PASSWORD", "env_db_passwordx"]
    );
    let manifests = objects.manifests();
    let mut texts = vec![made.yaml(), made.arm(), made.bicep(), manifests];
    texts.extend(helm::chart(objects, "A server.").into_iter().map(|(_, text)| text));
    for text in &texts {
        assert!(!text.contains("planted"), "{text}");
    }
    assert!(texts[0].contains("secureValue: '${env_DB_PASSWORD}'"), "{}", texts[0]);
    assert!(texts[1].contains("\"secureValue\": \"[parameters('env_DB_PASSWORD')]\""));
    assert!(texts[2].contains("@secure()\nparam env_db_passwordx string\n"), "{}", texts[2]);
    let said = pod(&workload)["containers"][0]["env"][1].clone();
    let from = json!({"secretKeyRef": {"name": "server-secrets", "key": "DB_PASSWORD"}});
    assert_eq!(said, json!({"name": "DB_PASSWORD", "valueFrom": from}));
}

#[test]
fn odd_values_of_variables_arrive_as_they_are() {
    let odd = [
        "yes",
        "012",
        "1:30",
        "a: b # c",
        "\"'\\",
        "line\nline\n",
        "日本 🚀",
        " ",
        "{{ .Values.x }}",
        "$(HOME)",
        "$$x $",
        "${HOME}",
        "[parameters('x')]",
        "'''",
        "---",
        "\u{feff}",
    ];
    let workload = workload(&["linux/amd64"], |runtime| {
        let entries = odd.iter().enumerate().map(|(place, value)| format!("ODD{place}={value}"));
        runtime.env = entries.collect();
    });
    let variables =
        group(&workload)["properties"]["containers"][0]["properties"]["environmentVariables"]
            .clone();
    // Kubernetes makes `$$` a `$`, and looks for variables in `$(NAME)`.
    let expanded = |value: &str| {
        if value.contains("$(") || value.contains("$$") {
            value.replace("$$", "$")
        } else {
            value.to_owned()
        }
    };
    let env = pod(&workload)["containers"][0]["env"].clone();
    for (place, value) in odd.iter().enumerate() {
        assert_eq!(variables[place]["value"], *value);
        let written = env[place]["value"].as_str().unwrap();
        if value.contains('$') && *value != "${HOME}" {
            assert!(!written.replace("$$", "").contains("$("), "{written}");
            assert_eq!(written.replace("$$", "$"), *value);
        } else {
            assert_eq!(expanded(written), *value);
        }
    }
}

#[test]
fn names_that_the_service_does_not_take_are_told() {
    let workload = workload(&["linux/amd64"], |runtime| {
        runtime.env = vec![
            "_X=1".into(),
            "a.b=2".into(),
            "GOOD=3".into(),
            "GOOD=4".into(),
            "=5".into(),
            "a b=6".into(),
        ];
    });
    let made = ContainerGroup::new(&workload).unwrap();
    let variables = &group(&workload)["properties"]["containers"][0]["properties"];
    assert_eq!(variables["environmentVariables"], json!([{"name": "GOOD", "value": "4"}]));
    assert!(made.notes().iter().any(|note| note.contains("`a.b`")), "{:?}", made.notes());
    assert_eq!(pod(&workload)["containers"][0]["env"].as_array().unwrap().len(), 3);
}

#[test]
fn a_pod_keeps_to_what_restricted_clusters_ask() {
    let pod = pod(&workload(&["linux/amd64"], |_| {}));
    let rights = json!({"runAsNonRoot": true, "runAsUser": 999, "runAsGroup": 998,
        "seccompProfile": {"type": "RuntimeDefault"}});
    assert_eq!(pod["securityContext"], rights);
    let container = &pod["containers"][0];
    let rights = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": false});
    assert_eq!(container["securityContext"], rights);
    let selector = json!({"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"});
    assert_eq!(pod["nodeSelector"], selector);
    let room = json!({"cpu": "500m", "memory": "1536Mi"});
    assert_eq!(container["resources"], json!({"requests": room, "limits": room}));
    assert_eq!(container["readinessProbe"]["tcpSocket"], json!({"port": "tcp-6379"}));
    assert_eq!(pod["automountServiceAccountToken"], json!(false));
}

#[test]
fn several_architectures_are_an_affinity() {
    let pod = pod(&workload(&["linux/arm64", "linux/amd64", "windows/amd64"], |_| {}));
    assert_eq!(pod["nodeSelector"], json!({"kubernetes.io/os": "linux"}));
    let terms = &pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let values = &terms["nodeSelectorTerms"][0]["matchExpressions"][0]["values"];
    assert_eq!(*values, json!(["amd64", "arm64"]));
}

#[test]
fn root_and_names_are_not_claimed_to_be_nobody() {
    for (user, note) in [("", "runs as root"), ("0:0", "runs as root"), ("redis", "`redis`")] {
        let workload = workload(&BOTH, |runtime| user.clone_into(&mut runtime.user));
        let pod = pod(&workload);
        assert_eq!(pod["securityContext"], json!({"seccompProfile": {"type": "RuntimeDefault"}}));
        let notes = Objects::new(&workload, SCALE).unwrap().notes().join("\n");
        assert!(notes.contains(note), "{notes}");
        let added = pod["containers"][0]["securityContext"]["capabilities"].get("add").is_some();
        assert_eq!(added, user != "redis");
    }
}

#[test]
fn a_low_port_is_opened_without_root() {
    let pod = pod(&workload(&BOTH, |runtime| runtime.exposed_ports = exposed(&["80/tcp"])));
    let sysctl = json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]);
    assert_eq!(pod["securityContext"]["sysctls"], sysctl);
}

#[test]
fn volumes_are_empty_or_kept_and_nothing_else_is_written() {
    let workload = workload(&BOTH, |runtime| {
        let paths = ["/data", "/data/", "/a-b", "/a/b", "relative", "/x:y", "/", "/../etc"];
        runtime.volumes = paths.map(|path| (path.to_owned(), Empty {})).into();
    });
    let paths: Vec<&str> = workload.volumes.iter().map(|at| at.path.as_str()).collect();
    assert_eq!(paths, ["/a-b", "/a/b", "/data"]);
    assert_eq!(workload.notes.len(), 4);
    let names: Vec<&str> = workload.volumes.iter().map(|at| at.name.as_str()).collect();
    assert_eq!(names, ["vol-a-b", "vol-a-b-2", "vol-data"]);
    let made = pod(&workload);
    assert_eq!(made["volumes"].as_array().unwrap().len(), 4);
    let rights = &made["containers"][0]["securityContext"];
    assert_eq!(rights["readOnlyRootFilesystem"], json!(true));
    assert_eq!(made["securityContext"]["fsGroup"], json!(998));
    let capacity: Capacity = "8Gi".parse().unwrap();
    let kept = objects(&workload, Scale { replicas: 3, storage: Some(&capacity) });
    let set = &kept["StatefulSet"]["spec"];
    assert_eq!(set["volumeClaimTemplates"].as_array().unwrap().len(), 3);
    assert_eq!(set["serviceName"], kept["Service"]["metadata"]["name"]);
    let temporary = json!([{"name": "tmp", "emptyDir": {}}]);
    assert_eq!(set["template"]["spec"]["volumes"], temporary);
    assert_eq!(kept["PodDisruptionBudget"]["spec"]["maxUnavailable"], json!(1));
    let group = group(&workload);
    assert_eq!(group["properties"]["volumes"].as_array().unwrap().len(), 3);
}

#[test]
fn an_image_without_ports_has_no_address_and_lets_nobody_in() {
    let workload = workload(&BOTH, |runtime| runtime.exposed_ports.clear());
    let group = group(&workload);
    assert!(group["properties"].get("ipAddress").is_none());
    let objects = objects(&workload, SCALE);
    assert!(!objects.contains_key("Service"));
    assert_eq!(objects["NetworkPolicy"]["spec"]["ingress"], json!([]));
    assert!(pod(&workload)["containers"][0].get("livenessProbe").is_none());
    let capacity: Capacity = "1Gi".parse().unwrap();
    let scale = Scale { replicas: 1, storage: Some(&capacity) };
    assert!(Objects::new(&workload, scale).unwrap_err().to_string().contains("has none"));
}

#[test]
fn windows_gets_what_windows_has() {
    let workload = workload(&["windows/amd64"], |runtime| {
        runtime.user = "ContainerUser".to_owned();
        runtime.volumes = exposed(&["C:\\data", "/unix"]);
    });
    let pod = pod(&workload);
    let rights =
        json!({"runAsNonRoot": true, "windowsOptions": {"runAsUserName": "ContainerUser"}});
    assert_eq!(pod["securityContext"], rights);
    assert!(pod["containers"][0].get("securityContext").is_none());
    assert_eq!(pod["os"], json!({"name": "windows"}));
    assert_eq!(pod["volumes"], json!([{"name": "vol-c-data", "emptyDir": {}}]));
    let group = group(&workload);
    assert_eq!(group["properties"]["osType"], "Windows");
    assert!(group["properties"].get("volumes").is_none());
}

#[test]
fn a_health_check_becomes_probes() {
    let workload = workload(&["linux/amd64"], |runtime| {
        let line = "curl -f http://localhost:6379/healthz || exit 1".to_owned();
        runtime.healthcheck.test = vec!["CMD-SHELL".to_owned(), line];
        runtime.healthcheck.interval = 15_000_000_000;
    });
    let page =
        |port: Value, scheme: &str| json!({"path": "/healthz", "port": port, "scheme": scheme});
    let of_group = group(&workload)["properties"]["containers"][0]["properties"].clone();
    assert_eq!(of_group["livenessProbe"]["httpGet"], page(json!(6379), "http"));
    assert_eq!(of_group["readinessProbe"]["periodSeconds"], json!(15));
    let of_pod = pod(&workload)["containers"][0].clone();
    assert_eq!(of_pod["livenessProbe"]["httpGet"], page(json!("tcp-6379"), "HTTP"));
    assert_eq!(of_pod["startupProbe"]["failureThreshold"], json!(60));
}

#[test]
fn the_registry_is_a_parameter() {
    let origin: RegistryOrigin = "customer.azurecr.io".parse().unwrap();
    let wishes = WorkloadRequest { origin: Some(&origin), page: None };
    let facts = facts(&BOTH, &runtime());
    let made = Workload::of(&facts, &plan(), None, "tidepool", &published(), wishes).unwrap();
    let expected = format!("customer.azurecr.io/tidepool/server@{}", digest("index"));
    assert_eq!(made.image.reference(), expected);
    assert_eq!(pod(&made)["containers"][0]["image"], json!(expected));
    assert!(pod(&made)["containers"][0].get("resources").is_none());
}

#[test]
fn a_chart_has_its_images_where_the_marketplace_looks() {
    let workload = workload(&BOTH, |_| {});
    let files = helm::chart(Objects::new(&workload, SCALE).unwrap(), "A: server #1");
    let file = |name: &str| files.iter().find(|(at, _)| at == name).unwrap().1.as_str();
    assert_eq!(read(file("Chart.yaml"))["description"], json!("A: server #1"));
    assert_eq!(read(file("Chart.yaml"))["version"], json!("1.4.0"));
    let image = &read(file("values.yaml"))["global"]["azure"]["images"]["server"];
    let expected = json!({"registry": "quayline.azurecr.io", "image": "live/tidepool/server",
        "digest": digest("index").to_string()});
    assert_eq!(*image, expected);
    let template = file("templates/deployment.yaml");
    let at = "{{ .Values.global.azure.images.server";
    let image = format!("image: \"{at}.registry }}}}/{at}.image }}}}@{at}.digest }}}}\"");
    assert!(template.contains(&image), "{template}");
    assert!(template.contains("replicas: {{ .Values.replicaCount }}"), "{template}");
    assert!(
        template.contains("azure-extensions-usage-release-identifier: \"{{ .Release.Name }}\"")
    );
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let texts = || {
        let workload = workload(&BOTH, |runtime| runtime.volumes = exposed(&["/data"]));
        let group = ContainerGroup::new(&workload).unwrap();
        let objects = Objects::new(&workload, SCALE).unwrap().manifests();
        [group.yaml(), group.arm(), group.bicep(), objects]
    };
    assert_eq!(texts(), texts());
}
