//! Patience: every real client gets through `wharfd` in spite of the upstream's faults meanwhile.
//!
//! A table of clients and cases (`cases.rs`). Each cell has its own `wharfd` before its own odd
//! upstream (`cell.rs`); most of its time is waiting, so many run at once. `tools.rs` drives the
//! clients, `ground.rs` has the parts shared by cells. The test prints the table: client, case,
//! seconds; and for each failure the last line of the client's output.
//!
//! `make trials` runs it whole, with pauses of 25 s and an outage of 36 s; `make test` runs a few
//! cells with short ones. `WHARF_PATIENCE=WORDS` selects the cells (`CLIENT: CASE`) with one of the
//! comma-separated words in their names. `WHARF_PATIENCE_DIR` names a folder for the table and for
//! the logs of failed cells.

mod cases;
mod cell;
mod ground;
mod oci_client;
mod tools;

use std::fmt::Write as _;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wharf_testkit::trials;

use cases::{Case, Form};
use cell::{Cell, Ending};
use ground::Ground;
use tools::Tool;

/// Concurrent cells: each is a `wharfd` and a client, both waiting.
const CELLS_AT_ONCE: usize = 40;

/// Cells impossible even with a patient proxy: `(client, case, reason)`.
const IMPOSSIBLE: &[(Tool, &str, &str)] = &[];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_client_gets_through_whatever_the_upstream_does() {
    let form = trials::size(Form::Short, Form::Long);
    let cases = cases::all(form);
    let tools: Vec<Tool> = match form {
        Form::Short => Tool::SHORT.to_vec(),
        Form::Long => Tool::ALL.to_vec(),
    };
    let wanted = std::env::var("WHARF_PATIENCE").unwrap_or_default();
    let is_wanted =
        |name: &str| wanted.is_empty() || wanted.split(',').any(|word| name.contains(word.trim()));
    let mut cells = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        for tool in tools.iter().filter(|tool| tool.has(case.way)) {
            if is_wanted(&format!("{}: {}", tool.name(), case.name)) {
                cells.push((number, *tool));
            }
        }
    }
    let used: Vec<Tool> =
        tools.into_iter().filter(|tool| cells.iter().any(|(_, of)| of == tool)).collect();
    let Some(ground) = Ground::lay(&used).await else { return };
    let findings = run(ground, &cases, cells).await;
    report(&cases, &used, &findings);
}

/// The result of one cell.
struct Finding {
    case: usize,
    tool: Tool,
    ending: Ending,
    seconds: u64,
}

async fn run(ground: Ground, cases: &[Case], cells: Vec<(usize, Tool)>) -> Vec<Finding> {
    let (ground, places) = (Arc::new(ground), Arc::new(Semaphore::new(CELLS_AT_ONCE)));
    let mut running = JoinSet::new();
    for (case, tool) in cells {
        let (ground, places, what) =
            (Arc::clone(&ground), Arc::clone(&places), cases[case].clone());
        running.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            let (ending, seconds) = Cell::try_out(&ground, tool, &what).await;
            Finding { case, tool, ending, seconds }
        });
    }
    let mut findings = running.join_all().await;
    findings.sort_by_key(|finding| (finding.case, finding.tool.name()));
    findings
}

/// Prints the table; panics with the failed cells.
#[expect(clippy::print_stdout, reason = "the table is the result")]
fn report(cases: &[Case], tools: &[Tool], findings: &[Finding]) {
    let mut text = table(cases, tools, findings);
    let wrong = failures(cases, findings, &mut text);
    println!("{text}");
    if let Some(folder) = std::env::var_os("WHARF_PATIENCE_DIR") {
        std::fs::write(std::path::Path::new(&folder).join("patience.md"), &text).unwrap();
    }
    assert!(wrong.is_empty(), "{} cells did not get through:\n{}", wrong.len(), wrong.join("\n"));
}

fn table(cases: &[Case], tools: &[Tool], findings: &[Finding]) -> String {
    let mut text = String::from("| case |");
    for tool in tools {
        let _ = write!(text, " {} |", tool.name());
    }
    let _ = write!(text, "\n| --- |{}\n", " --- |".repeat(tools.len()));
    for (number, case) in cases.iter().enumerate() {
        let line: Vec<_> = findings.iter().filter(|finding| finding.case == number).collect();
        if line.is_empty() {
            continue;
        }
        let _ = write!(text, "| {} |", case.name);
        for tool in tools {
            let cell = line.iter().find(|finding| finding.tool == *tool);
            let _ = write!(text, " {} |", cell.map_or_else(String::new, |cell| cell.word()));
        }
        text.push('\n');
    }
    text
}

/// Adds the number of successes to the text, and the reasons of the failures; returns the
/// unexpected ones.
fn failures(cases: &[Case], findings: &[Finding], text: &mut String) -> Vec<String> {
    let count = |wanted: fn(&Ending) -> bool| {
        findings.iter().filter(|finding| wanted(&finding.ending)).count()
    };
    let through = count(|ending| matches!(ending, Ending::Through | Ending::Unmet));
    let missing = count(|ending| matches!(ending, Ending::Missing));
    let tried = findings.len() - missing;
    let _ =
        writeln!(text, "\n{through} of {tried} cells got through; {missing} have no client here.");
    let _ = writeln!(text, "Unmet: nobody asked what would have been answered oddly.\n");
    let mut wrong = Vec::new();
    for finding in findings {
        let (tool, case) = (finding.tool, cases[finding.case].name.as_str());
        let Ending::Failed(why) = &finding.ending else { continue };
        let known = IMPOSSIBLE.iter().find(|(of, name, _)| *of == tool && *name == case);
        let reason =
            known.map_or_else(String::new, |(.., reason)| format!(" (cannot be had: {reason})"));
        let line = format!("- {}: {case}{reason}: {why}", tool.name());
        let _ = writeln!(text, "{line}");
        if known.is_none() {
            wrong.push(line);
        }
    }
    wrong
}

impl Finding {
    /// The cell's text in the table.
    fn word(&self) -> String {
        match &self.ending {
            Ending::Through => format!("ok {}", self.seconds),
            Ending::Unmet => format!("ok {} unmet", self.seconds),
            Ending::Failed(_) => format!("**FAILED {}**", self.seconds),
            Ending::Missing => "not installed".to_owned(),
        }
    }
}
