//! How texts of strangers are shown: without what a terminal, a log of CI or a reader's eye would
//! obey instead of showing it.
//!
//! Invariant: what is shown holds no control character, no mark that turns the direction of writing,
//! nothing that cannot be seen, and no command to an agent of Azure Pipelines.

/// The character itself, or U+FFFD where it would not be shown but obeyed.
#[must_use]
pub fn safe(c: char) -> char {
    let is_obeyed = c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' // directions of writing
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{2028}' | '\u{2029}' // ends of lines
            | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' // nothing to see
            | '\u{e0000}'..='\u{e007f}');
    if is_obeyed { '\u{fffd}' } else { c }
}

/// The text with every character made [`safe`].
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        // The agents of Azure Pipelines and GitHub look for these anywhere in a line.
        let is_command = c == '#' && text.get(at..).is_some_and(begins_command);
        shown.push(if is_command { '\u{fffd}' } else { safe(c) });
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
        for text in ["# heading ##", "naïve/日本/שלום.txt", "👩‍🚀"] {
            assert_eq!(visible(text), text);
        }
    }
}
