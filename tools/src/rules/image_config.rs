//! Rules about the configuration of an image: its start, its listening ports, its exposed secrets.

use super::image::{each_config, each_config_with, faults, of_platform};
use super::roots::each_known_root;
use super::{Check, Findings, Rule, Severity};
use crate::deploy::limits::{PORTS_MAX, is_reserved, is_variable};
use crate::image::config::ImageConfig;
use crate::image::facts::FaultKind;
use crate::offer::values::ExposedPort;
use crate::secret_patterns::looks_secret;

const SHELLS: [&str; 10] =
    ["sh", "bash", "ash", "dash", "zsh", "cmd", "cmd.exe", "powershell", "powershell.exe", "pwsh"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "IMG-010",
        title: "the configuration states operating system and architecture",
        severity: Severity::Error,
        source: "OCI image specification; INFERENCE",
        why: "Without them no runtime knows whether it can start the image.",
        fix: "build the image again with its platform stated",
        check: Check::Image(|view, judge| {
            faults(view, judge, |kind| kind == FaultKind::Config);
            each_config(view, judge, |judge, key, config| {
                for (field, value) in [("os", &config.os), ("architecture", &config.architecture)] {
                    if value.is_empty() {
                        judge.error(key, format!("`{field}` is empty"));
                    }
                }
            });
        }),
    },
    Rule {
        id: "IMG-011",
        title: "the image has a command",
        severity: Severity::Error,
        source: "ACI/container-instances-troubleshooting",
        why: "Customers start it without one.",
        fix: "write `entrypoint` or `cmd`",
        check: Check::Image(|view, judge| {
            each_config(view, judge, |judge, _, config| {
                if config.config.entrypoint.is_empty() && config.config.cmd.is_empty() {
                    judge.error("config", "there is neither entrypoint nor cmd");
                }
            });
        }),
    },
    Rule {
        id: "IMG-012",
        title: "the command is not a bare shell",
        severity: Severity::Warning,
        source: "ACI/container-instances-troubleshooting",
        why: "A shell without a terminal ends at once, and the container restarts for ever.",
        fix: "start the program itself",
        check: Check::Image(|view, judge| {
            each_config(view, judge, |judge, _, config| {
                let start = config.config.entrypoint.iter().chain(&config.config.cmd);
                let words: Vec<&String> = start.collect();
                if let [only] = words.as_slice()
                    && let Some(program) = only.rsplit(['/', '\\']).next()
                    && SHELLS.contains(&program.to_ascii_lowercase().as_str())
                {
                    judge.warning("config", format!("it starts only `{only}`"));
                }
            });
        }),
    },
    Rule {
        id: "IMG-013",
        title: "exposed ports are 1 to 65535, tcp or udp",
        severity: Severity::Error,
        source: "ACI/container-instances-troubleshooting",
        why: "Others cannot be opened.",
        fix: "write PORT/tcp or PORT/udp",
        check: Check::Image(|view, judge| {
            each_config_with(view, judge, |judge, config| {
                for port in config.config.exposed_ports.keys() {
                    if port.parse::<ExposedPort>().is_err() {
                        judge.error("config.exposedPorts", format!("`{port}` is no port"));
                    }
                }
                !config.config.exposed_ports.is_empty()
            });
        }),
    },
    Rule {
        id: "IMG-014",
        title: "no exposed port is reserved by Azure Container Instances",
        severity: Severity::Error,
        source: "ACI/container-instances-faq",
        why: "The container group is refused.",
        fix: "let the program listen on another port",
        check: Check::Image(|view, judge| {
            each_config_with(view, judge, |judge, config| {
                for port in ports(config) {
                    if is_reserved(port) {
                        judge.error("config.exposedPorts", format!("{port} is reserved"));
                    }
                }
                !config.config.exposed_ports.is_empty()
            });
        }),
    },
    Rule {
        id: "IMG-015",
        title: "at most 5 ports are exposed",
        severity: Severity::Error,
        source: "ACI/container-instances-resource-and-quota-limits",
        why: "One address of a container group opens no more.",
        fix: "expose only what customers connect to",
        check: Check::Image(|view, judge| {
            each_config_with(view, judge, |judge, config| {
                let count = config.config.exposed_ports.len();
                if count > PORTS_MAX {
                    let message = format!("{count} ports are exposed; {PORTS_MAX} is the most");
                    judge.error("config.exposedPorts", message);
                }
                count > 0
            });
        }),
    },
    Rule {
        id: "IMG-016",
        title: "the image does not run as root",
        severity: Severity::Warning,
        source: "IOT (least privilege)",
        why: "A program that is broken into has then the rights of root in the container.",
        fix: "write `user: \"UID:GID\"` with numbers other than 0",
        check: Check::Image(|view, judge| {
            each_config(view, judge, |judge, _, config| {
                if config.os != "windows" && is_root(&config.config.user) {
                    judge.warning("config.user", "it runs as root");
                }
            });
            // The image's own files may give root another name.
            each_known_root(view, |root| {
                let user = root.config.config.user.as_str();
                let is_zero = root.identity().is_ok_and(|identity| identity.user == 0);
                if is_zero && !is_root(user) {
                    judge.within(of_platform(root.image), |judge| {
                        let message = format!("it runs as root: `{user}` has the number 0");
                        judge.warning("config.user", message);
                    });
                }
            });
        }),
    },
    Rule {
        id: "IMG-017",
        title: "environment, labels and history hold no secrets",
        severity: Severity::Error,
        source: "MTM; INFERENCE",
        why: "Everyone who pulls the image can read them.",
        fix: "give secrets when the container starts, and change the one that was found",
        check: Check::Image(|view, judge| {
            each_config(view, judge, |judge, _, config| secrets(judge, config));
        }),
    },
    Rule {
        id: "IMG-027",
        title: "environment variables have names that Azure Container Instances accepts",
        severity: Severity::Warning,
        source: "ACI naming",
        why: "Customers cannot set variables with other names.",
        fix: "use 1 to 63 letters, digits and `_`, not `_` at either end",
        check: Check::Image(|view, judge| {
            each_config_with(view, judge, |judge, config| {
                for entry in &config.config.env {
                    let variable = entry.split('=').next().unwrap_or_default();
                    if !is_variable(variable) {
                        judge.warning("config.env", format!("the variable `{variable}`"));
                    }
                }
                !config.config.env.is_empty()
            });
        }),
    },
];

/// Whether engines start `USER[:GROUP]` as root. They look the name up first, and read an unknown
/// name as a number, with a sign and leading zeros ignored.
fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default();
    let digits = name.strip_prefix(['+', '-']).unwrap_or(name);
    let is_zero = !digits.is_empty() && digits.bytes().all(|digit| digit == b'0');
    matches!(name, "" | "root") || is_zero
}

fn ports(config: &ImageConfig) -> impl Iterator<Item = ExposedPort> {
    config.config.exposed_ports.keys().filter_map(|port| port.parse().ok())
}

/// Messages name where a secret is, never the secret.
fn secrets(judge: &mut Findings<'_>, config: &ImageConfig) {
    for entry in &config.config.env {
        let (variable, value) = entry.split_once('=').unwrap_or((entry, ""));
        if let Some(why) = looks_secret(Some(variable), value) {
            judge.error("config.env", format!("the variable `{variable}` {why}"));
        }
    }
    for (label, value) in &config.config.labels {
        if let Some(why) = looks_secret(None, value) {
            judge.error("config.labels", format!("the label `{label}` {why}"));
        }
    }
    let start = &config.config;
    for (key, words) in [
        ("config.entrypoint", &start.entrypoint),
        ("config.cmd", &start.cmd),
        ("config", &start.healthcheck.test),
    ] {
        if let Some(why) = words.iter().find_map(|word| in_word(word)) {
            judge.error(key, format!("a word of a command {why}"));
        }
    }
    for (place, step) in config.history.iter().enumerate() {
        let texts = [step.created_by.as_deref(), step.comment.as_deref()];
        let found = texts
            .into_iter()
            .flatten()
            .find_map(|text| looks_secret(None, text).or_else(|| in_build_arguments(text)));
        if let Some(why) = found {
            judge.error("", format!("step {} of the history {why}", place + 1));
        }
    }
}

/// A word of a command may be `--password=VALUE`.
fn in_word(word: &str) -> Option<&'static str> {
    let option = word.split_once('=').filter(|(name, _)| name.starts_with('-'));
    looks_secret(None, word)
        .or_else(|| option.and_then(|(name, value)| looks_secret(Some(name), value)))
}

/// Builders write the arguments of a step before it: `|2 A=1 B=2 /bin/sh -c …`.
fn in_build_arguments(step: &str) -> Option<&'static str> {
    let (_, rest) = step.split_once('|')?;
    let (count, rest) = rest.split_once(' ')?;
    let count: usize = count.parse().ok()?;
    let arguments = rest.split(' ').filter_map(|word| word.split_once('=')).take(count);
    arguments.into_iter().find_map(|(name, value)| looks_secret(Some(name), value))
}
