//! How the changes of a payload are shown: for a terminal, and as Markdown.

use std::fmt::Write as _;

use serde_json::Value;

use crate::marketplace::diff::{Change, ChangeKind, TreeDiff};
use crate::output::{Paint, Style, visible};

/// Longest printed value, in characters; JSON has all of it.
const VALUE_CHARS_MAX: usize = 160;

/// For a terminal: plan by plan, one change after the other, the old value above the new one.
pub(super) fn plain(diff: &TreeDiff, unexpected: &[String], paint: Paint) -> String {
    let mut text = String::new();
    let mut plan: Option<&Option<String>> = None;
    for change in &diff.changes {
        if plan != Some(&change.plan) {
            let heading = match &change.plan {
                None => "the offer".to_owned(),
                Some(plan) => format!("plan {}", visible(plan)),
            };
            let _ = writeln!(text, "{}", paint.text(Style::Strong, &heading));
            plan = Some(&change.plan);
        }
        let style = if change.refused.is_some() { Style::Error } else { style(change.how) };
        let how = paint.text(style, change.how.as_str());
        let _ = writeln!(text, "  {how} {}", visible(&change.key));
        let (before, after) = values(change);
        for (sign, value) in [("-", before), ("+", after)] {
            if let Some(value) = value {
                let _ = writeln!(text, "    {sign} {}", visible(&value));
            }
        }
        if let Some(why) = change.refused {
            let _ = writeln!(text, "    {} {why}", paint.text(Style::Error, "refused:"));
        } else if unexpected.contains(&change.key) {
            let _ = writeln!(text, "    {}", paint.text(Style::Warning, "not allowed by --allow"));
        }
    }
    let _ = writeln!(text, "{}", summary(diff, unexpected));
    text
}

const fn style(how: ChangeKind) -> Style {
    match how {
        ChangeKind::Added => Style::Good,
        ChangeKind::Removed => Style::Warning,
        ChangeKind::Changed => Style::Plain,
    }
}

/// As Markdown: one table.
pub(super) fn markdown(diff: &TreeDiff, unexpected: &[String]) -> String {
    let mut text = format!("{}\n", summary(diff, unexpected));
    if !diff.changes.is_empty() {
        text.push_str("\n| plan | field | | before | after | |\n|---|---|---|---|---|---|\n");
    }
    for change in &diff.changes {
        let (before, after) = values(change);
        let verdict = match change.refused {
            Some(why) => format!("**refused**: {why}"),
            None if unexpected.contains(&change.key) => "not allowed".to_owned(),
            None => String::new(),
        };
        let code = |value: Option<String>| value.map(|value| code(&value)).unwrap_or_default();
        let plan = change.plan.as_deref().map(self::code).unwrap_or_default();
        let _ = writeln!(
            text,
            "| {plan} | {} | {} | {} | {} | {verdict} |",
            self::code(&change.key),
            change.how.as_str(),
            code(before),
            code(after)
        );
    }
    text
}

/// A stranger's text in a cell of a table: nothing in it can end the cell or the code.
fn code(text: &str) -> String {
    let text = visible(text).replace('`', "'").replace('|', "\\|");
    format!("`{text}`")
}

fn summary(diff: &TreeDiff, unexpected: &[String]) -> String {
    let refused = diff.changes.iter().filter(|change| change.refused.is_some()).count();
    let mut text = match diff.changes.len() {
        0 => format!("nothing changes against what is in {}", diff.target),
        1 => format!("1 change against what is in {}", diff.target),
        count => format!("{count} changes against what is in {}", diff.target),
    };
    if refused > 0 {
        let _ = write!(text, ", {refused} refused");
    }
    if !unexpected.is_empty() {
        let _ = write!(text, ", {} not allowed", unexpected.len());
    }
    if !diff.untouched.is_empty() {
        let kinds = diff.untouched.iter().map(|kind| visible(kind));
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        let _ = write!(text, "\nnot in the payload, so they stay as they are: {kinds}");
    }
    text
}

/// Both values, short; of two long texts the part around their first difference.
fn values(change: &Change) -> (Option<String>, Option<String>) {
    let (before, after) = (change.before.as_ref().map(written), change.after.as_ref().map(written));
    let same = match (&before, &after) {
        (Some(before), Some(after)) => {
            before.chars().zip(after.chars()).take_while(|(one, other)| one == other).count()
        }
        _ => 0,
    };
    let short = |text: String| shortened(&text, same);
    (before.map(short), after.map(short))
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn shortened(text: &str, same: usize) -> String {
    let count = text.chars().count();
    if count <= VALUE_CHARS_MAX {
        return text.to_owned();
    }
    let start = same.saturating_sub(VALUE_CHARS_MAX / 4);
    let cut: String = text.chars().skip(start).take(VALUE_CHARS_MAX).collect();
    let (left, right) =
        (if start > 0 { "…" } else { "" }, if start + VALUE_CHARS_MAX < count { "…" } else { "" });
    format!("{left}{cut}{right}")
}
