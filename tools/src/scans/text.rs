//! Texts of reports, cut.

/// Longest kept text, in characters: names, versions, reasons.
const TEXT_CHARS_MAX: usize = 200;

/// The start of a text.
pub(super) fn short(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}
