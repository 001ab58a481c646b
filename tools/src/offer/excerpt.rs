//! A line of an offer file with a mark under a stretch of it, as messages and reports show it.
//!
//! Invariant: an excerpt is short and holds no control character, so no file can drive the terminal
//! of a message's reader.

use std::fmt;

use super::source_map::Spot;
use crate::shown;

/// Longest excerpt of a line, in characters.
const EXCERPT_CHARS_MAX: usize = 100;

/// The part of a line around a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The number of the line.
    pub number: String,
    /// The shown part.
    pub text: String,
    /// How many characters stand before the place.
    pub before: usize,
    /// How many are meant; at least 1.
    pub marks: usize,
}

impl Excerpt {
    /// The excerpt of a line for a place in it.
    #[must_use]
    pub fn new(line: &str, spot: Spot) -> Self {
        let before = spot.column.saturating_sub(1);
        let cut = before.saturating_sub(EXCERPT_CHARS_MAX / 2);
        let cut = if line.chars().count() <= EXCERPT_CHARS_MAX { 0 } else { cut };
        let text: String = line.chars().skip(cut).take(EXCERPT_CHARS_MAX).collect();
        // One character for one, so the columns stay.
        let text = shown::visible(&text);
        let before = before - cut;
        let marks = spot.width.min(text.chars().count().saturating_sub(before)).max(1);
        Self { number: spot.line.to_string(), text, before, marks }
    }

    /// White space as wide as the number.
    #[must_use]
    pub fn gutter(&self) -> String {
        " ".repeat(self.number.len())
    }

    /// The three lines of it; `mark` may colour the marks.
    #[must_use]
    pub fn render(&self, mark: impl FnOnce(&str) -> String) -> String {
        let Self { number, text, before, marks } = self;
        let (gutter, space) = (self.gutter(), " ".repeat(*before));
        let marks = mark(&"^".repeat(*marks));
        format!("{gutter} |\n{number} | {text}\n{gutter} | {space}{marks}")
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(str::to_owned))
    }
}
