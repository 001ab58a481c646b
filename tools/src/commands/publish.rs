//! The target of a report: the requested files, then, as the result, stdout.
//!
//! Invariant: stdout has one output, the result or reports; a failed report loses none of the
//! others, nor the result.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::inputs::Inputs;
use super::{Context, variable, write_file};
use crate::cli::{JudgeArgs, OutputFormat, ReportFormat, ReportTarget};
use crate::exit::Exit;
use crate::output_file;
use crate::report::markdown::{self, STEP_SUMMARY_BYTES_MAX};
use crate::report::{Frame, formats};
use crate::report::{Report, ReportRoot};

/// The variable with the file of a step's summary; a report is added to it.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Refuses an impossible combination, before any work is done.
pub(super) fn check(judge: &JudgeArgs, context: &Context) -> anyhow::Result<()> {
    let to_stdout = judge.reports.iter().filter(|target| target.is_stdout()).count();
    ensure!(to_stdout < 2, "only one report can go to stdout; write the other to a file");
    ensure!(
        to_stdout == 0 || context.output.format() == OutputFormat::Text,
        "stdout has the result in JSON already; write the report to a file"
    );
    let files: Vec<&Path> = judge.reports.iter().map(|target| target.file.as_path()).collect();
    for (place, file) in files.iter().enumerate() {
        let is_twice = files.get(..place).unwrap_or_default().contains(file);
        ensure!(!is_twice, "two reports would go to {}; name another file", file.display());
    }
    Ok(())
}

/// Writes the requested reports, in that order, then the result.
pub(super) fn publish(
    report: &Report,
    command: &str,
    judge: &JudgeArgs,
    inputs: Inputs,
    context: &Context,
) -> anyhow::Result<Exit> {
    let root = ReportRoot::around(&std::env::current_dir().unwrap_or_default(), variable);
    let frame = Frame { report, command, root: &root, bytes_max: STEP_SUMMARY_BYTES_MAX };
    let given = &judge.given;
    let given = given.registry_states.iter().chain(&given.waivers).chain(&given.ledger);
    let inputs = inputs.and(given.map(PathBuf::as_path));
    let mut exit = report.exit();
    for target in &judge.reports {
        match write(&frame, target, &inputs, context) {
            Ok(()) => context.output.detail(&format!("wrote {}", target.file.display())),
            Err(error) => {
                context.output.failure(&format!("{error:#}"), None);
                exit = Exit::Usage;
            }
        }
    }
    if judge.reports.iter().any(ReportTarget::is_stdout) {
        context.output.result_aside(|paint| report.text(paint));
    } else {
        context.output.result(command, report, |paint| report.text(paint))?;
    }
    Ok(exit)
}

/// Refuses pages in place of what is read, before any work is done.
pub(super) fn check_pages(targets: &[ReportTarget], inputs: &Inputs) -> anyhow::Result<()> {
    targets.iter().try_for_each(|target| inputs.keep(&target.file))
}

/// Writes pages of Markdown made by `page` for so many bytes at most. A failed page loses neither the
/// others nor the result; it makes the exit code 2.
pub(super) fn pages(
    targets: &[ReportTarget],
    page: &dyn Fn(usize) -> String,
    inputs: &Inputs,
    exit: Exit,
    context: &Context,
) -> Exit {
    let mut exit = exit;
    for ReportTarget { file, .. } in targets {
        let written = if is_step_summary(file) {
            append(file, page)
        } else {
            write_file(file, &page(STEP_SUMMARY_BYTES_MAX), inputs)
        };
        match written {
            Ok(()) => context.output.detail(&format!("wrote {}", file.display())),
            Err(error) => {
                context.output.failure(&format!("{error:#}"), None);
                exit = Exit::Usage;
            }
        }
    }
    exit
}

fn write(
    frame: &Frame<'_>,
    target: &ReportTarget,
    inputs: &Inputs,
    context: &Context,
) -> anyhow::Result<()> {
    let ReportTarget { format, file } = target;
    if target.is_stdout() {
        return Ok(context.output.raw(&formats::write(frame, *format)?)?);
    }
    if *format == ReportFormat::Markdown && is_step_summary(file) {
        let page = |bytes_max| markdown::write(&Frame { bytes_max, ..*frame });
        return append(file, &page);
    }
    write_file(file, &formats::write(frame, *format)?, inputs)
}

fn is_step_summary(file: &Path) -> bool {
    variable(STEP_SUMMARY).is_some_and(|named| Path::new(&named) == file)
}

/// Adds to the reports of other commands in the step, within GitHub's limit for a step.
fn append(file: &Path, page: &dyn Fn(usize) -> String) -> anyhow::Result<()> {
    let there = std::fs::metadata(file).map_or(0, |there| there.len());
    let there = usize::try_from(there).unwrap_or(usize::MAX);
    let text = page(STEP_SUMMARY_BYTES_MAX.saturating_sub(there));
    output_file::append(file, &text).with_context(|| format!("cannot write {}", file.display()))
}
