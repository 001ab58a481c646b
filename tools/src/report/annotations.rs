//! Annotations: lines for agents of CI to read from a log and show beside the code. The gravest
//! come first, because agents keep the first few of each kind and drop the rest without a word.
//!
//! Invariant: no text ends the line or the command it stands in.

use std::fmt::Write as _;

use super::frame::Frame;
use super::{Weight, counted};
use crate::rules::{Finding, Severity};
use crate::shown::visible;

/// How many errors GitHub shows of one step, and as many warnings; Azure Pipelines keeps as many.
pub const SHOWN_MAX: usize = 10;

/// Longest message, in characters: one annotation has 64 KiB at GitHub, a list of them is read by
/// people.
const MESSAGE_CHARS_MAX: usize = 1000;

/// Commands of GitHub's workflows (`::error file=…::…`).
#[must_use]
pub fn github(frame: &Frame<'_>) -> String {
    let mut text = String::new();
    for said in unread(frame) {
        let _ = writeln!(text, "::error title=wharf::{}", github_data(&said));
    }
    let (shown, left) = chosen(frame);
    for finding in shown {
        let place = &finding.place;
        let _ = write!(text, "::{} ", finding.severity.as_str());
        let file = visible(&frame.root.relative(&place.file));
        let _ = write!(text, "file={}", github_property(&file));
        for (name, number) in numbers(finding) {
            let _ = write!(text, ",{name}={number}");
        }
        let title = format!("{} {}", finding.rule, Weight::of(finding).as_str());
        let _ = writeln!(
            text,
            ",title={}::{}",
            github_property(&title),
            github_data(&message(finding))
        );
    }
    if let Some(left) = left {
        let _ = writeln!(text, "::notice title=wharf::{}", github_data(&left));
    }
    text
}

/// Commands of the agents of Azure Pipelines (`##vso[task.logissue …]…`).
#[must_use]
pub fn azure(frame: &Frame<'_>) -> String {
    let mut text = String::new();
    for said in unread(frame) {
        let _ = writeln!(text, "##vso[task.logissue type=error;]{}", azure_data(&said));
    }
    let (shown, left) = chosen(frame);
    for finding in shown {
        let place = &finding.place;
        let file = azure_property(&visible(&frame.root.relative(&place.file)));
        let kind = finding.severity.as_str();
        let _ = write!(text, "##vso[task.logissue type={kind};sourcepath={file};");
        if let Some(line) = place.line {
            let _ = write!(text, "linenumber={line};columnnumber={};", place.column.unwrap_or(1));
        }
        let _ = writeln!(text, "code={};]{}", finding.rule, azure_data(&message(finding)));
    }
    if let Some(left) = left {
        let _ = writeln!(text, "{left}");
    }
    text
}

/// The shown findings, and the line about the others.
fn chosen<'a>(frame: &Frame<'a>) -> (Vec<&'a Finding>, Option<String>) {
    let standing = frame.report.findings.iter().filter(|finding| finding.waived.is_none());
    let mut all: Vec<&Finding> = standing.collect();
    all.sort_by_key(|finding| Weight::of(finding));
    let (errors, warnings): (Vec<&Finding>, Vec<&Finding>) =
        all.into_iter().partition(|finding| finding.severity == Severity::Error);
    let room = SHOWN_MAX.saturating_sub(frame.report.unread.len());
    let errors_left = errors.len().saturating_sub(room);
    let warnings_left = warnings.len().saturating_sub(SHOWN_MAX);
    let said = (errors_left + warnings_left > 0).then(|| {
        let (errors, warnings) = (counted(errors_left, "error"), counted(warnings_left, "warning"));
        format!("{errors} and {warnings} more are in the report, not among the annotations")
    });
    let shown = errors.into_iter().take(room).chain(warnings.into_iter().take(SHOWN_MAX));
    (shown.collect(), said)
}

/// Unreadable targets come first: nothing else is known of them.
fn unread(frame: &Frame<'_>) -> Vec<String> {
    let unread = frame.report.unread.iter().take(SHOWN_MAX);
    unread
        .map(|unread| visible(&format!("not read: {}: {}", unread.target, unread.error)))
        .collect()
}

/// One line of a list: the fault, the place in the image, the fix.
fn message(finding: &Finding) -> String {
    let place = &finding.place;
    let mut text = finding.message.clone();
    let inside = [place.image.clone(), place.path.clone()];
    let inside: Vec<String> = inside.into_iter().flatten().collect();
    if !inside.is_empty() {
        let _ = write!(text, " ({})", inside.join(": "));
    }
    let _ = write!(text, ". Fix: {}", finding.fix);
    visible(&text).chars().take(MESSAGE_CHARS_MAX).collect()
}

fn numbers(finding: &Finding) -> Vec<(&'static str, usize)> {
    let place = &finding.place;
    let Some(line) = place.line else { return Vec::new() };
    let mut numbers = vec![("line", line)];
    if let (Some(column), Some(width)) = (place.column, place.width) {
        numbers.extend([("col", column), ("endColumn", column + width)]);
    }
    numbers
}

fn github_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn github_property(text: &str) -> String {
    github_data(text).replace(':', "%3A").replace(',', "%2C")
}

fn azure_data(text: &str) -> String {
    text.replace('%', "%AZP25").replace('\r', "%0D").replace('\n', "%0A")
}

fn azure_property(text: &str) -> String {
    azure_data(text).replace(';', "%3B").replace(']', "%5D")
}
