//! `helm template` over a private copy of a chart: the manifests for a customer's cluster with the
//! values as they stand.
//!
//! Invariant: Helm sees the chart's files and nothing else of this user: no configuration, no
//! plugins, no cluster, no login. Helm and its children end within the time limit.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use regex::Regex;
use rustix::process::{Pid, Signal, kill_process_group};

use super::Chart;
use super::rendered::{self, RenderedChart};
use crate::temporary::Temporary;

/// The program; `WHARF_HELM` names another.
const PROGRAM: &str = "helm";
/// How long it may take for one chart.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Most it may write.
pub const OUTPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most of its message about a fault.
const WORDS_BYTES_MAX: u64 = 64 * 1024;
/// The version of Kubernetes for rendering, where the chart takes it. AKS has newer and older ones;
/// Helm would otherwise take the one it was made with.
pub const KUBERNETES_VERSION: &str = "1.32.0";
/// Further versions to try after a chart refuses the first, in this order.
const OTHER_VERSIONS: [&str; 10] = [
    "1.33.0", "1.34.0", "1.35.0", "1.31.0", "1.30.0", "1.29.0", "1.28.0", "1.27.0", "1.26.0",
    "1.25.0",
];
/// The stand-in for a customer's value.
const PLACEHOLDER: &str = "placeholder";
/// How Helm says a chart does not take a version.
const NOT_THIS_VERSION: &str = "which is incompatible with Kubernetes";

/// Helm's result for a chart.
#[derive(Debug, Clone)]
pub enum Rendering {
    Done(RenderedChart),
    /// Helm refuses it.
    Refused(HelmRefusal),
    /// Helm did not end in time, or wrote too much, or could not be started.
    Failed(String),
}

/// Why Helm does not render a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelmRefusal {
    /// In Helm's words.
    pub message: String,
    /// The file it names, by its path in the chart.
    pub file: Option<String>,
    /// The line it names, from 1.
    pub line: Option<usize>,
    /// The column it names, from 1.
    pub column: Option<usize>,
}

/// The program, when there is one.
#[must_use]
pub fn find(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(named) = variable("WHARF_HELM").filter(|name| !name.is_empty()) {
        return Some(PathBuf::from(named));
    }
    let path = variable("PATH")?;
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(PROGRAM));
    found.find(|path| path.is_file())
}

/// Renders a chart as it would be installed into this namespace. A chart without a setting from the
/// customer may be refused: Helm then renders it with a placeholder for each such setting, and a
/// second refusal is final.
#[must_use]
pub fn render(
    helm: &Path,
    chart: &Chart,
    namespace: &str,
    settings: &[String],
    patience: Duration,
) -> Rendering {
    let plain = rendering(helm, chart, namespace, &[], patience);
    if settings.is_empty() || !matches!(plain, Rendering::Refused(_)) {
        return plain;
    }
    match rendering(helm, chart, namespace, settings, patience) {
        done @ Rendering::Done(_) => done,
        Rendering::Refused(_) | Rendering::Failed(_) => plain,
    }
}

fn rendering(
    helm: &Path,
    chart: &Chart,
    namespace: &str,
    settings: &[String],
    patience: Duration,
) -> Rendering {
    let name = chart.metadata.as_ref().ok().and_then(|data| data.name.clone());
    let name = name.map(|word| word.text).unwrap_or_default();
    let mut ended = run(helm, chart, namespace, KUBERNETES_VERSION, settings, patience);
    for version in OTHER_VERSIONS {
        if !is_other_version_wanted(&ended) {
            break;
        }
        let next = run(helm, chart, namespace, version, settings, patience);
        // Where none is taken, the first answer stays.
        if !is_other_version_wanted(&next) {
            ended = next;
        }
    }
    match ended {
        Ok(Ended { status, out, words }) if status.success() => {
            if out.len() as u64 > OUTPUT_BYTES_MAX {
                return Rendering::Failed(format!(
                    "the chart renders to more than {OUTPUT_BYTES_MAX} bytes"
                ));
            }
            match rendered::read(&String::from_utf8_lossy(&out), &name) {
                Ok(rendered) => Rendering::Done(rendered),
                Err(message) => Rendering::Refused(refusal(&format!("{message}\n{words}"), &name)),
            }
        }
        Ok(Ended { words, .. }) => Rendering::Refused(refusal(&words, &name)),
        Err(message) => Rendering::Failed(message),
    }
}

fn is_other_version_wanted(ended: &Result<Ended, String>) -> bool {
    ended.as_ref().is_ok_and(|Ended { status, words, .. }| {
        !status.success() && words.contains(NOT_THIS_VERSION)
    })
}

struct Ended {
    status: ExitStatus,
    out: Vec<u8>,
    words: String,
}

fn run(
    helm: &Path,
    chart: &Chart,
    namespace: &str,
    version: &str,
    settings: &[String],
    patience: Duration,
) -> Result<Ended, String> {
    let failed = |error: io::Error| format!("a private copy of the chart cannot be made: {error}");
    let (place, ()) = Temporary::make(private_path(), |path| copy(chart, path)).map_err(failed)?;
    let home = place.path().join("home");
    let mut command = Command::new(helm);
    command
        .args(["template", "release"])
        .arg(place.path().join("chart"))
        .args(["--namespace", namespace, "--kube-version", version])
        .env_clear()
        .env("HOME", &home)
        .env("TMPDIR", &home)
        .env("KUBECONFIG", home.join("no-cluster"))
        .current_dir(&home)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for name in settings {
        command.args(["--set-string", &format!("{name}={PLACEHOLDER}")]);
    }
    for kind in ["CACHE", "CONFIG", "DATA"] {
        command.env(format!("HELM_{kind}_HOME"), &home);
    }
    command.env("HELM_PLUGINS", home.join("no-plugins"));
    let started = command.spawn();
    let mut child =
        started.map_err(|error| format!("{} cannot be run: {error}", helm.display()))?;
    let group = Pid::from_child(&child);
    let (out, words) = (child.stdout.take(), child.stderr.take());
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let words = std::thread::spawn(move || taken(words, WORDS_BYTES_MAX));
        let out = taken(out, OUTPUT_BYTES_MAX + 1);
        // A closed pipe stops an endless writer.
        let status = child.wait();
        let words = words.join().unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        done.send(status.map(|status| Ended { status, out, words }))
    });
    let ended = ended.recv_timeout(patience);
    // Its leftover children end too.
    let _ = kill_process_group(group, Signal::KILL);
    match ended {
        Ok(ended) => ended.map_err(|error| error.to_string()),
        Err(_) => Err(format!("Helm did not end within {} seconds", patience.as_secs())),
    }
}

fn taken(pipe: Option<impl io::Read>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // The bytes before a failure are all there is to show.
        let _ = pipe.take(most).read_to_end(&mut bytes);
    }
    bytes
}

/// An unused name.
fn private_path() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("wharf-chart-{}-{number}", std::process::id()))
}

/// This call alone makes the folder, so it holds no foreign links.
fn copy(chart: &Chart, place: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().mode(0o700).create(place)?;
    fs::create_dir(place.join("home"))?;
    for file in &chart.files {
        // Helm would ignore anew, and by the same rules; its ignored files are not here.
        if file.path == ".helmignore" {
            continue;
        }
        let at = place.join("chart").join(&file.path);
        if let Some(folder) = at.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(at, &file.bytes)?;
    }
    Ok(())
}

/// Helm's message, with the innermost file of the chart in it.
fn refusal(words: &str, chart: &str) -> HelmRefusal {
    let errors = words.split("Error: ").last().unwrap_or(words).trim();
    let mut message =
        errors.lines().map(str::trim).collect::<Vec<_>>().join("; ").replace(":; ", ": ");
    if let Some((cut, _)) = message.char_indices().nth(1_000) {
        message.truncate(cut);
        message.push('…');
    }
    let message = message.replace("; Use --debug flag to render out invalid YAML", "");
    let message = message.trim_end_matches("; ").to_owned();
    let pattern = format!(
        r#"{}/((?:charts/[^\s:()"/]+/)*(?:templates/[^\s:()"]+|values\.yaml|Chart\.yaml))(?::([0-9]+))?(?::([0-9]+))?"#,
        regex::escape(chart)
    );
    let pattern = pattern.replace(r"\s", r" \t\n");
    let mut best = None;
    if let Ok(pattern) = Regex::new(&pattern) {
        for found in pattern.captures_iter(errors) {
            let number = |at: usize| found.get(at).and_then(|at| at.as_str().parse::<usize>().ok());
            let file = found.get(1).map(|at| at.as_str().to_owned());
            let (line, column) = (number(2), number(3));
            // The last one with a line is the innermost.
            if line.is_some() || best.is_none() {
                best = Some((file, line, column));
            }
        }
    }
    let (mut file, line, column) = best.unwrap_or_default();
    // Of a schema Helm names the chart and the value, and no file.
    if file.is_none() && errors.starts_with("values don't meet") {
        file = Some(super::SCHEMA_FILE.to_owned());
    }
    // Helm counts columns from 0.
    HelmRefusal { message, file, line, column: column.map(|column| column + 1) }
}

#[cfg(test)]
mod tests;
