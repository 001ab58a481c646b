//! Makes cases, lets `wharf` look at them, and prints the table.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use wharf_testkit::clients;
use wharf_testkit::handmade::Handmade;
use wharf_testkit::offers::{Offer, PLAN};
use wharf_testkit::processes::product;

use super::evidence::{registry_state, write_waivers};
use super::{Case, Error, Make, NotProven, Warning, Weight};

/// How an offer is changed.
type Change = fn(&mut Offer);

/// How many programs run at once; each is short, and mostly waits for the disk.
const AT_ONCE: usize = 4;

/// The result of `wharf`.
#[derive(Debug)]
pub(crate) struct Said {
    /// The rules with findings, and the weight of each.
    pub(crate) found: BTreeSet<(String, Weight)>,
    /// The exit code.
    pub(crate) code: Option<i32>,
    /// The verdict in a word.
    pub(crate) verdict: &'static str,
    /// Its messages, or its error.
    pub(crate) messages: Vec<String>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, code, verdict, messages } = self;
        write!(f, "{verdict}, exit code {code:?}, {found:?}")?;
        messages.iter().try_for_each(|message| write!(f, "\n    {message}"))
    }
}

/// `wharf`, with nothing of its configuration in the environment.
pub(crate) fn program() -> Command {
    let mut command = Command::new(product("wharf").unwrap());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WHARF_") {
            command.env_remove(name);
        }
    }
    // The folder of `go install` need not be on the PATH of the test's user.
    if let Some(helm) = clients::require("helm") {
        command.env("WHARF_HELM", helm.path());
    }
    command.args(["--quiet", "--color", "never"]);
    command
}

/// Makes a case in a folder and lets `wharf` look at it.
pub(crate) fn wharf(make: &Make, folder: &Path) -> Said {
    let mut command = program();
    command.args(["--output-format", "json"]);
    match make {
        Make::Image(change) => {
            let mut image = Handmade::healthy();
            change(&mut image);
            image.write(folder).unwrap();
            command.arg("verify").arg(folder);
        }
        Make::Offer(change) => {
            let mut offer = Offer::healthy();
            change(&mut offer);
            command.args(["offer", "lint"]).arg(offer.write(folder).unwrap());
        }
        Make::Unrendered(change) => {
            let mut offer = Offer::healthy();
            change(&mut offer);
            command.env("PATH", "/nowhere").env_remove("WHARF_HELM");
            command.args(["offer", "lint"]).arg(offer.write(folder).unwrap());
        }
        Make::Recorded(before, change) => recorded(&mut command, folder, *before, *change),
        Make::Live(change) => live(&mut command, folder, *change),
        Make::Both(change) => {
            let (mut offer, mut image) = (Offer::healthy(), offered());
            change(&mut offer, &mut image);
            image.write(&folder.join("out").join(PLAN)).unwrap();
            command.args(["verify", "--offer"]).arg(offer.write(folder).unwrap());
        }
        Make::Scanned(report) => {
            let written = Handmade::healthy().write(&folder.join("image")).unwrap();
            let file = folder.join("scan.json");
            fs::write(&file, report(&written).to_string()).unwrap();
            command.arg("verify").arg(folder.join("image")).arg("--scan").arg(file);
        }
        Make::Registry(change) => {
            let mut state = registry_state();
            let mut image = offered();
            change(&mut image, &mut state);
            image.write(&folder.join("out").join(PLAN)).unwrap();
            let file = folder.join("registry.json");
            fs::write(&file, state.to_string()).unwrap();
            let offer = Offer::healthy().write(folder).unwrap();
            command.args(["verify", "--offer"]).arg(offer).arg("--registry-state").arg(file);
        }
        Make::Waived(change, waivers) => {
            let mut image = Handmade::healthy();
            change(&mut image);
            image.write(&folder.join("image")).unwrap();
            let file = write_waivers(folder, waivers);
            command.arg("verify").arg(folder.join("image")).arg("--waivers").arg(file);
        }
    }
    let said = look(&mut command);
    fs::remove_dir_all(folder).unwrap();
    said
}

/// A published offer, as recorded in its ledger, changed since.
fn recorded(command: &mut Command, folder: &Path, before: Change, change: Change) {
    let mut offer = Offer::with_application();
    before(&mut offer);
    offered().write(&folder.join("out").join(PLAN)).unwrap();
    let path = offer.write(folder).unwrap();
    let mut record = program();
    record.args(["offer", "record", "--target", "live"]).arg(&path);
    succeeds(&mut record);
    change(&mut offer);
    command.args(["offer", "lint"]).arg(offer.write(folder).unwrap());
}

/// The same, as a saved resource tree says.
fn live(command: &mut Command, folder: &Path, change: Change) {
    let mut offer = Offer::with_application();
    let (path, payload) = (offer.write(folder).unwrap(), folder.join("payload.json"));
    let mut render = program();
    render.args(["offer", "render"]).arg(&path).arg("--output").arg(&payload);
    succeeds(&mut render);
    let payload: Value = serde_json::from_slice(&fs::read(payload).unwrap()).unwrap();
    let tree = folder.join("tree.json");
    fs::write(&tree, resource_tree(&payload).to_string()).unwrap();
    change(&mut offer);
    command.args(["offer", "lint"]).arg(offer.write(folder).unwrap());
    command.arg("--tree").arg(tree);
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {words}");
}

/// The marketplace's response to a later read of an accepted payload.
fn resource_tree(payload: &Value) -> Value {
    serde_json::json!({
        "$schema": "https://schema.mp.microsoft.com/schema/resource-tree/2022-03-01-preview2",
        "root": "product/6f9c11a0-2f75-4f3a-9a51-6a1f1d2d7c10",
        "target": { "targetType": "live" },
        "resources": payload["resources"],
    })
}

/// The image of the offer's plan, with the tags of the offer.
fn offered() -> Handmade {
    let mut image = Handmade::healthy();
    image.tags = ["latest", "1.4.0-all", "1.4.0-test"].map(ToOwned::to_owned).to_vec();
    image.tag_platforms();
    image
}

/// Runs a command with a report in JSON.
pub(crate) fn look(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said: Value = serde_json::from_str(&text).unwrap_or_else(|_| {
        panic!("{command:?} said {text}{:?}", String::from_utf8(output.stderr))
    });
    let result = &said["result"];
    let findings = result["findings"].as_array().cloned().unwrap_or_default();
    let weight = |finding: &Value| match (finding["notProven"].as_bool(), &finding["severity"]) {
        (Some(true), _) => NotProven,
        (_, severity) if severity == "error" => Error,
        _ => Warning,
    };
    let found = findings.iter().map(|at| (at["rule"].as_str().unwrap().to_owned(), weight(at)));
    let found: BTreeSet<_> = found.collect();
    let verdict = match found.iter().map(|(_, weight)| *weight).max() {
        None if said["error"].is_object() => "not run",
        None | Some(Warning) => "passed",
        Some(NotProven) => "not proven",
        Some(Error) => "failed",
    };
    let mut messages: Vec<String> = findings
        .iter()
        .map(|at| format!("{} {}", at["rule"].as_str().unwrap(), at["message"].as_str().unwrap()))
        .collect();
    messages.extend(said["error"]["message"].as_str().map(ToOwned::to_owned));
    Said { found, code: output.status.code(), verdict, messages }
}

/// Runs a function on each item, a few at once; returns the results in the order of the items.
pub(crate) fn in_parallel<I: Sync, O: Send>(
    items: &[I],
    work: impl Fn(usize, &I) -> O + Sync,
) -> Vec<O> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(number) else { return };
                    let made = work(number, item);
                    done.lock().unwrap().push((number, made));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, made)| made).collect()
}

/// Prints the table of cases and results.
#[expect(clippy::print_stdout, reason = "`make corpus` shows it")]
pub(crate) fn print(cases: &[&Case], said: &[Said]) {
    println!("\n{:<9} {:<11} {:<11} WHAT IS BROKEN", "RULE", "SEVERITY", "VERDICT");
    for (case, said) in cases.iter().zip(said) {
        let weight = match case.weight {
            Warning => "warning",
            NotProven => "not proven",
            Error => "error",
        };
        println!("{:<9} {weight:<11} {:<11} {}", case.rule, said.verdict, case.what);
    }
    println!("{} cases", cases.len());
}
