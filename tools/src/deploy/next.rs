//! The next commands, as a shell takes them. Values only the person knows are in capitals.

use std::fmt::Write as _;

use super::aci::{PASSWORD, USERNAME};
use super::words::ResourceName;

/// For the file of a container group.
#[must_use]
pub fn group_file(path: &str, secrets: &[String]) -> Vec<String> {
    let mut variables = vec![USERNAME.to_owned(), PASSWORD.to_owned()];
    variables.extend(secrets.iter().cloned());
    let exports: Vec<String> = variables.iter().map(|name| format!("{name}=…")).collect();
    let names: Vec<String> = variables.iter().map(|name| format!("${{{name}}}")).collect();
    vec![
        format!("export {}", exports.join(" ")),
        format!(
            "envsubst '{}' < {} | az container create --resource-group GROUP --file /dev/stdin",
            names.join(" "),
            file(path)
        ),
    ]
}

/// For a template.
#[must_use]
pub fn template(path: &str, secrets: &[String]) -> Vec<String> {
    let mut command = format!(
        "az deployment group create --resource-group GROUP --template-file {} --parameters \
         registryUsername=USER registryPassword=\"$REGISTRY_PASSWORD\"",
        file(path)
    );
    for secret in secrets {
        let _ = write!(command, " {secret}=\"${secret}\"");
    }
    vec![command]
}

/// For objects of Kubernetes.
#[must_use]
pub fn manifests(name: &ResourceName, path: &str, secrets: &[String]) -> Vec<String> {
    let mut commands = secret(name, secrets, "");
    let path = file(path);
    commands.push(format!("kubectl apply --dry-run=server -f {path}"));
    commands.push(format!("kubectl apply -f {path}"));
    commands
}

/// For a chart.
#[must_use]
pub fn release(
    name: &ResourceName,
    chart: &str,
    values: Option<&str>,
    namespace: Option<&str>,
    secrets: &[String],
) -> Vec<String> {
    let values = values.map(|path| format!(" --values {}", file(path))).unwrap_or_default();
    let within = namespace.map(|name| format!(" --namespace {}", quoted(name))).unwrap_or_default();
    let mut commands = secret(name, secrets, &within);
    let chart = quoted(chart);
    commands.push(format!("helm template {name} {chart}{values}{within}"));
    let made = if namespace.is_some() { " --create-namespace" } else { "" };
    commands.push(format!("helm install {name} {chart}{values}{within}{made}"));
    commands
}

fn secret(name: &ResourceName, secrets: &[String], within: &str) -> Vec<String> {
    if secrets.is_empty() {
        return Vec::new();
    }
    let literals: Vec<String> =
        secrets.iter().map(|name| format!("--from-literal={}=…", quoted(name))).collect();
    vec![format!("kubectl create secret generic {name}-secrets {}{within}", literals.join(" "))]
}

/// A file; standard output has no name.
fn file(path: &str) -> String {
    if path == "-" { "FILE".to_owned() } else { quoted(path) }
}

/// A word as a POSIX shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_a_shell_takes_them_for() {
        assert_eq!(quoted("out/group.yaml"), "out/group.yaml");
        assert_eq!(quoted("it's mine"), "'it'\\''s mine'");
        assert_eq!(file("-"), "FILE");
    }
}
