//! The places of images in the lines of a template: under the key `image`, or a text in the form of
//! a reference. An action may go on over several lines; those are one line here.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::chart::actions::actions;

/// A fixed pattern; tests use each of them.
type Pattern = LazyLock<Option<Regex>>;

static IMAGE_KEY: Pattern = LazyLock::new(|| {
    made(r#"(?:^[ \t]*(?:-[ \t]+)*|[{,][ \t]*|\}\}[ \t]*)(?:"image"|'image'|image):(?:[ \t]+|$)"#)
});
static REFERENCE: Pattern = LazyLock::new(|| {
    made(
        r#"(?:^|[ \t\n"'=])((?:[a-z0-9-]+\.)+[a-z]{2,}(?::[0-9]+)?/[a-z0-9._/-]+(?::[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64}))(?:$|[ \t\n"',])"#,
    )
});
static BLOCK: Pattern = LazyLock::new(|| made(r":[ \t]+[|>][0-9+-]*[ \t]*$"));
static IMAGE_VARIABLE: Pattern = LazyLock::new(|| {
    made(r#"^-?[ \t]*name:[ \t]*["']?((?:[A-Z0-9_]*_)?IMAGE(?:_[A-Z0-9_]*)?)["']?$"#)
});

fn made(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()
}

/// The lines of a text; a line with an open action is one with the next.
pub(super) fn joined(text: &str) -> Vec<Range<usize>> {
    let mut open = actions(text).into_iter().map(|action| action.range).peekable();
    let mut lines = Vec::new();
    let (mut start, mut end) = (0, 0);
    for line in text.split_inclusive('\n') {
        end += line.len();
        while open.next_if(|range| range.end <= end).is_some() {}
        if open.peek().is_none_or(|range| range.start >= end) {
            lines.push(start..end);
            start = end;
        }
    }
    if start < end {
        lines.push(start..end);
    }
    lines
}

/// The values of the keys `image` of a line, without the text behind them.
pub(super) fn image_values(line: &str) -> Vec<Range<usize>> {
    let Some(key) = IMAGE_KEY.as_ref() else { return Vec::new() };
    let ranges = key.find_iter(line).filter_map(|found| {
        let before = line.get(..found.start()).unwrap_or_default();
        // In a text in quotes there are no keys.
        let is_in_text = ['"', '\''].iter().any(|quote| before.matches(*quote).count() % 2 == 1);
        let is_in_braces = found.as_str().starts_with(['{', ',']);
        let rest = line.get(found.end()..).unwrap_or_default();
        let range = found.end()..found.end() + value_end(rest, is_in_braces);
        (!is_in_text && !range.is_empty()).then_some(range)
    });
    ranges.collect()
}

/// The end of a value: before a comment, and in braces before a closing or a separating character.
fn value_end(rest: &str, is_in_braces: bool) -> usize {
    let mut actions = actions(rest).into_iter().map(|action| action.range).peekable();
    let mut before = ' ';
    for (at, letter) in rest.char_indices() {
        while actions.next_if(|range| range.end <= at).is_some() {}
        if !actions.peek().is_some_and(|range| range.contains(&at)) {
            let is_comment = letter == '#' && before.is_whitespace();
            if is_comment || (is_in_braces && matches!(letter, ',' | '}')) {
                return rest.get(..at).unwrap_or_default().trim_end().len();
            }
        }
        before = letter;
    }
    rest.trim_end().len()
}

/// A text in the form of an image's reference.
pub(super) fn reference(line: &str) -> Option<&str> {
    Some(REFERENCE.as_ref()?.captures(line)?.get(1)?.as_str())
}

/// Whether a block of text starts behind this line.
pub(super) fn opens_block(line: &str) -> bool {
    BLOCK.as_ref().is_some_and(|block| block.is_match(line))
}

/// The variable in a line, when operators take an image from it.
pub(super) fn image_variable(line: &str) -> Option<&str> {
    Some(IMAGE_VARIABLE.as_ref()?.captures(line)?.get(1)?.as_str())
}
