//! The examples as files: each is accepted by its program, with and without the commented lines.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::examples::{Example, folder};
use crate::fixture::command;

fn check(config: &Path) -> Output {
    let mut command = command(["serve", "--check-config", "--config"]);
    command.arg(config).output().unwrap()
}

fn assert_accepted(config: &Path) {
    let output = check(config);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", config.display());
}

/// The documents of a file.
fn documents(text: &str) -> Vec<Value> {
    text.split("\n---\n").map(|text| serde_saphyr::from_str(text).unwrap()).collect()
}

#[test]
fn the_example_of_wharfd_is_accepted_with_each_login() {
    assert_accepted(&folder().join("wharfd.toml"));
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    let login = r#"{ "auth": "cmVhZGVyOnNlY3JldA==" }"#;
    let logins = format!(
        r#"{{ "auths": {{ "contoso.azurecr.io": {login}, "registry-1.docker.io": {login} }} }}"#
    );
    std::fs::write(path("config.json"), logins).unwrap();
    std::fs::write(path("password"), "secret\n").unwrap();
    let place = |name: &str| path(name).display().to_string();
    let example = || Example::read("wharfd.toml");
    let variants = [
        example()
            .uncommented("docker_config")
            .with("/etc/wharfd/docker/config.json", &place("config.json")),
        example()
            .uncommented("username")
            .uncommented("password_file")
            .with("/etc/wharfd/contoso-password", &place("password")),
        example().uncommented("[upstream.entra]").uncommented("kind = "),
    ];
    for (number, variant) in variants.iter().enumerate() {
        let file = path(&format!("{number}.toml"));
        variant.write(&file);
        assert_accepted(&file);
    }
}

#[test]
fn the_examples_for_kubernetes_and_docker_are_what_they_seem() {
    let documents = documents(Example::read("kubernetes/wharfd.yaml").text());
    let find = |kind: &str| {
        let found = documents.iter().find(|document| document["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind}"))
    };
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("wharfd.toml");
    let config = find("ConfigMap")["data"]["wharfd.toml"].as_str().unwrap();
    std::fs::write(&file, config).unwrap();
    assert_accepted(&file);

    let pod = &find("Deployment")["spec"]["template"];
    let (service, container) = (find("Service"), &pod["spec"]["containers"][0]);
    assert_eq!(service["spec"]["selector"], pod["metadata"]["labels"]);
    assert_eq!(service["spec"]["ports"][0]["targetPort"], container["ports"][0]["name"]);
    for (port, key) in container["ports"].as_array().unwrap().iter().zip(["listen", "admin"]) {
        let line = format!("{key} = \"0.0.0.0:{}\"", port["containerPort"]);
        assert!(config.contains(&line), "no {line}");
    }
    let volumes = pod["spec"]["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]);
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert!(volumes.eq(mounts.iter().map(|mount| &mount["name"])));
    let claim = &pod["spec"]["volumes"][1]["persistentVolumeClaim"]["claimName"];
    assert_eq!(claim, &find("PersistentVolumeClaim")["metadata"]["name"]);

    let daemon: Value = serde_json::from_str(Example::read("docker/daemon.json").text()).unwrap();
    assert_eq!(daemon["registry-mirrors"][0], "http://127.0.0.1:5000");
}
