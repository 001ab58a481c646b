//! Rules about a configuration's demands on the engine: the version of Windows, a health check, a
//! signal, volumes.

use super::image::each_config_with;
use super::{Check, Findings, Rule, Severity};
use crate::image::config::ImageConfig;
use crate::secret_patterns::masked;

/// The Windows version of images on Azure Container Instances, from its first accepted build.
const WINDOWS: &str = "10.0.17763.";
const WINDOWS_BUILD_MIN: u32 = 1040;

/// The signals of Linux by name; real-time ones are counted from `RTMIN` and `RTMAX`.
const SIGNALS: [&str; 37] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
    "UNUSED",
];
/// How many signals there are.
const SIGNAL_MAX: u32 = 64;
/// How far from `RTMIN` up, and from `RTMAX` down, engines know names.
const RTMIN_STEPS: u32 = 15;
const RTMAX_STEPS: u32 = 14;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "IMG-009",
        title: "an image for Windows is built on Windows Server 2019, build 17763.1040 or later",
        severity: Severity::Error,
        source: "ACI/container-instances-faq",
        why: "Azure Container Instances refuses other versions (`OsVersionNotSupported`).",
        fix: "build on `nanoserver:1809` or `servercore:ltsc2019`, pulled freshly",
        check: Check::Image(|view, judge| {
            each_config_with(view, judge, |judge, config| {
                if config.os == "windows" {
                    windows(judge, config);
                }
                config.os == "windows"
            });
        }),
    },
    Rule {
        id: "IMG-037",
        title: "nothing relies on HEALTHCHECK, which Kubernetes and Azure Container Instances ignore",
        severity: Severity::Warning,
        source: "ACI/container-instances-liveness-probe; INFERENCE (no part of the OCI configuration)",
        why: "Customers' clusters never run the check, so a container that hangs is not restarted.",
        fix: "tell customers the probe that does the same, or put it into the chart",
        check: Check::Image(|view, judge| {
            each_config_with(view, judge, |judge, config| match probe(config) {
                Some(command) => {
                    let message = format!(
                        "its HEALTHCHECK is ignored; as a probe: `livenessProbe: {{ exec: {{ \
                         command: {command} }} }}`"
                    );
                    judge.warning("config", message);
                    true
                }
                None => false,
            });
        }),
    },
    Rule {
        id: "IMG-038",
        title: "the stop signal exists, and volumes are known to need a mount",
        severity: Severity::Error,
        source: "OCI image specification (`StopSignal`, `Volumes`); INFERENCE (docker and podman refuse others)",
        why: "Containers are not created, or never stopped; and what is written to a VOLUME is lost with the container where nothing is mounted.",
        fix: "write a signal such as SIGTERM; say in the description which folders need a volume",
        check: Check::Image(|view, judge| {
            each_config_with(view, judge, |judge, config| {
                let signal = config.config.stop_signal.as_str();
                if !signal.is_empty() && config.os != "windows" && !is_signal(signal) {
                    judge.error("config.stopSignal", format!("`{signal}` is no signal"));
                }
                for folder in config.config.volumes.keys() {
                    let message = format!("`{folder}` is a volume: only a mount there is kept");
                    judge.warning("config.volumes", message);
                }
                !signal.is_empty() || !config.config.volumes.is_empty()
            });
        }),
    },
];

fn windows(judge: &mut Findings<'_>, config: &ImageConfig) {
    let Some(version) = config.os_version.as_deref().filter(|version| !version.is_empty()) else {
        return judge.error("", "it does not state its version of Windows (`os.version`)");
    };
    let build = version.strip_prefix(WINDOWS).and_then(|build| build.parse::<u32>().ok());
    if build.is_none_or(|build| build < WINDOWS_BUILD_MIN) {
        let message = format!(
            "it is built for Windows {version}; {WINDOWS}{WINDOWS_BUILD_MIN} or later is accepted"
        );
        judge.error("", message);
    }
}

/// The command of a health check, as YAML writes a list; `None` when none is asked for.
fn probe(config: &ImageConfig) -> Option<String> {
    let test = &config.config.healthcheck.test;
    let words: Vec<&str> = match test.split_first() {
        Some((kind, line)) if kind == "CMD-SHELL" => {
            ["/bin/sh", "-c"].into_iter().chain(line.iter().map(String::as_str)).collect()
        }
        Some((kind, words)) if kind == "CMD" && !words.is_empty() => {
            words.iter().map(String::as_str).collect()
        }
        _ => return None,
    };
    let words: Vec<_> = words.into_iter().map(|word| masked(None, word)).collect();
    serde_json::to_string(&words).ok()
}

/// Whether engines know a signal: a number, or a name with or without `SIG`, in any case.
fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u32>() {
        return (1..=SIGNAL_MAX).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let steps = |start, max| {
        let step = name.strip_prefix(start).and_then(|step: &str| step.parse::<u32>().ok());
        step.is_some_and(|step| (1..=max).contains(&step))
    };
    SIGNALS.contains(&name) || steps("RTMIN+", RTMIN_STEPS) || steps("RTMAX-", RTMAX_STEPS)
}

#[cfg(test)]
mod tests {
    use super::is_signal;

    #[test]
    fn signals_are_known_by_name_and_by_number() {
        for known in ["SIGTERM", "term", "15", "64", "SIGRTMIN", "RTMIN+3", "sigrtmax-14"] {
            assert!(is_signal(known), "{known}");
        }
        for unknown in ["SIGSTOPP", "0", "65", "-1", "RTMIN+16", "RTMIN+", "SIG", "", "TERM 9"] {
            assert!(!is_signal(unknown), "{unknown}");
        }
    }
}
