//! A summary in Markdown, for the page of a run (`$GITHUB_STEP_SUMMARY`) or a comment.
//!
//! Invariant: foreign texts make no markup, no link and no mention, and leave no cell of a table;
//! the whole is no longer than its reader takes.

use std::fmt::Write as _;

use super::frame::Frame;
use super::{
    Omission, Proof, Report, ReportPart, Verdict, Weight, changes_text, counted, links, short,
};
use crate::diff::text::DiffForm;
use crate::rules::image::size;
use crate::rules::{Finding, find};
use crate::shown::visible;

/// The most bytes that GitHub takes for the summary of a step.
pub const STEP_SUMMARY_BYTES_MAX: usize = 1024 * 1024;

/// The reserve for the lines after the findings.
const ENDING_BYTES: usize = 16 * 1024;

/// Longest text in a cell, in characters.
const CELL_CHARS_MAX: usize = 1000;

pub fn write(frame: &Frame<'_>) -> String {
    let report = frame.report;
    let mut text = heading(frame);
    if !report.images.is_empty() {
        text.push_str(&images(report));
    }
    for unread in report.unread.iter().take(IMAGES_MAX) {
        let (target, error) = (inert(&unread.target), inert(&unread.error));
        let _ = writeln!(text, "\n❌ **not read:** {target}: {error}");
    }
    let room = frame.bytes_max.saturating_sub(ENDING_BYTES);
    let mut left = 0;
    for part in report.parts().iter().filter(|part| !part.findings.is_empty()) {
        left += findings(part, frame, room, &mut text);
    }
    if left > 0 {
        let _ = writeln!(text, "\n{} more did not fit here.", counted(left, "finding"));
    }
    if let Some(changes) = &report.changes {
        let said = changes_text(changes, DiffForm::Markdown);
        let heading = "\n### Changes\n\n";
        if text.len() + heading.len() + said.len() <= room {
            text.push_str(heading);
            text.push_str(&said);
        }
    }
    text.push_str(&unlooked(report));
    // The catalogue bounds the ending; this bound holds for any catalogue.
    text.truncate(text.floor_char_boundary(frame.bytes_max));
    text
}

fn heading(frame: &Frame<'_>) -> String {
    let report = frame.report;
    let mark = match report.verdict() {
        Verdict::Passed => "✅",
        Verdict::NotProven => "❔",
        Verdict::Failed => "❌",
    };
    format!(
        "## {mark} wharf {}: {}\n\n{}; {} looked at.\n",
        frame.command,
        report.verdict().as_str(),
        report.summary.words(),
        counted(report.summary.rules, "rule"),
    )
}

/// Rows of the table of images; more are counted.
const IMAGES_MAX: usize = 200;

fn images(report: &Report) -> String {
    let mut text = String::from(
        "\n| image | platform | digest | layers | size | intact |\n|---|---|---|--:|--:|---|\n",
    );
    for image in report.images.iter().take(IMAGES_MAX) {
        let intact = match image.proof {
            Proof::Proven => "yes",
            Proof::NotProven => "not proven",
            Proof::Damaged => "**no**",
        };
        let name = image.plan.as_ref().unwrap_or(&image.location);
        let _ = writeln!(
            text,
            "| {} | {} | `{}` | {} | {} | {intact} |",
            inert(name),
            inert(short(&image.platform)),
            short(&image.digest),
            image.layers,
            size(image.stored_bytes),
        );
    }
    if let Some(left) = report.images.len().checked_sub(IMAGES_MAX).filter(|left| *left > 0) {
        let _ = writeln!(text, "\n{} more.", counted(left, "image"));
    }
    text
}

/// The findings of a part as a table, as far as there is room; returns how many are left.
fn findings(part: &ReportPart<'_>, frame: &Frame<'_>, room: usize, text: &mut String) -> usize {
    let head = format!(
        "\n### {}\n\n| | rule | where | what, and what to do |\n|---|---|---|---|\n",
        inert(&part.name)
    );
    if text.len() + head.len() > room {
        return part.findings.len();
    }
    text.push_str(&head);
    for (at, finding) in part.findings.iter().enumerate() {
        let row = row(finding, frame);
        if text.len() + row.len() > room {
            return part.findings.len() - at;
        }
        text.push_str(&row);
    }
    0
}

fn row(finding: &Finding, frame: &Frame<'_>) -> String {
    let weight = Weight::of(finding);
    let mark = match weight {
        Weight::Error => "❌",
        Weight::NotProven => "❔",
        Weight::Warning => "⚠️",
        Weight::Waived => "➖",
    };
    let page = find(finding.rule).map(links::page).unwrap_or_default();
    let place = &finding.place;
    let mut at = inert(&frame.root.at(finding));
    if let Some(layer) = &place.layer {
        let _ = write!(at, "<br>layer {}", layer.number);
    }
    if let Some(path) = &place.path {
        let _ = write!(at, "<br>{}", inert(path));
    }
    if !place.platforms.is_empty() {
        let _ = write!(at, "<br>{}", inert(&place.platforms.join(", ")));
    }
    let message = inert(&finding.message);
    let fix = match &finding.waived {
        Some(waived) => inert(&waived.words()),
        None => inert(finding.fix),
    };
    let (rule, word) = (finding.rule, weight.as_str());
    format!("| {mark} {word} | [{rule}]({page}) | {at} | {message}<br>*{fix}* |\n")
}

fn unlooked(report: &Report) -> String {
    if report.not_looked_at.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n### Not looked at\n\n");
    for Omission { what, how, rules, .. } in &report.not_looked_at {
        let _ = writeln!(text, "- {} ({}): {}", inert(what), rules.join(", "), inert(how));
    }
    text
}

/// The text as inert Markdown, in one line.
pub(super) fn inert(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let cut = visible(text);
    for c in cut.chars().take(CELL_CHARS_MAX) {
        match c {
            // As entities, because a table is cut into cells before backslashes are looked at.
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '|' => shown.push_str("&#124;"),
            // A reader looks for mentions after the markup; an invisible mark breaks them.
            '@' => shown.push_str("@\u{2060}"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '!' | '~' | ':'
            | '$' => shown.extend(['\\', c]),
            '.' if shown.ends_with("www") => shown.push_str("\\."),
            c => shown.push(c),
        }
    }
    if cut.chars().nth(CELL_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_makes_markup() {
        let hostile = "| a | <img src=x> `b` [c](http://d) @team ![x](y) *e* \n# f www.g.example";
        let shown = inert(hostile);
        assert!(!shown.contains(['|', '<', '>', '\n']), "{shown}");
        assert!(shown.contains("\\[c\\]\\(http\\://d\\)"), "{shown}");
        assert!(shown.contains("@\u{2060}team") && shown.contains("www\\."), "{shown}");
        assert_eq!(inert("etc/ssh/id-rsa.pub"), "etc/ssh/id-rsa.pub");
    }
}
