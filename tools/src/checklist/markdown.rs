//! The checklist as Markdown: a task list for each page. Values are code, so they are copied as
//! they are and have no effect in a reader of Markdown.

use std::fmt::Write as _;

use super::{Checklist, empty_fields, heading};
use crate::marketplace::form::{ELSEWHERE, FieldItem, FieldValue, FillMethod, FormField, Sheet};
use crate::shown::visible;

/// Writes the checklist.
#[must_use]
pub fn write(checklist: &Checklist<'_>) -> String {
    let (fields, by_hand) = checklist.counts();
    let mut text = format!("# {}\n\n", code(&checklist.offer.listing.title));
    let _ = writeln!(
        text,
        "{fields} fields in the order of Partner Center; {by_hand} of them are entered by hand \
         (**by hand**), the payload of `wharf offer render` fills the others."
    );
    for sheet in &checklist.form.sheets {
        page(sheet, &mut text);
    }
    text.push_str("\n## Not entered in Partner Center\n\n");
    for (key, where_to) in ELSEWHERE {
        let _ = writeln!(text, "- {}: {}", code(key), where_to.replace('`', ""));
    }
    text
}

fn page(sheet: &Sheet, text: &mut String) {
    let _ = writeln!(text, "\n## {}\n", plain(&heading(sheet)));
    for field in sheet.fields.iter().filter(|field| !field.value.is_nothing()) {
        let mark = match field.way {
            FillMethod::Api => String::new(),
            FillMethod::Hand(why) => format!(" **by hand** ({})", plain(why)),
        };
        let _ = write!(text, "- [ ] {}{mark}:", plain(&field.label));
        value(field, text);
    }
    let empty = empty_fields(sheet);
    if !empty.is_empty() {
        let above = if empty.len() == sheet.fields.len() { "" } else { "\n" };
        let _ = writeln!(text, "{above}Left empty: {}.", plain(&empty.join(", ")));
    }
}

fn value(field: &FormField, text: &mut String) {
    match &field.value {
        FieldValue::Text(value) | FieldValue::Picture(value) => {
            let _ = writeln!(text, " {}", code(value));
        }
        FieldValue::List(values) => {
            text.push('\n');
            for FieldItem { value, beside } in values {
                let beside = if beside.is_empty() { String::new() } else { code(beside) };
                let line = format!("  - {} {beside}", code(value));
                let _ = writeln!(text, "{}", line.trim_end());
            }
        }
        FieldValue::Long(value) => {
            let fence = "`".repeat(longest_run(value).max(2) + 1);
            let _ = writeln!(text, "\n\n  {fence}");
            for line in value.lines() {
                let _ = writeln!(text, "  {}", visible(line));
            }
            let _ = writeln!(text, "  {fence}");
        }
        FieldValue::Nothing => {}
    }
}

/// The text as code, safe from any backtick in it.
fn code(text: &str) -> String {
    let text = visible(text);
    let fence = "`".repeat(longest_run(&text) + 1);
    let space =
        if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// How many backticks follow each other at most.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// Words between values; those with a name of the offer's in them stay words.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '&' => shown.push_str("&amp;"),
            '@' => shown.push_str("@\u{2060}"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '!' | '#' | '|' | '~' => shown.extend(['\\', c]),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_ends_its_code_or_begins_markup() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code("a\nb"), "`a\u{fffd}b`");
        assert_eq!(plain("*a* <b> @team"), "\\*a\\* &lt;b&gt; @\u{2060}team");
    }
}
