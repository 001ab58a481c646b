//! The printed form of foreign texts: without characters that a terminal, a log of CI or a reader's
//! eye would obey.
//!
//! Invariant: a printed text holds no control character, no mark of direction, no invisible
//! character, and no command to an agent of Azure Pipelines.

use crate::characters;

/// The text with U+FFFD, one for one, for each active character.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        // The agents of Azure Pipelines and GitHub look for these anywhere in a line.
        let is_command = c == '#' && text.get(at..).is_some_and(begins_command);
        shown.push(if is_command || characters::is_hidden(c) { '\u{fffd}' } else { c });
    }
    shown
}

fn begins_command(text: &str) -> bool {
    let is = |mark: &str| text.get(..mark.len()).is_some_and(|it| it.eq_ignore_ascii_case(mark));
    is("##vso[") || is("##[")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_would_be_obeyed() {
        assert_eq!(visible("a\u{1b}[31m\r\n"), "a\u{fffd}[31m\u{fffd}\u{fffd}");
        assert_eq!(visible("gnp.\u{202e}exe\u{2066}"), "gnp.\u{fffd}exe\u{fffd}");
        assert_eq!(visible("x ##VSO[task.complete]"), "x \u{fffd}#VSO[task.complete]");
        assert_eq!(visible("##[error]"), "\u{fffd}#[error]");
    }

    #[test]
    fn what_people_write_stays() {
        for text in ["# heading ##", "naïve/日本/שלום.txt", "naïve 🚀"] {
            assert_eq!(visible(text), text);
        }
    }
}
